"""C, compiled by gcc.

`-pipe` keeps a hidden program out of the temporary file between compiler and assembler.
"""

from evolcoder.sandbox.language import Language, Requirement, Seal

PROLOGUE = """#include <unistd.h>
#include <stdio.h>
static int n_NAME;
static void say_NAME(int where, const char *words) {
    char line[64];
    int size = snprintf(line, sizeof line, words, n_NAME);
    if (write(where, line, size) != size) _exit(1);
}
static void check_NAME(int holds) {
    if (!holds) { say_NAME(2, "REFUSED %d failed\\n"); _exit(1); }
    n_NAME += 1;
}
static void done_NAME(void) { say_NAME(3, "TOKEN %d\\n"); }
"""
SEAL = Seal(
    prologue=PROLOGUE,
    check=r"^(\s*)assert\((.*)\);\s*$",
    check_replacement=r"\1check_NAME((\2));",
    epilogue="    done_NAME();",
    closing_braces=1,
)
HEADERS = Requirement(
    name="C library with its headers",
    program="#include <assert.h>\n#include <stdio.h>\n#include <stdlib.h>\n#include <unistd.h>\n"
    'int main(void) { printf("%d\\n", 6 * 7); return 0; }',
    package="libc6-dev",
    error_pattern=r"\.h: No such file|\bcrt1\.o\b|cannot find -l[cm]\b",
)
LANGUAGE = Language(
    name="c",
    file="main.c",
    package="gcc libc6-dev",
    compiler=("gcc", "-O1", "-std=c17", "-o", "main", "main.c", "-lm"),
    stdin_arguments=("-O1", "-std=c17", "-pipe", "-o", "main", "-x", "c", "-", "-lm"),
    command=("./main",),
    seal=SEAL,
    requirements=(HEADERS,),
)

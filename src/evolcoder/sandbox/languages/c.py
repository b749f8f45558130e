"""C, by gcc."""

from evolcoder.sandbox.language import Language, Requirement, Seal

PROLOGUE = """#include <unistd.h>
#include <stdio.h>
static int n_TOKEN;
static void say_TOKEN(int where, const char *end) {
    char line[64];
    int size = snprintf(line, sizeof line, "TOKEN %d%s\\n", n_TOKEN, end);
    if (write(where, line, size) != size) _exit(1);
}
static void check_TOKEN(int holds) {
    if (!holds) { say_TOKEN(2, " failed"); _exit(1); }
    n_TOKEN += 1;
}
static void done_TOKEN(void) { say_TOKEN(3, ""); }
"""
SEAL = Seal(
    prologue=PROLOGUE,
    check=r"^(\s*)assert\((.*)\);\s*$",
    counted=r"\1check_TOKEN((\2));",
    epilogue="    done_TOKEN();",
    closers=1,
)
HEADERS = Requirement(
    name="C library with its headers",
    program="#include <assert.h>\n#include <stdio.h>\n#include <stdlib.h>\n#include <unistd.h>\n"
    'int main(void) { printf("%d\\n", 6 * 7); return 0; }',
    package="libc6-dev",
    absent=r"\.h: No such file|\bcrt1\.o\b|cannot find -l[cm]\b",
)
LANGUAGE = Language(
    name="c",
    file="main.c",
    package="gcc libc6-dev",
    compiler=("gcc", "-O1", "-std=c17", "-o", "main", "main.c", "-lm"),
    command=("./main",),
    seal=SEAL,
    requirements=(HEADERS,),
)

"""The programs that show whether a language works here: one that answers, one that never ends.

The first one prints 42 and needs the language's own tools alone; what its tests need beside these
is shown by the programs of `Language.requirements`.
"""

ANSWER = b"42"
BROKEN = "((("
"""No program in any language."""

PROBES: dict[str, tuple[str, str]] = {
    "python": ("print(6 * 7)", "while True: pass"),
    "javascript": ("console.log(6 * 7)", "for (;;) {}"),
    "typescript": ("const answer: number = 6 * 7; console.log(answer);", "for (;;) {}"),
    "java": (
        "class Main { public static void main(String[] a) { System.out.println(6 * 7); } }",
        "class Main { public static void main(String[] a) { while (true) {} } }",
    ),
    "c": (
        '#include <stdio.h>\nint main(void) { printf("%d\\n", 6 * 7); }',
        "int main(void) { volatile int on = 1; while (on) {} }",
    ),
    "cpp": (
        "#include <iostream>\nint main() { std::cout << 6 * 7 << std::endl; }",
        "int main() { volatile bool on = true; while (on) {} }",
    ),
    "csharp": (
        "class Probe { static void Main() { System.Console.WriteLine(6 * 7); } }",
        "class Probe { static void Main() { while (true) {} } }",
    ),
    "go": (
        'package main\nimport "fmt"\nfunc main() { fmt.Println(6 * 7) }',
        "package main\nfunc main() { for {} }",
    ),
    "rust": ('fn main() { println!("{}", 6 * 7); }', "fn main() { loop {} }"),
    "php": ("<?php echo 6 * 7;", "<?php while (true) {}"),
    "ruby": ("puts 6 * 7", "loop {}"),
    "perl": ("print 6 * 7;", "while (1) {}"),
    "lua": ("print(6 * 7)", "while true do end"),
    "r": ("cat(6 * 7)", "while (TRUE) {}"),
    "julia": ("println(6 * 7)", "while true end"),
    "swift": ("print(6 * 7)", "while true {}"),
    "bash": ("echo $((6 * 7))", "while :; do :; done"),
    "scala": (
        "object Main { def main(a: Array[String]): Unit = println(6 * 7) }",
        "object Main { def main(a: Array[String]): Unit = while (true) {} }",
    ),
    "racket": (
        "#lang racket/base\n(displayln (* 6 7))",
        "#lang racket/base\n(let again () (again))",
    ),
    "d": (
        "import std.stdio; void main() { writeln(6 * 7); }",
        "void main() { while (true) {} }",
    ),
}
"""Language -> what answers, and what never ends."""


def broken(language: str) -> str:
    """Return a source that cannot be compiled or read; PHP prints what has no opening tag."""
    return f"<?php {BROKEN}" if language == "php" else BROKEN

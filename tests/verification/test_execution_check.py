"""The execution check distinguishes wrong programs from missing resources."""

import json

import pytest

from evolcoder.errors import SandboxError
from evolcoder.records import Check, Response, Task
from evolcoder.sandbox.base import Limits
from evolcoder.text import named_language
from evolcoder.verification.execution.check import ExecutionCheck
from groups import by_language

QUICK = Limits(cpu_s=3, wall_s=8, processes=128)


def fence(language, code):
    return f"Here it is:\n\n```{language}\n{code}\n```\n"


def look(driver, text, instruction="Write it.", languages=None):
    task = Task.seed(instruction, ordinal=0, language=named_language(instruction))
    known = list(driver.sandbox._tools) if languages is None else languages
    runs = ExecutionCheck(driver.sandbox, languages=known, limits=QUICK)
    verdict = driver.runner.run(runs(task, Response.to(task, text, made=None), {}))
    assert verdict.check is Check.RUNS
    assert json.loads(json.dumps(verdict.detail)) == verdict.detail
    return verdict


def told(verdict):
    return verdict.kind, verdict.detail.get("why", "")


PYTHON = [
    ("print(6 * 7)", "passed", ""),
    ("def f(x):\n    return x", "passed", ""),
    ("def f(x)\n    return x", "parse_error", ""),
    ("print 'hello'", "parse_error", ""),
    ("type Name = str", "not_run", "dialect"),
    ("cdef int f(int x):\n    return x", "not_run", "dialect"),
    ("client = Client(api_key=<YOUR KEY>)", "not_run", "dialect"),
    ("class A:\n    def f(self):\n        # ... the rest", "passed", ""),
    (">>> type(1)\n<class 'int'>\n>>> for x in [1]:\n...     print(x)\n...\n1", "passed", ""),
    ('"""Has\n```\nf()\n```\n"""', "passed", ""),
    ("return x + 1", "not_run", "fragment"),
    (">>> x = 1\n>>> print(x)", "passed", ""),
    ("!pip install numpy\nx = 1", "passed", ""),
    ("raise ValueError('no')", "error", ""),
    ("assert 1 == 2", "error", ""),
    ("import no_such_package_here", "wants", "library"),
    ("print(int(input()) + 1)", "wants", "input"),
    ("import sys\nprint(sys.argv[1])", "wants", "arguments"),
    ("open('data.csv').read()", "wants", "file"),
    ("import urllib.request as u\nu.urlopen('http://example.org')", "wants", "network"),
    ("import socket\ns = socket.socket()\ns.bind(('', 0))\ns.listen()\ns.accept()", "wants", None),
    ("import time\nwhile True:\n    time.sleep(1)", "wants", "to_be_stopped"),
    ("while True:\n    pass", "timeout", ""),
    ("x = [0] * 10**11", "error", ""),
    ("while True:\n    print('x' * 10000)", "output", ""),
]


@pytest.mark.parametrize(("code", "kind", "why"), PYTHON)
def test_python(sandbox, code, kind, why):
    """Each outcome has its kind; needing input, files, a network or time is no error."""
    verdict = look(sandbox, fence("python", code), languages=[])
    assert verdict.kind == kind
    assert why is None or verdict.detail.get("why", "") == why


OTHERS = [
    ("c", '#include <stdio.h>\nint main(void) { puts("x"); }', "passed", ""),
    ("c", "int square(int x) { return x * x; }", "passed", ""),
    ("c", 'printf("%d\\n", 3);', "passed", ""),
    ("c", "int square(int x) { return x * x }", "compile_error", ""),
    ("c", "int f(Node *n) { return n->value; }", "not_run", "fragment"),
    ("c", "#include <curl/curl.h>\nint main(void) { return 0; }", "not_run", "library"),
    ("c", '#include <stdio.h>\nint main(void) { int n; while (scanf("%d", &n) != 1); }',
     "wants", "input"),
    ("cpp", "int twice(const vector<int>& v) { return 2 * v.size(); }", "passed", ""),
    ("cpp", "#include <iostream>\nint main() { std::cout << 1 }", "compile_error", ""),
    ("java", "public class S {\n  public static void main(String[] a) {}\n}", "passed", ""),
    ("java", "package a.b;\npublic class Sum {\n    int sum(int a) { return a; }\n}", "passed", ""),
    ("java", "public static List<Integer> f(int n) {\n    return new ArrayList<>();\n}",
     "passed", ""),
    ("java", "int x = 3;\nSystem.out.println(x);", "passed", ""),
    ("java", "public class Sum { int f() { return 'abc'; } }", "compile_error", ""),
    ("java", "int f(Account a) { return a.balance(); }", "not_run", "fragment"),
    ("java", "import org.junit.Test;\npublic class T { @Test public void t() {} }",
     "not_run", "library"),
    ("csharp", "public int Twice(int x) { return 2 * x; }", "passed", ""),
    ("csharp", 'string F(int x) => x switch { 1 => "a", _ => "b" };', "not_run", None),
    ("go", 'package main\n\nimport "fmt"\n\nfunc main() { fmt.Println(1) }', "passed", ""),
    ("go", "func twice(x int) int {\n\treturn 2 * x\n}", "passed", ""),
    ("go", "package main\n\nfunc main() { x := 1 }", "compile_error", ""),
    ("rust", "fn twice(x: i32) -> i32 { 2 * x }", "passed", ""),
    ("rust", "use tokio::time;\nfn main() {}", "not_run", "library"),
    ("rust", 'fn main() { let x: i32 = "a"; }', "compile_error", ""),
    ("scala", "object A extends App { println(1) }", "passed", ""),
    ("javascript", "const f = x => x;\nconsole.log(f(1));", "passed", ""),
    ("javascript", "import fs from 'fs';\nconsole.log(typeof fs);", "passed", ""),
    ("javascript", "const x = await Promise.resolve(1);", "passed", ""),
    ("javascript", "function f( { return 1; }", "parse_error", ""),
    ("javascript", "const a = 1;\nJSON.parse('{');", "error", ""),
    ("javascript", "document.title = 'x';", "wants", "browser"),
    ("javascript", "const app = require('express')();", "wants", "library"),
    ("javascript", "const App = () => <div>hi</div>;", "not_run", "dialect"),
    ("typescript", "const name: string = 'x';\nconsole.log(name);", "passed", ""),
    ("bash", "echo $((1 + 1))", "passed", ""),
    ("bash", "if [ 1 -eq 1 ]; then echo", "parse_error", ""),
    ("php", "echo 1 + 1;", "passed", ""),
    ("php", "<?php echo 1 +;", "parse_error", ""),
    ("ruby", "puts 1", "passed", ""),
    ("ruby", "def f(\n  1", "parse_error", ""),
    ("perl", "print 1;", "passed", ""),
    ("perl", "if (1 { print 1; }", "parse_error", ""),
    ("lua", "print(1)", "passed", ""),
    ("lua", "if x the print(1) end", "parse_error", ""),
    ("r", "x <- 1\nprint(x)", "passed", ""),
    ("racket", "(define (f x) x)\n(f 1)", "passed", ""),
    ("d", "int twice(int x) { return 2 * x; }", "passed", ""),
    ("swift", "func twice(_ x: Int) -> Int { 2 * x }\nprint(twice(1))", "passed", ""),
    ("swift", "@main\nstruct App {\n    static func main() { print(1) }\n}", "passed", ""),
    ("swift", 'let x: Int = "a"', "compile_error", ""),
    ("swift", "let all = [1]\nprint(all[5])", "error", ""),
    ("swift", "import UIKit\nprint(1)", "not_run", "library"),
    ("swift", "func f(a: Account) -> Int { a.balance }", "not_run", "fragment"),
    ("swift", "print(twice(1))", "not_run", "fragment"),
    ("julia", "twice(x) = 2x\nprintln(twice(1))", "passed", ""),
    ("julia", "function f(", "parse_error", ""),
    ("julia", "all = [1]\nall[5]", "error", ""),
    ("julia", "using DataFrames", "wants", "library"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("language", "code", "kind", "why"), by_language(OTHERS, lambda row: row[0])
)
def test_other_languages(every_language, language, code, kind, why):
    """Whole programs, functions, methods and statements are recognised and wrapped."""
    every_language.needs(language)
    verdict = look(every_language, fence(language, code))
    assert verdict.kind == kind, verdict.detail
    assert why is None or verdict.detail.get("why", "") == why, verdict.detail
    assert verdict.detail["language"] == language


def test_a_language_without_tools_is_not_run(sandbox):
    """A program that cannot be run here is not an error."""
    for language in ("swift", "haskell", "sql", "html"):
        assert told(look(sandbox, fence(language, "x"), languages=[])) == ("not_run", "language")


def test_a_language_whose_tools_run_nothing_is_not_run(every_language):
    """A broken toolchain fails no row, and other languages still run."""
    asked = []

    async def works(language):
        asked.append(language)
        return language == "python"

    driver = every_language
    runs = ExecutionCheck(driver.sandbox, languages=("bash",), limits=QUICK, works=works)
    task = Task.seed("Write it.", ordinal=0, language=None)
    for language, wanted in (("bash", ("not_run", "language")), ("python", ("passed", ""))):
        response = Response.to(task, fence(language, "x=1"), made=None)
        assert told(driver.runner.run(runs(task, response, {}))) == wanted
    assert asked == ["bash", "python"]


@pytest.mark.parametrize(
    "code",
    [
        "-" * 60_000 + "1",
        "x" + ".x" * 60_000,
        "(" * 90_000,
        "not " * 40_000 + "1",
        "x = " + "[" * 5000 + "]" * 5000,
        "x = 1\n" * 30_000,
        "x = '\ud800'",
        "x = '\x00'",
        "\ufeffx = 1",
    ],
    ids=lambda code: ascii(code[:8]),
)
def test_hostile_sources_get_a_verdict(sandbox, code):
    """Recursion bombs, long sources, lone surrogates and NUL bytes."""
    verdict = look(sandbox, fence("python", code), languages=[])
    assert verdict.kind in {"passed", "parse_error", "error"}


def test_a_megabyte_is_not_searched(sandbox):
    """Its cost does not depend on its content."""
    verdict = look(sandbox, fence("python", "x = 1\n" * 180_000), languages=[])
    assert told(verdict) == ("not_run", "too_long")


def test_a_translation_is_run_in_the_language_that_it_is_in(every_language):
    """Unfenced code is tried in each language that its task names."""
    every_language.needs("java")
    text = "public static int twice(int x) {\n    return 2 * x;\n}"
    verdict = look(every_language, text, "Translate this Python code into equivalent Java code.")
    assert (verdict.kind, verdict.detail["language"]) == ("passed", "java")


def test_versions_of_one_program_are_not_run_together(every_language):
    """If the blocks of a response conflict, a single one is used."""
    every_language.needs("javascript")
    text = fence("javascript", "const x = 1;") + fence("javascript", "const x =")
    assert look(every_language, text).kind == "passed"


def test_the_same_answer_gets_the_same_verdict(sandbox):
    """Verdicts contain no times or memory addresses."""
    text = fence("python", "class A: pass\nraise ValueError(A())")
    first, second = look(sandbox, text, languages=[]), look(sandbox, text, languages=[])
    assert first == second
    assert "0x…" in first.detail["said"]


def test_a_failing_sandbox_is_no_verdict(sandbox):
    """The error is raised."""

    class Broken:
        async def run(self, program, limits):
            raise SandboxError("worker died twice")

    task = Task.seed("Write it.", ordinal=0, language="python")
    response = Response.to(task, fence("python", "x = 1"), made=None)
    with pytest.raises(SandboxError):
        sandbox.runner.run(ExecutionCheck(Broken(), languages=[], limits=QUICK)(task, response, {}))


TAGS = """dockerfile toml yaml makefile matlab powershell latex dart jsx tsx vue jinja cython python2
    requirements.txt nginx.conf mermaid hcl graphql vb solidity fortran asm markdown xml diff ini
    pseudocode log csv elixir""".split()
UNTAGGED = [
    'FROM python:3.11\nCOPY . /app\nCMD ["python", "app.py"]',
    "Hello, world! 1 2",
    'Traceback (most recent call last):\n  File "a.py", line 1\nNameError: x',
    "project/\n├── src/\n└── tests/",
    "$ python main.py --flag",
    "SELECT a FROM t WHERE b = 1;",
    '{"a": null, "b": [1, 2]}\n{"a": 1}',
    r"^[\w.]+@[\w.]+$",
    "name: tests\non: push",
    "a,b\n1,2 3",
]


def test_another_language_is_no_wrong_program(sandbox):
    """Neither by its tag, nor as text without one, of which only the task names a language."""
    for tag in TAGS:
        verdict = look(sandbox, fence(tag, "x :: = {"), "Write it for Python.", languages=[])
        assert told(verdict) == ("not_run", "language"), tag
    for code in UNTAGGED:
        verdict = look(sandbox, fence("", code), "Write it for Python.", languages=[])
        assert told(verdict) == ("not_run", "language_unknown"), code


@pytest.mark.parametrize("tag", ["", "python", "py", "main.py", "python3.12"])
def test_a_wrong_program_is_wrong_by_any_tag(sandbox, tag):
    """Code that looks like the task's language, or says so, is judged."""
    verdict = look(
        sandbox, fence(tag, "def f(x)\n    return x"), "Write it in Python.", languages=[]
    )
    assert verdict.kind == "parse_error"

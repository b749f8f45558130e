"""The execution check distinguishes wrong programs from missing resources."""

import json

import pytest

from evolcoder.errors import SandboxError
from evolcoder.programming_language import named_language
from evolcoder.records import Check, Response, Task
from evolcoder.sandbox.base import Limits
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
    ("print 'hello'", "not_run", "python2"),
    ("print('hello'", "parse_error", ""),
    ("type Name = str", "not_run", "dialect"),
    ("cdef int f(int x):\n    return x", "not_run", "dialect"),
    ("client = Client(api_key=<YOUR KEY>)", "not_run", "dialect"),
    ("class A:\n    def f(self):\n        # ... the rest", "passed", ""),
    ("import os\nprint(os.environ['A_KEY'])", "wants", "environment"),
    ("def f():\n    return {}['a']\nf()", "error", ""),
    ("def f():\n    return 1\n\n>>> f()\n1", "passed", ""),
    ("def f():\n    return 1\n\n>>> f()\n1\n\n>>> g()\n2", "error", ""),
    (">>> x = 1\n>>> x\n1\ntext that is printed", "passed", ""),
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
    ("n = int(open(0).read())", "wants", "input"),
    (
        "import os\nk = os.getenv('A_KEY')\nif not k:\n    raise ValueError('set A_KEY')",
        "wants",
        "environment",
    ),
    ("import os\nk = os.getenv('A_KEY')\nif k:\n    k = 1\nraise ValueError('no')", "error", ""),
    ("import sqlite3\nsqlite3.connect('shop.db').execute('SELECT * FROM users')", "wants", "file"),
    ("import threading\nthreading.Event().wait()", "wants", "to_be_stopped"),
    ("import queue\nqueue.Queue().get()", "wants", "to_be_stopped"),
    ("import signal\nsignal.pause()", "wants", "to_be_stopped"),
    ("import <module>\n<module>.run()", "not_run", "dialect"),
    ('d = {"a": 1}\nprint(f"{d["a"]:>3} {", ".join("ab")!r}")', "not_run", "dialect"),
    ('print(f\'{"\\n".join("ab")}\')', "not_run", "dialect"),
    ('d = 1\nx = t"{d}"', "not_run", "dialect"),
    ('d = {}\nprint(f"{d["a"}")', "parse_error", ""),
    ('d = {}\nprint(f"{d["a"]}"', "parse_error", ""),
    ("def f(a):\n\u00a0\u00a0\u00a0\u00a0return a", "passed", ""),
    ("\ufeffx\u200b = 1", "passed", ""),
    ("1 def f(a):\n2     return a", "passed", ""),
    ("flask==2.0.1\nrequests[socks]>=2.25,<3", "not_run", "data"),
    ("[section]\nname = two words\n# note\n[other]\na: b c", "not_run", "data"),
    ("x == 1\ny >= 2", "error", ""),
    ("while True:\n    print('x' * 10000)", "output", ""),
    ("In [1]: x = 1\n\nIn [2]: x + 1\nOut[2]: 2", "passed", ""),
    ("In [1]: y", "error", ""),
    ("open('/etc/a_file', 'w')", "wants", "permission"),
    ("import locale\nlocale.setlocale(locale.LC_ALL, 'xx_XX')", "wants", "environment"),
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
    ("bash", "pip install no-such-package", "wants", None),
    ("bash", "git add .\ngit commit -m 'x'", "wants", None),
    ("bash", "curl -s https://example.org", "wants", None),
    ("bash", "sudo systemctl restart nginx", "wants", None),
    ("bash", "make build", "wants", None),
    ("bash", "cat <<END\nx\nEND", "passed", ""),
    ("bash", "cat <<'END' > a.txt\nx y\nEND\ncat a.txt", None, None),
    ("bash", "make() { false; }\nexit 1", "error", ""),
    ("bash", "exit 1", "error", ""),
    ("bash", "cp <source> <target>", "not_run", "dialect"),
    ("bash", "cp a <b", None, None),
    ("javascript", "describe('a', () => {});", "wants", "library"),
    ("javascript", "chrome.runtime.reload();", "wants", "browser"),
    ("javascript", "SpreadsheetApp.getActive();", "wants", "library"),
    ("javascript", "if (!process.env.A_KEY) throw new Error('A_KEY');", "wants", "environment"),
    ("javascript", "if (!process.env.A_KEY) console.log(1);\nthrow new Error();", "error", ""),
    ("javascript", "total(1);", "error", ""),
    ("lua", "love.graphics.print('x')", "wants", "library"),
    ("lua", "names.first = 1", "error", ""),
    ("ruby", "class User < ApplicationRecord\nend", "wants", "library"),
    ("ruby", "total(1)", "error", ""),
    ("cpp", "import std;\nint main() {}", "not_run", "dialect"),
    ("cpp", "export module a;\nint f() { return 1; }", "not_run", None),
    ("csharp", "using System.Threading.Tasks;\nclass P { static async Task Main() { await Task.Delay(1); } }",
     None, None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("language", "code", "kind", "why"), by_language(OTHERS, lambda row: row[0])
)
def test_other_languages(polyglot, language, code, kind, why):
    """Whole programs, functions, methods and statements are recognised and wrapped."""
    polyglot.needs(language)
    verdict = look(polyglot, fence(language, code))
    assert kind in {None, verdict.kind}, verdict.detail
    assert verdict.kind not in {"compile_error", "parse_error"} or kind == verdict.kind
    assert why is None or verdict.detail.get("why", "") == why, verdict.detail
    assert kind is None or verdict.detail["language"] == language


def test_a_language_without_tools_is_not_run(sandbox):
    """A program that cannot be run here is not an error."""
    for language in ("swift", "haskell", "sql", "html"):
        assert told(look(sandbox, fence(language, "x"), languages=[])) == ("not_run", "language")


def test_a_language_whose_tools_run_nothing_is_not_run(polyglot):
    """A broken toolchain fails no row, and other languages still run."""
    asked = []

    async def works(language):
        asked.append(language)
        return language == "python"

    driver = polyglot
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


def test_a_translation_is_run_in_the_language_that_it_is_in(polyglot):
    """Unfenced code is tried in each language that its task names."""
    polyglot.needs("java")
    text = "public static int twice(int x) {\n    return 2 * x;\n}"
    verdict = look(polyglot, text, "Translate this Python code into equivalent Java code.")
    assert (verdict.kind, verdict.detail["language"]) == ("passed", "java")


def test_versions_of_one_program_are_not_run_together(polyglot):
    """If the blocks of a response conflict, a single one is used."""
    polyglot.needs("javascript")
    text = fence("javascript", "const x = 1;") + fence("javascript", "const x =")
    assert look(polyglot, text).kind == "passed"


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


TAGS = """dockerfile toml yaml yml makefile make matlab octave powershell ps1 latex tex dart jsx tsx vue
    svelte jinja jinja2 django cython python2 py2 python2.7 requirements.txt go.mod nginx.conf mermaid
    hcl terraform tf nix graphql proto protobuf vb vb.net f# solidity fortran cobol asm nasm llvm
    markdown md rst xml diff patch ini conf properties env pseudocode log csv tsv json json5 elixir
    erlang clojure lisp scheme ocaml elm zig nim crystal groovy gradle objective-c cuda glsl verilog
    vhdl systemverilog cmake plsql tsql pgsql regex bnf console shell-session sh-session pycon ipython
    ipython3 jupyter http plantuml gherkin awk sed jq bat batch cmd fish tcl vim scss less pug erb
    handlebars liquid abap apex sas stata mathematica prolog pascal ada DOCKERFILE YAML MATLAB""".split()
ATTRIBUTES = {
    "{.dockerfile}": "dockerfile", "{.yaml .numberLines}": "yaml", "{ .matlab }": "matlab",
    'dockerfile title="Dockerfile"': "dockerfile", "language-yaml": "yaml", "lang-toml": "toml",
    "{#one .latex}": "latex", "{code-cell} ipython3": "ipython3",
    "Dockerfile": "dockerfile", "yaml {1,3}": "yaml", "tsx:App.tsx": "tsx",
}  # fmt: skip
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
    for info in ATTRIBUTES:
        verdict = look(sandbox, fence(info, "x :: = {"), "Write it for Python.", languages=[])
        assert told(verdict) == ("not_run", "language"), info
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


@pytest.mark.parametrize(
    "tag",
    ["python", "Python", "PYTHON3", "py", "py3", "python3.12", "main.py", "{.python .numberLines}",
     "{python}", "{ .py }", "{#one .python}", "language-python", 'python title="x.py"', "python {1}", "python linenums=1"],
)  # fmt: skip
def test_python_by_any_tag_is_run(sandbox, tag):
    """Upper case, versions, attributes, titles."""
    program = 'def f(x):\n    """Do.\n\n    ```\n    f(1)\n    ```\n    """\n    return x'
    verdict = look(sandbox, fence(tag, program), "Write it in Java.", languages=[])
    assert told(verdict)[0] == "passed"
    verdict = look(sandbox, fence(tag, "def f(x)\n    return x"), "Write it.", languages=[])
    assert verdict.kind == "parse_error"


LYING = {
    "python2": [
        "print 'hello'", "for i in range(3):\n    print i, i * i", "if x: print x",
        "try:\n    f()\nexcept ValueError, e:\n    print e", "raise ValueError, 'no'",
        "exec 'x = 1'", "x = 0777", "if 1 <> 2:\n    pass", "x = 10L", 'x = ur"a"',
        "class A:\n    def show(self):\n        print '%d' % self.x",
        "def f():\n\tif 1:\n\t\tprint \"a\"\n        \tprint 'b'",
    ],
    "shell": [
        "pip install numpy\npython app.py", "$ pip install x\n$ ls", "# install it\nsudo apt-get install x",
        "cd app\nnpm install", "git clone https://x/y.git",
    ],
    "javascript": ["const f = (x) => x * 2;\nconsole.log(f(3));", "function f(a) {\n  return a;\n}"],
    "sql": ["SELECT name FROM users WHERE age > 3;", "CREATE TABLE t (\n  id INT\n);"],
    "c": ["#include <stdio.h>\nint main(void) {\n  return 0;\n}"],
    "java": ["public class A {\n  public int f() { return 1; }\n}"],
    "html": ["<div>\n  <p>x</p>\n</div>"],
    "haskell": ["main :: IO ()\nmain = print 1"],
    "dockerfile": ["FROM python:3.11\nRUN pip install x"],
    "makefile": ["all:\n\tgcc -o a a.c"],
    "lisp": ["(defun f (x)\n  (+ x 1))"],
    "patch": ["- x = 1 2\n+ x = 2"],
    "environment": ["A_KEY=a%b\nB=1x"],
    "prose": ["First sort the numbers of the list.\nThen return the middle one of them."],
    "pseudocode": ["FUNCTION f(a)\n  RETURN a\nEND FUNCTION"],
    "regex": [r"^[\w.]+@[\w.]+$"],
    "data": [
        "a,b\n1,2 3", "a;b\n1 2;3 4", "a\tb c\n1\t2 3", "| a | b |\n|---|---|\n| 1 1 | 2 |",
        "on: push\njobs:\n  - run: x y", "key: value one\nother: value two",
        'Traceback (most recent call last):\n  File "a.py", line 1\nNameError: x',
        "├── src\n└── tests", "@@ -1 +1 @@\n-x = 1\n+x = 2", "--- a/f.py\n+++ b/f.py", '{"a": null, "b": [true]}', '{"a": 1}\n{"a": null}',
        "diff --git a/f b/f\nindex 1..2",
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    "sign", ["\u200b", "\ufeff", "\u2060", "\u200e", "\u00a0"], ids=lambda sign: f"{ord(sign):x}"
)
def test_an_invisible_sign_hides_no_program_without_a_fence(sandbox, sign):
    """It stands before the program, or between its words."""
    for code in (f"{sign}def f():\n    return 1", f"def{sign} f():\n    return 1\n{sign}"):
        assert told(look(sandbox, code, "Write it in Python.", languages=[])) == ("passed", "")


@pytest.mark.parametrize(
    ("why", "code"), [(why, code) for why, codes in LYING.items() for code in codes]
)
def test_a_fence_of_python_that_holds_none_is_not_run(sandbox, why, code):
    """Python 2, data, prose and what is plainly another language are no wrong programs."""
    verdict = look(sandbox, fence("python", code), "Write it in Python.", languages=[])
    assert told(verdict) == ("not_run", why)


@pytest.mark.parametrize(
    "code",
    ["print f'{x}'", "def f(x: int):\n    print x", "print 'hello", "def f(:\n    print 1", "print('a'",
     "x = = 1", "def f(x)\n    return x", "x = [1, 2\ny = 3", "for x in y\n    f(x)", "a b c",
     "pip install x\ndef f(:\n    pass", "python = (1\nnode = 2", "git = [1\n", "# a\nx = = 1",
     "def f(x) {\n    return x;\n}", 'cursor.execute("SELECT a FROM b"', "let x = [1]\nfor y in x:\n    f(y)",
     "def f(x):\n    return x +\n\nconsole.log(f(1))", "if (x > 0) {\n    return x\n}", "async def f():\n    print 1", "if x = 1:\n    pass", "return return", "else: x\ntry: y"],
)  # fmt: skip
def test_a_wrong_program_stays_wrong(sandbox, code):
    """What only Python 3 has, or what no older Python has either."""
    verdict = look(sandbox, fence("python", code), "Write it in Python.", languages=[])
    assert verdict.kind == "parse_error"


@pytest.mark.parametrize(
    ("outline", "kind"),
    [
        ("for x in y:\n    ...", "passed"),
        ("a = b\n...", "passed"),
        ("if y:\n    for x in y:\n        ...", "passed"),
        ("for x in y:\n    print(x[..., 0])", "error"),
        ("y(1)", "error"),
    ],
)
def test_an_outline_next_to_a_program_is_not_run(sandbox, outline, kind):
    """It leaves out a step; any other block is run."""
    whole = fence("python", "def f():\n    return 1")
    verdict = look(sandbox, f"So:\n{fence('python', outline)}\nAll:\n{whole}", languages=[])
    assert verdict.kind == kind


def test_of_two_fences_the_one_that_we_run_counts(sandbox):
    """The other language is named in addition."""
    both = f"{fence('dockerfile', 'FROM x')}\n\n{fence('python', 'x = 1')}"
    verdict = look(sandbox, both, "Write it.", languages=[])
    assert (verdict.kind, verdict.detail["beside"]) == ("passed", ["dockerfile"])
    for first, second in (("yaml", "toml"), ("yaml", "")):
        both = f"{fence(first, 'a: [')}\n\n{fence(second, 'a = ' + chr(34))}"
        assert look(sandbox, both, "Write it.", languages=[]).kind == "not_run"


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("print(sum([1, 2]))  # Output: 3", "passed"),
        ("print(sum([1, 2]))  # Output: 4", "misstated"),
        ("print(sum([1, 2]), end='')  # Output: 4\nraise SystemExit(3)", "error"),
        ("name = input() or 'x'\nprint(1)  # Output: 2", "wants"),
    ],
)
def test_a_program_that_ran_is_compared_with_what_its_answer_says(sandbox, code, kind):
    """Only if it ended well, without input."""
    assert look(sandbox, fence("python", code)).kind == kind

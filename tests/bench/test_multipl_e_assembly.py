"""Complete answers are changed so that MultiPL-E's tests can be appended."""

import re

import pytest

from evolcoder.bench.appended_tests import MAX_CHARS, fit_to_tests

CPP = "#include<assert.h>\n// Adds.\nlong add(long a) {\n"
JAVA = "import java.util.*;\nclass Problem {\n    // Adds.\n    public static long add(long a) {\n"
GO = (
    'package add_test\n\nimport (\n    "testing"\n    "fmt"\n)\n\n// Adds.\nfunc add(a int) int {\n'
)


def flat(text):
    return re.sub(r"\s+", " ", text).strip()


@pytest.mark.parametrize(
    ("language", "prompt", "answer", "wanted"),
    [
        (
            "cpp",
            CPP,
            "#include <map>\nlong add(long a) { return a; }\nint main() { if (1) {} }\n",
            (
                "#include<assert.h> #include <map> long add(long a) { return a; } "
                "void end_of_answer() {"
            ),
        ),
        (
            "rust",
            "fn add(a: u8) -> u8 {\n",
            'fn add(a: u8) -> u8 { a }\n\nfn main() {\n    println!("}");\n}\n\nfn other() {}',
            "fn add(a: u8) -> u8 { a } fn other() {} fn end_of_answer() {",
        ),
        (
            "java",
            JAVA,
            (
                "import java.util.*;\npublic class Problem {\n"
                "  static long add(long a) { return a; }\n"
                "  public static void main(String[] args) { add(1); }\n}\nclass Other {}\n"
            ),
            (
                "import java.util.*; class Other {} class Problem "
                "{ static long add(long a) { return a; } "
                "static void endOfAnswer() {"
            ),
        ),
        (
            "java",
            JAVA,
            "// The class of sums\npublic class Solution {\n  static long add(long a) { return a; }\n}",
            (
                "import java.util.*; // The class of sums class Problem { "
                "static long add(long a) { return a; } static void endOfAnswer() {"
            ),
        ),
        (
            "java",
            JAVA,
            "class Solution { static long add(long a) { return new Solution().x; } long x; }",
            (
                "import java.util.*; class Problem { static long add(long a) "
                "{ return new Problem().x; } long x; static void endOfAnswer() {"
            ),
        ),
        (
            "java",
            JAVA,
            "public static long add(long a) { return a; }",
            (
                "import java.util.*; class Problem { public static long add(long a) { return a; } "
                "static void endOfAnswer() {"
            ),
        ),
        (
            "csharp",
            "using System;\nclass Problem {\n    public static long Add(long a) {\n",
            (
                "using System;\nclass Problem {\n  static long Add(long a) { return a; }\n"
                "  static void Main(string[] args) { }\n}"
            ),
            (
                "using System; class Problem { static long Add(long a) { return a; } "
                "static void EndOfAnswer() {"
            ),
        ),
        (
            "scala",
            "import scala.math._\nobject Problem {\n    def add(a : Long) : Long = {\n",
            (
                "object Problem { def add(a: Long): Long = { a }\n"
                "def main(args: Array[String]) = { } }"
            ),
            (
                "import scala.math._ object Problem { def add(a: Long): Long = { a } "
                "def endOfAnswer() = {"
            ),
        ),
        (
            "scala",
            "object Problem {\n    def add(a : Long) : Long = {\n",
            "object Problem {\n  def add(a: Long) = a\n}\n\nprintln(Problem.add(1)) // 1\n",
            "object Problem { def add(a: Long) = a def endOfAnswer() = {",
        ),
        (
            "go",
            GO,
            'package main\n\nimport (\n\t"fmt"\n\t"sort"\n)\n\nfunc add(a int) int { return a }\n',
            'package add_test import ( "testing" "fmt" "sort" ) func add(a int) int { return a }',
        ),
        (
            "go",
            GO,
            'package main\nimport "math"\nfunc add(a int) int { return a }',
            'package add_test import ( "testing" "fmt" "math" ) func add(a int) int { return a }',
        ),
        (
            "go",
            GO,
            (
                'package main\nimport (\n"reflect"\n"sort"\n)\nfunc add(a int) int { return a }\n'
                "func TestAdd(t *testing.T) {\n if !reflect.DeepEqual(add(1), 1) { t.Fail() }\n}\n"
                "func ExampleAdd() {\n fmt.Println(add(1))\n // Output: 2\n}\nfunc Tester() {}\n"
                "func main() {\n TestAdd(nil)\n}"
            ),
            (
                'package add_test import ( "testing" "fmt" "sort" ) func add(a int) int { return a } '
                "func Tester() {}"
            ),
        ),
        (
            "d",
            "long add(long a) \n",
            "long add(long a) { return a; }\nunittest\n{\n    assert(add(1) == 2);\n}\nvoid main() {}",
            "long add(long a) { return a; }",
        ),
        (
            "bash",
            "#!/bin/bash\nadd() {\n",
            "add() {\n    echo $1\n}",
            "#!/bin/bash add() { echo $1 } end_of_answer() { :",
        ),
        (
            "php",
            "<?php\nfunction add($a) {\n",
            "function add($a) { }\n?>",
            "<?php function add($a) { }",
        ),
        (
            "racket",
            "#lang racket\n\n(define (add a)\n",
            "(define (add a) a)",
            "#lang racket (define (add a) a)",
        ),
        ("python", "", "x", "x"),
    ],
)
def test_an_answer_is_opened_for_the_tests(language, prompt, answer, wanted):
    """Its main function is removed, missing imports come first, and an open function is last."""
    assert flat(fit_to_tests(answer, language=language, prompt=prompt)) == wanted


@pytest.mark.parametrize(
    "language", ["cpp", "java", "csharp", "scala", "rust", "go", "bash", "php"]
)
@pytest.mark.parametrize(
    "answer", ["", "{", "}", "class Problem {", "fn main() {", 'import (\n"a"', '"']
)
def test_broken_answers_are_passed_on(language, answer):
    """Code with unbalanced brackets is left to the compiler; nothing raises."""
    assert isinstance(fit_to_tests(answer, language=language, prompt=JAVA), str)


@pytest.mark.parametrize(
    "unit", ["/*", '"""', "import (\n", "int main(", "class A", "{", "fn main()"]
)
@pytest.mark.parametrize("language", ["cpp", "java", "rust", "go"])
def test_answers_that_never_close_are_read_in_time(language, unit):
    """Up to the maximum length, and beyond."""
    for n_chars in (MAX_CHARS, 1 << 20):
        code = unit * (n_chars // len(unit))
        assert len(fit_to_tests(code, language=language, prompt=JAVA)) >= len(code) // 10

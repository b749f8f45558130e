"""A test is split if it only compares calls with values; any other test runs sealed."""

import re
from pathlib import Path

import pytest

from evolcoder.bench.fetch import DataFolder
from evolcoder.bench.multipl_e import LANGUAGES
from evolcoder.bench.registry import bench_named
from evolcoder.grading.call_harness.registry import HARNESSES
from evolcoder.grading.call_harness.splitting import C_LIKE, JULIA, LISP, LUA, SCRIPT, SHELL

DATA = Path(__file__).parents[4] / "shared/data"
SAMPLES = Path(__file__).parents[2] / "sandbox" / "languages.txt"
UNSPLIT = {"mbpp-cs": 1, "mbpp-scala": 4}
"""Tests with unbalanced brackets: nothing passes them, split or sealed."""
CONDITIONS = [
    "CALL != 4", "CALL == 4 && true", "CALL == 4 || CALL", "CALL == 4 ? true : true", "CALL",
    "CALL == 4 == true", "(CALL == 4) == true", "CALL == OTHER", "4 == CALL", "true", "!CALL == 4",
    "CALL + 0 == 4", "CALL == 4 | 1", "CALL == 4, true",
]  # fmt: skip
PHP = [
    "CALL != 4",
    "CALL !== OTHER",
    "CALL !== 4 && true",
    "CALL !== 4 || true",
    "true",
    "4 !== CALL",
]


def others(check, conditions, call, other):
    return [
        check.replace("IT", one).replace("CALL", call).replace("OTHER", other) for one in conditions
    ]


MORE = {
    "cpp": (
        "assert(candidate((2), (2)) == (4));",
        ["long four = 4;", "if (true) assert(candidate((2), (2)) == (4));", *others("assert(IT);", CONDITIONS, "candidate((2), (2))", "candidate(1, 3)")],
    ),
    "java": (
        "assert(add((2l), (2l)) == (4l));",
        ["long four = 4L;", "assert(add((2l), (2l)) == (4l)) : 4;", "assert(four().equals(add(2, 2)));", "assert(add(2, 2).equals(4) && true);", "assert(!add(2, 2).equals(4));", *others("assert(IT);", CONDITIONS, "add((2l), (2l))", "add(1, 3)")],
    ),
    "javascript": ("assert.deepEqual(candidate(2, 2),4);", [
        "const four = 4;", "assert.equal(candidate(2, 2), 4);", "assert.deepEqual(4, candidate(2, 2));",
        "assert.deepEqual(candidate(2, 2), 4, 'why');", "assert.deepEqual(candidate(2, 2) == 4, true);",
        "assert.deepEqual(candidate(2, 2), candidate(1, 3));", "assert(candidate(2, 2) == 4);",
        "assert.deepEqual(candidate(2, 2));", "assert.deepEqual(candidate(2, 2)[0], 4);",
        "assert.deepEqual([candidate(2, 2)], [4]);", "await assert.deepEqual(candidate(2, 2), 4);",
    ]),
    "php": (
        'if (candidate(2, 2) !== 4) { throw new Exception("Test failed!"); }',
        ["$four = 4;", "if (candidate(2, 2) !== 4) { exit(1); }", 'if (candidate(2, 2) !== $four()) { throw new Exception("Test failed!"); } else { }', *others('if (IT) { throw new Exception("Test failed!"); }', PHP, "candidate(2, 2)", "candidate(1, 3)")],
    ),
    "rust": ("assert_eq!(candidate(2, 2), 4);", [
        "let four = 4;", "assert!(candidate(2, 2) == 4);", "assert_eq!(4, candidate(2, 2));",
        'assert_eq!(candidate(2, 2), 4, "why");', "assert_eq!(candidate(2, 2), candidate(1, 3));",
        "assert_eq!(candidate(2, 2) + 0, 4);", "assert_ne!(candidate(2, 2), 4);", "assert_eq!(candidate(2, 2));",
        "assert_eq!(candidate(2, 2) == 4, true);", "assert_eq!([candidate(2, 2)], [4]);",
    ]),
    "typescript": ("assert.deepEqual(candidate(2, 2),4);", [
        "const four: number = 4;", "assert.deepEqual(candidate(2, 2), 4, 'why');",
        "assert.deepEqual(candidate(2, 2) == 4, true);", "assert.deepEqual(<any> candidate(2, 2), 4);",
    ]),
    "bash": ('[[ $(candidate "2" "2") = "4" ]]', [
        "true", '[[ $(candidate "2" "2") = 4* ]]', '[[ $(candidate "2" "2") != "4" ]]',
        '[[ $(candidate "2" "2") = "$(candidate "1" "3")" ]]', '[[ $(add "2" "2") = "4" ]]',
        '[[ $(candidate "2" "2" | wc) = "4" ]]', '[[ $(candidate "2" "2") = "$four" ]]', '[[ $(candidate "2" "2") =~ "4" ]]',
    ]),
    "csharp": ("Debug.Assert(Add((2L), (2L)) == (4L));", [
        "var four = 4L;", "Debug.Assert(Add((2L), (2L)) != (4L));", "Debug.Assert((Add(2L, 2L) == 4L) == true);",
        "Debug.Assert(true);",
        "Debug.Assert(Add(2L, 2L) == Add(1L, 3L));", "Debug.Assert(4L == Add((2L), (2L)));",
    ]),
    "d": ("assert(candidate(2L, 2L) == 4L);", [
        "auto four = 4L;", "assert(candidate(2L, 2L) != 4L);", "assert(true);",
        "assert(candidate(2L, 2L) == candidate(1L, 3L));", "assert(4L == candidate(2L, 2L));",
        "assert((candidate(2L, 2L) == 4L) == true);",
    ]),
    "go": ("{ actual: candidate(2, 2), expected: 4 },", [
        "{ actual: candidate(2, 2) },", "{ actual: 4, expected: 4 },",
        "{ actual: candidate(2, 2), expected: candidate(1, 3) },",
        "{ actual: candidate(2, 2), expected: 4, close: true },",
        "{ actual: candidate(2, 2) == 4, expected: true },",
    ]),
    "julia": ("@test(candidate(2, 2) == 4)", [
        "four = 4", "@test(candidate(2, 2) != 4)", "@test_throws Exception candidate(2)",
        "@test(candidate(2, 2) == candidate(1, 3))", "@test(true)",
        "@test((candidate(2, 2) == 4) == true)",
    ]),
    "lua": ("lu.assertEquals(candidate(2, 2), 4)", [
        "local four = 4", "lu.assertTrue(candidate(2, 2) > 3)", "lu.assertEquals(4, 4)",
        "lu.assertEquals(candidate(2, 2), candidate(1, 3))",
        "lu.assertEquals(candidate(2, 2), 4, 'why')",
        "lu.assertEquals(candidate(2, 2) == 4, true)",
    ]),
    "perl": ("if(eq_deeply($candidate->(2, 2),4)) {", [
        "if(1) {", "if(eq_deeply(4,4)) {", "if(!eq_deeply($candidate->(2, 2),4)) {",
        "if(eq_deeply($candidate->(2, 2),$candidate->(1, 3))) {",
        "if(eq_deeply($candidate->(2, 2),4,'why')) {",
        "if(eq_deeply($candidate->(2, 2) == 4,1)) {",
    ]),
    "r": ("stopifnot(isTRUE(all.equal(candidate(2, 2), 4)))", [
        "four <- 4", "stopifnot(TRUE)", "stopifnot(isTRUE(all.equal(4, 4)))",
        "stopifnot(isTRUE(all.equal(candidate(2, 2), candidate(1, 3))))",
        "stopifnot(isTRUE(all.equal(candidate(2, 2), 4, tolerance = 1)))",
        "stopifnot(isTRUE(all.equal(candidate(2, 2) == 4, TRUE)))",
    ]),
    "racket": ("(check-within (candidate 2 2) 4 0.001)", [
        "(define four 4)", "(check-equal? (candidate 2 2) 4)", "(check-within 4 4 0.001)",
        "(check-within (candidate 2 2) (candidate 1 3) 0.001)",
        "(check-within (candidate 2 2) 4 epsilon)",
        "(check-within (= (candidate 2 2) 4) #t 0.001)",
    ]),
    "ruby": ("assert_equal(4, candidate.call(2, 2))", [
        "four = 4", "assert_raise { candidate.call(2) }", "assert_equal(4, 4)",
        "assert_equal(candidate.call(1, 3), candidate.call(2, 2))",
        "assert_equal(4, candidate.call(2, 2), 'why')", "assert_equal(true, candidate.call(2, 2) == 4)",
    ]),
    "scala": ("assert(add((2l), (2l)) == (4l));", [
        "val four = 4l;", "assert(add((2l), (2l)) != (4l));", "assert(true);",
        "assert(add((2l), (2l)) == add((1l), (3l)));", "assert((4l) == add((2l), (2l)));",
        "assert((add((2l), (2l)) == (4l)) == true);",
    ]),
    "swift": ("assert(add(a: 2, b: 2) == 4)", [
        "let four = 4", "assert(add(a: 2, b: 2) != 4)", "assert(true)",
        "assert(add(a: 2, b: 2) == add(a: 1, b: 3))", "assert(4 == add(a: 2, b: 2))",
        "assert((add(a: 2, b: 2) == 4) == true)",
    ]),
}  # fmt: skip
"""The second check of a language's sample, and checks that do not compare a call and a value."""
BEHIND = {"csharp", "d", "go", "java", "php", "rust", "scala"}
"""Languages whose serialiser follows the calls."""


def samples():
    text = SAMPLES.read_text(encoding="utf-8")
    for part in re.split(r"^=== ", text, flags=re.MULTILINE)[1:]:
        language, _, body = part.partition("\n")
        yield language, re.split(r"^--- \w+\n", body, flags=re.MULTILINE)[1]


TESTS = dict(samples())


@pytest.mark.parametrize("language", HARNESSES)
def test_calls_and_values_are_separated(language):
    """Both checks of a sample test are found, and calls do not contain expected values."""
    found = HARNESSES[language].split(TESTS[language])
    assert [("2" in check.call, "4" in check.expected) for check in found.comparisons] == [
        (True, False),
        (True, True),
    ]
    calling = HARNESSES[language].calling_program("CANDIDATE", found)
    behind = calling.partition("CANDIDATE")[2]
    assert all(check.call in behind for check in found.comparisons)
    if language not in BEHIND:
        # Where the serialiser stands before; names are random.
        assert "4" not in re.sub(r"[hH][0-9a-f]{16}", "", behind)


@pytest.mark.parametrize("language", HARNESSES)
def test_nothing_else_is_split(language):
    """A statement instead of a check, or a check of another form, makes the test run sealed."""
    check, others = MORE[language]
    assert check in TESTS[language]
    for other in others:
        assert HARNESSES[language].split(TESTS[language].replace(check, other)) is None, other
        if other.endswith("{"):
            continue
        longer = TESTS[language].replace(check, f"{check}\n    {other}")
        assert HARNESSES[language].split(longer) is None, other


@pytest.mark.parametrize("language", HARNESSES)
def test_malformed_tests_are_not_split_wrongly(language):
    """Truncated or duplicated tests give None or complete comparisons, and never raise."""
    split, text = HARNESSES[language].split, TESTS[language]
    for place in range(len(text)):
        for broken in (text[:place], text[place:], text[:place] + text):
            found = split(broken)
            assert found is None or len(found.comparisons) >= 1
    assert split("") is None


def test_a_block_in_d_is_one_comparison():
    """Nullable results, and tuples of them, are compared as a whole."""
    head = "unittest\n{\n    alias candidate = f;\n\n"
    blocks = (
        "{\n auto result = candidate([]);\n assert(result.isNull);\n}\n"
        '{\n auto result = candidate([";", "}"]);\n assert(!result.isNull && result.get == [";"]);\n}\n'
        "{\n auto result = candidate(1L);\n assert(result[0].isNull);\n"
        " assert(!result[1].isNull && result[1].get == 1L);\n}\n"
    )
    found = HARNESSES["d"].split(f"{head}{blocks}}}\nvoid main(){{}}")
    assert [tuple(check)[:2] for check in found.comparisons] == [
        ("candidate([])", "null"),
        ('candidate([";", "}"])', '[";"]'),
        ("candidate(1L)", "tuple(null, 1L)"),
    ]
    for wrong in (
        "assert(result[1].isNull);",
        "assert(result.isNull); assert(result.isNull);",
        "assert(result.get == 1L);",
        "f(result);",
        "",
    ):
        block = f"{{\n auto result = candidate([]);\n {wrong}\n}}\n"
        assert HARNESSES["d"].split(f"{head}{block}}}\nvoid main(){{}}") is None, wrong


@pytest.mark.parametrize(
    ("brackets", "source", "parts"),
    [
        (C_LIKE, "f(',', \"a,)\"), '(' // ,\n, `,(`", ["f(',', \"a,)\")", "'(' // ,", "`,(`"]),
        (JULIA, 'f(\'(\', """a","""), x # ,\n, \'\\\'\'', 3),
        (LISP, '(f #\\( ",)" |(|), "a" ; ,\n, #\\)', 3),
        (LUA, "f([[,)]], [==[ ]] , ]==]), ',' -- ,\n, --[[ , ]] 1", 3),
        (SCRIPT, "f({a => ','}, \"(\"), '\\'' # ,\n, 1", 3),
        (SHELL, "f \\( \"a,)\" ',(' , b", ["f \\( \"a,)\" ',('", "b"]),
    ],
)
def test_brackets_in_strings_and_comments_do_not_count(brackets, source, parts):
    """Nor do separators in them."""
    found = brackets.split_at(source)
    assert found == parts or len(found) == parts


def test_brackets_that_do_not_match_give_no_parts():
    """Instead of wrong parts."""
    assert [C_LIKE.split_at(text) for text in ("f(1", "f(1))", "f(1]", ")(")] == [[]] * 4


@pytest.mark.parametrize("code", [code for code in LANGUAGES if LANGUAGES[code] in HARNESSES])
@pytest.mark.parametrize("name", ["humaneval", "mbpp"])
def test_nearly_all_of_a_benchmark_is_split(name, code, tmp_path):
    """The others have unbalanced brackets."""
    if not DATA.is_dir():
        pytest.skip("the benchmarks' data is not here")
    bench = bench_named(f"{name}-{code}", DataFolder(DATA, tmp_path))
    harness = HARNESSES[LANGUAGES[code]]
    found = [harness.split(problem.checks.tests) for problem in bench.problems()]
    assert found.count(None) == UNSPLIT.get(f"{name}-{code}", 0)

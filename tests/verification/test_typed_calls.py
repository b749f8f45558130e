"""Functions of other languages: found by their signatures, called with typed literals."""

import pytest

from evolcoder.verification.agreement.clusters import Observation
from evolcoder.verification.agreement.inputs import InputOrigin, Probe
from evolcoder.verification.agreement.typed_calls import (
    arguments_of,
    functions_of,
    observations,
    outcome_of,
    program_of,
    shared_functions,
    signature_of,
    without_script,
)

SIGNATURES = [
    ("go", "func f(a, b int, c []string) (int, error) {", "def f(a: int, b: int, c: list[str])"),
    ("rust", "pub fn f(a: &[i64], b: &str) -> u8 {", "def f(a: list[int], b: str)"),
    ("rust", "fn f(mut a: Vec<Vec<f64>>) -> Option<char> {", "def f(a: list[list[float]])"),
    ("cpp", "vector<int> f(const vector<string>& a, long long b) {", "def f(a: list[str], b: int)"),
    ("cpp", "std::string f(std::vector<std::vector<char>> &a){", "def f(a: list[list[str]])"),
    ("java", "    public static int[] f(int[][] a, List<Long> b) {", "def f(a: list[list[int]], b: list[int])"),
    ("java", "class A {\n    boolean f(String a, char b) throws E {", "def f(a: str, b: str)"),
    ("javascript", "const f = (a, b = 2) => a", "def f(a, b)"),
    ("javascript", "function f(a) {", "def f(a)"),
    ("typescript", "export function f(a: number[], b: string): void {", "def f(a: list[int], b: str)"),
    ("typescript", "const f = (a: Array<boolean>): number => {", "def f(a: list[bool])"),
]  # fmt: skip


@pytest.mark.parametrize(("language", "source", "signature"), SIGNATURES)
def test_a_signature_is_read_in_common_terms(language, source, signature):
    """Inputs are made for it as for a function of Python."""
    assert [signature_of(one) for one in functions_of(language, source)] == [signature]


@pytest.mark.parametrize(
    ("language", "source"),
    [
        ("go", "func main() {\n}"),
        ("go", "func f(a map[string]int) int {"),
        ("go", "func (t *T) f(a int) int {"),
        ("rust", "fn f(a: &mut Tree) -> u8 {"),
        ("rust", "fn f(a: i32) {"),
        ("cpp", "int main() {\n    return f(1);\n}"),
        ("cpp", "    if (a) {\n    else if (b) {"),
        ("java", "    void f(int a) {"),
        ("java", "        return f(a) {"),
        ("javascript", "async function f(a) {"),
        ("javascript", "function f({a, b}) {"),
    ],
)
def test_what_cannot_be_called_with_literals_is_no_function(language, source):
    """Other types, methods of a receiver, what returns nothing, and statements."""
    assert functions_of(language, source) == []


@pytest.mark.parametrize(
    ("language", "source", "values", "written"),
    [
        ("go", "func f(a [][]int, b string) int {", ([[1], []], 'a"'),
         ["[][]int{[]int{1}, []int{}}", '"a\\""']),
        ("rust", "fn f(a: &Vec<String>, b: u8) -> u8 {", (["x"], 3),
         ['&::std::vec::Vec::<String>::from([::std::string::String::from("x")])', "3"]),
        ("cpp", "int f(vector<double> a, char b) {", ([1, 2.5], "'"), ["{1.0, 2.5}", r"'\''"]),
        ("java", "static int f(long a, int[] b, List<String> c) {", (1, [2], []),
         ["1L", "new int[]{2}", "new java.util.ArrayList<String>(java.util.Arrays.<String>asList())"]),
        ("javascript", "function f(a) {", ({"x": None},), ['{"x": null}']),
        ("rust", "fn f(a: usize) -> u8 {", (-1,), None),
        ("cpp", "int f(int a) {", (1 << 40,), None),
        ("cpp", "int f(int a) {", (True,), None),
        ("java", "static int f(char a) {", ("ab",), None),
        ("go", "func f(a []int) int {", ([1, "b"],), None),
        ("go", "func f(a int) int {", (1, 2), None),
    ],
)  # fmt: skip
def test_values_become_literals_of_the_types_or_no_call(language, source, values, written):
    """A value that a type cannot hold is no input."""
    assert arguments_of(language, functions_of(language, source)[0], values) == written


def test_the_function_that_most_define_is_shared():
    """Under one spelling or another; a helper is not chosen before what the task names."""
    sources = [
        "function isEven(n) {}\nfunction sum_even(a) {}",
        "function sumEven(a) {}",
        "function total(a, b) {}",
        "function sumEven(a) {}\nfunction isEven(n) {}",
    ]
    found = shared_functions("javascript", sources, "Write sumEven, the sum of even numbers.")
    assert [one and one.name for one in found] == ["sum_even", "sumEven", None, "sumEven"]
    alone = shared_functions("go", ["func a(x int) int {", "func b(y int) int {"], "Do it.")
    assert [one.name for one in alone] == ["a", "b"]


LINES = [
    ("go", rb'"[]interface {}[interface {}([]string[string \"a b\", string \"int 5\"])]"', ["a b", "int 5"]),
    ("go", rb'"[]interface {}[interface {}(float64 0.5), interface {}(nil)]"', [0.5, []]),
    ("rust", rb'Some[[tuple[1, "a, \"b"], tuple[2, "Some["]]]', [[1, 'a, "b'], [2, "Some["]]),
    ("rust", rb"Some[None[]]", None),
    ("rust", rb"Some[true]", True),
    ("cpp", rb'optional<vector<pair<i32,string>>> [(1,"true")]', [(1, "true")]),
    ("cpp", rb"optional<f64> 0.33333333333333331", 1 / 3),
    ("java", rb'[[1, 2L], ["3L"], null]', [[1, 2], ["3L"], None]),
    ("java", rb"true", True),
]  # fmt: skip


@pytest.mark.parametrize(("language", "line", "value"), LINES)
def test_a_line_of_a_harness_is_read_as_plain_data(language, line, value):
    """Strings keep what looks like a type."""
    assert observations(language, [line], [()], "died")[0] == Observation("value", value)


@pytest.mark.parametrize(
    ("language", "line"),
    [
        ("go", rb'"string \"raised by the call\""'),
        ("rust", b"None[]"),
        ("cpp", b"optional<vector<optional<i32>>> nullopt"),
        ("java", b'Optional("raised by the call")'),
        ("javascript", b'"raised by the call"'),
    ],
)
def test_an_exception_is_no_value(language, line):
    """Also a panic; and what was not reached ended as the program did."""
    first, second = observations(language, [line], [(), ()], "timeout")
    assert (first.kind, second.kind) == ("raise", "timeout")


def test_a_result_that_changes_is_not_stable_and_a_changed_argument_is_seen():
    """The first inputs are called twice; JavaScript's arguments are written after the call."""
    lines = [b"[1,[[1,2]]]", b"[2,[[3]]]", b"[1,[[1,2]]]", b"[5,[[3]]]"]
    first, second = observations("javascript", lines, [([1, 2],), ([4],)], "died")
    assert first == Observation("value", 1)
    assert (second.changed, second.is_stable) == ([[3]], False)


def test_a_test_becomes_a_call_with_a_result():
    """A test of anything else is left out."""
    probe = Probe(InputOrigin.TESTS, script="x", test="assert f([1], 2) == (3,)")
    call = without_script(probe, "f")
    assert (call.arguments, call.script) == (([1], 2), "")
    assert outcome_of(Observation("value", [3]), call).kind == "value"
    assert outcome_of(Observation("value", [4]), call).kind == "failed"
    assert without_script(Probe(InputOrigin.TESTS, script="x", test="assert f(1)"), "f") is None
    assert without_script(Probe(InputOrigin.ANSWERS, script="print(f(1))"), "f") is None
    unhashable = Probe(InputOrigin.TESTS, script="x", test="assert f({{1}}) == 1")
    assert without_script(unhashable, "f") is None


def test_one_program_has_all_calls():
    """An answer is compiled once."""
    source = "function f(a) { return a; }"
    function = functions_of("javascript", source)[0]
    program = program_of("javascript", source, function, [[str(n)] for n in range(30)])
    assert program.count("f(...given)") == 34

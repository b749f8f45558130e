"""Lines are equal exactly if the language's own comparison of the values is true."""

import re
from itertools import product

import pytest

from evolcoder.grading.call_harness.base import Comparison, SplitTest
from evolcoder.grading.call_harness.registry import HARNESSES
from evolcoder.sandbox.base import Limits, Program, Script, Status

ROOMY = Limits(cpu_s=20, wall_s=60, compile_s=120, memory_mb=2048)
LANGUAGES = ("cpp", "go", "java", "javascript", "php", "rust", "typescript")

pytestmark = pytest.mark.toolchains


def ran(polyglot, language, source):
    execution = polyglot.run(Program(language, source, Script(hidden=True)), ROOMY)
    assert (execution.status, execution.exit_code) == (Status.FINISHED, 0), (
        execution.stderr.decode()
    )
    return execution


def lines(polyglot, language, head, expressions, *, relation="", expected=False, call="{}"):
    """Serialise expressions as results or as expected values: expression -> line."""
    polyglot.needs(language)
    harness = HARNESSES[language]
    make = harness.expected_program if expected else harness.calling_program
    pairs = tuple(Comparison(call.format(one), one, relation) for one in expressions)
    split = SplitTest(head[1], pairs)
    found = ran(polyglot, language, make(head[0], split)).answers.split(b"\n")[:-1]
    return dict(zip(expressions, found, strict=True))


def differing(polyglot, language, got, expected, program):
    """Return the pairs for which a program (that prints 0 or 1 for each) and the harness differ."""
    truth = ran(polyglot, language, program).answers.decode()
    same = HARNESSES[language].same
    return [
        (one, other, holds)
        for ((one, line), (other, wanted)), holds in zip(
            product(got.items(), expected.items()), truth, strict=True
        )
        if same(line, wanted) is not (holds == "1")
    ]


JAVASCRIPT = r"""
0 | -0 | 1 | 1.5 | -1 | 1e21 | 1e-7 | 2**53 | 16 | NaN | Infinity | -Infinity
true | false | null | undefined | "" | "0" | "1" | " 1\n" | "1.5" | "1e21" | "0x10" | "NaN" | "abc"
"Infinity" | "true" | "null" | "a\nb" | "\ud800" | "\ud83d\ude00" | '{"$undefined":1}' | "1_0" | "+1"
[] | [1] | ["1"] | [1, 2] | [2, 1] | [[]] | [[1], "a"] | [,1] | [undefined, 1] | [null, 1] | [NaN]
{} | {a: 1} | {a: "1"} | {b: 1} | {a: undefined} | {a: null} | {$undefined: 1} | {$a: [1]}
{a: {b: [1, {c: 2}]}} | {a: {b: [1, {c: "2"}]}} | {0: 1} | {a: 1, b: 2} | {b: 2, a: 1} | {"": 0}
"""
JAVASCRIPT_ONLY_GOT = r"""
1n | 10n | (() => 1) | Symbol("a") | new Map([["a", 1]]) | new Set([1]) | new Date(0) | /a/
"abc".match(/b/) | Object.assign([1], {x: 2}) | new (class A { constructor() { this.a = 1 } })()
Object.create({a: 1}) | Object.create(null) | new Number(1) | new String("abc") | new Boolean(false)
{valueOf() { return 1; }} | {toString() { return "abc"; }} | new Error("abc") | Promise.resolve(1)
new Proxy([1], {}) | new Uint8Array([1]) | {[Symbol.toStringTag]: "Array"} | "b".repeat(40000)
(function () { return arguments; })(1) | new (class extends Array {})() | Object.freeze([1])
new Array(3) | {get a() { return 1; }}
(() => { const a = []; a.push(a); return a; })() | Object.defineProperty({}, "a", {value: 1})
"""


def expressions(*tables):
    return [one.strip() for table in tables for one in re.split(r" \| |\n", table.strip())]


@pytest.mark.parametrize("language", ["javascript", "typescript"])
def test_javascript_is_compared_as_deep_equal_does(polyglot, language):
    """The loose `deepEqual`, over primitives, arrays, objects, and values without a literal."""
    more = JAVASCRIPT_ONLY_GOT if language == "javascript" else "new Map() | new Date(0)"
    literals, all_ = expressions(JAVASCRIPT), expressions(JAVASCRIPT, more)
    got = lines(polyglot, language, ("", "function test() {"), all_)
    head = ("function f() {", "function test() {")
    expected = lines(polyglot, language, head, literals, expected=True, call="({})")
    types = "declare var require: any;" if language == "typescript" else ""
    program = f"""{types}
const assert = require("node:assert"), fs = require("node:fs");
for (const one of [{", ".join(all_)}] as any) for (const other of [{", ".join(literals)}] as any) {{
  try {{ assert.deepEqual(one, other); fs.writeSync(3, "1"); }} catch (e) {{ fs.writeSync(3, "0"); }}
}}"""
    program = program if types else program.replace(" as any", "")
    assert differing(polyglot, language, got, expected, program) == []


JAVASCRIPT_PRIMITIVES = JAVASCRIPT.partition("[]")[0] + " 1n | 10n"


def test_javascript_is_compared_as_by_strict_equality(polyglot):
    """If a test uses `===` with a primitive; an expected object is refused."""
    wanted = expressions(JAVASCRIPT_PRIMITIVES)
    all_ = expressions(JAVASCRIPT, JAVASCRIPT_ONLY_GOT)
    head = ("function f() {", "function test() {")
    got = lines(polyglot, "javascript", ("", head[1]), all_)
    expected = lines(polyglot, "javascript", head, wanted, relation="is", expected=True)
    program = f"""const fs = require("node:fs");
for (const one of [{", ".join(all_)}]) for (const other of [{", ".join(wanted)}])
  fs.writeSync(3, one === other ? "1" : "0");"""
    assert differing(polyglot, "javascript", got, expected, program) == []


GO = r"""
1 | int64(1) | int32(1) | uint(1) | byte(1) | 1.0 | float32(1) | 1.5 | 0.1 | float32(0.1) | true | false
0.0 | func() float64 { z := 0.0; return -z }() | func() float64 { z := 0.0; return z / z }() | 'a' | "a"
"1" | "" | "\xff" | "\ufffd" | "a\"b\n" | nil | []int{} | []int(nil) | []int{1, 2} | []int{2, 1} | []int64{1, 2}
[2]int{1, 2} | []string{"a, b"} | []string{"a", "b"} | []interface{}{1, "a", nil} | []float64{1, 2}
[]interface{}{1.0, "a", nil} | []interface{}{int64(1), "a", nil} | map[string]int{"a": 1, "b": 2}
map[string]int{"b": 2, "a": 1} | map[string]int{} | map[string]int(nil) | map[string]interface{}{"a": 1}
[][]int{{1}, nil} | [][]int{{1}, {}} | map[[2]int]string{{1, 2}: "a"} | []float64{0.0}
[]float64{func() float64 { z := 0.0; return -z }()} | []float64{func() float64 { z := 0.0; return z / z }()}
"""
GO_ONLY_GOT = r"""
struct{}{} | new(int) | func() int { return 1 } | [][]interface{}{{1}} | make(chan int) | complex(1, 0)
"""


def test_go_is_compared_as_by_deep_equality(polyglot):
    """As testify's `assert.Equal`, which calls `reflect.DeepEqual` unless one value is nil."""
    wanted, all_ = expressions(GO), expressions(GO, GO_ONLY_GOT)
    candidate = 'package main\nimport "testing"\n'
    got = lines(polyglot, "go", (candidate, ""), all_, relation="deep")
    expected = lines(polyglot, "go", ("", ""), wanted, relation="deep", expected=True)
    program = f"""package main
import ("os"; "reflect")
func main() {{
    out := os.NewFile(3, "answers")
    for _, one := range []interface{{}}{{{", ".join(all_)}}} {{
        for _, other := range []interface{{}}{{{", ".join(wanted)}}} {{
            holds := reflect.DeepEqual(other, one)
            if one == nil || other == nil {{ holds = one == other }}
            if holds {{ out.WriteString("1") }} else {{ out.WriteString("0") }}
        }}
    }}
}}"""
    assert differing(polyglot, "go", got, expected, program) == []


NEAR = [
    ("f64 0.50009999999999999", "near 0.0001 f64 0.5", True),
    ("f64 0.5002", "near 0.0001 f64 0.5", False),
    ("i32 1", "near 0.0001 f64 1", True),
    ("f64 nan", "near 0.0001 f64 1", False),
    ("near 0.0001 f64 1", "near 0.0001 f64 1", False),
    ("string 1", "near 0.0001 f64 1", False),
    ("vector<f32> [1,2.00001]", "near 0.0001 vector<f32> [1,2]", True),
    ("vector<f32> []", "near 0.0001 vector<f32> []", True),
    ("vector<f32> [1]", "near 0.0001 vector<f32> [1,2]", False),
    ("vector<f32> [1,nan]", "near 0.0001 vector<f32> [1,2]", False),
    ("vector<f64> [1,2]", "near 0.0001 vector<f32> [1,2]", False),
]


@pytest.mark.parametrize(("got", "expected", "holds"), NEAR)
def test_cpp_numbers_are_compared_with_the_tolerance_of_the_expected_line(got, expected, holds):
    """Numbers of any type, or vectors of one type; an invalid number is near to nothing."""
    assert HARNESSES["cpp"].same(got.encode(), expected.encode()) is holds


CPP = r"""
5 | 5L | 5u | 5ul | (short) 5 | (unsigned char) 5 | -1 | -1L | (unsigned) -1 | (size_t) -1
4294967295L | (signed char) -1 | true | false | 1 | 0 | 'a' | 97 | 1.0 | 1.0f | 1.5f | 1.5 | 1.5L
0.1 | 0.1f | 0.1L | (double) 0.1f | (long double) 0.1 | -0.0 | 0.0f | NAN | INFINITY | -INFINITY
16777217L | 16777216.0f | 9007199254740993L | 9007199254740992.0 | 1e20 | 1e30f | 1e-30
std::string("a") | std::string_view("a") | std::string("nullopt") | std::string("a\"\n\\\x01\xff")
"a" | std::string("a\0b", 3) | std::string("") | std::vector<long>({1}) | std::vector<int>({1})
std::vector<long>({1, 2}) | std::vector<long>() | std::vector<bool>({true}) | std::deque<long>({1})
std::vector<float>({0.5f, -0.0f}) | std::vector<float>({0.5f, 0.0f}) | std::vector<double>({0.5, 0})
std::vector<std::vector<long>>({{1}, {}}) | std::vector<std::string>({"a", "b"})
std::vector<std::string>({"a\", \"b"}) | std::list<long>({1}) | std::set<long>({1})
std::map<long, long>({{1, 2}, {3, 4}}) | std::map<long, long>({{3, 4}, {1, 2}})
std::multiset<long>({1}) | std::map<long, long>() | std::vector<float>({NAN})
std::map<std::string, std::vector<long>>({{"a", {1}}}) | std::unordered_set<long>({3, 1, 2})
std::unordered_map<long, long>({{1, 2}, {3, 4}}) | std::unordered_map<long, long>({{3, 4}, {1, 2}})
std::unordered_set<long>({1, 2, 3}) | std::optional<long>(5) | std::optional<long>()
std::optional<int>(5) | std::optional<std::string>("a") | std::optional<std::string>()
std::optional<float>(1.5f) | std::optional<std::vector<long>>(std::vector<long>({1})) | std::array<long, 2>({1, 2})
std::pair<long, long>(1, 2) | std::make_pair(1, 2) | std::make_tuple(1, 2)
std::vector<std::tuple<long, long>>({{1, 2}}) | std::vector<std::tuple<int, int>>({{1, 2}})
"""
CPP_TUPLES = (
    """T(1, 2.5) | T(1L, 2.5f) | T(1, 2) | T(1L, 2L) | T(1, 'a') | T(1, 97L) | T(2, 1)
    std::optional<std::tuple<long, long>>({1, 2}) | std::optional<std::tuple<long, long>>()""",
    "T(1, T(2L)) | T(1L, T(2)) | T(1, T(2.0f)) | T(1, T(3))",
    'T(1, std::string("a")) | T(1L, "a") | T(1, std::string("b"))',
    "T(1, std::optional<long>(2)) | T(1, std::optional<long>()) | T(1, 2L) | T(1, 3)",
)
"""Values of one group can be compared with each other; T is `std::make_tuple`."""
COMPARES = r"""
#include <bits/stdc++.h>
#include <unistd.h>
template <class A, class B, class = void> struct compares {
    static bool holds(const A &, const B &) { return false; }
};
template <class A, class B>
struct compares<A, B, std::void_t<decltype(std::declval<A>() == std::declval<B>())>> {
    static bool holds(const A &a, const B &b) { return a == b; }
};
template <class A, class B> void put(const A &a, const B &b) {
    if (write(3, compares<A, B>::holds(a, b) ? "1" : "0", 1) != 1) abort();
}
"""


CPP_HEAD = ("void f() {", "}\nint main() {")


def cpp_program(groups):
    """Compare all results of every group with all expected values in it."""
    parts = [COMPARES]
    for number, (rows, puts) in enumerate(groups):
        parts += [f"template <class A> void row{number}(const A &a) {{"]
        parts += [*(f"put(a, {other});" for other in puts), f"}}\nvoid all{number}() {{"]
        parts += [*(f"row{number}({one});" for one in rows), "}"]
    calls = "".join(f"all{number}();" for number in range(len(groups)))
    return "\n".join([*parts, f"int main() {{ {calls} }}"])


@pytest.mark.toolchains
def test_cpp_is_compared_as_its_operator_does(polyglot):
    """Values whose types `==` cannot compare are different."""
    all_, none = expressions(CPP), ["std::nullopt"]
    got = lines(polyglot, "cpp", ("", "int main() {"), all_)
    expected = lines(polyglot, "cpp", CPP_HEAD, all_, expected=True)
    call = "std::optional<long>()"
    expected |= lines(polyglot, "cpp", CPP_HEAD, none, expected=True, call=call)
    program = cpp_program([(all_, all_ + none)])
    assert differing(polyglot, "cpp", got, expected, program) == []


def test_cpp_tuples_are_compared_by_element(polyglot):
    """Elements of different types are compared as `==` does."""
    groups = [expressions(table.replace("T(", "std::make_tuple(")) for table in CPP_TUPLES]
    flat = list(dict.fromkeys(one for group in groups for one in group))
    got = lines(polyglot, "cpp", ("", "int main() {"), flat)
    expected = lines(polyglot, "cpp", CPP_HEAD, flat, expected=True)
    program = cpp_program([(group, group) for group in groups])
    truth = ran(polyglot, "cpp", program).answers.decode()
    pairs = [pair for group in groups for pair in product(group, group)]
    same = HARNESSES["cpp"].same
    assert [
        (one, other)
        for (one, other), holds in zip(pairs, truth, strict=True)
        if same(got[one], expected[other]) is not (holds == "1")
    ] == []


JAVA_PRIMITIVES = (
    "true | false",
    """5 | 5L | (byte) 5 | (short) 5 | 'a' | 97 | 97.0f | 5.0f | 5.0 | 0.1f | 0.1 | (double) 0.1f
    -0.0 | 0.0f | Double.NaN | Float.NaN | 1.0 / 0 | 1f / 0 | 16777217 | 16777216f | 16777217L
    9007199254740993L | 9007199254740992.0 | Long.MAX_VALUE | -1 | 1e-7 | 1e-7f""",
)
JAVA = r"""
5 | 5L | (short) 5 | (byte) 5 | 5.0 | 5.0f | 0.1 | 0.1f | -0.0 | 0.0 | Double.NaN | Float.NaN | 'a'
"a" | "" | "5" | "5L" | "a\"b" | "a\\b\n" | "\ud800" | "?" | "\ud83d\ude00" | "é" | '\'' | true
false | "true" | null | "null" | List.of() | List.of(1, 2) | Arrays.asList(1, 2) | List.of(2, 1)
new ArrayList<Long>(List.of(1L, 2L)) | new LinkedList<Integer>(List.of(1, 2)) | List.of("1, 2")
Collections.unmodifiableList(List.of(1, 2)) | List.of("1", "2") | List.of(List.of(1), List.of(2))
new HashMap<Object, Object>(Map.of(1L, "a", 2L, "b")) | new TreeMap<Object, Object>(Map.of(2L, "b", 1L, "a"))
Map.of(1, "a", 2, "b") | Map.of() | Map.of("a", List.of(1)) | Set.of() | Set.of(1, 2) | Set.of(2, 1)
new TreeSet<Integer>(Set.of(1, 2)) | Optional.empty() | Optional.of(1) | Optional.of(1L)
Optional.of(Optional.of(1)) | new java.math.BigInteger("5") | new java.math.BigDecimal("5.0")
new java.math.BigDecimal("5.00") | Map.entry(1, 2) | new AbstractMap.SimpleEntry<Object, Object>(1, 2)
Pair.with(1, 2) | Pair.with(1L, 2L) | Pair.with(2, 1) | Triplet.with(1, 2, "a") | Unit.with(List.of(1))
KeyValue.with(1, 2) | List.of(Pair.with(1, "a")) | Arrays.asList(1, null) | List.of(5.0f, -0.0f)
"""
JAVA_ONLY_GOT = r"""
new int[] {1, 2} | new Object() | new ArrayDeque<Integer>(List.of(1, 2)) | List.of(1, 2).iterator()
new Object() { public boolean equals(Object other) { return true; } } | new StringBuilder("a")
new HashMap<Object, Object>(Map.of(1, 2)).values() | Thread.State.NEW | Integer.class
"""
JAVA_HEAD = "import java.util.*;\nimport org.javatuples.*;\nclass Problem {\n    static void f() {"
JAVA_MAIN = "    }\n    public static void main(String[] args) {\n"


JAVA_PUT = r"""
    }
    static java.io.OutputStream out = open();
    static java.io.OutputStream open() {
        try { return new java.io.FileOutputStream("/dev/fd/3"); }
        catch (java.io.IOException error) { throw new IllegalStateException(error); }
    }
    static void put(boolean holds) {
        try { out.write(holds ? '1' : '0'); }
        catch (java.io.IOException error) { throw new IllegalStateException(error); }
    }
    public static void main(String[] args) {
"""


@pytest.mark.parametrize("table", JAVA_PRIMITIVES)
def test_java_primitives_are_compared_as_by_the_operator(polyglot, table):
    """After binary numeric promotion; boxed values are unboxed."""
    all_ = expressions(table)
    got = lines(polyglot, "java", (JAVA_HEAD, JAVA_MAIN), all_, relation="same")
    expected = lines(polyglot, "java", (JAVA_HEAD, JAVA_MAIN), all_, relation="same", expected=True)
    puts = "".join(f"put(({one}) == ({other}));\n" for one, other in product(all_, all_))
    program = f"{JAVA_HEAD}{JAVA_PUT}{puts}}}\n}}\n"
    assert differing(polyglot, "java", got, expected, program) == []


def test_java_objects_are_compared_as_by_equals(polyglot):
    """Boxed numbers by class, any list with any list, and other objects with nothing."""
    literals, all_ = expressions(JAVA), expressions(JAVA, JAVA_ONLY_GOT)
    given = {"relation": "equal", "call": "((Object) ({}))"}
    got = lines(polyglot, "java", (JAVA_HEAD, JAVA_MAIN), all_, **given)
    expected = lines(polyglot, "java", (JAVA_HEAD, JAVA_MAIN), literals, expected=True, **given)
    program = f"""{JAVA_HEAD}{JAVA_PUT}
        Object[] all = {{ {", ".join(all_)} }}, some = {{ {", ".join(literals)} }};
        for (Object one : all) for (Object other : some) put(one != null && other != null && other.equals(one));
    }}
}}
"""
    assert differing(polyglot, "java", got, expected, program) == []


PHP = r"""
5 | 5.0 | "5" | -0.0 | 0.0 | 0 | "0" | "" | "0.0" | null | "null" | true | false | "true" | NAN | "NAN"
INF | -INF | 1e100 | 0.1 | 0.1 + 0.2 | 0.3 | PHP_INT_MAX | PHP_INT_MIN | "a\"b" | "a\\b" | "a\nb\0c\x7f"
"\xff\xfe" | "é" | [] | [1, 2] | [2, 1] | ["1", "2"] | ["1, 2"] | ['1', 2] | [0 => 1, 1 => 2]
[1 => 2, 0 => 1] | ["a" => 1, "b" => 2] | ["b" => 2, "a" => 1] | ["5" => 1] | [5 => 1] | ["a=>1"]
[[]] | [[1], [2, [3]]] | [null] | [NAN] | [1.0, 2.0] | ["a" => [1, "b" => []]] | [0 => "a", 2 => "b"]
"""
PHP_ONLY_GOT = r"""
new stdClass() | (object) ["a" => 1] | fn() => 5 | fopen("php://memory", "r") | new ArrayObject([1, 2])
(function () { yield 1; yield 2; })() | new class { public $a = 1; }
"""


def test_php_is_compared_as_by_identity(polyglot):
    """By type and value, arrays in order; objects of other processes are never identical."""
    literals, all_ = expressions(PHP), expressions(PHP, PHP_ONLY_GOT)
    head = ("<?php\nfunction f() {", "function test(): void {\n")
    got = lines(polyglot, "php", ("<?php\n", head[1]), all_)
    expected = lines(polyglot, "php", head, literals, expected=True)
    program = f"""<?php
$out = fopen("php://fd/3", "w");
foreach ([{", ".join(all_)}] as $one) {{
    foreach ([{", ".join(literals)}] as $other) {{ fwrite($out, $one === $other ? "1" : "0"); }}
}}"""
    assert differing(polyglot, "php", got, expected, program) == []


RUST = (
    ("isize", "5 | -5 | 0 | isize::MAX | isize::MIN"),
    ("u8", "0 | 255"),
    ("f64", "0.1 | 0.1 + 0.2 | 0.3 | 5.0 | -0.0 | 0.0 | 1e300 | 1e-300 | f64::NAN | f64::INFINITY"),
    ("f32", "0.1 | 0.3 | 16777216.0 | f32::NAN | -0.0 | 0.0"),
    ("bool", "true | false"),
    ("char", r"'a' | '\'' | 'é' | '\n'"),
    ("&'static str", r'"" | "a" | "a\"b" | "a\nb" | "é" | "[1, 2]" | "\u{7f}" | "\\"'),
    ("String", r'String::from("a") | String::new() | String::from("a\n") | "b".to_string()'),
    ("Vec<isize>", "vec![] | vec![1, 2] | vec![2, 1] | vec![12]"),
    ("Vec<f64>", "vec![0.5, -0.0] | vec![0.5, 0.0] | vec![f64::NAN]"),
    ("Vec<String>", r'vec!["a".into(), "b".into()] | vec!["a\", \"b".into()] | vec![]'),
    ("Vec<Vec<isize>>", "vec![vec![1], vec![]] | vec![vec![], vec![1]] | vec![vec![1, 2]]"),
    ("[isize; 2]", "[1, 2] | [2, 1]"),
    ("Option<isize>", "None | Some(1) | Some(2)"),
    ("Option<Option<isize>>", "None | Some(None) | Some(Some(1))"),
    ("Option<String>", 'None | Some("None".into()) | Some("a".into())'),
    ("Result<isize, String>", 'Ok(1) | Err("1".into()) | Err("a".into())'),
    ("(isize, f64, String)", 'Z(1, 2.0, "a".into()) | Z(1, 2.5, "a".into())'),
    ("(Vec<isize>, (bool,))", "(vec![1], (true,)) | (vec![1], (false,)) | (vec![], (true,))"),
    ("HashMap<isize, isize>", "[(1, 2), (3, 4)].into() | [(3, 4), (1, 2)].into() | HashMap::new()"),
    ("BTreeMap<String, isize>", r'[("a".into(), 1)].into() | [("b".into(), 1)].into()'),
    ("HashSet<isize>", "[1, 2, 3].into() | [3, 2, 1].into() | [1].into()"),
    ("VecDeque<isize>", "[1, 2].into() | [2, 1].into()"),
    ("Box<isize>", "Box::new(1) | Box::new(2)"),
)


def test_rust_is_compared_as_by_assert_eq(polyglot):
    """For values of one type, lines are equal if `==` is true, for every type."""
    uses = "#![allow(warnings)]\nuse std::collections::*;\n"
    functions, calls, truth = [], [], []
    for number, (kind, table) in enumerate(RUST):
        values = expressions(table.replace("Z(", "("))
        arms = ", ".join(f"{at} => {value}" for at, value in enumerate(values))
        functions.append(
            f"fn f{number}(at: usize) -> {kind} {{ match at {{ {arms}, _ => panic!() }} }}\n"
        )
        calls.append([f"f{number}({at})" for at in range(len(values))])
    whole, flat = uses + "".join(functions), [call for group in calls for call in group]
    got = lines(polyglot, "rust", (f"{whole}fn end() {{", "}\nfn main() {\n"), flat)
    expected = lines(
        polyglot, "rust", (f"{whole}fn end() {{", "}\nfn main() {\n"), flat, expected=True
    )
    for group in calls:
        puts = "".join(f"    put({one} == {other});\n" for one, other in product(group, group))
        truth.append(puts)
    program = f"""{whole}
fn put(holds: bool) {{ eprint!("{{}}", holds as u8); }}
fn main() {{
{"".join(truth)}}}
"""
    bits = iter(ran(polyglot, "rust", program).stderr.decode())
    wrong = [
        (one, other)
        for group in calls
        for one, other in product(group, group)
        if HARNESSES["rust"].same(got[one], expected[other]) is not (next(bits) == "1")
    ]
    assert wrong == []


ODD = [b"", b"\xff\xfe", b" ", b"i64", b"i64 ", b"[" * 100_000, b'{"$array":1}', b"{}" * 50_000]
ODD += [b"9" * 1_000_000, b"i64 " + b"9" * 1_000_000, b"f64 1e999999999", b"i64 1e999999999"]
ODD += [
    b"tuple<" * 100_000 + b" 5",
    b"long 0x5",
    b"double nan",
    b"int 1_0",
    b'{"$bigint":"' + b"9" * 5000 + b'"}',
]
ODD += [
    b'{"$number":"x"}',
    b"NaN",
    b"1f32" * 9,
    b"-" * 9,
    b'"' * 100_001,
    b"optional< 5",
    b"f128 sNaN",
]


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_forged_line_is_the_same_as_what_is_expected(language):
    """Nor does any line raise an exception."""
    expected = [
        b"i64 5",
        b"long 5",
        b"5",
        b'"a"',
        b"[1, 2]",
        b"f64 0.5",
        b"f32 0.5",
        b"null",
        b"double 0.5",
    ]
    same = HARNESSES[language].same
    assert [(one[:20], wanted) for one in ODD for wanted in expected if same(one, wanted)] == []

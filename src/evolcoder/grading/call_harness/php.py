"""PHP: tests of the form `if (f(arguments) !== value) { throw ...; }` in a function.

A line is a value in PHP's syntax, arrays with their keys unless these count up from 0. `===`
requires equal types and the same order of keys, so lines are equal if their texts are. An expected
NaN equals nothing; an object is never identical to one of another process.
"""

from evolcoder.grading.call_harness.base import CallHarness, SplitTest, fresh_name
from evolcoder.grading.call_harness.splitting import SCRIPT_LITERAL, AssertForm

_FORM = AssertForm(
    head=(
        r"\s*(?:function candidate\(\.\.\.\$args\)\s*\{\s*return \w+\(\.\.\.\$args\);\s*\}\s*)?"
        r"function test\(\)(?:\s*:\s*void)?\s*\{\s*"
    ),
    opening=r"[ \t]*if\s*\(",
    relations={"": r"\s*!=="},
    ending=r"\s*\{\s*throw new Exception\((?:\"Test failed!\")?\);\s*\}[ \t]*\n?",
    tail=r"\s*\}\s*test\(\);\s*",
    literal=SCRIPT_LITERAL,
)
# The channel is opened for each line: if the program has closed its standard output, a channel that
# stays open could get that descriptor and receive what is printed.
_SERIALISER = r"""
function NAME($value): void {
    $line = NAME_text($value, 0) . "\n";
    if (\file_put_contents('php://fd/3', $line) !== \strlen($line)) { exit(1); }
}
function NAME_text($value, int $depth): string {
    if ($depth > 10000) { throw new \Exception('nested too deeply'); }
    if (\is_string($value)) { return '"' . \addcslashes($value, "\0..\37\"\\\177") . '"'; }
    if (\is_float($value)) {
        if (\is_nan($value)) { return 'NOT_A_NUMBER'; }
        return $value == 0 ? '0.0' : \var_export($value, true);
    }
    if (\is_int($value) || \is_bool($value) || $value === null) {
        return \strtolower(\var_export($value, true));
    }
    if (!\is_array($value)) { OTHER }
    $parts = [];
    $next = 0;
    $counts = true;
    foreach (\array_keys($value) as $key) { $counts = $counts && $key === $next++; }
    foreach ($value as $key => $one) {
        $text = NAME_text($one, $depth + 1);
        $parts[] = $counts ? $text : NAME_text($key, 0) . ' => ' . $text;
    }
    return '[' . \implode(', ', $parts) . ']';
}
"""
_CALLING = "return 'a value of type ' . \\get_debug_type($value);"
_EXPECTING = "throw new \\Exception(\\get_debug_type($value));"


def _calling_program(candidate: str, split: SplitTest) -> str:
    name = fresh_name()
    calls = "".join(f"    {name}({one.call});\n" for one in split.comparisons)
    return _whole(candidate, split.head + calls, _serialiser(name, _CALLING, "NAN"))


def _expected_program(_: str, split: SplitTest) -> str:
    """Omit the prompt: values do not need it, and it may redeclare a builtin function of PHP."""
    lines = "".join(
        f"    fn () => {one.call};\n    harness({one.expected});\n" for one in split.comparisons
    )
    serialiser = _serialiser("harness", _EXPECTING, "NAN, equal to nothing")
    return _whole("<?php\n", split.head + lines, serialiser)


def _serialiser(name: str, other: str, nan: str) -> str:
    text = _SERIALISER.replace("NAME", name).replace("OTHER", other)
    return text.replace("NOT_A_NUMBER", nan)


def _whole(source: str, test: str, serialiser: str) -> str:
    """Put the serialiser last, since some declarations must be a program's first statement."""
    return f"{source}\n{test}}}\n\ntest();\n{serialiser}"


HARNESS = CallHarness("php", _FORM.split, _calling_program, _expected_program)

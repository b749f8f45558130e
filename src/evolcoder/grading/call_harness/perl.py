"""Perl: MultiPL-E's tests pass the result of a call to `eq_deeply` of Test::Deep.

`eq_deeply` compares strings, so numbers are compared as printed; undef only equals undef, and a
blessed reference never equals plain data. Calls are in list context. A list of several values never
equals anything here: `eq_deeply` would take its second value for the expected one.
"""

from evolcoder.grading.call_harness.base import CallHarness, SplitTest, fresh_name
from evolcoder.grading.call_harness.splitting import SCRIPT, ArgumentForm

_SERIALISER = r"""
package NAME; {
    my $out;
    sub text {
        my ($text) = @_;
        utf8::upgrade($text);
        utf8::encode($text);
        $text =~ s/([^ !#-\[\]-~])/sprintf('\\x%02x', ord $1)/ge;
        return '"' . $text . '"';
    }
    sub value {
        my ($value, $big) = @_;
        return 'undef' unless defined $value;
        my $kind = ref $value or return text("$value");
        return '[ ' . join('', map { value($_, $big) . ' ' } @$value) . ']' if $kind eq 'ARRAY';
        return '{ ' . join('', map { text($_) . ' ' . value($value->{$_}, $big) . ' ' }
            sort keys %$value) . '}' if $kind eq 'HASH';
        return text("$value") if $big && $kind =~ /^Math::Big(Int|Float|Rat)$/;
        return '?';
    }
    sub line {
        my $big = shift;
        unless ($out) { open($out, '>&=', 3) or die 'no descriptor for answers'; }
        syswrite($out, (@_ > 1 ? '?' : value($_[0], $big)) . "\n");
    }
}
package main;
"""
"""`ref 1` is true if `use bigint` turns the test's numbers into objects too."""
_FORM = ArgumentForm(
    head=(
        r"\s*use Test::Deep;\s*sub (?P<name>\w+) \{\s*"
        r"(?P<kept>my \$candidate\s*=\s*\\&[\w:]+;)\s*"
    ),
    opening=r"if\s*\(\s*eq_deeply\(",
    call=r"\$candidate->\(",
    brackets=SCRIPT,
    ending=r'\s*\)\s*\{\s*print "ok!"\s*\}\s*else\s*\{\s*exit 1;\s*\}\s*',
    tail=r"\s*\}\s*NAME\(\);\s*",
)


def _calling_program(candidate: str, test: SplitTest) -> str:
    """Put the serialiser before the candidate and the calls after it."""
    name = fresh_name()
    calls = [f"{name}::line(ref 1, {check.call});" for check in test.comparisons]
    return "\n".join([_SERIALISER.replace("NAME", name), candidate, test.head, *calls, ""])


def _expected_program(prompt: str, test: SplitTest) -> str:  # noqa: ARG001 - Perl has no types
    """Serialise the expected values."""
    values = [f"expected::line('', {check.expected});" for check in test.comparisons]
    return "\n".join([_SERIALISER.replace("NAME", "expected"), *values, ""])


HARNESS = CallHarness("perl", _FORM.split, _calling_program, _expected_program)

"""What the parser of arguments says of flags that are given twice."""

import pytest

from evolcoder.cli.usage import Parser, RaisingParser
from evolcoder.errors import ConfigError


@pytest.fixture(params=["verb", "config"])
def parser(request):
    made = Parser(prog="x") if request.param == "verb" else RaisingParser("ask.options")
    made.add_argument("--bench")
    made.add_argument("--limit", "-l", type=int)
    made.add_argument("--compare", nargs="+")
    made.add_argument("--share", type=float)
    made.add_argument("--set", action="append", default=[])
    made.add_argument("--json", action="store_true")
    return made


@pytest.mark.parametrize(
    ("given", "flag"),
    [
        (["--bench", "a", "--bench", "b"], "--bench is given 2 times"),
        (["--bench", "a", "--bench=b", "--bench", "a"], "--bench is given 3 times"),
        (["-l", "1", "--limit", "2"], "-l is given 2 times"),
        (["--compare", "a", "b", "--compare", "c"], "--compare is given 2 times"),
    ],
)
def test_a_flag_with_several_values_is_noted(capsys, parser, given, flag):
    """The last value counts, as scripts expect that add a flag to a command; it is said once."""
    parser.parse_args(given)
    err = capsys.readouterr().err
    assert err == f"evolcoder: {flag}; the last one counts\n"


@pytest.mark.parametrize(
    "given",
    [
        ["--bench", "a", "--bench", "a"],
        ["--limit", "1", "-l", "01"],
        ["--set", "a=1", "--set", "b=2"],
        ["--json", "--json"],
        ["--bench", "a", "--limit", "1"],
        ["--share", "nan"],
    ],
    ids=str,
)
def test_flags_that_say_the_same_or_collect_are_not_noted(capsys, parser, given):
    parser.parse_args(given)
    assert capsys.readouterr().err == ""


def test_a_config_refuses_what_is_no_value(parser):
    """The second value is read as the first one is."""
    with pytest.raises((ConfigError, SystemExit)):
        parser.parse_args(["--limit", "1", "--limit", "x"])

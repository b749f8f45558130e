"""Parses arguments; an error is one line that names the nearest known argument.

>>> Parser(prog="evolcoder run").parse_args(["--modle", "x"])   # doctest: +SKIP
evolcoder run: unrecognized arguments: --modle x; did you mean --model?
"""

import argparse
import difflib
import re
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from evolcoder.errors import ConfigError
from evolcoder.terminal import folded_for
from evolcoder.text import one_line
from evolcoder.visible import visible

MAX_CHARS = 400
MAX_TOKENS_NOTE = (
    "--max-tokens is read as a budget of paid tokens here; write --max-tokens-paid, since "
    "--max-tokens is the length of an answer in other verbs"
)
_COLLECTS = (argparse._AppendAction, argparse._ExtendAction)  # noqa: SLF001 - argparse names them so
"""Actions of flags that may be given several times."""
MAY_BE_EMPTY = frozenset({"system"})
"""Arguments for which an empty text is a value."""
_NO_VALUE = re.compile(r"argument (?P<flag>--\S+): expected ")
_CHOICES = re.compile(r"invalid choice: '(?P<given>.*?)' \(choose from (?P<known>.*)\)")


class _Parser(argparse.ArgumentParser):
    """An argument parser that refuses empty values: a path would be the current folder."""

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:  # noqa: ANN401 - as argparse has it
        is_of_verb = action.nargs == argparse.PARSER  # whose parser reads it again
        if not arg_string.strip() and action.dest not in MAY_BE_EMPTY and not is_of_verb:
            raise argparse.ArgumentError(
                action, "the value is empty; a variable of the shell may not be set"
            )
        return super()._get_value(action, arg_string)

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> Any:  # noqa: ANN401 - as argparse has it
        """Read the values of an argument, and remember those of a flag that takes one."""
        values = super()._get_values(action, arg_strings)
        if action.option_strings and arg_strings and not isinstance(action, _COLLECTS):
            self._values.setdefault(action.option_strings[-1], []).append(values)
        return values

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:  # noqa: ANN401 - as argparse has it
        """Parse, and say which flags were given several values of which the last one counts."""
        self._values: dict[str, list[Any]] = {}
        found = super().parse_known_args(args, namespace)
        for flag, values in self._values.items():
            if any(one != values[-1] for one in values[:-1]):
                what = f"{flag} is given {len(values)} times; the last one counts"
                print_error_line(f"evolcoder: {visible(what)}")
        return found

    def _print_message(self, message: str, file: Any = None) -> None:  # noqa: ANN401 - as argparse has it
        """Print help; unlike argparse, fail where it cannot be written."""
        (file or sys.stderr).write(message)


class Parser(_Parser):
    """An argument parser whose errors are one line and exit 2."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:  # noqa: ANN401 - as argparse has it
        """Parse, and remember the arguments for the errors about them."""
        self._given = list(args or ())
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Print what is wrong, the nearest known name and where to look, and exit with 2."""
        near = _nearest(message, list(self._option_string_actions))
        hint = f"; did you mean {near}?" if near else f"; see {self.prog} --help"
        if dashed := _dashed(message, self._given):
            hint = f"; did you mean {dashed}?"
        print_error_line(f"{self.prog}: {one_line(visible(message), MAX_CHARS)}{hint}")
        sys.exit(2)


def print_error_line(line: str) -> None:
    """Print one line on stderr; a terminal breaks it at blanks."""
    print(folded_for(line, sys.stderr), file=sys.stderr)


class RaisingParser(_Parser):
    """An argument parser for options of a config; raises ConfigError."""

    def __init__(self, where: str) -> None:
        super().__init__(allow_abbrev=False)
        self._where = where

    def error(self, message: str) -> NoReturn:
        """Raise ConfigError that names the key."""
        raise ConfigError(f"{self._where}: {message}")


def at_least_one(text: str) -> int:
    """Parse a number that must be at least 1."""
    try:
        n = int(text)
    except ValueError:
        n = 0
    if n < 1:
        raise argparse.ArgumentTypeError(f"{text}: write a whole number of at least 1")
    return n


def add_workers(add: Callable[..., argparse.Action], more: str = "") -> None:
    """Declare the number of programs that run at a time."""
    add("--workers", type=at_least_one, metavar="N", help=f"programs to run in parallel{more}")


def add_cluster(add: Callable[..., argparse.Action]) -> None:
    """Declare the address of a cluster."""
    add("--cluster", metavar="ADDRESS",
        help="Ray cluster that runs programs: auto, HOST:PORT, or local:N to try it")  # fmt: skip


def add_paid_tokens(add: Callable[..., argparse.Action]) -> None:
    """Declare the budget in tokens, and its earlier name."""
    add("--max-tokens-paid", type=int, metavar="N", help="budget in paid tokens")
    add("--max-tokens", type=int, help=argparse.SUPPRESS)


def paid_tokens(args: argparse.Namespace) -> int | None:
    """Return the budget in tokens; note that its earlier name means something else elsewhere."""
    if args.max_tokens is None:
        return args.max_tokens_paid  # type: ignore[no-any-return]
    if args.max_tokens_paid is not None:
        raise ConfigError("--max-tokens: means --max-tokens-paid, which is given too; leave it out")
    print(f"evolcoder: {MAX_TOKENS_NOTE}", file=sys.stderr)
    return args.max_tokens  # type: ignore[no-any-return]


def _dashed(message: str, given: list[str]) -> str:
    """Return a flag with its value as one argument, if the value begins with a dash; else ''."""
    found = _NO_VALUE.match(message)
    flag = found["flag"].split("/")[-1] if found else ""
    if flag not in given[:-1]:
        return ""
    value = given[given.index(flag) + 1]
    return f"{flag}={value}" if value.startswith("-") and not value.startswith("--") else ""


def _nearest(message: str, flags: list[str]) -> str:
    """Return the known flag or choice nearest to the one that a message is about, or ''."""
    if found := _CHOICES.search(message):
        given, known = found["given"], re.findall(r"[^',\s]+", found["known"])
    elif message.startswith("unrecognized arguments: "):
        words = message.removeprefix("unrecognized arguments: ").split()
        given, known = next((one for one in words if one.startswith("-")), ""), flags
    else:
        return ""
    return next(iter(difflib.get_close_matches(given.partition("=")[0], known, n=1)), "")

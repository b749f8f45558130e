"""Runs an assert-style test that can reach the candidate only over a socket.

Promises: what the candidate sends reaches the test as plain data of exact builtin types, or as a
`Remote` that no comparison and no truth test accepts; a candidate that breaks the protocol or
ends early cannot make the test pass, whatever the test catches. Standard library only.
"""

import builtins
import contextlib
import json
import re
import socket
import sys
import types
from typing import Any, NoReturn

from evolcoder.safe_codec import NotPlainError, decode, encode
from evolcoder.safe_repr import error_text, safe_repr
from evolcoder.sandbox.inside.candidate import FRAME, receive

SHOWN = 300
"""Longest text shown of a value or a line."""
_BUILTIN_TYPES = frozenset(kind for kind in vars(builtins).values() if isinstance(kind, type))
_TOO_LARGE = "sent more than there is memory for"
_HAS_CHECKS = re.compile(r"\bassert|\braise\b")


class CandidateGoneError(BaseException):
    """The candidate ended or broke the protocol. No test is meant to catch this."""


class RemoteError(Exception):
    """The candidate raised something that is no builtin exception."""


class OpaqueError(TypeError):
    """A test would have to trust the candidate's word about an object of the candidate."""


class _NoTestError(Exception):
    """There is nothing to run."""


class Link:
    """The line to the candidate."""

    def __init__(self, line: socket.socket) -> None:
        self.line = line
        self.calls = 0
        self.fault = ""
        self.last: object = None
        self.raised: BaseException | None = None

    def ask(self, *request: object) -> Any:  # noqa: ANN401 - plain data or a Remote
        """Have the candidate do something and return what came of it."""
        self.calls += 1
        frame = encode(list(request), _refer)
        try:
            self.line.sendall(FRAME.pack(len(frame)) + frame)
        except OSError:
            raise self._broken("ended before it answered") from None
        return self.reply()

    def reply(self) -> Any:  # noqa: ANN401 - plain data or a Remote
        """Receive one answer; what the candidate raised is raised here."""
        try:
            frame = receive(self.line)
            if frame is None:
                raise self._broken("ended before it answered")
            answer = decode(frame, self._resolve)
        except OSError:
            raise self._broken("ended before it answered") from None
        except NotPlainError:
            answer = None
        except MemoryError:
            raise self._broken(_TOO_LARGE) from None
        match answer:
            case ["value", value]:
                self.last = value
                return value
            case ["raise", str(name), str(message)]:
                raise self._exception(name, message)
        raise self._broken("forged")

    def _resolve(self, rest: list[Any]) -> "Remote":
        match rest:
            case [int(number), str(name)]:
                return Remote(self, number, name)
        raise NotPlainError("not encoded data: a strange reference")

    def _exception(self, name: str, message: str) -> BaseException:
        kind = getattr(builtins, name, None)
        self.raised = RemoteError(f"{name}: {message}")
        if isinstance(kind, type) and issubclass(kind, BaseException):
            with contextlib.suppress(TypeError):
                self.raised = kind(message)
        return self.raised

    def _broken(self, why: str) -> CandidateGoneError:
        self.fault = self.fault or why
        return CandidateGoneError(why)


class Remote:
    """Something that only the candidate's process has."""

    _link: Link
    _number: int
    _name: str

    def __init__(self, link: Link, number: int, name: str) -> None:
        self.__dict__.update(_link=link, _number=number, _name=name)

    def __call__(self, *args: object, **named: object) -> object:
        """Call it there."""
        return self._link.ask("call", self, list(args), named)

    def __getattr__(self, name: str) -> object:
        """Read an attribute there."""
        return self._link.ask("attribute", self, name)

    def __setattr__(self, name: str, value: object) -> None:
        """Set an attribute there: some tests link nodes to a tree."""
        self._link.ask("assign", self, name, value)

    def __len__(self) -> int:
        """Ask for its length."""
        return int(self._link.ask("length", self))

    def __getitem__(self, key: object) -> object:
        """Ask for an item."""
        return self._link.ask("item", self, key)

    def __iter__(self) -> "Remote":
        """Ask for an iterator."""
        found = self._link.ask("iterate", self)
        if not isinstance(found, Remote):
            self._refuse()
        return found

    def __next__(self) -> object:
        """Ask for the next item."""
        return self._link.ask("next", self)

    def __repr__(self) -> str:
        """Name its type."""
        return f"<{self._name} of the candidate>"

    def _refuse(self, *_: object) -> NoReturn:
        raise OpaqueError(f"a {self._name} cannot be judged from outside the candidate's process")

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __bool__ = __hash__ = _refuse


def run(source: bytes, names: list[str], check: str | None, line: socket.socket) -> bytes:
    """Run a test against the candidate at the other end; return the findings as JSON."""
    link = Link(line)
    try:
        link.reply()
        code = _compiled(source)
        _run(code, names, check, link)
    except _NoTestError as error:
        return _finding("no_tests", detail=str(error))
    except BaseException as error:  # noqa: BLE001 - candidate and test may raise anything
        return _judged(error, link, source)
    if link.fault:
        return _broken(link.fault)
    if not link.calls:
        return _finding("no_tests", detail="the test never called the candidate")
    return _finding("passed")


def _compiled(source: bytes) -> types.CodeType:
    try:
        code = compile(source, "test.py", "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        raise _NoTestError(f"the test does not compile: {error}") from error
    if not _HAS_CHECKS.search(source.decode("utf-8", "replace")):
        raise _NoTestError("the test asserts nothing")
    return code


def _run(code: types.CodeType, names: list[str], check: str | None, link: Link) -> None:
    module = types.ModuleType("test")
    sys.modules["test"] = module
    space = module.__dict__
    for name in names:
        space[name] = _stand_in(name, link)
    first = space[names[0]] if names else None
    exec(code, space)  # noqa: S102 - the test, in its own process
    if check is not None:
        space[check](first)


def _stand_in(name: str, link: Link) -> types.FunctionType:
    def stand_in(*args: object, **named: object) -> object:
        return link.ask("global", name, list(args), named)

    stand_in.__name__ = stand_in.__qualname__ = name
    return stand_in  # type: ignore[return-value]


def _refer(value: object) -> list[Any]:
    if isinstance(value, Remote):
        return [value._number]  # noqa: SLF001 - its own module
    if isinstance(value, type) and value in _BUILTIN_TYPES:
        return [value.__name__]
    raise NotPlainError(f"a {type(value).__name__} cannot be passed to the candidate")


def _judged(error: BaseException, link: Link, source: bytes) -> bytes:
    """Say what an exception that left the test means."""
    if link.fault:
        return _broken(link.fault)
    number, text = _place(error, source)
    told = error_text(error, SHOWN)
    if error is link.raised:
        kind = "memory" if isinstance(error, MemoryError) else "error"
        return _finding(kind, number, text, detail=f"the candidate raised {told}")
    if isinstance(error, AssertionError | OpaqueError):
        return _finding("failed", number, text, got=_shown(link.last), detail=told)
    return _finding("error", number, text, got=_shown(link.last), detail=told)


def _broken(fault: str) -> bytes:
    kind = {"forged": "forged", _TOO_LARGE: "memory"}.get(fault, "error")
    return _finding(kind, detail=f"the candidate {fault}")


def _place(error: BaseException, source: bytes) -> tuple[int | None, str]:
    """Find the assertion that failed: its number among all lines that assert, and its text."""
    trace, line = error.__traceback__, 0
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "test.py":
            line = trace.tb_lineno
        trace = trace.tb_next
    lines = source.decode("utf-8", "replace").splitlines()
    if not 0 < line <= len(lines):
        return None, ""
    before = [text for text in lines[:line] if "assert" in text]
    return len(before) - 1, lines[line - 1].strip()[:SHOWN]


def _shown(value: object) -> str:
    return safe_repr(value, SHOWN, _named)


def _named(value: object) -> str:
    """Name what is no plain data: nothing but a Remote reaches the test."""
    return repr(value) if type(value) is Remote else f"<{type(value).__name__}>"


def _finding(
    kind: str, check: int | None = None, expected: str = "", *, got: str = "", detail: str = ""
) -> bytes:
    words = {"kind": kind, "check": check, "expected": expected, "got": got, "detail": detail}
    return json.dumps(words).encode("ascii")

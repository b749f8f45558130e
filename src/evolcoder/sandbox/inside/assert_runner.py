"""Runs an assert-style test that can reach the candidate only over a socket.

Guarantees: the candidate's values reach the test as plain data of exact builtin types, or as a
`Remote` that no comparison and no truth test accepts. A candidate that breaks the protocol or exits
early cannot make the test pass, whatever exceptions the test catches. Standard library only.
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

MAX_SHOWN = 300
"""Longest shown text of a value or a line."""
_BUILTIN_TYPES = frozenset(kind for kind in vars(builtins).values() if isinstance(kind, type))
_TOO_LARGE = "sent more than there is memory for"
_HAS_CHECKS = re.compile(r"\bassert|\braise\b")


class CandidateGoneError(BaseException):
    """The candidate exited or broke the protocol. No test should catch this."""


class RemoteError(Exception):
    """The candidate raised an exception that is not builtin."""


class OpaqueError(TypeError):
    """A test would have to trust the candidate's own comparison of one of its objects."""


class _NoTestError(Exception):
    """The test contains no checks or does not compile."""


class CandidateConnection:
    """The connection to the candidate."""

    def __init__(self, line: socket.socket) -> None:
        self.line = line
        self.calls = 0
        self.fault = ""
        self.last: object = None
        self.raised: BaseException | None = None

    def request(self, *parts: object) -> Any:  # noqa: ANN401 - plain data or a Remote
        """Send a request to the candidate and return its reply."""
        self.calls += 1
        frame = encode(list(parts), _refer)
        try:
            self.line.sendall(FRAME.pack(len(frame)) + frame)
        except OSError:
            raise self._broken("ended before it answered") from None
        return self.receive_reply()

    def receive_reply(self) -> Any:  # noqa: ANN401 - plain data or a Remote
        """Receive one reply; an exception of the candidate is raised here."""
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
        raise NotPlainError("not encoded data: malformed reference")

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
    """A reference to an object in the candidate's process."""

    _connection: CandidateConnection
    _number: int
    _name: str

    def __init__(self, candidate: CandidateConnection, number: int, name: str) -> None:
        self.__dict__.update(_connection=candidate, _number=number, _name=name)

    def __call__(self, *args: object, **named: object) -> object:
        """Call it there."""
        return self._connection.request("call", self, list(args), named)

    def __getattr__(self, name: str) -> object:
        """Read an attribute there."""
        return self._connection.request("attribute", self, name)

    def __setattr__(self, name: str, value: object) -> None:
        """Set an attribute there; some tests link nodes of a tree this way."""
        self._connection.request("assign", self, name, value)

    def __len__(self) -> int:
        """Get its length."""
        return int(self._connection.request("length", self))

    def __getitem__(self, key: object) -> object:
        """Get an item."""
        return self._connection.request("item", self, key)

    def __iter__(self) -> "Remote":
        """Get an iterator."""
        found = self._connection.request("iterate", self)
        if not isinstance(found, Remote):
            self._refuse()
        return found

    def __next__(self) -> object:
        """Get the next item."""
        return self._connection.request("next", self)

    def __repr__(self) -> str:
        """Name its type."""
        return f"<{self._name} of the candidate>"

    def _refuse(self, *_: object) -> NoReturn:
        raise OpaqueError(f"a {self._name} cannot be compared outside the candidate's process")

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __bool__ = __hash__ = _refuse


def run(source: bytes, names: list[str], check: str | None, line: socket.socket) -> bytes:
    """Run a test against the connected candidate; return the finding as JSON."""
    candidate = CandidateConnection(line)
    try:
        candidate.receive_reply()
        code = _compile_test(source)
        _run(code, names, check, candidate)
    except _NoTestError as error:
        return _finding("no_tests", detail=str(error))
    except BaseException as error:  # noqa: BLE001 - candidate and test may raise anything
        return _exception_finding(error, candidate, source)
    if candidate.fault:
        return _fault_finding(candidate.fault)
    if not candidate.calls:
        return _finding("no_tests", detail="the test never called the candidate")
    return _finding("passed")


def _compile_test(source: bytes) -> types.CodeType:
    try:
        code = compile(source, "test.py", "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        raise _NoTestError(f"the test does not compile: {error}") from error
    if not _HAS_CHECKS.search(source.decode("utf-8", "replace")):
        raise _NoTestError("the test asserts nothing")
    return code


def _run(
    code: types.CodeType, names: list[str], check: str | None, candidate: CandidateConnection
) -> None:
    module = types.ModuleType("test")
    sys.modules["test"] = module
    space = module.__dict__
    for name in names:
        space[name] = _stand_in(name, candidate)
    first = space[names[0]] if names else None
    exec(code, space)  # noqa: S102 - the test, in its own process
    if check is not None:
        space[check](first)


def _stand_in(name: str, candidate: CandidateConnection) -> types.FunctionType:
    def stand_in(*args: object, **named: object) -> object:
        return candidate.request("global", name, list(args), named)

    stand_in.__name__ = stand_in.__qualname__ = name
    return stand_in  # type: ignore[return-value]


def _refer(value: object) -> list[Any]:
    if isinstance(value, Remote):
        return [value._number]  # noqa: SLF001 - its own module
    if isinstance(value, type) and value in _BUILTIN_TYPES:
        return [value.__name__]
    raise NotPlainError(f"a {type(value).__name__} cannot be passed to the candidate")


def _exception_finding(
    error: BaseException, candidate: CandidateConnection, source: bytes
) -> bytes:
    """Build the finding for an exception that left the test."""
    if candidate.fault:
        return _fault_finding(candidate.fault)
    number, text = _place(error, source)
    message = error_text(error, MAX_SHOWN)
    if error is candidate.raised:
        kind = "memory" if isinstance(error, MemoryError) else "error"
        return _finding(kind, number, text, detail=f"the candidate raised {message}")
    if isinstance(error, AssertionError | OpaqueError):
        return _finding("failed", number, text, got=_shown(candidate.last), detail=message)
    return _finding("error", number, text, got=_shown(candidate.last), detail=message)


def _fault_finding(fault: str) -> bytes:
    kind = {"forged": "forged", _TOO_LARGE: "memory"}.get(fault, "error")
    return _finding(kind, detail=f"the candidate {fault}")


def _place(error: BaseException, source: bytes) -> tuple[int | None, str]:
    """Find the failed assertion: its number among all lines with `assert`, and its text."""
    trace, line = error.__traceback__, 0
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "test.py":
            line = trace.tb_lineno
        trace = trace.tb_next
    lines = source.decode("utf-8", "replace").splitlines()
    if not 0 < line <= len(lines):
        return None, ""
    before = [text for text in lines[:line] if "assert" in text]
    return len(before) - 1, lines[line - 1].strip()[:MAX_SHOWN]


def _shown(value: object) -> str:
    return safe_repr(value, MAX_SHOWN, _name_of)


def _name_of(value: object) -> str:
    """Name a value that is not plain data: only a Remote can reach the test."""
    return repr(value) if type(value) is Remote else f"<{type(value).__name__}>"


def _finding(
    kind: str, check: int | None = None, expected: str = "", *, got: str = "", detail: str = ""
) -> bytes:
    words = {"kind": kind, "check": check, "expected": expected, "got": got, "detail": detail}
    return json.dumps(words).encode("ascii")

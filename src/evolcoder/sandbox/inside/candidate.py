"""Runs in the candidate's process: loads its source, then runs it, answers calls or serves a test.

Nothing here is trusted once the source has started: the candidate may have replaced any of it. Its
output is decoded strictly on the other side. Standard library only.
"""

import atexit
import builtins
import itertools
import os
import socket
import struct
import sys
import threading
import traceback
import types
from collections.abc import Iterator
from typing import Any

from evolcoder.safe_codec import SIZE, NotPlainError, decode, decode_trusted, encode

FRAME = struct.Struct(">I")
MESSAGE_CHARS = 500


def compile_source(source: bytes) -> types.CodeType | None:
    """Compile the source; on failure, write the error to standard error and return None."""
    try:
        return compile(source.decode("utf-8"), "program.py", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
        line = "".join(traceback.format_exception_only(error))
        os.write(2, line.encode("utf-8", "replace"))
        return None


def run_main(code: types.CodeType) -> int:
    """Run as a main program, finish as the interpreter does, and return the exit code."""
    sys.argv = ["program.py"]
    sys.path.insert(0, "")
    exit_code = _execute(code, _module("__main__"))
    threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001 - as at an exit
    atexit._run_exitfuncs()  # noqa: SLF001 - as at an exit
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            exit_code = exit_code or 120
    return exit_code


def answer_calls(code: types.CodeType, name: str, calls: bytes, answers: int) -> int:
    """Call one function with each list of arguments; write one line per answer."""
    space = _module("candidate")
    _discard_output()
    try:
        exec(code, space)  # noqa: S102 - the candidate, in its own process
        function = space[name]
    except BaseException as error:  # noqa: BLE001 - a candidate may raise anything
        _write_all(answers, encode(["raise", *_describe(error)]) + b"\n")
        return 1
    for arguments in calls_of(calls):
        _write_all(answers, answer(function, arguments) + b"\n")
    return 0


def serve(code: types.CodeType, link: socket.socket) -> int:
    """Serve the test's requests until it disconnects."""
    _discard_output()
    try:
        space = _module("candidate")
        exec(code, space)  # noqa: S102 - the candidate, in its own process
    except BaseException as error:  # noqa: BLE001 - a candidate may raise anything
        _send(link, encode(["raise", *_describe(error)]))
        return 1
    _send(link, encode(["value", None]))
    objects = _ObjectTable()
    while (request := receive(link)) is not None:
        _send(link, _reply(request, space, objects))
    return 0


def _discard_output() -> None:
    """Discard standard output: a program that is called is judged by its answers."""
    try:
        null = os.open(os.devnull, os.O_WRONLY)
    except OSError:
        return  # the limit on output then applies
    os.dup2(null, 1)
    os.close(null)


def receive(link: socket.socket) -> bytes | None:
    """Receive one frame; None if the other side has disconnected."""
    head = _receive_exactly(link, FRAME.size)
    return _receive_exactly(link, FRAME.unpack(head)[0]) if head is not None else None


class _ObjectTable:
    """Objects that the test can refer to but not see."""

    def __init__(self) -> None:
        self.values: dict[int, object] = {}
        self._numbers = itertools.count()

    def refer(self, value: object) -> list[Any]:
        """Keep a value and return its reference."""
        number = next(self._numbers)
        self.values[number] = value
        return [number, type(value).__name__]

    def resolve(self, rest: list[Any]) -> object:
        """Return the value of a reference, or a builtin type by its name."""
        return getattr(builtins, rest[0]) if isinstance(rest[0], str) else self.values[rest[0]]


def _reply(request: bytes, space: dict[str, Any], objects: _ObjectTable) -> bytes:
    try:
        action, target, *operands = decode(request, objects.resolve)
        target = space[target] if action == "global" else target
        return encode(["value", _ACTIONS[action](target, *operands)], objects.refer)
    except BaseException as error:  # noqa: BLE001 - a candidate may raise anything
        return encode(["raise", *_describe(error)])


def _call(target: Any, args: list[Any], named: dict[str, Any]) -> object:  # noqa: ANN401
    return target(*args, **named)


_ACTIONS: dict[str, Any] = {
    "global": _call,
    "call": _call,
    "attribute": getattr,
    "assign": setattr,
    "length": len,
    "item": lambda target, key: target[key],
    "iterate": iter,
    "next": next,
}


def _execute(code: types.CodeType, space: dict[str, Any]) -> int:
    try:
        exec(code, space)  # noqa: S102 - the candidate, in its own process
    except SystemExit as exit_:
        if exit_.code is None or isinstance(exit_.code, int):
            return (exit_.code or 0) & 0xFF
        os.write(2, f"{exit_.code}\n".encode("utf-8", "replace"))
        return 1
    except BaseException as error:  # noqa: BLE001 - a candidate may raise anything
        error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next
        sys.excepthook(type(error), error, error.__traceback__)
        return 1
    return 0


def _module(name: str) -> dict[str, Any]:
    module = types.ModuleType(name)
    module.__dict__["__builtins__"] = builtins
    sys.modules[name] = module
    return module.__dict__


def calls_of(calls: bytes) -> Iterator[list[Any]]:
    """Decode arguments call by call, so that only one call's are in memory."""
    place, view = 0, memoryview(calls)
    while place < len(view):
        begin = place + SIZE.size
        place = begin + SIZE.unpack_from(view, place)[0]
        yield decode_trusted(view[begin:place])


def answer(function: Any, args: list[Any]) -> bytes:  # noqa: ANN401 - the candidate's
    """Call a function and encode its return value or exception."""
    try:
        return encode(["value", function(*args)])
    except NotPlainError as error:
        return encode(["odd", str(error)])
    except BaseException as error:  # noqa: BLE001 - a candidate may raise anything
        return encode(["raise", *_describe(error)])


def _describe(error: BaseException) -> tuple[str, str]:
    try:
        message = str(error)[:MESSAGE_CHARS]
    except BaseException:  # noqa: BLE001 - a candidate's exception may do anything
        message = ""
    return type(error).__name__, message


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def _send(link: socket.socket, frame: bytes) -> None:
    link.sendall(FRAME.pack(len(frame)) + frame)


def _receive_exactly(link: socket.socket, size: int) -> bytes | None:
    pieces = b"".join(_pieces(link, size))
    return pieces if len(pieces) == size else None


def _pieces(link: socket.socket, size: int) -> Iterator[bytes]:
    while size and (piece := link.recv(min(size, 1 << 20))):
        size -= len(piece)
        yield piece

"""Runs a harness in a process that the candidate's snippet never enters.

Promises: `exec` in the harness happens in the candidate's process, and what comes back is plain
data of exact library types, or a `Remote`: something that stays there, answers questions with plain
data, and is equal to nothing. Pictures that the harness draws for itself are taken off the disk
before the snippet runs, and are back only for the harness.
"""

import contextlib
import importlib
import io
import os
import pickle
import random
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from evolcoder.grading.ds1000.arrays import objects
from evolcoder.grading.ds1000.codec import dumps, loads
from evolcoder.safe_codec import NotPlainError
from evolcoder.safe_repr import error_text, safe_repr

SHOWN = 120
"""Longest text that is shown of a value."""
_PICTURES = (".png", ".jpg", ".jpeg", ".svg", ".pdf")
_DRAWING = ("matplotlib.pyplot", "matplotlib.pylab", "pylab")
"""Modules that know a current figure."""
_PICTURE_BYTES = 64 << 20
_TYPED = frozenset("matplotlib mpl_toolkits seaborn sklearn scipy torch tensorflow keras".split())
"""Libraries whose classes a `Remote` may claim to be of."""
_CALLED = "generate_test_case"

Ask = Callable[..., bytes]


class ForgedError(BaseException):
    """What came back is no value. A harness that catches this does not pass all the same."""


class RemoteValue:
    """Something that only the candidate's process has."""

    def __init__(self, court: "HarnessRunner", number: int, kind: tuple[str, str]) -> None:
        self._court = court
        self._number = number
        self._kind = kind

    @property  # type: ignore[misc]
    def __class__(self) -> Any:  # noqa: ANN401 - what isinstance asks for
        """Return the library class that it claims, if that is loaded here."""
        return _class_named(*self._kind) or RemoteValue

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        """Read an attribute there."""
        if name.startswith("__"):
            raise AttributeError(name)
        return self._court.look("attribute", self, name)

    def __call__(self, *args: Any, **named: Any) -> Any:  # noqa: ANN401
        """Call it there."""
        return self._court.look("call", self, list(args), named)

    def __len__(self) -> int:
        """Ask for its length."""
        return int(self._court.look("length", self))

    def __getitem__(self, key: Any) -> Any:  # noqa: ANN401
        """Ask for an item."""
        return self._court.look("item", self, key)

    def __contains__(self, item: Any) -> bool:  # noqa: ANN401
        """Look through its items: asked, an object could say yes to everything."""
        return any(item == member for member in self)

    def __iter__(self) -> Any:  # noqa: ANN401
        """Ask for an iterator."""
        found = self._court.look("iterate", self)
        return found if type(found) is RemoteValue else iter(found)

    def __next__(self) -> Any:  # noqa: ANN401
        """Ask for the next item."""
        return self._court.look("next", self)

    def __int__(self) -> int:
        """Ask for its value as an integer."""
        return int(self._court.look("int", self))

    def __float__(self) -> float:
        """Ask for its value as a float."""
        return float(self._court.look("float", self))

    def __repr__(self) -> str:
        """Name its type."""
        return f"<{self._kind[1]} of the candidate>"

    def _refuse(self, *_: object) -> NoReturn:
        raise TypeError(f"{self!r} cannot be compared outside of its process")

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __bool__ = _refuse
    __hash__ = object.__hash__


class HarnessRunner:
    """The harness's names and the line to the candidate."""

    def __init__(self, run: Ask, look: Ask) -> None:
        self._run = run
        self._look = look
        self._pictures: dict[str, bytes] = {}
        self._own: dict[str, Any] = {}
        self.space: dict[str, Any] = {"__name__": "harness"}
        self.case = 0
        self.told: tuple[Any, Any] | None = None
        self._forged = ""
        self._expected: Any = None

    def judge(self, harness: str, calls: list[str], solution: str) -> None:
        """Load the harness and call its tests; they raise when the solution fails."""
        self.space |= {"exec": self.execute, "type": type_of}
        exec(compile(harness, "harness.py", "exec"), self.space)  # noqa: S102 - the harness
        generate = self.space.get(_CALLED)
        if generate is not None:
            self.space[_CALLED] = self._closed(generate)
        for name in calls:
            self.told = None
            try:
                self.space[name](solution)
            except AssertionError as error:
                raise AssertionError(self._say(name, error)) from None
            if self._forged:
                raise ForgedError(self._forged)

    def execute(self, code: str, names: dict[str, Any]) -> None:
        """Have the candidate's process run a snippet; put what came of it into the names."""
        given = {"names": names, "random": random.getstate(), "numpy": None, "torch": None}
        if "numpy" in sys.modules:
            given["numpy"] = sys.modules["numpy"].random.get_state()
        if "torch" in sys.modules:
            given["torch"] = sys.modules["torch"].get_rng_state()
        found = self._read(self._run(code, _pickled(given)))
        if type(found) is not list or len(found) > 1:
            raise ForgedError("no result")
        if found:
            names["result"] = found[0]
            self.told = (found[0], self._expected)
        self._show()

    def look(self, action: str, *operands: Any) -> Any:  # noqa: ANN401
        """Ask the candidate's process something about what it holds."""
        return self._read(self._look(action, dumps(list(operands), _refer)))

    def _read(self, data: Any) -> Any:  # noqa: ANN401
        try:
            if type(data) is bytes:
                return loads(data, self._resolve)
            self._forged = "no data"
        except NotPlainError as error:
            self._forged = str(error)
        raise ForgedError(self._forged)

    def _resolve(self, rest: tuple[Any, ...]) -> RemoteValue:
        match rest:
            case (int(number), str(module), str(name)):
                return RemoteValue(self, number, (module, name))
        raise NotPlainError("a strange reference")

    def _closed(self, generate: Callable[..., Any]) -> Callable[..., Any]:
        """Let the harness make a case with its own library, and take its pictures away."""

        def closed(*args: Any) -> Any:  # noqa: ANN401
            self.case += 1
            self.space |= self._own
            made = generate(*args)
            with contextlib.suppress(TypeError, IndexError):
                self._expected = made[1]
            for path in Path.cwd().iterdir():
                if path.suffix in _PICTURES:
                    self._pictures[path.name] = path.read_bytes()
                    path.unlink()
            return made

        return closed

    def _show(self) -> None:
        """Let the names of pyplot and of pictures stand for what the candidate drew."""
        for name, value in list(self.space.items()):
            module = getattr(value, "__name__", "")
            if module in _DRAWING:
                self._own[name] = value
                self.space[name] = self.look("module", module)
            if module == "PIL.Image":
                self._own[name] = value
                self.space[name] = _Pictures(value, self._pictures)

    def _say(self, name: str, error: AssertionError) -> str:
        if self.told is None:
            return f"{name}: {error_text(error)}"
        got, expected = map(_shown, self.told)
        return f"{name}, case {self.case}: got {got}, expected {expected}"


class _Pictures:
    """PIL.Image with the harness's pictures in memory and the candidate's on the disk."""

    def __init__(self, library: Any, held: dict[str, bytes]) -> None:  # noqa: ANN401 - a module
        self._library = library
        self._held = held

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._library, name)

    def open(self, name: str) -> Any:  # noqa: ANN401 - an image
        """Open a picture; the candidate's must be a plain file."""
        data = self._held[name] if name in self._held else _plain_file(name)
        return self._library.open(io.BytesIO(data), formats=("PNG", "JPEG"))


class _Pickler(pickle.Pickler):
    """Pickles for a process that gets the same values as if it had made them itself."""

    def reducer_override(self, value: Any) -> Any:  # noqa: ANN401
        """Have arrays of objects made anew."""
        numpy = sys.modules.get("numpy")
        if numpy is not None and type(value) is numpy.ndarray and value.dtype == object:
            return objects, (value.shape, value.ravel().tolist())
        return NotImplemented


def _pickled(value: object) -> bytes:
    file = io.BytesIO()
    _Pickler(file).dump(value)
    return file.getvalue()


def type_of(value: Any, *more: Any) -> Any:  # noqa: ANN401 - as the builtin
    """Return what `type` does, but of a Remote the class that it claims."""
    return value.__class__ if not more and type(value) is RemoteValue else type(value, *more)


def _refer(value: Any) -> tuple[Any, ...]:  # noqa: ANN401
    if type(value) is RemoteValue:
        return ("ref", value._number)  # noqa: SLF001 - its own module
    raise NotPlainError(f"a {type(value).__name__} cannot be passed to the candidate")


def _class_named(module: str, name: str) -> Any:  # noqa: ANN401
    """Find a class of a known library that the harness itself has loaded."""
    if module.partition(".")[0] not in _TYPED or module not in sys.modules:
        return None
    found = vars(sys.modules[module]).get(name)
    return found if isinstance(found, type) else None


def _plain_file(name: str) -> bytes:
    opened = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(opened, "rb") as file:
        about = os.fstat(opened)
        if not stat.S_ISREG(about.st_mode) or about.st_size > _PICTURE_BYTES:
            raise ForgedError(f"{name} is no picture")
        return file.read(_PICTURE_BYTES)


def _shown(value: Any) -> str:  # noqa: ANN401
    return safe_repr(value, SHOWN, _library_repr)


def _library_repr(value: object) -> str:
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001 - a library's repr of data that was made up
        return f"<{error_text(error)} in a {type(value).__name__}>"


def main(harness: str, calls: list[str], solution: str, run: Ask, look: Ask) -> None:
    """Judge one solution."""
    with contextlib.suppress(ImportError):
        importlib.import_module("numpy")
    HarnessRunner(run, look).judge(harness, calls, solution)

"""Runs a harness in a separate process from the candidate's snippet.

Guarantees: the harness's `exec` runs in the candidate's process. It returns plain data of exact
library types, or a `RemoteValue`: a proxy for an object of that process, which answers queries with
plain data and is equal to nothing. Images that the harness draws as expected values are removed
from the disk before the snippet runs, and only the harness can open them afterwards.
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

from evolcoder.grading.ds1000.codec import dumps, loads, objects
from evolcoder.safe_codec import NotPlainError
from evolcoder.safe_repr import error_text, safe_repr

SHOWN = 120
"""Maximum characters of a value in a message."""
_IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".svg", ".pdf")
_PLOTTING_MODULES = ("matplotlib.pyplot", "matplotlib.pylab", "pylab")
"""Modules with a current figure."""
_MAX_IMAGE_BYTES = 64 << 20
_PROXIED_LIBRARIES = frozenset(
    "matplotlib mpl_toolkits seaborn sklearn scipy torch tensorflow keras".split()
)
"""Libraries whose classes a `RemoteValue` may claim in `isinstance`."""
_GENERATOR = "generate_test_case"
"""The harness's function that creates a test case with its expected value."""

Ask = Callable[..., bytes]


class ForgedError(BaseException):
    """The candidate's process sent invalid data.

    A BaseException, and checked again after each test, so that a harness that catches it does not
    pass.
    """


class RemoteValue:
    """A proxy for an object of the candidate's process."""

    def __init__(self, runner: "HarnessRunner", number: int, kind: tuple[str, str]) -> None:
        self._runner = runner
        self._number = number
        self._kind = kind

    @property  # type: ignore[misc]
    def __class__(self) -> Any:  # noqa: ANN401 - used by isinstance
        """Return the library class that it claims, if that class is loaded in this process."""
        return _class_named(*self._kind) or RemoteValue

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        """Get an attribute of the remote object."""
        if name.startswith("__"):
            raise AttributeError(name)
        return self._runner.query("attribute", self, name)

    def __call__(self, *args: Any, **named: Any) -> Any:  # noqa: ANN401
        """Call the remote object."""
        return self._runner.query("call", self, list(args), named)

    def __len__(self) -> int:
        """Return the remote object's length."""
        return int(self._runner.query("length", self))

    def __getitem__(self, key: Any) -> Any:  # noqa: ANN401
        """Get an item of the remote object."""
        return self._runner.query("item", self, key)

    def __contains__(self, item: Any) -> bool:  # noqa: ANN401
        """Compare its items here, since the remote object could return True for anything."""
        return any(item == member for member in self)

    def __iter__(self) -> Any:  # noqa: ANN401
        """Return an iterator of the remote object."""
        found = self._runner.query("iterate", self)
        return found if type(found) is RemoteValue else iter(found)

    def __next__(self) -> Any:  # noqa: ANN401
        """Return the remote iterator's next item."""
        return self._runner.query("next", self)

    def __int__(self) -> int:
        """Return its value as an integer."""
        return int(self._runner.query("int", self))

    def __float__(self) -> float:
        """Return its value as a float."""
        return float(self._runner.query("float", self))

    def __repr__(self) -> str:
        """Show only the type."""
        return f"<{self._kind[1]} of the candidate>"

    def _refuse(self, *_: object) -> NoReturn:
        raise TypeError(f"{self!r} cannot be compared outside of its process")

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __bool__ = _refuse
    __hash__ = object.__hash__


class HarnessRunner:
    """Runs a harness's tests, and forwards snippets and queries to the candidate's process."""

    def __init__(self, run: Ask, query: Ask) -> None:
        self._run = run
        self._query = query
        self._images: dict[str, bytes] = {}
        self._original_modules: dict[str, Any] = {}
        self.globals: dict[str, Any] = {"__name__": "harness"}
        self.case = 0
        self.got_and_expected: tuple[Any, Any] | None = None
        self._forged = ""
        self._expected: Any = None

    def judge(self, harness: str, calls: list[str], solution: str) -> None:
        """Load the harness and call its tests; they raise if the solution fails."""
        self.globals |= {"exec": self.execute, "type": type_of}
        exec(compile(harness, "harness.py", "exec"), self.globals)  # noqa: S102 - the harness
        generate = self.globals.get(_GENERATOR)
        if generate is not None:
            self.globals[_GENERATOR] = self._with_hidden_images(generate)
        for name in calls:
            self.got_and_expected = None
            try:
                self.globals[name](solution)
            except AssertionError as error:
                raise AssertionError(self._failure_message(name, error)) from None
            if self._forged:
                raise ForgedError(self._forged)

    def execute(self, code: str, names: dict[str, Any]) -> None:
        """Run a snippet in the candidate's process; store its result in `names`."""
        state = {"names": names, "random": random.getstate(), "numpy": None, "torch": None}
        if "numpy" in sys.modules:
            state["numpy"] = sys.modules["numpy"].random.get_state()
        if "torch" in sys.modules:
            state["torch"] = sys.modules["torch"].get_rng_state()
        found = self._decode(self._run(code, _pickled(state)))
        if type(found) is not list or len(found) > 1:
            raise ForgedError("invalid result")
        if found:
            names["result"] = found[0]
            self.got_and_expected = (found[0], self._expected)
        self._redirect_modules()

    def query(self, action: str, *operands: Any) -> Any:  # noqa: ANN401
        """Apply an operation to objects of the candidate's process."""
        return self._decode(self._query(action, dumps(list(operands), _refer)))

    def _decode(self, data: Any) -> Any:  # noqa: ANN401
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
        raise NotPlainError("an invalid reference")

    def _with_hidden_images(self, generate: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap the harness's case generator: use local modules, and move its images to memory."""

        def wrapped(*args: Any) -> Any:  # noqa: ANN401
            self.case += 1
            self.globals |= self._original_modules
            case = generate(*args)
            with contextlib.suppress(TypeError, IndexError):
                self._expected = case[1]
            for path in Path.cwd().iterdir():
                if path.suffix in _IMAGE_SUFFIXES:
                    self._images[path.name] = path.read_bytes()
                    path.unlink()
            return case

        return wrapped

    def _redirect_modules(self) -> None:
        """Redirect the harness's plotting modules to the candidate's process, and PIL's `open`."""
        for name, value in list(self.globals.items()):
            module = getattr(value, "__name__", "")
            if module in _PLOTTING_MODULES:
                self._original_modules[name] = value
                self.globals[name] = self.query("module", module)
            if module == "PIL.Image":
                self._original_modules[name] = value
                self.globals[name] = _ImageModule(value, self._images)

    def _failure_message(self, name: str, error: AssertionError) -> str:
        if self.got_and_expected is None:
            return f"{name}: {error_text(error)}"
        got, expected = map(_shown, self.got_and_expected)
        return f"{name}, case {self.case}: got {got}, expected {expected}"


class _ImageModule:
    """PIL.Image with an `open` that finds the harness's images in memory."""

    def __init__(self, library: Any, images: dict[str, bytes]) -> None:  # noqa: ANN401 - a module
        self._library = library
        self._images = images

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._library, name)

    def open(self, name: str) -> Any:  # noqa: ANN401 - an image
        """Open an image; the candidate's must be a regular file."""
        data = self._images[name] if name in self._images else _regular_file(name)
        return self._library.open(io.BytesIO(data), formats=("PNG", "JPEG"))


class _Pickler(pickle.Pickler):
    """Pickles values so that they behave in the other process as if created there."""

    def reducer_override(self, value: Any) -> Any:  # noqa: ANN401
        """Rebuild arrays of objects with `objects`, which says why."""
        numpy = sys.modules.get("numpy")
        if numpy is not None and type(value) is numpy.ndarray and value.dtype == object:
            return objects, (value.shape, value.ravel().tolist())
        return NotImplemented


def _pickled(value: object) -> bytes:
    file = io.BytesIO()
    _Pickler(file).dump(value)
    return file.getvalue()


def type_of(value: Any, *more: Any) -> Any:  # noqa: ANN401 - as the builtin
    """Return what `type` does, but for a `RemoteValue` the class that it claims."""
    return value.__class__ if not more and type(value) is RemoteValue else type(value, *more)


def _refer(value: Any) -> tuple[Any, ...]:  # noqa: ANN401
    if type(value) is RemoteValue:
        return ("ref", value._number)  # noqa: SLF001 - its own module
    raise NotPlainError(f"a {type(value).__name__} cannot be passed to the candidate")


def _class_named(module: str, name: str) -> Any:  # noqa: ANN401
    """Find a class of a known library that is loaded in this process."""
    if module.partition(".")[0] not in _PROXIED_LIBRARIES or module not in sys.modules:
        return None
    found = vars(sys.modules[module]).get(name)
    return found if isinstance(found, type) else None


def _regular_file(name: str) -> bytes:
    opened = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(opened, "rb") as file:
        status = os.fstat(opened)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MAX_IMAGE_BYTES:
            raise ForgedError(f"{name} is not an image")
        return file.read(_MAX_IMAGE_BYTES)


def _shown(value: Any) -> str:  # noqa: ANN401
    return safe_repr(value, SHOWN, _library_repr)


def _library_repr(value: object) -> str:
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001 - a library's repr of forged data
        return f"<{error_text(error)} in a {type(value).__name__}>"


def main(harness: str, calls: list[str], solution: str, run: Ask, query: Ask) -> None:
    """Judge one solution; `run` and `query` call the candidate's process."""
    with contextlib.suppress(ImportError):
        importlib.import_module("numpy")
    HarnessRunner(run, query).judge(harness, calls, solution)

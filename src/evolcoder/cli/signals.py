"""SIGINT and SIGTERM, from the first line of a command to its last.

Promises: a signal ends a command with exit code 130 and one line. Before there is anything to undo
it does so at once; later the first one has what is being done finished in order (databases are
committed, workers and servers end), and a second one ends at once whatever takes too long. Signals
that whoever started us ignores, as `nohup` does, stay ignored. Loads next to nothing, since what
comes before `Signals` is entered is not covered.

>>> with Signals(is_process=False) as signals:
...     signals.begin()
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # typing and signal's enumerations take longer to load than all of this
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
    from types import FrameType, TracebackType
    from typing import Any
else:
    import _signal as signal

CODE = 130
"""Exit code of a command that was interrupted."""
RESUMED = "interrupted; the same command goes on from here"
AGAIN = "interrupted; give the same command again"
"""What is said of commands that go on, and of those that begin anew."""
TOLD = (signal.SIGINT, signal.SIGTERM)
LATE_S = 1.0
"""How long an event loop may leave the first signal unheard before it is interrupted itself."""
AGAIN_S = 0.01
"""When a KeyboardInterrupt that was lost, in a destructor, is raised again."""
_SHOW_CURSOR = b"\x1b[?25h\n"


class Signals:
    """What a signal does at present; there is one at a time, in the main thread."""

    current: Signals | None = None
    """The one that is entered."""

    def __init__(self, *, is_process: bool) -> None:
        """`is_process` says that the process is this command alone, and ends with it."""
        self.n_heard = 0
        self.line = AGAIN
        self._is_process = is_process
        self._pid = os.getpid()
        self._begun = not is_process
        self._ended: int | None = None
        self._stop: Callable[[], object] | None = None
        self._is_late = False
        self._before: dict[int, Any] = {}
        self._hook: Callable[[sys.UnraisableHookArgs], object] | None = None

    def __enter__(self) -> Signals:  # noqa: PYI034 - Self is typing's
        Signals.current = self
        for number in TOLD:
            if callable(handler := signal.getsignal(number)) or handler == signal.SIG_DFL:
                self._take(number, self._hear)
        self._take(signal.SIGALRM, self._interrupt_late)
        self._hook, sys.unraisablehook = sys.unraisablehook, self._not_raised
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._is_process:
            # The interpreter has threads to join and modules to take down; what was to be kept is.
            self._ended = _code_of(error)
            return
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self._hook is not None:
            sys.unraisablehook = self._hook
        Signals.current = None

    def begin(self, line: str = RESUMED) -> None:
        """Note that from here on there is something to end in order, and what to say of it."""
        self._begun = True
        self.line = line

    def finish(self, code: int) -> int:
        """Note the exit code that is left to be handed to the system."""
        if self._is_process:
            self._ended = code
        return code

    def stop_by(self, stop: Callable[[], object] | None) -> None:
        """Have the first signal call `stop`, which may take a moment; None: it interrupts."""
        self._stop = stop
        self._is_late = False
        signal.setitimer(signal.ITIMER_REAL, 0)

    def heeded(self) -> bool:
        """Note that what `stop` asked for is under way; False where it was not waited for."""
        was_awaited, self._is_late = self._is_late, False
        signal.setitimer(signal.ITIMER_REAL, 0)
        return was_awaited

    def _take(self, number: int, handler: Callable[[int, FrameType | None], None]) -> None:
        try:
            self._before[number] = signal.signal(number, handler)
        except ValueError:  # not the main thread: whoever has that hears
            return

    def _hear(self, number: int, _: FrameType | None) -> None:
        if os.getpid() != self._pid:  # a fork of ours, which is for others to end
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        self.n_heard += 1
        if self._is_process and (self._ended is not None or self.n_heard > 1 or not self._begun):
            self._end_at_once()
        if self._stop is None or self.n_heard > 1:
            raise KeyboardInterrupt
        self._is_late = True
        signal.setitimer(signal.ITIMER_REAL, LATE_S)
        self._stop()

    def _interrupt_late(self, *_: object) -> None:
        """Interrupt what does not come round to look whether it is to stop."""
        if self._is_late:
            self._is_late = False
            raise KeyboardInterrupt

    def _not_raised(self, unraisable: sys.UnraisableHookArgs) -> None:
        """Raise an interrupt once more that came where nothing can be raised; hide what follows."""
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            self._is_late = True
            signal.setitimer(signal.ITIMER_REAL, AGAIN_S)
        elif not self.n_heard and self._hook is not None:
            self._hook(unraisable)

    def _end_at_once(self) -> None:
        """End the process, and with it what it started: workers and servers end with us anyway."""
        if self._ended is not None:
            os._exit(self._ended)
        cursor = _SHOW_CURSOR if os.isatty(2) else b""
        _try(os.write, 2, cursor + f"evolcoder: {self.line}\n".encode())
        for child in _children():
            _try(os.kill, child, signal.SIGTERM)
        os._exit(CODE)


def heard() -> bool:
    """Tell whether this command was told to end."""
    return Signals.current is not None and Signals.current.n_heard > 0


def _try(call: Callable[..., object], *arguments: object) -> None:
    try:
        call(*arguments)
    except OSError:
        return


def _code_of(error: BaseException | None) -> int:
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    return CODE if isinstance(error, KeyboardInterrupt) else int(error is not None)


def _children() -> list[int]:
    """Return the ids of our own children, where the system tells them."""
    found, us = [], str(os.getpid()).encode()
    try:
        names = os.listdir("/proc")  # noqa: PTH208 - pathlib takes longer to load than all of this
    except OSError:
        return []
    for name in filter(str.isdigit, names):
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                parent = file.read().rpartition(b")")[2].split()[1]
        except OSError:
            continue
        if parent == us:
            found.append(int(name))
    return found

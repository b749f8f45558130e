"""Handles SIGINT and SIGTERM during a whole command.

Guarantees: a signal ends a command with exit code 130 and a one-line message. Before `begin` it
exits at once. After it, the first signal shuts down cleanly (databases are committed, workers and
servers end), and a second one exits at once. Signals that the parent process ignores, as under
`nohup`, stay ignored. Signals before `Signals` is entered are not handled, so this module imports
almost nothing.

>>> with Signals(is_process=False) as signals:
...     signals.begin()
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # typing and the enums of signal load slower than this whole module
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
    from types import FrameType, TracebackType
    from typing import Any
else:
    import _signal as signal

EXIT_INTERRUPTED = 130
"""Exit code of an interrupted command."""
RESUME_MESSAGE = "interrupted; run the same command again to resume"
RESTART_MESSAGE = "interrupted; run the same command again"
"""Messages of commands that resume, and of those that start over."""
HANDLED = (signal.SIGINT, signal.SIGTERM)
CANCEL_GRACE_S = 1.0
"""Time for the event loop to start the cancellation before KeyboardInterrupt is raised in it."""
RERAISE_DELAY_S = 0.01
"""Delay before a KeyboardInterrupt that was lost in a destructor is raised again."""
_SHOW_CURSOR = b"\x1b[?25h\n"


class Signals:
    """Signal handlers of a command, installed in the main thread; one instance at a time."""

    current: Signals | None = None
    """The entered instance."""

    def __init__(self, *, is_process: bool) -> None:
        """`is_process`: the process runs only this command and exits with it."""
        self.n_received = 0
        self.message = RESTART_MESSAGE
        self._is_process = is_process
        self._pid = os.getpid()
        self._has_begun = not is_process
        self._exit_code: int | None = None
        self._cancel: Callable[[], object] | None = None
        self._interrupt_due = False
        self._old_handlers: dict[int, Any] = {}
        self._old_hook: Callable[[sys.UnraisableHookArgs], object] | None = None

    def __enter__(self) -> Signals:  # noqa: PYI034 - Self is typing's
        Signals.current = self
        for number in HANDLED:
            if callable(handler := signal.getsignal(number)) or handler == signal.SIG_DFL:
                self._install(number, self._on_signal)
        self._install(signal.SIGALRM, self._on_alarm)
        self._old_hook, sys.unraisablehook = sys.unraisablehook, self._on_unraisable
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._is_process:
            # Results are stored; during interpreter shutdown a signal exits at once.
            self._exit_code = _code_of(error)
            return
        for number, handler in self._old_handlers.items():
            signal.signal(number, handler)
        if self._old_hook is not None:
            sys.unraisablehook = self._old_hook
        Signals.current = None

    def begin(self, message: str = RESUME_MESSAGE) -> None:
        """Shut down cleanly on signals from here on, and set the message to print."""
        self._has_begun = True
        self.message = message

    def finish(self, code: int) -> int:
        """Return `code`, and use it as the exit code if a signal arrives after this."""
        if self._is_process:
            self._exit_code = code
        return code

    def set_cancel(self, cancel: Callable[[], object] | None) -> None:
        """Call `cancel` on the first signal; None: raise KeyboardInterrupt.

        KeyboardInterrupt is also raised unless `acknowledge` follows within CANCEL_GRACE_S.
        """
        self._cancel = cancel
        self._interrupt_due = False
        signal.setitimer(signal.ITIMER_REAL, 0)

    def acknowledge(self) -> bool:
        """Confirm that cancellation has started; return False if it came too late."""
        was_due, self._interrupt_due = self._interrupt_due, False
        signal.setitimer(signal.ITIMER_REAL, 0)
        return was_due

    def _install(self, number: int, handler: Callable[[int, FrameType | None], None]) -> None:
        try:
            self._old_handlers[number] = signal.signal(number, handler)
        except ValueError:  # only the main thread can install handlers
            return

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if os.getpid() != self._pid:  # a forked child: default behaviour
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        self.n_received += 1
        is_ending = self._exit_code is not None or self.n_received > 1
        if self._is_process and (is_ending or not self._has_begun):
            self._exit_now()
        if self._cancel is None or self.n_received > 1:
            raise KeyboardInterrupt
        self._interrupt_due = True
        signal.setitimer(signal.ITIMER_REAL, CANCEL_GRACE_S)
        self._cancel()

    def _on_alarm(self, *_: object) -> None:
        """Raise KeyboardInterrupt if cancellation has not started in time."""
        if self._interrupt_due:
            self._interrupt_due = False
            raise KeyboardInterrupt

    def _on_unraisable(self, unraisable: sys.UnraisableHookArgs) -> None:
        """Raise a lost KeyboardInterrupt again; after a signal, hide other unraisable errors."""
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            self._interrupt_due = True
            signal.setitimer(signal.ITIMER_REAL, RERAISE_DELAY_S)
        elif not self.n_received and self._old_hook is not None:
            self._old_hook(unraisable)

    def _exit_now(self) -> None:
        """Terminate child processes and exit; workers and servers also end with their parent."""
        if self._exit_code is not None:
            os._exit(self._exit_code)
        cursor = _SHOW_CURSOR if os.isatty(2) else b""
        _ignore_os_error(os.write, 2, cursor + f"evolcoder: {self.message}\n".encode())
        for child in _children():
            _ignore_os_error(os.kill, child, signal.SIGTERM)
        os._exit(EXIT_INTERRUPTED)


def was_interrupted() -> bool:
    """Return whether the current command has received SIGINT or SIGTERM."""
    return Signals.current is not None and Signals.current.n_received > 0


def _ignore_os_error(call: Callable[..., object], *arguments: object) -> None:
    try:
        call(*arguments)
    except OSError:
        return


def _code_of(error: BaseException | None) -> int:
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    return EXIT_INTERRUPTED if isinstance(error, KeyboardInterrupt) else int(error is not None)


def _children() -> list[int]:
    """Return the process ids of direct children; empty without /proc."""
    found, parent_id = [], str(os.getpid()).encode()
    try:
        names = os.listdir("/proc")  # noqa: PTH208 - pathlib loads slower than this whole module
    except OSError:
        return []
    for name in filter(str.isdigit, names):
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                parent = file.read().rpartition(b")")[2].split()[1]
        except OSError:
            continue
        if parent == parent_id:
            found.append(int(name))
    return found

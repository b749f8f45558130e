"""Runs a program in the sandbox on many inputs and observes what it does on each (`observer`).

seen = await observe(sandbox, subject, probes, limits)
seen[0].kind, seen[0].value
"""

from collections.abc import Sequence
from functools import cache
from importlib import resources

from evolcoder.code.callables import CallableSubject
from evolcoder.grading.answers import decode_answer
from evolcoder.grading.calls import run_calls
from evolcoder.sandbox.base import Limits, Sandbox, Status
from evolcoder.verification.agreement.clusters import Observation
from evolcoder.verification.agreement.inputs import Probe

MAX_STUCK = 2
"""Inputs that may end a program's process before it counts as stuck on all further ones."""
MAX_LINE = 1 << 15
"""Longest observation that is decoded here."""
ENDED = {Status.TIMEOUT: "timeout", Status.MEMORY: "memory", Status.OUTPUT: "output"}
"""Kind of an observation by how the process ended; `died` otherwise."""


async def observe(
    sandbox: Sandbox, subject: CallableSubject, shared: Sequence[Probe], limits: Limits
) -> tuple[Observation, ...]:
    """Run a program on all inputs; one that ends its process is tried on the rest again."""
    source = _observer(subject)
    found: list[Observation] = []
    for _ in range(MAX_STUCK):
        todo = [[probe.plain] for probe in shared[len(found) :]]
        if not todo:
            return tuple(found)
        lines, execution = await run_calls(sandbox, source, "observe_candidate", todo, limits)
        found += [_observation(line) for line in lines[: len(todo)]]
        if len(found) < len(shared):
            found.append(Observation(ENDED.get(execution.status, "died")))
    rest = [found[-1]] * (len(shared) - len(found))
    return (*found, *rest)


@cache
def _observer_source() -> str:
    folder = resources.files("evolcoder.verification.agreement")
    return folder.joinpath("observer.py").read_text(encoding="utf-8")


def _observer(subject: CallableSubject) -> str:
    """Return the observer with a program, compiled once."""
    return (
        f"{_observer_source()}\n_SOURCE = {subject.source!r}\n"
        "_CODE = compile(_SOURCE, 'program.py', 'exec')\ndef observe_candidate(probe):\n"
        f"    return observe(_SOURCE, _CODE, {subject.entry_point!r}, probe)\n"
    )


def _observation(line: bytes) -> Observation:
    """Decode an observation; what the observer did not write is `forged`."""
    found = decode_answer(line) if len(line) <= MAX_LINE else None
    match found:
        case ("value", [str(kind), value, changed, str(printed), bool(is_stable)]):
            return Observation(kind, value, changed, printed, is_stable)
        case ("raise", str(message)):
            return Observation("raise", message.partition(":")[0])
    return Observation("forged", is_stable=False)

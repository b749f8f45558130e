"""What `evolcoder doctor` prints for people: at most 100 columns, nothing cut off."""

import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from evolcoder.cli.sysinfo import Machine
from evolcoder.sandbox.selftest import Checkup, Finding, State

if TYPE_CHECKING:
    from evolcoder.cli.doctor import Diagnosis, EngineFinding

WIDTH = 100
NAMES = 12
"""Columns of the names on the left."""
HEAD = f"{'language':<{NAMES}}{'':<16}{'compile':>8}{'run':>8}{'ended':>8}  tools, or what is wrong"


def laid_out(diagnosis: "Diagnosis") -> str:
    """Lay everything out as text."""
    parts = [
        _machine(diagnosis.machine),
        _sandbox(diagnosis.sandbox, diagnosis.machine),
        _languages(diagnosis.sandbox.findings),
    ]
    if diagnosis.engine is not None:
        parts.append(_engine(diagnosis.engine))
    parts.append([f"looked at in {diagnosis.seconds:.0f} s"])
    return "\n\n".join("\n".join(lines) for lines in parts)


def _machine(found: Machine) -> list[str]:
    lines = _line("versions", f"evolcoder {found.evolcoder}, python {found.python}")
    lines += _line("system", found.platform)
    lines += _line("processors", str(found.cpus))
    if found.memory_mb is not None and found.memory_free_mb is not None:
        lines += _line("memory", f"{_gb(found.memory_free_mb)} free of {_gb(found.memory_mb)}")
    for disk in found.disks:
        lines += _line("disk", f"{_gb(disk.free_mb)} free in {disk.folder} ({disk.use})")
    extras = (f"{name} {version or 'not installed'}" for name, version in found.extras.items())
    return lines + _line("extras", ", ".join(extras))


def _sandbox(found: Checkup, there: Machine) -> list[str]:
    state = f"refused: {found.refused}" if found.refused else "works"
    bwrap = f"{there.bubblewrap}, version {there.bubblewrap_version or 'unknown'}"
    lines = _line("sandbox", f"{found.level}: {state}")
    lines += _line("bubblewrap", bwrap if there.bubblewrap else "not here; install bubblewrap")
    if not found.layers:
        return lines
    lines += _line("active", ", ".join(found.layers))
    return lines + _line("missing", ", ".join(found.missing) or "nothing")


def _languages(findings: Sequence[Finding]) -> list[str]:
    lines = [HEAD]
    for finding in findings:
        lines += _language(finding)
    n_working = sum(finding.state is State.WORKS for finding in findings)
    n_incomplete = sum(finding.state is State.INCOMPLETE for finding in findings)
    more = f", {n_incomplete} more but for some tests of benchmarks" if n_incomplete else ""
    return [*lines, f"{n_working} of {len(findings)} languages work{more}"]


def _language(finding: Finding) -> list[str]:
    seconds = "".join(map(_seconds, (finding.compile_s, finding.run_s, finding.ended_s)))
    return _line(
        f"{finding.language:<{NAMES}}{finding.state:<16}{seconds}  ",
        finding.detail or " ".join(finding.tools),
    )


def _engine(found: "EngineFinding") -> list[str]:
    state = f"answered in {found.seconds:.1f} s:" if found.works else "does not answer:"
    return _line("model", found.model) + _line("", f"{state} {found.answer!r}")


def _line(name: str, text: str) -> list[str]:
    """Set a text beside its name, on as many lines as it takes."""
    margin = max(NAMES, len(name))
    wrapped = textwrap.wrap(text, WIDTH - margin, break_on_hyphens=False) or [""]
    return [line.rstrip() for line in _margins(f"{name:<{margin}}", wrapped)]


def _margins(first: str, lines: Sequence[str]) -> Iterator[str]:
    yield first + lines[0]
    for line in lines[1:]:
        yield " " * len(first) + line


def _seconds(seconds: float | None) -> str:
    return f"{'':>8}" if seconds is None else f"{seconds:>6.2f} s"


def _gb(mb: int) -> str:
    return f"{mb / 1024:.1f} GB"

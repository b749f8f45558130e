"""Counts the attacks of `tests/attacks` by level and user: tried, judged and held.

    python benchmarks/attack_table.py --write            # run them all, and write docs/attacks.md
    python benchmarks/attack_table.py --root results.xml # read a run of pytest --junitxml instead

The numbers come from the tests, which run real attacks in the real sandbox. An attack is held if it
gained nothing, and judged if it ended in a verdict and not in a failure of the sandbox. Attacks
that a level cannot stop are listed in `tests/attacks/escapes.py` with the missing layer, and count
as not held. `as a user` runs the tests as an ordinary user, without root.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from attacks.escapes import UNHELD, UNHELD_AS_OUR_USER

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "attacks.md"
_DROP = ("setpriv", "--reuid=1000", "--regid=1000", "--clear-groups")
BEGIN, END = "<!-- attacks: begin -->", "<!-- attacks: end -->"
KINDS = {
    "test_the_sandbox_holds_it": "out of the sandbox, or more than its share",
    "test_a_weaker_level_holds_it_or_says_which_layer_is_missing": (
        "out of the sandbox, or more than its share"
    ),
    "test_a_comparison_outside_is_not_deceived": "a forged verdict, Python, calls compared outside",
    "test_a_test_that_runs_apart_is_not_deceived": "a forged verdict, Python, the test runs apart",
    "test_a_harness_that_runs_apart_is_not_deceived": "a forged verdict, DS-1000's harness",
    "test_calls_are_not_forged": "a forged verdict, other languages, calls compared outside",
    "test_it_deceives_no_comparison_outside": (
        "its own process read or changed, other languages, calls compared outside"
    ),
    "test_the_seal_is_not_forged": "a forged verdict, other languages, sealed test",
    "test_a_crash_is_a_verdict": "a crash or a flood, other languages",
}
"""Tests of attacks -> kind of attack."""
LEVELS = ("strict", "processes")


@dataclass(frozen=True, slots=True)
class Cell:
    """Results of the attacks of one kind at one level."""

    tried: int
    """Attacks that were run."""
    judged: int
    """Those that ended in a verdict."""
    held: int
    """Those that gained nothing."""
    skipped: int
    """Those whose language or level is not available."""

    def __str__(self) -> str:
        if not self.tried:
            return f"none ({self.skipped} skipped)" if self.skipped else ""
        more = f" ({self.skipped} skipped)" if self.skipped else ""
        return f"{self.tried} / {self.judged} / {self.held}{more}"


def main() -> int:
    """Run or read the attacks, and show or write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, help="junit XML of the tests, run as root")
    parser.add_argument("--user", type=Path, help="junit XML of the tests, run as a user")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.relative_to(ROOT)}")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = args.root or _ran(Path(folder, "root.xml"), ())
        user = args.user or _ran(Path(folder, "user.xml"), _as_user(Path(folder)))
        runs = {"as root": _cells(root, {}), "as a user": _cells(user, UNHELD_AS_OUR_USER)}
    text = table(runs)
    print(text)
    if args.write:
        page = PAGE.read_text(encoding="utf-8")
        head, _, rest = page.partition(BEGIN)
        PAGE.write_text(f"{head}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}", encoding="utf-8")
    lost = [cell for cells in runs.values() for cell in cells.values() if cell.judged < cell.tried]
    return 1 if lost else 0


def table(runs: Mapping[str, Mapping[tuple[str, str], Cell]]) -> str:
    """Format tried / judged / held by kind, level and user."""
    columns = [(user, level) for user in runs for level in LEVELS]
    heads = [f"`{level}`, {user}" for user, level in columns]
    lines = [
        f"| tried / judged / held | {' | '.join(heads)} |",
        f"| --- |{' --- |' * len(columns)}",
    ]
    for kind in dict.fromkeys(KINDS.values()):
        cells = [str(runs[user].get((kind, level), "")) for user, level in columns]
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _as_user(folder: Path) -> tuple[str, ...]:
    """Return a command prefix that runs a command as an ordinary user, from root.

    A user namespace will not do: there the user is root to the kernel, and may look at more.
    """
    if os.geteuid() != 0:
        return ()
    readable = subprocess.run([*_DROP, sys.executable, "-c", ""], check=False, capture_output=True)
    if readable.returncode != 0:
        sys.exit(
            f"an ordinary user cannot run {sys.executable}: run `python -m pytest tests/attacks "
            f"--all-levels --junitxml=FILE` as a user, with a Python that everybody can read; "
            f"give --user FILE"
        )
    folder.chmod(0o777)
    return (*_DROP, "env", f"HOME={folder}", f"TMPDIR={folder}")


def _ran(path: Path, before: Sequence[str]) -> Path:
    """Run all attacks and write the results to a path."""
    options = [
        "-q",
        "-p",
        "no:cacheprovider",
        "--all-levels",
        f"--junitxml={path}",
        "tests/attacks",
    ]
    subprocess.run([*before, sys.executable, "-m", "pytest", *options], cwd=ROOT, check=False)
    return path


def _cells(path: Path, more_unheld: Mapping[str, object]) -> dict[tuple[str, str], Cell]:
    """Count the results of a run by kind and level."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for case in _cases(path):
        function, _, given = case.get("name", "").partition("[")
        if function in KINDS:
            level = next((level for level in LEVELS if given.startswith(f"{level}-")), "strict")
            attack = given.removeprefix(f"{level}-").removesuffix("]")
            unheld = {*UNHELD.get(level, {}), *(more_unheld if level == "processes" else ())}
            outcome = _outcome(case)
            if outcome == "held" and attack in unheld:
                outcome = "unheld"
            counts[KINDS[function], level, outcome] += 1
    return {
        (kind, level): _cell(counts, kind, level) for kind, level in {key[:2] for key in counts}
    }


def _cell(counts: Counter[tuple[str, str, str]], kind: str, level: str) -> Cell:
    found = {name: counts[kind, level, name] for name in ("held", "unheld", "failed", "skipped")}
    judged = found["held"] + found["unheld"]
    return Cell(judged + found["failed"], judged, found["held"], found["skipped"])


def _cases(path: Path) -> Iterable[ET.Element]:
    tree = ET.parse(path)  # what pytest wrote
    for case in tree.iter("testcase"):
        if re.search(r"\battacks\b", case.get("classname", "")):
            yield case


def _outcome(case: ET.Element) -> str:
    if case.find("skipped") is not None:
        return "skipped"
    return (
        "failed" if case.find("failure") is not None or case.find("error") is not None else "held"
    )


if __name__ == "__main__":
    sys.exit(main())

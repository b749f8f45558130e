"""What every test may use: a cache folder of its own, no terminal, and a count of missing data."""

import os
import signal
from pathlib import Path

import pytest

from groups import GROUPS, repeats_below_strict

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
NO_DATA = "no shared data beside the checkout"
"""Why a test is skipped whose data is not here; the count at the end looks for it."""


def pytest_addoption(parser):
    """Let `make bench-attacks` run what `make test-all` samples."""
    parser.addoption(
        "--all-levels", action="store_true",
        help="run every attack in other languages at every level, not one of each language",
    )  # fmt: skip


def pytest_configure():
    """Hear of interrupts also where a shell's background job or `nohup` has them ignored."""
    for one in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(one) is signal.SIG_IGN:
            is_int = one is signal.SIGINT
            signal.signal(one, signal.default_int_handler if is_int else signal.SIG_DFL)


def pytest_itemcollected(item):
    """Mark what repeats a test at a weaker level of the sandbox."""
    if repeats_below_strict(item):
        item.add_marker(pytest.mark.levels)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    """Where files run side by side, those with tests of a group begin, so that none is left last."""
    if hasattr(config, "workerinput"):
        slow = {item.path for item in items if any(map(item.get_closest_marker, GROUPS))}
        items.sort(key=lambda item: item.path not in slow)


TERMINAL = (
    "COLUMNS", "LINES", "JUPYTER_COLUMNS", "JUPYTER_LINES", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE",
    "TTY_INTERACTIVE",
)  # fmt: skip
"""Variables by which a caller says how wide output is, and whether it has colours."""


@pytest.fixture(autouse=True, scope="session")
def _no_terminal():
    """What is printed does not depend on the caller's terminal, in this process and in commands."""
    with pytest.MonkeyPatch.context() as patch:
        for name in TERMINAL:
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    """No test reads or writes the user's cache, or sees the user's key."""
    monkeypatch.setenv("EVOLCODER_CACHE", str(tmp_path / "cache"))
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def shared():
    """The folder of real data next to the checkout."""
    if not SHARED.is_dir():
        pytest.skip(NO_DATA)
    return SHARED


@pytest.fixture(scope="session")
def real_cache():
    """The user's own cache folder, for models that are there already."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "evolcoder"


@pytest.fixture(scope="session")
def measured_controls(tmp_path_factory):
    """A cache folder of this session: what a reference gave in one file or worker serves all."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "measured"
    folder.mkdir(exist_ok=True)
    return folder


def pytest_terminal_summary(terminalreporter):
    """Say how many tests were skipped for want of data."""
    skipped = terminalreporter.stats.get("skipped", [])
    wanting = [report for report in skipped if NO_DATA in str(report.longrepr)]
    terminalreporter.write_line(
        f"{len(wanting)} tests skipped for want of shared data, {len(skipped)} skipped in all"
    )

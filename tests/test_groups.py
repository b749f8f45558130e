"""`make test` leaves out what takes long, for a reason, and `make test-all` leaves out nothing."""

import json
import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from attacks import escapes, forgeries, harness_forgeries
from browsing import BROWSERS
from groups import FIRST, GROUPS

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def recipe(target):
    return re.search(rf"^{target}: .*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)[1]


def test_make_test_leaves_out_every_group_and_nothing_else():
    """A group that is not named would be run by newcomers; one that is no group hides its tests."""
    named = re.search(r"^GROUPS := (.*)$", MAKEFILE, re.MULTILINE)[1].split(" or ")
    assert tuple(named) == GROUPS
    assert "-m 'not ($(GROUPS))'" in recipe("test")


def test_every_group_has_its_reason():
    """What a mark leaves out is declared, and pytest refuses marks that are not."""
    options = PYPROJECT["tool"]["pytest"]["ini_options"]
    reasons = dict(line.split(": ", 1) for line in options["markers"])
    assert set(reasons) == set(GROUPS)
    assert all(reasons.values())
    assert "--strict-markers" in options["addopts"]


def test_make_test_all_runs_everything():
    """It runs what `make test` runs and what that leaves out; no other option chooses tests."""
    options = PYPROJECT["tool"]["pytest"]["ini_options"]["addopts"]
    shared = re.search(r"^PYTEST := (.*)$", MAKEFILE, re.MULTILINE)[1]
    assert re.search(r"^test-all: test ", MAKEFILE, re.MULTILINE)
    assert recipe("test-all") == "\t$(PYTEST) -m '$(GROUPS)'\n"
    for text in (shared.partition("pytest")[2], options):
        assert not re.search(r"(?:^| )(?:-m|-k|--deselect|--ignore)", text), text


def test_ci_is_a_newcomer_first():
    """The tests run before any toolchain is installed, and all of them behind that."""
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    steps = [
        script.index(f"\n{step}")
        for step in ("make check", "tests test\n", "    make toolchains", "tests test-all")
    ]
    assert steps == sorted(steps)


@pytest.mark.parametrize("attack", FIRST.values())
def test_the_first_attack_on_every_promise_is_one(attack):
    """A name that no row has would leave its promise out of `make test`."""
    rows = [*escapes.rows(), *forgeries.FORGERIES, *harness_forgeries.rows()]
    others = (Path(__file__).parent / "attacks" / "other_languages.txt").read_text(encoding="utf-8")
    cpp = re.search(r"^=== cpp\n(.*?)^===", others, re.MULTILINE | re.DOTALL)[1].splitlines()
    assert attack in {*map(str, rows), *cpp}


def test_pages_are_tested_where_there_is_a_browser():
    """`make test-all` installs it if it can, `make test` does not; all look for the same names."""
    names = re.search(r"^BROWSERS := (.*)$", MAKEFILE, re.MULTILINE)[1].split()
    shots = (ROOT / "docs" / "screenshots.py").read_text(encoding="utf-8")
    assert tuple(names) == BROWSERS
    assert f"BROWSERS = {json.dumps(names)[1:-1]}" in shots.replace("(", "").replace(")", "")
    wanted = {
        target: re.search(rf"^{target}: ([^#\n]*)", MAKEFILE, re.MULTILINE)[1].split()
        for target in ("test", "test-all", "screenshots")
    }
    assert [target for target, first in wanted.items() if "browser" in first] == [
        "test-all",
        "screenshots",
    ]


@pytest.mark.parametrize(
    ("user", "apt", "says"),
    [("1000", "exit 0", True), ("0", "exit 1", True), ("0", "touch installed", False)],
)
def test_no_browser_is_one_line_and_no_failure(tmp_path, user, apt, says):
    """Who is not root, or has no mirror, reads what to do; root gets it from apt-get."""
    for name, text in (("id", f"echo {user}"), ("apt-get", apt)):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    lines = recipe("browser").replace("\t@", "", 1).replace("$(BROWSERS)", "no-such-browser")
    script = lines.replace("$(APT)", "").replace("$$", "$").replace("\\\n", "")
    found = subprocess.run(
        ["sh", "-c", script], cwd=tmp_path, env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (found.returncode, found.stdout) == (0, "")
    assert found.stderr.count("\n") == says
    assert ("apt-get install chromium" in found.stderr) == says
    assert (tmp_path / "installed").exists() != says

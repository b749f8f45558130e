"""Documentation that can be checked: reference pages, commands, config keys, links and the site."""

import argparse
import importlib
import inspect
import pkgutil
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import evolcoder
from evolcoder.cli.main import VERBS
from evolcoder.config.load import FREE_TO_CHANGE, Config, load
from evolcoder.config.schema import Section
from evolcoder.records import Reason
from evolcoder.training.recipe import PRESETS

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_FENCE = re.compile(r"```bash\n(.*?)```", re.DOTALL)


def commands():
    """Yield page and words of every evolcoder command in the documentation."""
    for path in PAGES:
        for block in _FENCE.findall(path.read_text(encoding="utf-8")):
            for line in block.replace("\\\n", " ").splitlines():
                plain = re.split(r"\s#\s", line)[0].strip().removesuffix("&").strip()
                if plain.startswith("evolcoder "):
                    yield pytest.param(plain, id=f"{path.name}: {plain[:60]}")


class RefusedError(Exception):
    """A parser's error."""


class Parser(argparse.ArgumentParser):
    def error(self, message):
        raise RefusedError(message)


@pytest.mark.parametrize("command", list(commands()))
def test_every_command_that_is_shown_is_understood(command):
    """Verbs, flags and choices exist; keys of `--set` are those of the config."""
    words = shlex.split(command)
    verb, arguments = words[1], words[2:]
    if verb in {"--help", "--version"}:
        return
    assert verb in VERBS
    parser = Parser(allow_abbrev=False)
    importlib.import_module(f"evolcoder.cli.{verb}").add_arguments(parser)
    parsed = parser.parse_args(arguments)
    if verb in {"run", "verify"}:
        load(None, [one for one in parsed.set if "$" not in one])


def test_the_reference_is_what_the_code_says():
    """Pages that are generated are those of this code."""
    pages = runpy.run_path(str(ROOT / "docs/reference.py"))
    for name, make in pages["PAGES"].items():
        path = ROOT / "docs/reference" / name
        assert path.read_text(encoding="utf-8") == pages["NOTE"] + make(), f"{name}: run: make docs"


def test_every_key_and_reason_has_a_text():
    """No key of the config, and no reason, is named without being explained."""
    for name in ("configuration.md", "drops.md", "cli.md"):
        page = (ROOT / "docs/reference" / name).read_text(encoding="utf-8")
        assert [line for line in page.splitlines() if line.endswith("|  |")] == []
    drops = (ROOT / "docs/reference/drops.md").read_text(encoding="utf-8")
    assert all(f"`{reason.value}`" in drops for reason in Reason)


NOT_SET_BY_PEOPLE = {"ScoreLine", "CardNotes"}
"""Sections that are read back from files of our own."""


def sections(base=Section):
    for one in base.__subclasses__():
        yield one
        yield from sections(one)


def test_every_key_that_people_set_is_in_the_reference():
    """Those of a run, of a loop and of `train --set`: all classes of settings, wherever they are."""
    for package in pkgutil.walk_packages(evolcoder.__path__, "evolcoder."):
        if re.search(r"config|recipe|training\.folder", package.name):
            importlib.import_module(package.name)
    page = (ROOT / "docs/reference/configuration.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"^\| `(?:[a-z]+\.)?(\w+)` ", page, re.MULTILINE))
    found = {one.__name__: one for one in sections() if one.__module__.startswith("evolcoder.")}
    assert found.keys() >= NOT_SET_BY_PEOPLE | {"LoopConfig", "Recipe", "Config"}
    shown |= set(re.findall(r"^#+ `(\w+)`", page, re.MULTILINE))  # sections
    lacking = [
        f"{name}.{key}" for name, one in found.items() if name not in NOT_SET_BY_PEOPLE
        for key in one.model_fields if key not in shown
    ]  # fmt: skip
    assert lacking == []
    assert all(f"`{name}`" in page for name in PRESETS)


def test_the_guide_of_the_config_has_every_section_and_what_may_change():
    """Its table names each key of the first level; its list is what a resumed run compares by."""
    page = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    table = "\n".join(re.findall(r"^\| (`.*?) \|", page, re.MULTILINE))
    assert set(re.findall(r"`(\w+)`", table)) == set(Config.model_fields)
    listed = re.search(r"\*\*Changes on resume.\*\* (.*?) may\s+change", page, re.DOTALL)[1]
    assert {*re.findall(r"`(\w+)`", listed), "preset"} == set(FREE_TO_CHANGE)


def test_every_extra_is_in_the_guide_of_installation():
    """But those of developers; and none that does not exist."""
    page = (ROOT / "docs/install.md").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = set(project["optional-dependencies"]) - {"dev", "browser"}
    assert set(re.findall(r"^\| `(\w+)` ", page, re.MULTILINE)) == extras


def test_the_guide_names_the_verbs_without_a_twin():
    """All other verbs of the API have one."""
    page = (ROOT / "docs/api.md").read_text(encoding="utf-8")
    named = re.search(r"All but (.*?) have an\s+`_async` twin", page, re.DOTALL)[1]
    verbs = {name for name in evolcoder.__all__ if inspect.isfunction(getattr(evolcoder, name))}
    without = {one for one in verbs if not one.endswith("_async") and f"{one}_async" not in verbs}
    assert set(re.findall(r"`(\w+)`", named)) == without


def test_the_site_is_built_without_a_warning(tmp_path):
    """Links and anchors lead somewhere, every page is in the navigation or is an experiment."""
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", tmp_path / "s"],
        cwd=ROOT, capture_output=True, text=True, check=False, env={"NO_MKDOCS_2_WARNING": "1", "PATH": ""},
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    listed = (tmp_path / "s/llms.txt").read_text(encoding="utf-8")
    for page in re.findall(r"\]\(([^)]+)\)", listed):
        assert (tmp_path / "s" / page).read_text(encoding="utf-8").strip()
    said = re.findall(r"^- \[.+?\]\(\S+\): ?(.*)$", listed, re.MULTILINE)
    assert all(" " in sentence for sentence in said), "a page begins without a sentence"
    assert len(said) > 40
    html = (tmp_path / "s/index.html").read_text(encoding="utf-8")
    asked = re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=\"(https?:[^\"]+)\"", html)
    assert asked == []

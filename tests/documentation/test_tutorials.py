"""Every tutorial works: its files are written, its commands run, and they print what is shown."""

import os
import re
import shutil
import sys
from pathlib import Path

import pytest

import evolcoder
from documentation.blocks import TUTORIALS, blocks
from documentation.folder import stage, write_command

pytestmark = pytest.mark.e2e
SOURCE = Path(evolcoder.__file__).parent
MAIN = "import sys; from evolcoder.cli.main import main; sys.exit(main())"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Local servers, and commands that run a copy of the program."""
    with stage(tmp_path_factory.mktemp("tutorials"), with_model=False, with_runs=False) as made:
        yield made


@pytest.fixture
def clone(place, tmp_path):
    """A copy of the program's source, whose `evolcoder` and `python` are those of this folder."""
    folder = tmp_path / "clone"
    shutil.copytree(SOURCE, folder / "src/evolcoder", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "bin").mkdir()
    write_command(folder / "bin", f"{sys.executable} -c '{MAIN}'")
    (folder / "bin/python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (folder / "bin/python").chmod(0o755)
    changed = {"PATH": f"{folder}/bin:{os.environ['PATH']}", "PYTHONPATH": str(folder / "src")}
    place.environment.update(changed)
    return folder


def apply(text, folder):
    """Apply hunks of a patch: lines with a plus come after those before them."""
    for part in re.split(r"^--- ", text, flags=re.MULTILINE)[1:]:
        path, *hunks = re.split(r"\n@@\n?", part)
        source = (folder / path).read_text()
        for hunk in hunks:
            lines = hunk.rstrip("\n").split("\n")
            old, new = (
                "".join(f"{line[1:]}\n" for line in lines if line[0] in signs)
                for signs in (" -", " +")
            )
            assert source.count(old) == 1, f"{path} has not once: {old}"
            source = source.replace(old, new)
        (folder / path).write_text(source)


def missing(shown, printed):
    """Return the lines of an output that were not printed, white space aside."""
    plain = " ".join(printed.split())
    lines = (" ".join(line.split()) for line in shown.splitlines())
    return [line for line in lines if line not in plain]


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_a_tutorial_works(place, clone, path):
    """In the order of the page; an output that is shown is that of the command before it."""
    if path.stem == "notebook":
        pytest.skip("tests/test_notebook.py runs it")
    printed = None
    for block in blocks(path):
        if block.title:
            (clone / block.title).write_text(block.text)
        elif block.language == "diff":
            apply(block.text, clone)
        elif block.language == "bash":
            done = place.run("\n".join(map(place.line, block.lines())), clone)
            printed = done.stdout + done.stderr
            assert done.returncode == 0, f"{block.place}\n{printed[-3000:]}"
        else:
            assert block.language == "text", f"{block.place}: {block.language} is not run"
            assert printed is not None
            assert missing(block.text, printed) == [], f"{block.place}\n{printed[-3000:]}"

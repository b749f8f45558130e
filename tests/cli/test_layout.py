"""What commands print fits the terminal, in cells, and stays one line for each record elsewhere."""

import io
import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from fcntl import ioctl

import pytest

import small_run
from evolcoder.app.progress import SEPARATOR, fitted
from evolcoder.cli import layout
from evolcoder.cli.layout import folded, folded_items
from evolcoder.config.load import validate
from evolcoder.records import Drop, Reason, Stage, Task
from evolcoder.storage.run_store import RunStore
from evolcoder.terminal import cell_width, one_row
from jsonl import write_jsonl

HAN = "写一个函数，返回列表中所有偶数的和，并且按照输入顺序保留重复的元素。"
TEXTS = (HAN, "リストを逆順にする関数を書いてください。" * 3, "Напишите функцию, которая " * 8,
         "اكتب دالة تعيد مجموع الأعداد الزوجية " * 5, "Write a function that merges " * 9,
         "e\u0301" * 90, "🎈👩‍💻" * 40)  # fmt: skip


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    """Standard output is a terminal of a width."""

    def of(columns):
        monkeypatch.setattr(layout.sys, "stdout", Terminal())
        monkeypatch.setenv("COLUMNS", str(columns))

    return of


@pytest.mark.parametrize("columns", [40, 80, 200])
@pytest.mark.parametrize("text", TEXTS)
def test_lines_are_broken_by_cells_and_what_follows_is_indented(terminal, columns, text):
    """No line is wider than the terminal, and nothing is lost."""
    terminal(columns)
    lines = folded(f"model   {text}", 8).split("\n")
    assert max(map(cell_width, lines)) <= columns
    assert all(line.startswith(" " * 8) for line in lines[1:])
    joined = "".join(lines).replace(" ", "")
    assert joined == f"model{text}".replace(" ", "")


def test_lists_are_broken_between_their_items(terminal):
    """A count stays with its name."""
    terminal(40)
    items = [
        f"{name} {n}" for n, name in enumerate(("wrong language", "no task", "缺少答案", "cut"))
    ]
    lines = folded_items("    1  evolve  ", items).split("\n")
    assert max(map(cell_width, lines)) <= 40
    assert " ".join(line.strip() for line in lines) == f"1  evolve  {', '.join(items)}"
    assert all(any(item in line for line in lines) for item in items)


def test_without_a_terminal_a_record_is_one_line(monkeypatch):
    """Whatever the width in the environment: another program reads it."""
    monkeypatch.setattr(layout.sys, "stdout", io.StringIO())
    monkeypatch.setenv("COLUMNS", "40")
    assert folded("model   " + "word " * 40, 8).count("\n") == 0
    assert folded_items("x ", ["word"] * 40).count("\n") == 0


@pytest.mark.parametrize("width", [5, 20, 61])
@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_shortened_by_cells(text, width):
    """It fills the row as far as wide characters allow."""
    row = one_row(text, width)
    assert width - 4 < cell_width(row) <= width or cell_width(text) <= width
    assert row.endswith("…")
    assert text.startswith(row[:-1])


@pytest.mark.parametrize("width", [30, 80])
def test_the_parts_of_a_progress_line_are_fitted_by_cells(width):
    """A heuristic's or reason's name may be wide."""
    line = SEPARATOR.join(
        ["第一轮：已完成 3/9，保留 2", "生成 4", "1,204 tokens, 38/s", "放弃 3（太短 2）"]
    )
    rows = fitted(line, width).split("\n")
    assert max(map(cell_width, rows)) <= width
    assert SEPARATOR.join(rows) == line


@pytest.fixture
def run(tmp_path):
    """A run with tasks and drops in several scripts."""
    with RunStore.create(tmp_path / "run", validate({}, where="test")) as store:
        small_run.fill(store)
        for at, text in enumerate(TEXTS, 5):
            store.add(task := Task.seed(text, ordinal=at, language=None))
            detail = "; ".join(["wrong_language (latin script, not han)"] * 3)
            store.add(Drop(Stage.RESPOND, Reason.REFUSAL, task.id, 0, at, None, text, detail, None))
    return tmp_path / "run"


def in_terminal(columns, *arguments, code=0):
    """Run a command in a terminal; return its lines."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    command = [sys.executable, "-m", "evolcoder.cli.main", *arguments]
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, close_fds=True
    ) as process:
        os.close(theirs)
        shown, until = b"", time.monotonic() + 60
        while time.monotonic() < until:
            if not select.select([ours], [], [], 1)[0]:
                continue
            try:
                part = os.read(ours, 65536)
            except OSError:  # the end of the other side
                break
            if not part:
                break
            shown += part
    os.close(ours)
    assert process.returncode == code, shown.decode()
    return shown.decode().replace("\r\n", "\n").rstrip("\n").split("\n")


@pytest.mark.parametrize("columns", [80, 200])
@pytest.mark.parametrize("view", [(), ("--drops",)])
def test_inspect_fits_a_terminal(run, columns, view):
    """In any script; tables stay aligned, and a pipe gets whole records."""
    lines = in_terminal(columns, "inspect", str(run), *view)
    listed = [line for line in lines if str(run) not in line]
    assert max(map(cell_width, listed)) <= columns
    assert any(HAN[:6] in line for line in listed)
    piped = subprocess.run(
        [sys.executable, "-m", "evolcoder.cli.main", "inspect", str(run), *view],
        capture_output=True, text=True, check=True, env={**os.environ, "COLUMNS": str(columns)},
    ).stdout.split("\n")  # fmt: skip
    if view:
        assert sum("detail  wrong_language" in line and line.count("script") == 3
                   for line in piped) == len(TEXTS)  # fmt: skip


CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
PROBLEM = {
    "task_id": "own/0", "prompt": f'def f(x):\n    """{HAN}"""\n', "entry_point": "f",
    "canonical_solution": "    return x\n", "test": "def check(f):\n    assert f(1) == 1\n",
}  # fmt: skip
ANSWER = "```python\ndef f(x):\n    return x\n```"


@pytest.fixture
def inputs(tmp_path, monkeypatch):
    """A benchmark, a model and rows, in a folder that commands name by short paths."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.jsonl").write_text(json.dumps(PROBLEM) + "\n")
    (tmp_path / "m.json").write_text(json.dumps({"rules": [{"match": "", "answer": ANSWER}]}))
    rows = [{"instruction": f"{HAN} {n}", "output": ANSWER} for n in range(3)]
    write_jsonl(tmp_path / "rows.jsonl", rows)


@pytest.mark.parametrize("columns", [80, 200])
@pytest.mark.parametrize(
    "command",
    [
        "eval --bench own.jsonl --model scripted:m.json --out e --cache c.db",
        "verify rows.jsonl --out v",
        "run --seeds rows.jsonl --model scripted:m.json --rounds 1 --out r --cache c.db",
        "clean rows.jsonl --out kept.jsonl",
        "clean rows.jsonl --against own.jsonl --detectors ngrams,execution --out kept.jsonl",
    ],
)
def test_every_line_of_a_command_fits_a_terminal(inputs, columns, command):
    """Notes and tables are broken at blanks by the command, not within words by the terminal."""
    shown = "\r".join(in_terminal(columns, *command.split()))  # a live line is drawn over itself
    lines = [CONTROL.sub("", line) for line in shown.split("\r")]
    assert max(map(cell_width, lines)) <= columns, lines


def test_an_error_is_broken_at_blanks(inputs):
    """A terminal gets lines, anything else one line."""
    command = "run --seeds rows.jsonl --model nope"
    lines = in_terminal(60, *command.split(), code=2)
    assert len(lines) > 1
    assert max(map(cell_width, lines)) <= 60
    piped = subprocess.run(
        [sys.executable, "-m", "evolcoder.cli.main", *command.split()],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert piped.stderr.count("\n") == 1
    assert " ".join(lines).split() == piped.stderr.split()


def test_what_tests_see_has_no_terminal():
    """Commands of a test, and functions that it calls, print as where there is no terminal."""
    shown = "from evolcoder.cli.layout import terminal_width; print(terminal_width())"
    shown += "; from rich.console import Console; print(Console().color_system)"
    done = subprocess.run([sys.executable, "-c", shown], capture_output=True, text=True, check=True)
    assert done.stdout == f"{layout.NO_TERMINAL}\nNone\n"
    assert layout.terminal_width() == layout.NO_TERMINAL


def test_what_tests_see_is_not_the_callers_terminal():
    """However wide that is, and whatever it asks of colours."""
    node = f"{__file__}::test_what_tests_see_has_no_terminal"
    callers = {"COLUMNS": "41", "LINES": "7", "FORCE_COLOR": "1", "TTY_COMPATIBLE": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", node],
        env={**os.environ, **callers}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout

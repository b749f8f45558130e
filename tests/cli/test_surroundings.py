"""Limits, rights, streams, room and folders that fail a command: one line, no traceback."""

import errno
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

import toys
from evolcoder.app import estimate
from evolcoder.cli import main as entry_point
from evolcoder.cli import run, sysinfo
from evolcoder.config.load import validate
from evolcoder.engine import registry
from evolcoder.errors import ConfigError
from evolcoder.evolution.heuristics import resolve
from groups import sampled

ENTRY = "import sys; from evolcoder.cli.main import main; sys.exit(main())"
FEW, SOME = 8, 64
"""Descriptors with which no command begins, and with which no worker of the sandbox does."""


@pytest.fixture
def seeds(tmp_path):
    toys.seeds_file(tmp_path / "seeds.jsonl", 4)
    return tmp_path


def command(folder, *arguments, before=None, **options):
    """Run a command in a process of its own; return its exit code and its last lines."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    environment = {**os.environ, "EVOLCODER_CACHE": str(folder / "cache"), **options.pop("env", {})}
    done = subprocess.run(
        [sys.executable, "-c", ENTRY, *map(str, arguments)], cwd=folder, env=environment,
        preexec_fn=before, timeout=60, check=False, **options,
    )  # fmt: skip
    return done.returncode, (done.stderr or b"").decode()


def may_open(n):
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (n, n))


EVERY = {
    "run": ["run", "--seeds", "seeds.jsonl", "--dry-run"],
    "verify": ["verify", "seeds.jsonl", "--out", "out"],
    "clean": ["clean", "seeds.jsonl"],
    "eval": ["eval", "--bench", "humaneval", "--data-dir", "."],
    "train": ["train", "seeds.jsonl", "--base", "none", "--out", "out"],
    "loop": ["loop", "loop.yaml"],
    "inspect": ["inspect", "run"],
    "export": ["export", "run"],
    "doctor": ["doctor"],
}


@pytest.mark.parametrize("verb", sampled(EVERY, 4))
def test_every_verb_says_that_it_may_open_too_few_files(seeds, verb):
    """And how many, and what to do, whatever it would have opened."""
    code, err = command(seeds, *EVERY[verb], before=may_open(FEW))
    assert code == 2
    assert err == (
        "evolcoder: too few file descriptors: this process may open 8 files and pipes; "
        "raise the limit, for example with `ulimit -n 4096`, and run it again\n"
    )


def test_a_sandbox_without_descriptors_does_not_blame_its_worker(seeds):
    """A worker that cannot be set up for want of them is no fault of the sandbox."""
    told = ["verify", "seeds.jsonl", "--sandbox", "processes", "--workers", "1", "--out", "out"]
    code, err = command(seeds, *told, before=may_open(SOME))
    assert code == 2
    assert err.startswith("evolcoder: --sandbox processes: too few file descriptors: ")
    assert len(err.splitlines()) == 1


READ = "evolcoder: seeds.jsonl: 4 of 4 rows read as output, 4 with a response"
"""What is told of a file that was read."""


@pytest.mark.parametrize("closed", [0, 1, 2])
def test_a_closed_stream_is_no_fault(seeds, closed):
    """A command whose input, output or errors were closed does its work, and prints into no file."""
    code, err = command(
        seeds, "clean", "seeds.jsonl", "--out", "clean.jsonl",
        before=lambda: os.close(closed),
    )  # fmt: skip
    assert code == 0
    assert err == ("" if closed == 2 else f"{READ}\n")
    assert (seeds / "clean.jsonl").read_text() == (seeds / "seeds.jsonl").read_text()


def test_a_full_standard_output_is_named(seeds):
    """What cannot be printed is told on standard error, with the name of the stream."""
    with open("/dev/full", "wb") as full:
        code, err = command(seeds, "clean", "seeds.jsonl", stdout=full)
    assert code == 2
    last = err.splitlines()[-1]
    assert last.startswith("evolcoder: standard output: No space left on device; free space")


def test_a_deleted_working_directory_is_reported(seeds):
    """Whoever stands in a folder that was removed is sent elsewhere."""
    gone = seeds / "gone"
    gone.mkdir()

    def leave():
        os.chdir(gone)
        gone.rmdir()

    code, err = command(seeds, "clean", "bundled", before=leave)
    assert (code, err) == (
        2,
        "evolcoder: the current folder no longer exists; change to another one\n",
    )


def test_a_full_folder_for_temporary_files_is_reported_by_name(seeds):
    """And not by that of the file that was to be written next to it."""
    nowhere = "/dev/null/nowhere"
    script = (
        "import tempfile; tempfile.tempdir = '/proc';"  # where no user may make a file
    ) + ENTRY
    done = subprocess.run(
        [sys.executable, "-c", script, "clean", "seeds.jsonl", "--out", "clean.jsonl"],
        cwd=seeds, capture_output=True, text=True, check=False, env={**os.environ, "TMPDIR": nowhere},
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("evolcoder: /proc: temporary files cannot be written: ")
    assert done.stderr.endswith("; set TMPDIR to a folder with free space\n")
    assert not (seeds / "clean.jsonl").exists()


@pytest.mark.parametrize("make", ["file", "below a file", "dangling", "no rights"])
def test_a_cache_that_cannot_be_written_names_its_variable(monkeypatch, tmp_path, make):
    """Whatever stands in its place, EVOLCODER_CACHE is what to set."""
    place = tmp_path / "cache"
    if make == "dangling":
        place.symlink_to(tmp_path / "nowhere" / "at" / "all")
    elif make == "no rights":
        place.mkdir()
        monkeypatch.setattr(registry.os, "access", lambda *_: False)
    else:
        place.write_text("x")
    monkeypatch.setenv("EVOLCODER_CACHE", str(place / "sub" if make == "below a file" else place))
    with pytest.raises(ConfigError) as raised:
        registry.cache_file("completions.db")
    assert str(raised.value).startswith(f"the cache: {place}")
    assert str(raised.value).endswith("; set EVOLCODER_CACHE to a writable folder")


def test_without_a_home_the_error_asks_for_a_cache_folder(monkeypatch):
    """Neither HOME nor an entry in the list of users is needed where EVOLCODER_CACHE is set."""

    def no_home():
        raise RuntimeError("Could not determine home directory.")

    for name in ("EVOLCODER_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(registry.Path, "home", no_home)
    with pytest.raises(ConfigError, match="no home folder, and no HOME; set EVOLCODER_CACHE"):
        registry.cache_folder()
    monkeypatch.setenv("EVOLCODER_CACHE", "/here")
    assert str(registry.cache_folder()) == "/here"


def test_the_doctor_reports_the_cache(monkeypatch, tmp_path):
    """A file where the cache would be is found before a run stumbles over it."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("EVOLCODER_CACHE", str(tmp_path / "file"))
    found = sysinfo.read_machine().cache_trouble
    assert found.startswith(f"the cache: {tmp_path / 'file'}: cannot be written; set EVOLCODER_")
    monkeypatch.setenv("EVOLCODER_CACHE", str(tmp_path / "folder" / "sub"))
    assert sysinfo.read_machine().cache_trouble == ""


def test_an_estimate_keeps_a_sample_and_counts_all(tmp_path):
    """Memory does not grow with the seeds; the counts are of all of them."""
    toys.seeds_file(tmp_path / "seeds.jsonl", estimate.SAMPLE + 50)
    config = validate(
        {"seeds": {"path": str(tmp_path / "seeds.jsonl")}, "budget": {"rounds": 1}}, where="here"
    )
    habits = estimate.TokenRates(attempts=1.0, kept=1.0)
    sample, n_tasks, n_unanswered = estimate._seeds(config)
    assert (len(sample), n_tasks, n_unanswered) == (estimate.SAMPLE, estimate.SAMPLE + 50, 0)
    evolver = estimate.estimate(config, resolve(config.evolve), habits)[0]
    assert evolver.calls == estimate.SAMPLE + 50


def test_an_unexpected_os_error_is_one_line(monkeypatch, capsys):
    """An OSError prints no traceback, wherever it was raised; a bug prints one."""

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "somewhere")

    def broken(_):
        raise ZeroDivisionError

    monkeypatch.setattr(run, "main", full)
    assert entry_point.main(["run"]) == 2
    told = "evolcoder: somewhere: No space left on device; free space or fix the permissions\n"
    assert capsys.readouterr().err == told
    monkeypatch.setattr(run, "main", broken)
    assert entry_point.main(["run"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_python_runs_the_package_as_the_command():
    """`python -m evolcoder`, also without assertions and docstrings."""
    for options in ([], ["-OO"]):
        done = subprocess.run(
            [sys.executable, *options, "-m", "evolcoder", "--version"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert done.stdout.split()[0] == "evolcoder"


def test_a_name_that_is_not_utf_8_is_a_name(tmp_path, monkeypatch):
    """The run stores its command with a mark in place of the odd byte."""
    monkeypatch.chdir(tmp_path)
    seeds = os.fsdecode(b"s\xff.jsonl")
    Path(seeds).write_text('{"instruction": "Write a sort."}\n')
    answer = "```python\ndef sort(x):\n    return sorted(x)\n```"
    script = {"rules": [{"match": ".", "answer": answer}]}
    Path("script.json").write_text(json.dumps(script))
    command = ["run", "--seeds", seeds, "--model", "scripted:script.json", "--rounds", "0"]
    for _ in range(2):  # and the same command resumes
        done = subprocess.run(
            [sys.executable, "-c", ENTRY, *command, "--out", "o", "--cache", "c.db"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

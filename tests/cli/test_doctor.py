"""`evolcoder doctor` as a user meets it: what works, what is missing, what to do."""

import json
import shutil

import pytest

from bash_bench import bash_with, part
from driver import lacking
from evolcoder.cli.main import main
from evolcoder.sandbox.base import STRICT_LAYERS
from evolcoder.sandbox.requirements import PROBES
from evolcoder.sandbox.toolchains import LANGUAGES

TOOLS = ("bash", "gcc", "bwrap")


def doctor(capsys, *arguments):
    code = main(["doctor", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err.splitlines()[-1]


@pytest.fixture
def few(tmp_path, monkeypatch):
    """A PATH that has the tools of two languages only."""
    folder = tmp_path / "few"
    folder.mkdir()
    for tool in TOOLS:
        if found := shutil.which(tool):
            (folder / tool).symlink_to(found)
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.fixture
def refused(tmp_path, monkeypatch):
    """A PATH whose bubblewrap may make no namespace."""
    program = tmp_path / "bwrap"
    program.write_text(
        "#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))


def test_what_works_is_found_by_running_it(capsys, few, monkeypatch):
    """Python, Bash and C answer, are ended and refuse nonsense; every language has a finding."""
    if missing := lacking("c", PROBES["c"][0]):
        pytest.skip(missing)
    monkeypatch.setitem(LANGUAGES, "bash", bash_with(part(is_here=True)))
    code, out, _ = doctor(capsys, "--json")
    found = json.loads(out)
    languages = {one["language"]: one for one in found["sandbox"]["findings"]}
    assert (code, found["works"], found["trouble"]) == (0, True, "")
    assert set(languages) == set(PROBES)
    for name in ("python", "bash", "c"):
        assert languages[name]["state"] == "works", languages[name]
        assert languages[name]["ended_s"] > 0
    assert languages["c"]["compile_s"] > 0
    assert set(STRICT_LAYERS) <= set(found["sandbox"]["layers"])
    assert not set(found["sandbox"]["layers"]) & set(found["sandbox"]["missing"])


def test_json_has_every_key_on_every_machine(capsys, refused):
    """Scripts need not guess: the shape is the same when nothing works."""
    _, out, _ = doctor(capsys, "--json")
    found = json.loads(out)
    assert set(found) == {"works", "trouble", "machine", "sandbox", "engine", "seconds"}
    assert set(found["sandbox"]) == {"level", "refused", "layers", "missing", "findings"}
    assert set(found["machine"]) == {
        *("evolcoder", "python", "platform", "cpus", "memory_mb", "memory_free_mb"),
        *("disks", "cache_trouble", "bubblewrap", "bubblewrap_version", "extras"),
    }
    assert [disk["use"] for disk in found["machine"]["disks"]] == ["cache", "here"]
    assert set(found["machine"]["extras"]) == {"xllamacpp", "pyarrow", "datasets"}


def test_what_is_missing_is_named_with_its_package(capsys, few, monkeypatch):
    """Absent languages, and parts of those that are here, say what brings them and fail nothing."""
    monkeypatch.setitem(LANGUAGES, "bash", bash_with(part(is_here=False)))
    code, out, _ = doctor(capsys)
    said = " ".join(out.split())
    assert code == 0
    for line in (
        "part not found; install bash-part",
        "lua missing lua5.3 not found; install lua5.3 lua-unit",
        "typescript missing tsc not found; install typescript (npm) or node-typescript",
        "swift missing swiftc not found; install swiftlang (debian 13) or swift (swift.org)",
        " of 20 languages work, 1 more except for some benchmark tests",
    ):
        assert line in said


def test_the_table_fits_a_hundred_columns(capsys, few, tmp_path, monkeypatch):
    """Long folders and long lists are wrapped, not cut."""
    deep = tmp_path / ("long" * 30)
    monkeypatch.setenv("EVOLCODER_CACHE", str(deep))
    _, out, _ = doctor(capsys)
    assert max(map(len, out.splitlines())) <= 100
    assert str(deep) in out.replace("\n" + " " * 12, "")


def test_a_refused_sandbox_is_no_languages_failure(capsys, refused):
    """Exit 1 with the reason in one line; nothing was run, and nothing is called broken."""
    code, out, last = doctor(capsys, "--json")
    found = json.loads(out)
    states = {one["state"] for one in found["sandbox"]["findings"]}
    assert code == 1
    assert "No permissions to create new namespace" in last
    assert found["trouble"] == found["sandbox"]["refused"] != ""
    assert states <= {"not run", "missing"}


def test_an_unknown_level_is_the_users_mistake(capsys, few):
    """Exit 2, and the known levels are named."""
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--sandbox", "paper"])
    assert ended.value.code == 2
    assert "strict" in capsys.readouterr().err


def test_a_model_is_asked_for_a_word(capsys, few, tmp_path):
    """The answer is shown, so that a person sees that it is the right model."""
    answers = tmp_path / "answers.json"
    answers.write_text(json.dumps({"rules": [{"match": "ready", "answer": "ready"}]}))
    code, out, _ = doctor(capsys, "--model", f"scripted:{answers}", "--json")
    engine = json.loads(out)["engine"]
    assert (code, engine["works"], engine["answer"]) == (0, True, "ready")


def test_a_model_that_does_not_answer_ends_in_exit_1(capsys, few, tmp_path):
    """The rest is still shown, and the last line says why."""
    script = tmp_path / "down.json"
    script.write_text(json.dumps({"rules": [{"match": ".", "error": "is down"}]}))
    code, out, last = doctor(capsys, "--model", f"scripted:{script}")
    assert code == 1
    assert "is down" in last
    assert "languages work" in out


@pytest.mark.parametrize(
    "spec",
    ["nope", "Qwen/no-such-model", "no.gguf", "hf:no", "scripted:no.json", "http://h/v1"],
)
def test_a_model_that_cannot_be_is_refused_before_the_tests(capsys, monkeypatch, spec):
    """One line and exit 2, where the tests of languages take most of a minute."""

    async def check(*_, **__):
        raise AssertionError("languages were tested")

    monkeypatch.setattr("evolcoder.cli.doctor.check", check)
    code = main(["doctor", "--model", spec])
    out, err = capsys.readouterr()
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert spec in err

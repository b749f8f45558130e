"""Known failures of DS-1000's references, and installed library versions."""

from evolcoder.bench import ds1000
from evolcoder.bench.ds1000 import (
    NEEDS,
    ReferenceRun,
    Unavailable,
    installed,
    known_failures,
    missing_versions,
    warm_modules,
)


def make(folder, **versions):
    for name, version in versions.items():
        about = folder / f"{name}-{version}.dist-info"
        about.mkdir(parents=True)
        (about / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n")


def test_what_is_installed_is_read_from_the_folders(tmp_path):
    """Names in any case, versions without local build labels; other libraries are omitted."""
    make(tmp_path / "one", NumPy="1.26.4", rich="15.0")
    make(tmp_path / "two", torch="2.13.0+cpu")
    found = installed([tmp_path / "one", tmp_path / "two"])
    assert found == {"numpy": "1.26.4", "torch": "2.13.0"}


def test_missing_versions_are_named(tmp_path):
    """Libraries of another version and missing ones have different messages."""
    make(tmp_path, numpy="2.0.0", **{k: v for k, v in NEEDS.items() if k not in {"numpy", "torch"}})
    assert missing_versions([tmp_path]) == [
        "numpy 2.0.0, needs 1.26.4",
        "torch is missing, needs 2.2.0",
    ]


def test_workers_load_only_what_is_there(tmp_path):
    """Only modules of installed libraries are preloaded."""
    (tmp_path / "scipy").mkdir()
    assert warm_modules([tmp_path])[:2] == ("scipy.stats", "scipy.sparse")
    assert warm_modules([]) == ()


def test_known_failures_have_a_reason(named):
    """Each is a problem of the benchmark whose harness makes the call that needs a network."""
    harnesses = {problem.id: problem.checks.harness for problem in named("ds1000").problems()}
    known = known_failures({})
    assert len(known) == 15
    for problem, failure in known.items():
        call = failure.detail.rpartition(".")[2].partition("(")[0]
        assert failure.why is Unavailable.NETWORK
        assert call in harnesses[problem]


def test_a_failure_of_one_version_is_not_one_of_another(monkeypatch):
    """A failure that depends on a version only applies if that version is installed."""
    stored = {
        "DS-1000/1": ReferenceRun(Unavailable.VERSION, "", {"numpy": "2.0"}),
        "DS-1000/2": ReferenceRun(Unavailable.NETWORK, "", {}),
    }
    monkeypatch.setattr(ds1000, "_stored", lambda: stored)
    assert set(known_failures({"numpy": "2.0"})) == {"DS-1000/1", "DS-1000/2"}
    assert set(known_failures({"numpy": "1.26.4"})) == {"DS-1000/2"}

"""Damaged caches, evaluations and loops are reported, with what may be deleted.

Every kind of SQLite file of ours except runs, damaged in every way that runs are tested with. Each
test reads the file through its regular user.
"""

import asyncio
from contextlib import closing

import pytest

import damage
from deduplication.hashing import Hashing
from evolcoder.bench.base import PromptForm, Sample
from evolcoder.cli import comparison
from evolcoder.deduplication.embedders import CachedEmbedder
from evolcoder.engine.base import Completion
from evolcoder.engine.cache import CompletionCache
from evolcoder.errors import RunFolderError
from evolcoder.evaluation.store import EvalStore, StoredVerdict
from evolcoder.experiment.store import LoopStore, StoredStep
from evolcoder.grading import problem_checks
from evolcoder.grading.problem_checks import ReferenceChecks
from groups import sampled
from small_bench import small_bench

PROBLEM = small_bench().problems()[0]
TEXTS = ["one", "two"]


class Completions:
    name, remedy = "completions.db", "delete it to start a new one; requests made again are paid"

    def make(self, folder):
        with closing(CompletionCache(folder / self.name)) as cache:
            cache.put("key", Completion("text", "because", "stop", 1, 2))

    def use(self, folder):
        with closing(CompletionCache(folder / self.name)) as cache:
            assert cache.get("key").text


class References:
    name, remedy = "controls.db", "delete it; it is created again"

    def make(self, folder):
        class Measured(ReferenceChecks):
            async def _measure(self, problem):
                need = problem_checks.ReferenceMeasurement(0.1, 20.0, (), (b"2", b"4", b'"aa"'))
                return problem_checks.ReferenceFinding("passed", "failed"), need

        with closing(Measured(folder / self.name, None, "")) as controls:
            asyncio.run(controls.finding(PROBLEM))

    def use(self, folder):
        with closing(ReferenceChecks(folder / self.name, None, "")) as controls:
            asyncio.run(controls.finding(PROBLEM))
            asyncio.run(controls.measurement(PROBLEM))


class Embeddings:
    name, remedy = "embeddings.db", "delete it to start a new one"

    def make(self, folder):
        CachedEmbedder(Hashing(), folder / self.name).embed(TEXTS)

    def use(self, folder):
        hashing = Hashing()
        CachedEmbedder(hashing, folder / self.name).embed(TEXTS)
        assert hashing.asked == []


class Evaluation:
    name, remedy = "eval.db", "restore it from a copy, or delete the folder and evaluate again"

    def make(self, folder):
        with EvalStore.create(folder, {"model": "m"}) as store:
            for number in range(2):
                sample = Sample("small/0", number, "x = 1", PromptForm.PROGRAM, None)
                store.add_sample("small", sample, "stop")
                facts = {"kind": "passed", "layers": ["pids"], "missing": [], "separation": "calls"}
                store.add_verdict(
                    "small", StoredVerdict("small/0", number, True, None, "whole", facts)
                )

    def use(self, folder):
        with EvalStore.read(folder) as store:
            assert store.samples("small", "small/0")
            assert list(store.verdicts("small"))
        comparison.print_comparisons([folder, folder], effect=None, as_json=True)


class Loop:
    name, remedy = "loop.db", "restore it from a copy"

    def make(self, folder):
        with LoopStore.create(folder) as store:
            store.add_step(StoredStep("train", "a", 1.0, "", 0.5))

    def use(self, folder):
        with LoopStore.create(folder) as store:
            assert store.steps()


KINDS = [Completions(), References(), Embeddings(), Evaluation(), Loop()]


def refused(kind, folder):
    with pytest.raises(RunFolderError) as caught:
        kind.use(folder)
    message = str(caught.value)
    assert "\n" not in message
    assert kind.name in message
    return message


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def kind(request, tmp_path):
    request.param.make(tmp_path)
    request.param.use(tmp_path)
    return request.param


@pytest.mark.parametrize("change", sampled(damage.ANY, 4))
def test_a_foreign_or_invalid_file_is_refused(kind, tmp_path, change, capsys):
    """It is refused in one line and not modified."""
    path = tmp_path / kind.name
    damage.ANY[change](path)
    before = path.read_bytes() if path.is_file() and not path.is_symlink() else None
    if change == "zero bytes":
        return  # it is filled, as a new one is
    if change == "a link to nothing" and kind.name not in {"eval.db", "loop.db"}:
        return  # it is the user's, who wants the file there
    message = refused(kind, tmp_path)
    if before is not None:
        assert path.read_bytes() == before
    if ": damaged: " in message:
        assert kind.remedy in message


COLUMNS = {
    "completions.db": [("completions", "text"), ("completions", "finish")],
    "controls.db": [("controls", "reference"), ("controls", "calls_s")],
    "embeddings.db": [],
    "eval.db": [("samples", "text"), ("samples", "form"), ("verdicts", "facts"), ("verdicts", "found")],
    "loop.db": [("steps", "kind"), ("steps", "detail")],
}  # fmt: skip
COUNTS = {
    "completions.db": [("completions", "prompt_tokens")],
    "eval.db": [("samples", "number"), ("verdicts", "number")],
}
OTHERS = {
    "controls.db": {
        "answers cut off": damage.sql("UPDATE controls SET answers=substr(answers, 1, 4)"),
        "answers not packed": damage.sql("UPDATE controls SET answers=x'00112233'"),
        "answers a text": damage.sql("UPDATE controls SET answers='many'"),
        "a bomb": damage.sql("UPDATE controls SET answers=?", values=(damage.PackedZeros(1 << 30),)),
        "fewer answers": damage.sql("UPDATE controls SET answers=?", values=(damage.packed(b"1"),)),
        "no times": damage.sql("UPDATE controls SET calls_s='[\"long\"]'"),
        "endless times": damage.sql("UPDATE controls SET calls_s='[1e999, 1, 1]'"),
        "deep": damage.sql("UPDATE controls SET calls_s=?", values=(damage.DEEP,)),
        "seconds in words": damage.unconstrained("UPDATE controls SET cpu_s=?", "long"),
    },
    "embeddings.db": {
        "odd bytes": damage.sql("UPDATE embeddings SET row=x'001122'"),
        "two widths": damage.sql("UPDATE embeddings SET row=substr(row, 1, 8) WHERE digest=(SELECT MIN(digest) FROM embeddings)"),
        "a text": damage.sql("UPDATE embeddings SET row='text'"),
    },
    "eval.db": {
        **damage.of_json("verdicts", "facts"),
        "a verdict of no kind": damage.sql("UPDATE verdicts SET facts='{}'"),
        "a place that is none": damage.sql("UPDATE verdicts SET found='nowhere'"),
        "a form that is none": damage.sql("UPDATE samples SET form='dance'"),
        "layers of no list": damage.sql("UPDATE verdicts SET facts='{\"kind\": \"x\", \"layers\": 3}'"),
    },
    "loop.db": {"seconds in words": damage.unconstrained("UPDATE steps SET seconds=?", "long")},
}  # fmt: skip
VALUES = [
    pytest.param(kind, change, id=f"{kind.name}, {name}")
    for kind in KINDS
    for name, change in {
        **{n: c for one in COLUMNS[kind.name] for n, c in damage.of_text(*one).items()},
        **{n: c for one in COUNTS.get(kind.name, ()) for n, c in damage.of_count(*one).items()},
        **OTHERS.get(kind.name, {}),
    }.items()
]


@pytest.mark.parametrize(("kind", "change"), sampled(VALUES, 5), indirect=["kind"])
def test_invalid_values_are_reported_as_damage(kind, tmp_path, change, capsys):
    """The error names the damaged file and what to do."""
    change(tmp_path / kind.name)
    message = refused(kind, tmp_path)
    assert f"{kind.name}: damaged: " in message
    assert kind.remedy in message


def test_a_cache_of_an_earlier_version_is_used(tmp_path):
    """The first version of the embeddings cache had no schema version; its contents are used."""
    Embeddings().make(tmp_path)
    damage.sql("PRAGMA user_version=0")(tmp_path / "embeddings.db")
    Embeddings().use(tmp_path)

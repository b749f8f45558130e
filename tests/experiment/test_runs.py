"""A loop's runs are made once, and again if their inputs change; other work begins meanwhile."""

import threading
from contextlib import contextmanager

import pytest

import toys
from evolcoder.experiment.arms import Arm
from evolcoder.experiment.config import LoopConfig, variant
from evolcoder.experiment.interfaces import LoopServices, Served
from evolcoder.experiment.runner import EvolutionRuns, Loop
from evolcoder.experiment.store import LoopStore, weights_id
from evolcoder.experiment.timings import StepTimer
from evolcoder.records import Response, Task, Usage
from evolcoder.storage.run_store import RunStore

MADE = Usage("toy", 1, 1, 1)


def fill(folder, rounds):
    """Write a run of one seed with one row in each round."""
    with RunStore.create(folder, toys.config()) as store:
        task = Task.seed("Sort a list.", ordinal=0, language="python")
        store.add_seeds([task, Response.to(task, "sorted(x)", made=None)])
        for round in range(1, rounds + 1):
            task = task.child(
                f"Sort {round} lists.", round=round, heuristic="deepen", language=None, made=MADE
            )
            store.add(task)
            store.add(Response.to(task, f"sorted({round})", made=MADE))


class Evolver:
    """Writes a run folder, and records its calls."""

    def __init__(self):
        self.calls = []

    def evolve(self, config, folder, models):
        self.calls.append((folder.name, config.budget.rounds, dict(models)))
        if not folder.exists():
            fill(folder, config.budget.rounds)


class Servers:
    """Returns specs for the given names without serving."""

    @contextmanager
    def serving(self, models):
        yield [Served(f"http://x#{name}") for _, name in models]


@pytest.fixture
def runs(tmp_path):
    """Return the runs of a loop with this config, and the calls of their evolver."""
    evolver = Evolver()
    with LoopStore.create(tmp_path / "loop") as store:

        def make(**changes):
            config = LoopConfig.model_validate({"student": {"path": "weights"}, **changes})
            parts = LoopServices(evolver, None, Servers(), None)
            clock = StepTimer(store, lambda _: None)
            made = EvolutionRuns(store, config, parts, clock=clock, tokens=lambda _: 1)
            return made, lambda rounds: made.evolve("main", variant(config, "main"), rounds)

        yield make, evolver.calls


def test_a_run_is_looked_at_again_where_its_config_is_another(runs):
    """A changed key makes a run again, also one that decides no task; the number of rounds does not."""
    make, calls = runs
    make()[1](1)
    make(run={"budget": {"rounds": 4}})[1](1)
    assert len(calls) == 1
    make()[1](2)
    make(run={"clean": {"near": 0.5}})[1](1)
    assert [rounds for _, rounds, _ in calls] == [1, 2, 1]


def test_weights_of_one_name_are_served_under_two(runs, tmp_path):
    """Different weights have different names, and equal weights keep theirs."""
    make, calls = runs
    for place in ("a", "b", "c"):
        folder = tmp_path / place / "final"
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(bytes(100_000) + place.encode())
        (folder / "README.md").write_text(f"model {place}")
    (tmp_path / "c" / "final" / "model.safetensors").write_bytes(bytes(100_000) + b"a")
    for place in ("a", "b", "c"):
        make(run={"evolver": {"model": f"vllm:{tmp_path / place / 'final'}"}})[1](1)
    first, second, third = (models["evolver"] for _, _, models in calls)
    assert first.startswith("http://x#final-")
    assert first != second
    assert first == third


def test_weights_are_told_apart_by_any_layer(tmp_path):
    """A changed block is detected at any position; a name that is no path is its own fingerprint."""
    path = tmp_path / "model.safetensors"
    whole = bytes(3_000_000)
    seen = set()
    for at in range(0, len(whole), 250_000):
        path.write_bytes(whole[:at] + b"\1" * 16_384 + whole[at + 16_384 :])
        seen.add(weights_id(str(tmp_path)))
    assert len(seen) == 12
    assert weights_id("Qwen/X") != weights_id("Qwen/Y")


def test_an_arm_is_there_if_its_newest_round_has_rows(runs, tmp_path):
    """A run that was made elsewhere may have fewer rounds than the budget says."""
    fill(tmp_path / "elsewhere", 2)
    make, calls = runs
    made, evolve = make(folders={"main": str(tmp_path / "elsewhere")})
    evolve(4)
    names = ("student", "seed", "merge-0..2", "merge-0..3", "round-3", "seed-reanswered")
    assert [str(arm) for arm in made.available([*map(Arm.read, names)])] == [
        "student", "seed", "merge-0..2",
    ]  # fmt: skip
    assert made.last_round("main") == 2
    assert made.last_round("main-reanswered") == -1
    assert not calls


ENOUGH_S = 30.0


class Steps:
    """The services of a loop, which record what they do; round 1 waits for what it is to await."""

    def __init__(self, awaited):
        self.seen = []
        self.awaited = {name: threading.Event() for name in awaited}

    def do(self, name):
        self.seen.append(name)
        if name in self.awaited:
            self.awaited[name].set()

    def evolve(self, config, folder, models):
        if config.budget.rounds:
            assert all(event.wait(ENOUGH_S) for event in self.awaited.values())
        if folder.exists():
            return
        fill(folder, 1)

    def prepare(self):
        self.do("prepare")

    def train(self, training, data, out):
        self.do("train")
        out.mkdir(parents=True)
        (out / "weights").touch()

    def stop(self):
        pass

    def close(self):
        pass

    @contextmanager
    def serving(self, models):
        yield [Served(f"http://x#{name}") for _, name in models]

    def start_ahead(self, weights):
        self.do(f"start {weights}")

    @contextmanager
    def student(self, weights, name):
        yield Served(f"http://x#{name}")

    def check(self, benches):
        self.do("check")

    def is_sampled(self, folder, benches):
        return (folder / "sampled").exists()

    def is_graded(self, folder, benches):
        return (folder / "graded").exists()

    def sample(self, folder, name, model, benches):
        self.do("sample")
        folder.mkdir(parents=True)
        (folder / "sampled").touch()

    def grade(self, folder, name, benches):
        self.do("grade")
        (folder / "graded").touch()

    def decided(self):
        return {}

    def problems(self, bench):
        return {"a": "Add two numbers."}


@pytest.mark.parametrize(
    ("beside", "awaited"),
    [
        ({"train": {"beside": True}}, ("train", "prepare")),
        ({"train": {"beside": True}, "ask": {"grade_beside": True}}, ("train", "check")),
        ({"serve": {"swap_weights": True, "ahead": True}}, ("start weights",)),
        (
            {"serve": {"swap_weights": True, "ahead": True}, "ask": {"grade_beside": True}},
            ("start weights", "check"),
        ),
    ],
)
def test_it_begins_while_round_1_is_made(tmp_path, beside, awaited):
    """The training on the seeds, the students' server and the benchmarks' references."""
    values = {
        "student": {"path": "weights"}, "run": {"budget": {"rounds": 1}}, "arms": [],
        "dev": {"bench": None}, **beside,
    }  # fmt: skip
    steps = Steps(awaited)
    services = LoopServices(steps, steps, steps, steps)
    with LoopStore.create(tmp_path / "loop") as store:
        config = LoopConfig.model_validate(values)
        made = Loop(store, config, services, tokens=lambda _: 1, say=lambda _: None).run()
    assert len(made.trainings) == 2
    assert steps.seen.count("check") == ("ask" in beside)
    assert steps.seen.count("grade") == 2
    if "train" in beside:
        trainings = [name for name in steps.seen if name in {"train", "prepare"}]
        assert trainings == ["train", "prepare", "train"]

"""A loop of toys: a scripted evolver on loopback, a trainer without a GPU, twelve real problems."""

import json
from pathlib import Path

import pytest
import yaml

import toys
from loopback import Loopback, in_thread

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def controls_cache(tmp_path_factory):
    """Controls of the benchmarks, measured once for all loops."""
    return tmp_path_factory.mktemp("controls")


@pytest.fixture
def toy_loop(tmp_path, shared, monkeypatch, controls_cache):
    """The server that evolves, and a function that writes a loop's config."""
    monkeypatch.setenv("EVOLCODER_CACHE", str(controls_cache))
    student = tmp_path / "student"
    student.mkdir()
    (student / "data_dir").write_text(str(shared))
    nothing = {"rules": [{"match": "", "answer": "I have not learnt that."}]}
    (student / "script.json").write_text(json.dumps(nothing))
    seeds = toys.seeds_file(tmp_path / "seeds.jsonl", 24)
    with in_thread(Loopback(answer=toys.answer)) as server:
        run = {
            "seeds": {"path": str(seeds)},
            "evolver": {"model": f"{server.base_url}#toy"},
            "budget": {"rounds": 4},
            "cache": str(tmp_path / "completions.db"),
        }
        trainer = ["{python}", str(HERE / "toy_trainer.py"), "{data}", "{base}", "{out}", "{seed}"]
        plain = {
            "run": run,
            "student": {"path": str(student), "name": "toy"},
            "train": {"command": trainer, "steps": ["{steps}"], "batch": 8, "epochs": 1},
            "serve": {"command": [], "spec": "scripted:{model}/script.json"},
            "ask": {"limit": 12, "data_dir": str(shared), "max_tokens": 4000},
            "dev": {"bench": "mbpp-dev"},
            "tests": ["humaneval"],
            "arms": ["student", "seed-reanswered"],
        }

        def write(name="loop.yaml", **changes):
            path = tmp_path / name
            path.write_text(yaml.safe_dump({**plain, **changes}))
            return path

        yield server, write, student

"""The viewer in this process, as a client with its cookie sees it, and folders to show."""

import asyncio
import itertools
import re

import httpx

import small_run
from evolcoder.bench.base import PromptForm, Sample
from evolcoder.config.load import validate
from evolcoder.evaluation.store import EvalStore, StoredVerdict
from evolcoder.storage.run_store import RunStore
from evolcoder.view.app import Viewer, make_app
from evolcoder.view.guard import Guard
from evolcoder.view.samples import Benchmarks
from evolcoder.view.sources import find_sources

PORT, TOKEN = 8123, "t" * 43
BASE = f"http://127.0.0.1:{PORT}"


class Client:
    """A browser without scripts, in this process."""

    def __init__(self, app, cookies=None):
        self.app, self.cookies = app, dict(cookies or {})

    def get(self, address, **more):
        return self.request("GET", address, **more)

    def post(self, address, **more):
        return self.request("POST", address, **more)

    def request(self, method, address, **more):
        async def ask():
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(
                transport=transport, base_url=BASE, cookies=self.cookies
            ) as one:
                answer = await one.request(method, f"{BASE}{address}", **more)
                self.cookies |= dict(one.cookies)
                return answer

        return asyncio.run(ask())


def ids_of(page):
    """Return the beginnings of the ids that a list of rows shows."""
    return re.findall(r"data-item><p class=\"facts\"><a [^>]*>(\w+)", page)


class Shown:
    """A viewer of a folder, with a client that has its cookie."""

    def __init__(self, folder, cache, *, data=()):
        self.cache = cache
        self.viewer = Viewer(find_sources([folder]), cache, Benchmarks(data))
        self.app = Guard(make_app(self.viewer), token=TOKEN, port=PORT)
        self.client = Client(self.app, {f"evolcoder_view_{PORT}": TOKEN})
        for run in self.viewer.runs.values():
            assert run.index.update()

    @property
    def run(self):
        return next(f"/run/{key}" for key in self.viewer.runs)

    def page(self, address, status=200):
        answer = self.client.get(address)
        assert answer.status_code == status, answer.text
        return answer.text

    def ids(self, query=""):
        """Return the beginnings of the ids that a list shows."""
        return ids_of(self.page(f"{self.run}/rows{query}"))


def make_run(folder, records=(), *, rounds=2):
    with RunStore.create(folder, validate({}, where="test")) as store:
        if records:
            for record in records:
                store.add(record)
            for round in range(rounds):
                store.open_round(round, 1)
        else:
            small_run.fill(store)
    return folder


def make_evaluations(folder):
    """Make two evaluations of three problems with two samples each, `before` and `after`."""
    for name, passing in (("before", {0, 1}), ("after", {1, 2})):
        with EvalStore.create(folder / name, {"model": f"hf:{name}"}) as store:
            for problem, number in itertools.product(range(3), range(2)):
                id = f"HumanEval/{problem}"
                text = f"Here:\n```python\ndef f():\n    return {problem}  # {name} <b>\n```"
                store.add_sample(
                    "humaneval", Sample(id, number, text, PromptForm.ANSWER, None), "stop"
                )
                passed = problem in passing and not (problem == 1 and number)
                facts = {"kind": "passed" if passed else "wrong", "check": "f() == 7", "got": "<i>"}
                store.add_verdict(
                    "humaneval", StoredVerdict(id, number, passed, None, "fence", facts)
                )
            store.add_failure("humaneval", "HumanEval/9", 0, "the sandbox ended")

"""Model servers that fail: what a run stores, what it says, and how the same command goes on."""

import asyncio
import json
import re

import pytest
from aiohttp import web

from evolcoder.cli.main import main
from evolcoder.engine.evidence import CONTROL
from evolcoder.storage.run_store import RunStore
from groups import sampled
from jsonl import write_jsonl
from loopback import Loopback, in_thread

CODE = "```python\ndef f(x):\n    return x\n```"
GOOD = {
    "choices": [{"message": {"content": CODE}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150},
}


def rule(match=".", body=GOOD, code=200, *, first=1 << 60, after_s=0.0, **headers):
    return {
        "match": match, "body": body, "status": code, "first": first, "after_s": after_s,
        "headers": {name.replace("_", "-"): value for name, value in headers.items()},
    }  # fmt: skip


class Case:
    """A server that answers each request by the first rule for its last message."""

    def __init__(self, *rules, models=None):
        self.asked = []
        self.rules = list(rules)
        names = {"data": [{"id": name} for name in models or ()]}
        self._models = names if models else None

    async def listing(self, request):
        found = self._models
        return web.json_response(found) if found else web.json_response({}, status=404)

    async def answer(self, request):
        asked = json.loads(await request.text())
        text = asked["messages"][-1]["content"]
        one = next(r for r in self.rules if r["first"] > 0 and re.search(r["match"], text))
        one["first"] -= 1
        self.asked.append(text)
        await asyncio.sleep(one["after_s"])
        body = one["body"] if isinstance(one["body"], str) else json.dumps(one["body"])
        return web.Response(status=one["status"], text=body, headers=one["headers"])


@pytest.fixture
def start(tmp_path, capsys):
    """Start a server by its rules; returns it and a function that runs two seeds, or `n`, on it."""
    stops = []

    def started(case, *, n=2, model="m"):
        context = in_thread(Loopback(listing=case.listing, always=case.answer))
        server = context.__enter__()
        stops.append(context)
        seeds = tmp_path / "seeds.jsonl"
        tasks = [
            "Write a function BLOCKED.",
            *(f"Write a function number {i}." for i in range(n - 1)),
        ]
        write_jsonl(seeds, ({"instruction": t} for t in tasks))

        def run(*more, verb="run", source=("--seeds", seeds)):
            code = main(
                [
                    verb, *map(str, source), "--model", f"{server.base_url}#{model}", *more,
                    "--out", str(tmp_path / "o"), "--cache", str(tmp_path / "o.db"),
                    *(("--rounds", "0") if verb == "run" else ()),
                ]
            )  # fmt: skip
            return (code, *capsys.readouterr())

        return run

    yield started
    for context in stops:
        context.__exit__(None, None, None)


def drops_of(tmp_path):
    if not (tmp_path / "o").exists():
        return []
    with RunStore.read(tmp_path / "o") as store:
        return [(drop.ordinal, drop.reason.value, drop.detail) for drop in store.drops()]


def n_kept(tmp_path):
    with RunStore.read(tmp_path / "o") as store:
        return len(list(store.rows()))


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    """Retry at once: these tests are about what is decided, not about how long it takes."""
    monkeypatch.setattr("evolcoder.engine.retry.MAX_BACKOFF_S", 0.01)


FOR_ALL = {
    "bad-request-for-all": (400, [{"error": {"code": 400, "message": "API key not valid."}}]),
    "parameter-not-taken": (
        400,
        {"error": {"message": "max_tokens is too large: at most 512"}},
    ),
    "unprocessable": (422, {"detail": [{"msg": "top_p out of range"}]}),
    "wrong model": (404, {"error": {"message": "The model `m` does not exist."}}),
    "forbidden": (403, {"error": {"message": "no access"}}),
}


@pytest.mark.parametrize("name", sampled(FOR_ALL, 2))
@pytest.mark.parametrize("n", sampled([30, 1, 2], 3))
def test_a_rejection_of_everything_stops_at_once_and_nothing_is_final(start, tmp_path, name, n):
    """Exit 1 with the server's words; the same command on a good server answers all."""
    code, body = FOR_ALL[name]
    case = Case(rule(body=body, code=code))
    run = start(case, n=n)
    exit_code, _, err = run()
    words = next(iter(re.findall(r'"(?:message|msg)": "([^"]*)"', json.dumps(body))))
    assert exit_code == 1
    assert words in err
    assert "run the same command again" in err
    assert len(case.asked) <= n + 1
    assert not (tmp_path / "o").exists()
    case.rules = [rule()]
    assert run("--set", "evolver.max_tokens=512")[0] == 0
    assert n_kept(tmp_path) == n


def test_a_set_up_that_breaks_in_mid_run_keeps_what_was_stored(start, tmp_path):
    """A resumed run goes on where it stopped, with nothing dropped."""
    case = Case(rule(first=5), rule(body={"error": {"message": "API key expired"}}, code=400))
    run = start(case, n=8)
    code, _, err = run("--set", "traffic.concurrency=1")
    assert code == 1
    assert "API key expired" in err
    assert drops_of(tmp_path) == []
    case.rules, before = [rule()], len(case.asked)
    assert run()[0] == 0
    assert n_kept(tmp_path) == 8
    assert len(case.asked) - before == 3


ONE_ROW = {
    "flagged-403": (403, {"error": {"code": 403, "message": "your input was flagged"}}, "rejected"),
    "plain-400": (400, {"error": {"message": "odd"}}, "rejected"),
    "always-500": (500, {"error": {"message": "internal"}}, "failed"),
    "no-choices": (200, {"choices": []}, "failed"),
    "null-message": (200, {"choices": [{"message": None}]}, "failed"),
    "200-with-error": (200, {"error": {"message": "upstream failed"}}, "failed"),
}


@pytest.mark.parametrize("name", sampled(ONE_ROW, 3))
def test_one_row_that_the_server_does_not_answer_is_dropped_and_named(start, tmp_path, name):
    """The others are kept, and a second run asks nothing."""
    code, body, reason = ONE_ROW[name]
    case = Case(rule("BLOCKED", body, code), rule())
    run = start(case)
    assert run()[0] == 0
    assert [drop[:2] for drop in drops_of(tmp_path)] == [(0, reason)]
    assert n_kept(tmp_path) == 1
    before = len(case.asked)
    assert run()[0] == 0
    assert len(case.asked) == before


@pytest.mark.parametrize("name", ["flagged-403", "always-500"])
@pytest.mark.parametrize("is_fixed", sampled([True, False], 2))
def test_a_rejected_row_is_asked_again_on_demand(start, tmp_path, name, is_fixed):
    """Only that one; if the server still does not answer it, it is dropped again."""
    code, body, reason = ONE_ROW[name]
    case = Case(rule("BLOCKED", body, code), rule())
    run = start(case)
    run()
    if is_fixed:
        case.rules = [rule()]
    before = len(case.asked)
    exit_code, _, err = run("--retry-rejected")
    assert exit_code == 0, err
    assert "asking again for 1 rows" in err
    again = set(case.asked[before:]) - {CONTROL}
    assert again == {"Write a function BLOCKED."}
    assert [drop[:2] for drop in drops_of(tmp_path)] == ([] if is_fixed else [(0, reason)])
    assert n_kept(tmp_path) == 1 + is_fixed


def findings_of(tmp_path, check):
    with RunStore.read(tmp_path / "o") as store:
        query = "SELECT ordinal, kind FROM verdicts WHERE check_name = ? ORDER BY ordinal"
        return [kind for _, kind in store.db.read(query, (check,))]


DOUBLE = "```python\ndef f(x):\n    return 2 * x\n```"
TESTS = "```python\nassert f(1) == 2\nassert f(7) == 14\nassert f(-2) == -4\n```"


def saying(text):
    return json.loads(json.dumps(GOOD).replace(json.dumps(CODE), json.dumps(text)))


@pytest.mark.parametrize("name", ["flagged-403", "always-500"])
def test_a_rejected_tester_is_asked_again_on_demand(start, tmp_path, name):
    """The row is kept meanwhile; only its check is run again, and no answer is asked for again."""
    code, body, _ = ONE_ROW[name]
    case = Case(
        rule(r"BLOCKED[\s\S]*Do not write the code", body, code),
        rule("Do not write the code", saying(TESTS)),
        rule(body=saying(DOUBLE)),
    )
    run = start(case)
    checks = ("--set", "verify.checks=[runs,tests]", "--set", "verify.check_sets=1")
    assert run(*checks)[0] == 0
    assert findings_of(tmp_path, "tests") == ["not_run", "passed"]
    case.rules = case.rules[1:]
    before = len(case.asked)
    assert run(*checks)[0] == 0
    assert len(case.asked) == before
    code, _, err = run(*checks, "--retry-rejected")
    assert (code, "checking 1 rows again" in err) == (0, True)
    assert findings_of(tmp_path, "tests") == ["passed", "passed"]
    assert n_kept(tmp_path) == 2
    assert all("Do not write the code" in text for text in set(case.asked[before:]) - {CONTROL})


def test_many_rejected_rows_that_are_asked_again_do_not_block_the_run(start, tmp_path):
    """Nothing else is left to accept, and the run had answers before."""
    no = {"error": {"message": "too long"}}
    case = Case(rule(r"number 3\."), rule(CONTROL), rule(body=no, code=400))
    run = start(case, n=30)
    for _ in range(2):
        code, _, err = run("--retry-rejected")
        assert code == 0, err
        assert [drop[1] for drop in drops_of(tmp_path)] == ["rejected"] * 29
    assert n_kept(tmp_path) == 1


def test_another_key_or_server_is_asked_again_without_a_flag(start, tmp_path, monkeypatch):
    """The model is the same and its server is not."""
    first = Case(rule("BLOCKED", {"error": {"message": "odd"}}, 400), rule())
    second = Case(rule())
    start(first)
    with in_thread(Loopback(listing=first.listing, always=first.answer)) as one:
        monkeypatch.setenv("OPENAI_BASE_URL", one.base_url)
        arguments = [
            "run", "--seeds", str(tmp_path / "seeds.jsonl"), "--model", "openai:m", "--rounds",
            "0", "--out", str(tmp_path / "o"), "--cache", str(tmp_path / "o.db"),
        ]  # fmt: skip
        assert main(arguments) == 0
        assert len(drops_of(tmp_path)) == 1
    with in_thread(Loopback(listing=second.listing, always=second.answer)) as two:
        monkeypatch.setenv("OPENAI_BASE_URL", two.base_url)
        assert main(arguments) == 0
    assert drops_of(tmp_path) == []
    assert second.asked == ["Write a function BLOCKED."]


FOR_A_MOMENT = {
    "530": (530, "error code: 1033", {}),
    "498": (498, {"error": {"message": "capacity exceeded"}}, {}),
    "507": (507, {}, {}),
    "424": (424, {"error": "Request failed during generation", "error_type": "generation"}, {}),
    "413-as-rate-limit": (
        413,
        {"error": {"code": "rate_limit_exceeded", "message": "tokens per minute"}},
        {"Retry_After": "0.01"},
    ),
    "retryable": (400, {"error": {"message": "later", "retryable": True}}, {}),
}


@pytest.mark.parametrize("name", sampled(FOR_A_MOMENT, 3))
def test_a_server_that_fails_for_a_moment_loses_no_row(start, tmp_path, name):
    """All rows are kept after waiting."""
    code, body, headers = FOR_A_MOMENT[name]
    case = Case(rule(body=body, code=code, first=7, **headers), rule())
    assert start(case)()[0] == 0
    assert n_kept(tmp_path) == 2
    assert drops_of(tmp_path) == []


@pytest.mark.parametrize(
    ("listed", "model"),
    [("openai/gpt-4o-mini", "openai/gpt-4o-mini:nitro"), ("openai/*", "openai/gpt-4o")],
)
def test_a_model_that_is_not_listed_is_asked(start, tmp_path, listed, model):
    """The chat call decides."""
    assert start(Case(rule(), models=[listed]), model=model)()[0] == 0
    assert n_kept(tmp_path) == 2


def test_a_misspelt_model_is_asked_once_and_the_nearest_one_named(start, tmp_path):
    """The suggestion is part of the error of the chat call."""
    body = {"error": {"message": "The model does not exist."}}
    case = Case(rule(body=body, code=404), models=["qwen2.5-coder", "llama"])
    code, _, err = start(case, n=20, model="qwen2.5-codr")()
    assert code == 1
    assert "did you mean 'qwen2.5-coder'?" in err
    assert len(case.asked) <= 21


def test_what_is_in_flight_when_a_run_ends_is_cached(start, tmp_path):
    """The next run asks only what was not answered."""
    fatal = rule("BLOCKED", {"error": {"message": "key revoked"}}, 401, after_s=0.3)
    case = Case(fatal, rule(after_s=0.8))
    run = start(case, n=8)
    code, _, err = run()
    assert code == 2
    assert "key revoked" in err
    assert "finishing 7 requests in flight into the cache" in err
    assert len(case.asked) == 8
    case.rules = [rule()]
    assert run()[0] == 0
    assert case.asked[8:] == ["Write a function BLOCKED."]
    assert n_kept(tmp_path) == 8


def test_a_run_that_kept_nothing_says_why_and_is_no_success(start, tmp_path):
    """Drops by reason, and the server's words; also as JSON."""
    flagged = {"error": {"message": "your input was flagged"}}
    case = Case(rule(CONTROL), rule(body=flagged, code=400))
    run = start(case, n=5)
    code, _, err = run()
    assert code == 1
    assert "no row was kept; dropped: respond rejected 5; most often: HTTP 400" in err
    assert "your input was flagged" in err
    code, out, _ = run("--json")
    assert code == 1
    assert "respond rejected 5" in json.loads(out)["kept_nothing"]


def test_a_run_whose_answers_are_all_empty_says_so(start):
    """The model is at fault here."""
    empty = {"choices": [{"message": {"content": ""}, "finish_reason": "stop"}]}
    code, _, err = start(Case(rule(body=empty)))()
    assert code == 1
    assert "respond empty 2; most often: empty answer" in err


DATA = {"instruction": "Write `double(x)`, which doubles x.",
        "output": "```python\ndef double(x):\n    return 2 * x\n```"}  # fmt: skip


def test_verify_stops_if_its_tester_rejects_everything(start, tmp_path):
    """With the server's words, and no row is judged by it."""
    body = {"error": {"message": "max_tokens is too large"}}
    data = tmp_path / "data.jsonl"
    data.write_text(json.dumps(DATA) + "\n")
    case = Case(rule(body=body, code=400))
    run = start(case)
    code, _, err = run("--checks", "tests", "--sandbox", "processes", verb="verify", source=(data,))
    assert code == 1
    assert "max_tokens is too large" in err
    assert drops_of(tmp_path) == []


def test_verify_says_that_its_tester_rejected_every_row(start, tmp_path):
    """A row that the tester did not take is not tested; it is checked again on demand."""
    body = {"error": {"message": "your input was flagged"}}
    data = tmp_path / "data.jsonl"
    data.write_text(json.dumps(DATA) + "\n")
    case = Case(rule(CONTROL), rule(body=body, code=400))
    run = start(case)
    again = {"verb": "verify", "source": (data,)}
    code, out, err = run("--checks", "tests", "--sandbox", "processes", **again)
    assert code == 1
    assert re.search(r"tests +not_run +1", out)
    assert "1 check(s) were not run because the model server did not answer" in err
    assert "your input was flagged" in err
    before = len(case.asked)
    run("--checks", "tests", "--sandbox", "processes", **again)
    assert len(case.asked) == before
    case.rules = [rule()]
    more = ("--sandbox", "processes", "--retry-rejected")
    code, out, _ = run("--checks", "tests", *more, **again)
    assert code == 0
    assert "not_run" not in out
    assert len(case.asked) > before


def test_verify_asks_another_server_again_by_itself(start, tmp_path):
    """What one server rejected is not final: another one is asked, and a line says so."""
    body = {"error": {"message": "your input was flagged"}}
    data = tmp_path / "data.jsonl"
    data.write_text(json.dumps(DATA) + "\n")
    options = ("--checks", "tests", "--sandbox", "processes")
    again = {"verb": "verify", "source": (data,)}
    code, out, _ = start(Case(rule(CONTROL), rule(body=body, code=400)))(*options, **again)
    assert (code, "not_run" in out) == (1, True)
    code, out, err = start(Case(rule()))(*options, **again)
    assert (code, "not_run" in out) == (0, False)
    assert "checking 1 rows again that a model server rejected or failed at" in err


GONE = {"error": {"message": "the credit balance is too low", "code": "insufficient_quota"}}


@pytest.mark.parametrize("verb", ["run", "verify", "eval"])
def test_a_folder_without_an_accepted_answer_takes_another_model(start, tmp_path, shared, verb):
    """What the first one left is asked again, what it cost stays, and a line says so."""
    data = tmp_path / "data.jsonl"
    data.write_text(json.dumps(DATA) + "\n")
    empty = {"choices": [{"message": {"content": ""}, "finish_reason": "stop"}]}
    source, options = {
        "run": (("--seeds", tmp_path / "seeds.jsonl"), ("--set", "traffic.concurrency=1")),
        "verify": ((data,), ("--checks", "tests", "--sandbox", "processes")),
        "eval": (("--bench", "humaneval", "--data-dir", shared, "--limit", 2), ("--no-grade",)),
    }[verb]
    first = [rule(body=empty, first=1)] if verb == "run" else []
    again = {"verb": verb, "source": source}
    code, _, _ = start(Case(*first, rule(body=GONE, code=402)))(*options, **again)
    assert code != 0
    run = start(Case(rule()), model="another")
    code, out, err = run(*options, "--json", **again)
    assert code == 0, err
    assert "no answer was accepted with the former" in err
    if verb == "run":
        assert n_kept(tmp_path) == 2
        assert {*json.loads(out)["paid"]} == {"m", "another"}
    code, _, err = start(Case(rule()), model="third")(*options, **again)
    assert code == 2
    assert "another --out" in err


def test_a_server_that_is_down_stops_the_run_and_loses_nothing(start, tmp_path):
    """Exit 1, no drop; the same command goes on."""
    case = Case(rule(body="", code=500))
    run = start(case, n=5)
    code, _, err = run()
    assert code == 1
    assert "HTTP 500" in err
    assert drops_of(tmp_path) == []
    case.rules = [rule()]
    assert run()[0] == 0
    assert n_kept(tmp_path) == 5


def evaluate(run, shared, *more):
    common = ("--bench", "humaneval", "--data-dir", shared, "--limit", 4, "--no-grade")
    return run(*more, verb="eval", source=common)


def test_an_evaluation_stops_at_a_set_up_and_names_a_rejected_sample(start, shared):
    """The other samples are generated; the next run asks only what is missing."""
    no = {"error": {"message": "odd one"}}
    case = Case(rule(body=no, code=400))
    run = start(case)
    code, _, err = evaluate(run, shared)
    assert code == 1
    assert "run the same command again" in err
    case.rules = [rule("has_close_elements", no, 400), rule()]
    case.asked.clear()
    code, out, err = evaluate(run, shared)
    assert code == 0
    assert "3 samples" in out
    assert "1 samples were not generated, such as" in err
    assert "odd one" in err
    case.rules = [rule()]
    case.asked.clear()
    code, out, err = evaluate(run, shared)
    assert (code, len(case.asked)) == (0, 1)
    assert "4 samples" in out
    assert "not generated" not in err


def test_a_set_up_that_never_worked_deletes_nothing_of_the_users(start, tmp_path):
    """The run's folder holds the cache too: the server's words are shown and all files stay."""
    code, body = FOR_ALL["parameter-not-taken"]
    run = start(Case(rule(body=body, code=code)))
    exit_code, _, err = run("--set", f"cache={tmp_path / 'o' / 'c.db'}")
    assert exit_code == 1, err
    assert "max_tokens is too large" in err
    assert (tmp_path / "o" / "c.db").exists()
    assert (tmp_path / "o" / "run.db").exists()

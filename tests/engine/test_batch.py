"""The batch engine on a server that behaves as the providers document, in both flavours."""

import asyncio
import re
from collections import deque
from contextlib import asynccontextmanager

import orjson
import pytest

from batch_server import BatchServer, in_loop, wrong
from evolcoder.config.load import TrafficConfig
from evolcoder.engine.base import RAW, Completion, Message, Request, Sampling
from evolcoder.engine.batch.anthropic import AnthropicBatches, anthropic_endpoint
from evolcoder.engine.batch.engine import TRIES, BatchEngine
from evolcoder.engine.batch.ledger import BatchLedger
from evolcoder.engine.batch.openai import NO_REASON, OpenAIBatches, _refusal
from evolcoder.engine.batch.service import BatchHttp
from evolcoder.engine.endpoint import Endpoint
from evolcoder.engine.transport import MAX_BYTES
from evolcoder.errors import EngineError, ModelError

CLIENTS = ("openai", "anthropic")
FLAVOURS = (*CLIENTS, "mistral", "together")
"""Both clients, and the dialects of the first where they may differ."""
KEY = "sk-very-secret-0123456789"


def request(prompt, *, role="user", max_tokens=50):
    return Request("toy", (Message(role, prompt),), Sampling(0.5, 0.9, max_tokens), 1)


@asynccontextmanager
async def opened(server, folder, flavour, *, start=True, quiet_s=0.02, **traffic):
    settings = {"batch_quiet_s": quiet_s, "batch_poll_s": 0.01, "max_retry_s": 5, **traffic}
    config = TrafficConfig(batch=True, **settings)
    endpoint = Endpoint.of(server.base_url, api_key=KEY)
    if flavour == "anthropic":
        endpoint = anthropic_endpoint(endpoint, KEY)
    else:
        server.dialect = flavour
    http = BatchHttp(endpoint, config, backoff_s=0.01)
    service = AnthropicBatches(http, poll_s=0.01) if flavour == "anthropic" else OpenAIBatches(http)
    notes = []
    engine = BatchEngine(
        service, BatchLedger(folder / "l.db"), endpoint, "toy", config, note=notes.append
    )
    engine.notes = notes
    try:
        if start:
            await engine.start()
        yield engine
    finally:
        await engine.aclose()


async def ask(engine, *prompts):
    return await asyncio.gather(
        *(engine.complete(request(prompt)) for prompt in prompts), return_exceptions=True
    )


PROMPTS = [f"question {n}" for n in range(20)]


def texts(answers):
    return [getattr(answer, "text", answer) for answer in answers]


SAID = [f"You said: {prompt}" for prompt in PROMPTS]


@pytest.mark.parametrize("flavour", FLAVOURS)
async def test_requests_in_flight_are_one_batch_and_each_gets_its_own_answer(tmp_path, flavour):
    """Results come in another order than they were asked."""
    async with in_loop(BatchServer(key=KEY)) as server, opened(server, tmp_path, flavour) as engine:
        answers = await ask(engine, *PROMPTS)
        assert texts(answers) == SAID
        assert server.sizes == [20]
        assert {answer.finish for answer in answers} == {"stop"}
        cut = await engine.complete(request("a b c d e f", max_tokens=3))
        assert (cut.text, cut.finish, cut.completion_tokens) == ("You said: a", "length", 3)


@pytest.mark.parametrize("flavour", FLAVOURS)
async def test_an_expired_batch_keeps_what_it_answered_and_asks_only_for_the_rest(
    tmp_path, flavour
):
    """Partial results count; the lines that expired or were cancelled go into another batch."""

    def verdict(body, n_batch):
        number = int(body["messages"][-1]["content"].split()[-1])
        if n_batch == 0 and number % 2:
            return "expired"
        return "canceled" if n_batch == 1 and number % 4 == 1 else 200

    server = BatchServer(verdict=verdict)
    async with in_loop(server), opened(server, tmp_path, flavour) as engine:
        assert texts(await ask(engine, *PROMPTS)) == SAID
    assert server.sizes == [20, 10, 5]
    assert set(server.answered.values()) == {1}


@pytest.mark.parametrize("flavour", CLIENTS)
async def test_a_request_that_always_expires_is_given_up_and_may_be_asked_later(tmp_path, flavour):
    """The bound is in batches; nothing final is stored."""
    server = BatchServer(verdict=lambda body, n: "expired")
    async with in_loop(server), opened(server, tmp_path, flavour) as engine:
        (error,) = await ask(engine, "never")
        assert isinstance(error, EngineError)
        assert error.retryable
        assert len(server.jobs) == TRIES
        server.verdict = lambda body, n: 200
        assert texts(await ask(engine, "never")) == ["You said: never"]


@pytest.mark.parametrize("flavour", CLIENTS)
@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [
        (400, "invalid_request_error", False),
        (413, "request_too_large", False),
        (429, "rate_limit_error", True),
        (500, "api_error", True),
        (529, "overloaded_error", True),
    ],
)
async def test_an_error_of_a_line_is_that_requests(tmp_path, flavour, status, kind, retryable):
    """The others are answered; a transient one is asked again, a rejection is not."""
    error = {"type": kind, "message": f"not this one, {KEY}"}

    def verdict(body, n_batch):
        return (status, error) if body["messages"][-1]["content"] == "bad" else 200

    server = BatchServer(verdict=verdict)
    async with in_loop(server), opened(server, tmp_path, flavour) as engine:
        *answers, bad = await ask(engine, *PROMPTS, "bad")
    assert texts(answers) == SAID
    assert isinstance(bad, EngineError)
    assert bad.retryable is retryable
    assert "not this one" in str(bad)
    assert KEY not in str(bad)
    assert server.sizes == ([21, 1, 1] if retryable else [21])


async def test_a_parameter_that_the_model_rejects_is_left_out_of_the_next_batch(tmp_path):
    """As in immediate requests; a later session does not send it either."""

    def verdict(body, n_batch):
        for name in ("max_tokens", "temperature"):
            if name in body:
                message = f"Unsupported parameter: '{name}' is not supported with this model."
                return 400, {"message": message, "code": "unsupported_parameter", "param": name}
        return 200

    server = BatchServer(verdict=verdict)
    async with in_loop(server):
        async with opened(server, tmp_path, "openai") as engine:
            assert texts(await ask(engine, *PROMPTS)) == SAID
            assert engine.not_sent == {"toy": ("max_tokens", "temperature")}
        assert server.sizes == [20, 20, 20]
        async with opened(server, tmp_path, "openai") as engine:
            assert texts(await ask(engine, "more")) == ["You said: more"]
    assert server.sizes == [20, 20, 20, 1]


async def test_parameters_that_exclude_each_other_are_found_in_a_batch_of_messages(tmp_path):
    """Anthropic's newer models take temperature or top_p."""

    def verdict(body, n_batch):
        both = "`temperature` and `top_p` cannot both be specified for this model."
        error = {"type": "invalid_request_error", "message": both}
        return (400, error) if {"temperature", "top_p"} <= body.keys() else 200

    server = BatchServer(verdict=verdict)
    async with in_loop(server), opened(server, tmp_path, "anthropic") as engine:
        assert texts(await ask(engine, *PROMPTS)) == SAID
    assert [job.lines[0]["body"].keys() & {"temperature", "top_p"} for job in server.jobs.values()][
        1
    ] == {"temperature"}


async def test_a_batch_that_fails_validation_is_the_set_ups(tmp_path):
    """The server's words reach the user, and the same requests may be asked again."""
    refusal = {"code": "invalid_model", "message": "this model has no batches"}
    server = BatchServer(refusals=deque([refusal]))
    async with in_loop(server), opened(server, tmp_path, "openai") as engine:
        answers = await ask(engine, "a", "b")
        assert all(isinstance(answer, ModelError) for answer in answers)
        assert "this model has no batches" in str(answers[0])
        assert texts(await ask(engine, "a", "b")) == ["You said: a", "You said: b"]


@pytest.mark.parametrize("flavour", ["openai", "mistral", "together"])
async def test_a_batch_that_failed_halfway_keeps_what_it_answered(tmp_path, flavour):
    """The provider's words end nothing: the rest is sent again, and nothing twice."""
    server = BatchServer(fails_after={0: 7})
    async with in_loop(server), opened(server, tmp_path, flavour) as engine:
        assert texts(await ask(engine, *PROMPTS)) == SAID
    assert server.sizes == [20, 13]
    assert set(server.answered.values()) == {1}


@pytest.mark.parametrize("flavour", ["mistral", "together"])
async def test_a_failed_batch_of_a_dialect_is_the_set_ups(tmp_path, flavour):
    """Its words are in a list of errors or in a plain field."""
    server = BatchServer(refusals=deque([{"message": "no credits"}]))
    async with in_loop(server), opened(server, tmp_path, flavour) as engine:
        (answer,) = await ask(engine, "a")
    assert isinstance(answer, ModelError)
    assert "no credits" in str(answer)


@pytest.mark.parametrize(("flavour", "name"), [("mistral", "random_seed"), ("together", "seed")])
async def test_the_seed_has_the_name_of_the_dialect(tmp_path, flavour, name):
    """A name that the provider does not know would cost a batch."""
    server = BatchServer()
    async with in_loop(server), opened(server, tmp_path, flavour) as engine:
        await ask(engine, "a")
    (line,) = server.jobs["batch_0"].lines
    assert {key: value for key, value in line["body"].items() if "seed" in key} == {name: 1}


@pytest.mark.parametrize(
    "errors",
    [["boom"], "boom", {"message": "boom"}, {"data": [{"message": "boom"}]}, [{"message": "boom"}]],
)
def test_the_words_of_a_failed_batch_are_found_wherever_they_stand(errors):
    """Servers that imitate the API put them into lists, objects or plain texts."""
    assert _refusal({"errors": errors}) == ("boom", False)
    assert _refusal({"errors": {"data": None}, "error": ""})[0] == NO_REASON


@pytest.mark.parametrize(
    "url",
    [
        "https://generativelanguage.googleapis.com/v1beta/openai",
        "https://api.fireworks.ai/inference/v1",
    ],
)
async def test_an_api_without_a_documented_search_is_refused_before_anything_is_sent(url):
    """A batch that is lost when the process is killed would be paid for twice."""
    http = BatchHttp(Endpoint.of(url, api_key=KEY), TrafficConfig(batch=True))
    with pytest.raises(ModelError, match="leave out --batch") as caught:
        await OpenAIBatches(http).check()
    await http.aclose()
    assert url in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_a_limit_on_enqueued_tokens_makes_batches_smaller(tmp_path):
    """The limit is no fault of the requests: they go in parts, one after the other."""
    limit = {"code": "token_limit_exceeded", "message": "Enqueued token limit reached for toy"}
    server = BatchServer(refusals=deque([limit, limit]))
    async with in_loop(server), opened(server, tmp_path, "openai") as engine:
        assert texts(await ask(engine, *PROMPTS)) == SAID
    assert server.sizes == [20, 10, 5, 5, 10] or max(server.sizes[2:]) <= 10
    assert set(server.answered.values()) == {1}


@pytest.mark.parametrize("flavour", FLAVOURS)
async def test_a_server_without_batches_is_one_line(tmp_path, flavour):
    """A 404 says what to leave out."""
    async with in_loop(BatchServer(has_batches=False)) as server:
        with pytest.raises(
            ModelError, match=r"has no batch endpoint there \(HTTP 404\); leave out"
        ):
            async with opened(server, tmp_path, flavour):
                pass


@pytest.mark.parametrize("flavour", CLIENTS)
async def test_a_wrong_key_is_named_and_not_shown(tmp_path, flavour):
    """The server echoes the key; the error does not."""
    async with in_loop(BatchServer(key="another")) as server:
        with pytest.raises(ModelError, match="rejects the API key") as caught:
            async with opened(server, tmp_path, flavour):
                pass
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("instant", ["create", "created", "poll", "download"])
async def test_a_failing_call_is_repeated_and_creates_no_second_batch(tmp_path, flavour, instant):
    """A 500 after the batch was created is the dangerous one: it is looked for before creating."""
    failures = deque([lambda: wrong(500, "oops"), lambda: wrong(503, "busy")])
    server = BatchServer(mishaps={instant: failures})
    async with in_loop(server), opened(server, tmp_path, flavour) as engine:
        assert texts(await ask(engine, *PROMPTS)) == SAID
    assert failures == deque() or instant == "created"
    assert server.sizes == [20]


@pytest.mark.parametrize("flavour", FLAVOURS)
async def test_a_lost_submission_is_found_among_other_batches(tmp_path, flavour):
    """By tag, by file where metadata is not kept, or by the ids of its lines; page by page."""
    server = BatchServer(page=2, keeps_metadata=False, polls=1)
    async with in_loop(server):
        async with opened(server, tmp_path / "other", flavour) as engine:
            await ask(engine, *PROMPTS)  # of the same size, and not ours
        server.at = lambda instant: asyncio.sleep(60) if instant == "created" else None
        async with opened(server, tmp_path, flavour) as engine:
            waiting = asyncio.create_task(ask(engine, *PROMPTS))
            while len(server.jobs) < 2:
                await asyncio.sleep(0.01)
        await waiting
        server.at = lambda instant: None
        async with opened(server, tmp_path / "other", flavour) as engine:
            for n in range(4):
                await ask(engine, f"later {n}")
        before = len(server.jobs)
        async with opened(server, tmp_path, flavour) as engine:
            assert texts(await ask(engine, *PROMPTS)) == SAID
    assert len(server.jobs) == before


@pytest.mark.parametrize("flavour", CLIENTS)
async def test_results_may_be_larger_than_an_immediate_response(tmp_path, flavour):
    """The limit of one response does not hold for a file of many."""
    server = BatchServer(answer=lambda prompt: f"{prompt.split()[-1]}-{'x' * 600_000}")
    async with in_loop(server), opened(server, tmp_path, flavour) as engine:
        answers = await ask(engine, *PROMPTS)
    assert [answer.text.partition("-")[0] for answer in answers] == [str(n) for n in range(20)]
    assert sum(len(answer.text) for answer in answers) > MAX_BYTES


async def test_a_batch_that_is_not_listed_yet_is_waited_for(tmp_path):
    """A provider may show what it created with some delay: a 404 is not believed at once."""
    absent = deque([lambda: wrong(404, "No batch found")] * 3)
    server = BatchServer(mishaps={"poll": absent})
    async with in_loop(server), opened(server, tmp_path, "openai") as engine:
        assert texts(await ask(engine, *PROMPTS)) == SAID
    assert absent == deque()
    assert server.sizes == [20]


ODD_LINES = {
    "crlf": lambda line: line.replace(b"\n", b"\r\n"),
    "blank lines": lambda line: b"\n" + line + b"\n\n",
    "each twice": lambda line: line + line,
    "garbage between": lambda line: b'{"half":\n' + line + b"[1, 2]\nnull\n\xff\n",
    "lines of others": lambda line: (
        line + line.replace(b"evolcoder-", b"other-") + b'{"custom_id": 5}\n'
    ),
    "no status": lambda line: line.replace(b'"status_code":200,', b""),
    "ids that look like ours": lambda line: (
        re.sub(rb'(evolcoder-\w+)-\d+"', rb'\1-x"', line)
        + re.sub(rb'(evolcoder-\w+)-\d+"', rb'\1-999999"', line) + line
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD_LINES)
async def test_results_in_odd_lines_are_read(tmp_path, name):
    """What is no line of ours is skipped; nothing that was answered is asked again."""
    server = BatchServer(rewrite=ODD_LINES[name])
    async with in_loop(server), opened(server, tmp_path, "openai") as engine:
        assert texts(await ask(engine, *PROMPTS)) == SAID
    assert server.sizes == [20]


@pytest.mark.parametrize(
    "broken", [b'{"choices":[]}', b'{"choices":[{"message":null}]}', b"{}", b"[]", b"null", b'"no"']
)
async def test_a_200_without_an_answer_is_asked_again_and_then_given_up(tmp_path, broken):
    """For this request alone."""

    def rewrite(line):
        body = re.sub(rb'"body":\{.*\},"request', b'"body":' + broken + b',"request', line)
        return body if b"You said: bad" in line else line

    server = BatchServer(rewrite=lambda line: rewrite(swap(line)))
    async with in_loop(server), opened(server, tmp_path, "openai") as engine:
        good, bad = await ask(engine, "good", "bad")
    assert good.text == "You said: good"
    assert isinstance(bad, EngineError)
    assert server.sizes == [2, 1, 1]


def swap(line):
    """Put a line's body before its request id, so that its end can be found."""
    found = orjson.loads(line)
    response = found["response"]
    found["response"] = {name: response[name] for name in ("status_code", "body", "request_id")}
    return orjson.dumps(found) + b"\n"


@pytest.mark.parametrize(
    ("error", "n_batches"),
    [
        ({"code": "invalid_request", "message": "no"}, 1),
        ({"code": "content_filter", "message": "no"}, 1),
        ({"code": "400", "message": "no"}, 1),
        ({"code": 422, "message": "no"}, 1),
        ({"code": "rate_limit_exceeded", "message": "no"}, TRIES),
        ({"code": "batch_expired", "message": "no"}, TRIES),
        ({"code": "500", "message": "no"}, TRIES),
        ({"message": "no"}, TRIES),
        ("no", TRIES),
    ],
)
async def test_an_error_in_place_of_a_response_is_of_the_request_or_passes(
    tmp_path, error, n_batches
):
    """By its code, since there is no status."""

    def rewrite(line):
        found = orjson.loads(line)
        return orjson.dumps({**found, "response": None, "error": error}) + b"\n"

    server = BatchServer(rewrite=rewrite)
    async with in_loop(server), opened(server, tmp_path, "openai") as engine:
        (answer,) = await ask(engine, "hello")
    assert isinstance(answer, EngineError)
    assert answer.retryable == (n_batches > 1)
    assert len(server.jobs) == n_batches
    assert "no" in str(answer)


@pytest.mark.parametrize("flavour", FLAVOURS)
async def test_files_that_appear_late_are_waited_for(tmp_path, flavour):
    """A batch may be over some time before its results are named."""
    server = BatchServer(late_files=2)
    async with in_loop(server), opened(server, tmp_path, flavour) as engine:
        assert texts(await ask(engine, *PROMPTS)) == SAID
    assert server.sizes == [20]


@pytest.mark.parametrize("flavour", FLAVOURS)
async def test_closing_says_that_a_batch_goes_on_and_the_next_session_picks_it_up(
    tmp_path, flavour
):
    """What is out is named; its results are stored even if no request asks for them."""
    server = BatchServer(polls=10_000)
    async with in_loop(server):
        async with opened(server, tmp_path, flavour) as engine:
            waiting = asyncio.create_task(ask(engine, *PROMPTS))
            while "0/20" not in engine.progress:
                await asyncio.sleep(0.01)
        waiting.cancel()
        assert "20 requests go on at" in engine.notes[0]
        server.polls = 1
        async with opened(server, tmp_path, flavour) as engine:
            while engine.progress:
                await asyncio.sleep(0.01)
        n_requests = server.n_requests.total()
        async with opened(server, tmp_path, flavour) as engine:
            assert texts(await ask(engine, *PROMPTS)) == SAID
    # The list, at the start; Mistral's is the second that is tried.
    assert server.n_requests.total() == n_requests + 1 + (flavour == "mistral")
    assert server.sizes == [20]


async def test_a_batch_that_the_provider_no_longer_has_is_asked_again(tmp_path):
    """Its results are deleted after a month."""
    server = BatchServer(polls=10_000)
    async with in_loop(server):
        async with opened(server, tmp_path, "openai") as engine:
            waiting = asyncio.create_task(ask(engine, *PROMPTS))
            while "in_progress" not in engine.progress:
                await asyncio.sleep(0.01)
        waiting.cancel()
        server.jobs.clear()
        server.polls = 1
        async with opened(server, tmp_path, "openai") as engine:
            assert texts(await ask(engine, *PROMPTS)) == SAID


@pytest.mark.parametrize("flavour", CLIENTS)
async def test_two_processes_with_one_ledger_ask_nothing_twice(tmp_path, flavour):
    """Equal requests of two engines are in one batch, and both get the answers."""
    server = BatchServer()
    async with (
        in_loop(server),
        opened(server, tmp_path, flavour) as first,
        opened(server, tmp_path, flavour) as second,
    ):
        both = await asyncio.gather(ask(first, *PROMPTS), ask(second, *PROMPTS[5:], "own"))
    assert [texts(found) for found in both] == [SAID, [*SAID[5:], "You said: own"]]
    assert set(server.answered.values()) == {1}


async def test_text_completions_are_a_batch_of_their_own(tmp_path):
    """A batch has one endpoint."""
    server = BatchServer()
    async with in_loop(server), opened(server, tmp_path, "openai") as engine:
        chat, raw = await asyncio.gather(
            engine.complete(request("chat")), engine.complete(request("raw", role=RAW))
        )
    assert (chat.text, raw.text) == ("You said: chat", "You said: raw")
    assert [job.given["endpoint"] for job in server.jobs.values()] == [
        "/v1/chat/completions", "/v1/completions",
    ]  # fmt: skip


@pytest.mark.parametrize("flavour", ["anthropic", "mistral", "together"])
async def test_an_api_without_text_completions_says_so(tmp_path, flavour):
    """The chat requests sent with it are answered."""
    server = BatchServer()
    async with in_loop(server), opened(server, tmp_path, flavour) as engine:
        chat, raw = await asyncio.gather(
            engine.complete(request("chat")), engine.complete(request("raw", role=RAW)),
            return_exceptions=True,
        )  # fmt: skip
    assert chat.text == "You said: chat"
    assert isinstance(raw, ModelError)


@pytest.mark.parametrize("flavour", CLIENTS)
async def test_a_key_in_an_answer_is_masked(tmp_path, flavour):
    """Also in the ledger."""
    server = BatchServer(answer=lambda prompt: f"the key is {KEY}")
    async with in_loop(server), opened(server, tmp_path, flavour) as engine:
        (answer,) = await ask(engine, "which key?")
    assert answer.text == "the key is [secret]"
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("l.db*"))
    assert KEY.encode() not in stored
    assert b"the key is" in stored


async def test_half_a_character_in_an_answer_hangs_nothing(tmp_path):
    """An answer that was cut within an emoji holds a lone surrogate."""
    server = BatchServer(rewrite=lambda line: line.replace(b"question 3", rb"\ud83d"))
    async with in_loop(server), opened(server, tmp_path, "openai") as engine:
        answers = await asyncio.wait_for(ask(engine, *PROMPTS), 20)
    assert texts(answers)[:3] == SAID[:3]
    assert isinstance(answers[3], Completion)


async def test_an_unforeseen_failure_ends_the_requests_of_its_batch(tmp_path, monkeypatch):
    """As one of the moment: the batch is out, and the same command finds it again."""
    server = BatchServer()
    async with in_loop(server), opened(server, tmp_path, "openai") as engine:
        monkeypatch.setattr(engine._service, "results", None)
        failed = await asyncio.wait_for(ask(engine, *PROMPTS), 20)
        assert {(type(one), one.retryable) for one in failed} == {(EngineError, True)}
    async with in_loop(server), opened(server, tmp_path, "openai") as engine:
        assert texts(await ask(engine, *PROMPTS)) == SAID
    assert server.sizes == [20]


def test_headers_of_the_user_win_over_ours():
    """A gateway's own login is sent with Anthropic's key."""
    extra = {"Authorization": "Bearer gateway", "anthropic-version": "2030-01-01"}
    given = Endpoint.of("http://127.0.0.1:1/v1", api_key=KEY, extra_headers=extra)
    headers = {
        name.lower(): value for name, value in anthropic_endpoint(given, KEY).headers.items()
    }
    assert headers["authorization"] == "Bearer gateway"
    assert headers["anthropic-version"] == "2030-01-01"
    assert headers["x-api-key"] == KEY
    assert len(headers) == len(anthropic_endpoint(given, KEY).headers)

"""What servers do that most do not: bodies, statuses and refusals that still have one meaning."""

import asyncio
import codecs
import json

import pytest
from aiohttp import web

from evolcoder.config.load import TrafficConfig
from evolcoder.engine.base import Completion, Message, Request, Sampling
from evolcoder.engine.evidence import EvidenceEngine
from evolcoder.engine.openai import OpenAIEngine
from evolcoder.errors import EngineError, Fault, ModelError
from loopback import Loopback, completion, raw, status

pytestmark = pytest.mark.virtual_time

TEXT = "Grüße: 你好, def f(x): return x"
EVENTS = "".join(
    f"data: {json.dumps(event)}\n\n"
    for event in (
        {"model": "toy", "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]},
        *({"choices": [{"index": 0, "delta": {"content": char}}]} for char in TEXT),
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}},
    )
)
WHOLE = json.dumps(completion({"model": "toy", "messages": [], "max_tokens": 99}, TEXT))


def ask(prompt="hello", *, temperature=0.7, top_p=0.9):
    return Request("toy", (Message("user", prompt),), Sampling(temperature, top_p, 50), 7)


def engine_for(server, **traffic):
    return OpenAIEngine(server.base_url, api_key=None, traffic=TrafficConfig(**traffic))


async def answered(server, request=None):
    engine = engine_for(server)
    try:
        return await engine.complete(request or ask())
    finally:
        await engine.aclose()


@pytest.mark.parametrize(
    "body",
    [
        codecs.BOM_UTF8 + WHOLE.encode(),
        WHOLE.encode("utf-16"),
        b"\n\n  \n" + WHOLE.encode(),
        EVENTS.encode(),
        (EVENTS + "data: [DONE]\n\n").encode(),
        EVENTS.replace("\n", "\r\n").encode(),
        (": keep-alive\n\n" + EVENTS).encode(),
        ("event: message\n" + EVENTS).encode(),
    ],
)
async def test_a_completion_is_read_in_every_form_of_a_body(body):
    """With a byte order mark, in UTF-16, after blank lines, and streamed unasked."""
    async with Loopback(always=raw(body)) as server:
        found = await answered(server)
    assert (found.text, found.finish) == (TEXT, "stop")
    assert len(server.calls) == 1


async def test_an_unasked_stream_that_ends_early_is_asked_for_again():
    """Half an answer does not pass for a whole one."""
    half = EVENTS[: EVENTS.index("finish_reason")].rpartition("data:")[0]
    async with Loopback() as server:
        server.mishaps.append(raw(half.encode()))
        found = await answered(server)
    assert found.text == "You said: hello"
    assert len(server.calls) == 2


@pytest.mark.parametrize("code", [200, 201, 203])
async def test_every_status_of_success_has_a_completion(code):
    """Some gateways answer a POST with 201."""
    async with Loopback(always=raw(WHOLE.encode(), code)) as server:
        found = await answered(server)
    assert found.text == TEXT
    assert len(server.calls) == 1


def streams_only(words):
    """Make a server that refuses whole answers in these words."""

    async def mishap(request):
        body = json.loads(await request.read())
        if not body.get("stream"):
            return await status(400, words)(request)
        return web.Response(text=EVENTS, content_type="text/event-stream")

    return mishap


@pytest.mark.parametrize(
    "words",
    [
        "This model only support stream mode, please enable the stream parameter.",
        "Requests with max_tokens > 4096 must have stream=true",
        "stream must be set to true",
        "Streaming is required for this model",
        "parameter.enable_thinking must be set to false for non-streaming calls",
    ],
)
async def test_a_server_that_only_streams_is_asked_to_stream(words):
    """Once one request was refused; those in flight at that moment are answered too."""
    async with Loopback(always=streams_only(words)) as server:
        engine = engine_for(server)
        found = await asyncio.gather(*(engine.complete(ask(str(n))) for n in range(4)))
        found.append(await engine.complete(ask("last")))
        await engine.aclose()
    assert {one.text for one in found} == {TEXT}
    assert server.calls[-1].body["stream"] is True
    assert sum("stream" not in call.body for call in server.calls) <= 4


async def test_a_server_that_refuses_both_ways_is_an_error():
    """It is not asked for ever."""
    async with Loopback(always=status(400, "must have stream=true")) as server:
        with pytest.raises(EngineError, match="HTTP 400"):
            await answered(server)
    assert len(server.calls) == 2


def refuses_top_p(words, is_refused):
    async def mishap(request):
        body = json.loads(await request.read())
        if is_refused(body):
            return await status(422, words)(request)
        return await raw(WHOLE.encode())(request)

    return mishap


TOP_P = {
    "TGI": (
        "Input validation error: `top_p` must be > 0.0 and < 1.0",
        lambda body: body.get("top_p") == 1.0,
        (0.7, 1.0),
    ),
    "Mistral": (
        "top_p must be 1 when using greedy sampling.",
        lambda body: body["temperature"] == 0 and body.get("top_p", 1) != 1,
        (0.0, 0.95),
    ),
}


@pytest.mark.parametrize("name", TOP_P)
async def test_a_top_p_that_changes_nothing_is_left_out_where_it_is_refused(name):
    """Requests of the same model in which it matters still have it."""
    words, is_refused, (temperature, top_p) = TOP_P[name]
    async with Loopback(always=refuses_top_p(words, is_refused)) as server:
        engine = engine_for(server)
        for _ in range(2):
            await engine.complete(ask(temperature=temperature, top_p=top_p))
        await engine.complete(ask(temperature=0.5, top_p=0.8))
        await engine.aclose()
    assert [call.body.get("top_p") for call in server.calls] == [top_p, None, None, 0.8]


async def test_a_top_p_that_matters_is_never_left_out():
    """The user sees that the server refuses it."""
    async with Loopback(always=status(400, "top_p must be 1")) as server:
        with pytest.raises(EngineError, match="top_p must be 1"):
            await answered(server, ask(temperature=0.5, top_p=0.8))
    assert len(server.calls) == 1


NEVER_FITS = "Request too large on tokens per min (TPM): Limit 1,000, Requested 2,500. Reduce it."


@pytest.mark.parametrize("code", [413, 429])
async def test_a_request_above_the_limit_of_a_minute_is_rejected_at_once(code):
    """Waiting does not make it fit."""
    async with Loopback(always=status(code, NEVER_FITS, retry_after="60")) as server:
        with pytest.raises(EngineError, match="Limit 1,000, Requested 2,500") as caught:
            await answered(server)
    assert caught.value.fault is Fault.REQUEST
    assert len(server.calls) == 1


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (400, "Too many tokens, please wait before trying again."),
        (400, "The service is busy, try again later"),
        (429, "Limit 6000, Used 5900, Requested 500. Please try again in 3s."),
        (429, "Limit 6000, Requested 500. Please try again in 3s."),
    ],
)
async def test_a_server_that_asks_to_wait_is_waited_for(code, words):
    """Whatever the status, and also where a limit is named that the request does not exceed."""
    async with Loopback() as server:
        server.mishaps.extend([status(code, words)] * 3)
        found = await answered(server)
    assert found.text == "You said: hello"


async def fault_of(server, **more):
    engine = EvidenceEngine(engine_for(server))
    try:
        with pytest.raises(EngineError) as caught:
            await engine.complete(ask(**more))
    finally:
        await engine.aclose()
    return caught.value


LM_STUDIO = {
    "error": "Unexpected endpoint or method. (POST /chat/completions). Returning 200 anyway"
}


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (json.dumps(LM_STUDIO).encode(), Fault.SETUP),
        (b"<!doctype html><title>Open WebUI</title>", Fault.MOMENT),
    ],
)
async def test_a_wrong_path_that_is_answered_with_200_is_advised_on(body, fault):
    """LM Studio and web pages answer so to any path."""
    async with Loopback(always=raw(body)) as server:
        error = await fault_of(server)
    assert error.fault is fault
    assert "most base URLs end in /v1" in str(error)


async def test_a_firewall_that_blocks_everything_drops_no_row():
    """Its page does not say whether it blocks the request or this machine: the control does."""
    page = "<html><title>Attention Required! | Cloudflare</title>You have been blocked</html>"
    async with Loopback(always=raw(page.encode(), 403)) as server:
        assert (await fault_of(server)).fault is Fault.SETUP
    async with Loopback() as server:
        server.mishaps.append(raw(page.encode(), 403))
        assert (await fault_of(server)).fault is Fault.REQUEST


@pytest.mark.parametrize("key", ['"sk-abc"', "'sk-abc'", "Bearer sk-abc", "bearer sk-abc\n"])
def test_a_key_with_what_stands_around_it_is_refused_unseen(key):
    """Quotation marks that a file of variables keeps, and the whole value of the header."""
    with pytest.raises(ModelError, match="set it to the key alone") as caught:
        OpenAIEngine("http://127.0.0.1:1/v1", api_key=key, traffic=TrafficConfig())
    assert "sk-abc" not in str(caught.value)


@pytest.mark.parametrize("tail", ["/chat/completions", "/chat/completions/", "//", ""])
async def test_the_address_of_the_chat_is_that_of_the_server(tail):
    """As it stands in many examples of requests."""
    async with Loopback() as server:
        url = f"{server.base_url}{tail}"
        engine = OpenAIEngine(url, api_key=None, traffic=TrafficConfig())
        await engine.probe("toy")
        await engine.complete(ask())
        await engine.aclose()
        assert engine.identity == server.base_url


@pytest.mark.parametrize(
    ("text", "shown", "finish"),
    [
        ("Done.<|im_end|>", "Done.", "length"),
        ("Done.</s>\n", "Done.", "length"),
        ("Done.<|eot_id|><|end_of_text|>", "Done.", "length"),
        ("Done.<end_of_turn>\n<start_of_turn>user\nThanks!", "Done.", "stop"),
        ("```\nx\n```<|im_end|>\n<|im_start|>user\nThanks!", "```\nx\n```", "stop"),
        ("Done.<|eot_id|><|start_header_id|>user<|end_header_id|>", "Done.", "stop"),
        ("Done.</s> [INST] Thanks! [/INST]", "Done.", "stop"),
        ("It ends at `<|im_end|>`", "It ends at `<|im_end|>`", "length"),
        ("`<|im_end|>\n<|im_start|>user`", "`<|im_end|>\n<|im_start|>user`", "length"),
        ("```\na<|im_end|>\n<|im_start|>b\n```", "```\na<|im_end|>\n<|im_start|>b\n```", "length"),
        ("<p><s>old</s>", "<p><s>old</s>", "length"),
        ("a <|im_end|> in the middle", "a <|im_end|> in the middle", "length"),
    ],
)
def test_an_answer_ends_with_its_turn(text, shown, finish):
    """A token left in by the server, and a turn that follows; in code and quotes it is text."""
    found = Completion.of(text, "", "length", sent=1, received=1)
    assert (found.text, found.finish) == (shown, finish)


@pytest.mark.parametrize(
    ("prompt", "text", "shown"),
    [
        ("Write a function that sorts.", "Write a function that sorts.\n\nDone.", "Done."),
        ("Write a function that sorts.", "Write a function that sorts.", None),
        ("Write a function that sorts.", "Write a function that sorts. Done.", None),
        ("Sort it.", "Sort it.\nDone.", None),
    ],
)
async def test_a_prompt_that_is_returned_with_its_answer_is_removed(prompt, text, shown):
    """On lines of its own; an answer that begins with the same words stays whole."""
    async with Loopback(answer=lambda _: text) as server:
        found = await answered(server, ask(prompt))
    assert found.text == (text if shown is None else shown)


async def test_a_display_learns_why_a_request_is_sent_again():
    """While it waits; not once it is answered."""
    async with Loopback() as server:
        engine = engine_for(server)
        server.mishaps.append(status(429, "daily limit", retry_after="30"))
        asked = asyncio.create_task(engine.complete(ask()))
        while not engine.trouble:
            await asyncio.sleep(0.1)
        assert engine.trouble == "HTTP 429: daily limit"
        await asked
        assert engine.trouble == ""
        await engine.aclose()


@pytest.mark.parametrize("n_asked", [1, 3])
async def test_a_whole_stream_without_the_end_of_its_connection_is_an_answer(n_asked):
    """What was paid for is not asked for again; an interrupted one is."""

    async def cut(request):
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(EVENTS.encode())
        assert request.transport is not None
        request.transport.abort()
        return response

    async with Loopback() as server:
        engine = engine_for(server)
        engine.streams = True
        server.mishaps.append(cut)
        found = [await engine.complete(ask(f"hello {n}")) for n in range(n_asked)]
        await engine.aclose()
    assert found[0].text == TEXT
    assert len(server.calls) == n_asked


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br"])
async def test_a_body_that_cannot_be_decompressed_is_said_to_be_so(coding):
    """It has no status of its own."""

    async def mishap(request):
        return web.Response(body=b"no such thing", headers={"Content-Encoding": coding})

    async with Loopback(always=mishap) as server:
        engine = engine_for(server, max_tries=2)
        with pytest.raises(EngineError) as caught:
            await engine.complete(ask())
        await engine.aclose()
    assert "a response that cannot be decompressed" in str(caught.value)
    assert "400" not in caught.value.got

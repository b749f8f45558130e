"""Whose fault a failed request is: the set-up's, the moment's, or the request's."""

import asyncio
import json

import pytest
from aiohttp import web

from evolcoder.config.load import TrafficConfig
from evolcoder.engine.base import Completion, Message, Request, Sampling
from evolcoder.engine.evidence import CONTROL, MANY_ALIKE, MAX_UNCHECKED, EvidenceEngine
from evolcoder.engine.openai import OpenAIEngine
from evolcoder.errors import BudgetReached, EngineError, EvolcoderError, Fault, ModelError
from loopback import Loopback, reset, status

pytestmark = pytest.mark.virtual_time

KEY, SETUP, MOMENT, ROW = "key", Fault.SETUP, Fault.MOMENT, Fault.REQUEST


def ask(prompt="hello", *, model="toy", max_tokens=50):
    messages = (Message("system", "Be brief."), Message("user", prompt))
    return Request(model, messages, Sampling(1.0, 0.9, max_tokens), 7)


def engine_for(server, *, has_answered=False, **traffic):
    traffic = TrafficConfig(**{"max_tries": 3, "max_retry_s": 60, **traffic})
    inner = OpenAIEngine(server.base_url, api_key="sk-1", traffic=traffic)
    return EvidenceEngine(inner, has_answered=has_answered)


def says(code, body, **headers):
    """Answer with this body: JSON, or a page."""
    text = body if isinstance(body, str) else json.dumps(body)
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    async def mishap(request):
        kind = "text/html" if isinstance(body, str) else "application/json"
        return web.Response(status=code, text=text, content_type=kind, headers=named)

    return mishap


def openai(message, kind=None, code=None, **more):
    return {"error": {"message": message, "type": kind, "param": None, "code": code, **more}}


BLOCKED_PAGE = """<!DOCTYPE html><html><head><title>Attention Required! | Cloudflare</title>
<style>.a{}</style></head><body><h1>Sorry, you have been blocked</h1></body></html>"""
GATEWAY_PAGE = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>nginx</body></html>"

BODIES = {
    # name: (status, body, headers, outcome if all are answered so, outcome if only one row is)
    "OpenAI, wrong key": (401, openai("Incorrect API key provided: sk-1", None, "invalid_api_key"), {}, KEY, KEY),
    "Gemini, place": (400, {"error": {"code": 400, "message": "User location is not supported for the API use.", "status": "FAILED_PRECONDITION"}}, {}, SETUP, ROW),
    "OpenAI, region": (403, openai("Country, region, or territory not supported", "request_forbidden", "unsupported_country_region_territory"), {}, SETUP, ROW),
    "OpenAI, no such model": (404, openai("The model `x` does not exist or you do not have access to it.", "invalid_request_error", "model_not_found"), {}, SETUP, ROW),
    "OpenAI, too long": (400, openai("This model's maximum context length is 8192 tokens.", "invalid_request_error", "context_length_exceeded"), {}, SETUP, ROW),
    "OpenAI, parameter": (400, openai("max_tokens is too large: 8192. This model supports at most 4096 completion tokens.", "invalid_request_error", "invalid_value"), {}, SETUP, ROW),
    "OpenAI, no credit": (429, openai("You exceeded your current quota", "insufficient_quota", "insufficient_quota"), {}, KEY, KEY),
    "OpenAI, rate limit": (429, openai("Rate limit reached. Please try again in 20s.", "tokens", "rate_limit_exceeded"), {}, MOMENT, ROW),
    "OpenAI, policy": (400, openai("Your prompt was flagged as potentially violating our usage policy.", "invalid_request_error", "invalid_prompt"), {}, ROW, ROW),
    "OpenAI, server": (500, openai("The server had an error", "server_error"), {}, MOMENT, ROW),
    "Azure, content filter": (400, openai("The response was filtered due to the prompt triggering Azure OpenAI's content management policy.", None, "content_filter", status=400, innererror={"code": "ResponsibleAIPolicyViolation"}), {}, ROW, ROW),
    "Azure, deployment": (404, openai("The API deployment for this resource does not exist.", None, "DeploymentNotFound"), {}, SETUP, ROW),
    "Azure, busy": (429, openai("Requests have exceeded the call rate limit. Please retry after 9 seconds.", None, "429"), {}, MOMENT, ROW),
    "Anthropic, overloaded": (529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, {}, MOMENT, ROW),
    "Anthropic, no credit": (400, {"type": "error", "error": {"type": "invalid_request_error", "message": "Your credit balance is too low to access the API."}}, {}, KEY, KEY),
    "Anthropic, invalid": (400, {"type": "error", "error": {"type": "invalid_request_error", "message": "temperature: range: 0..1"}}, {}, SETUP, ROW),
    "Gemini, wrong key": (400, [{"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT", "details": [{"reason": "API_KEY_INVALID"}]}}], {}, SETUP, ROW),
    "Gemini, exhausted": (429, [{"error": {"code": 429, "message": "Resource has been exhausted", "status": "RESOURCE_EXHAUSTED"}}], {}, MOMENT, ROW),
    "Gemini, overloaded": (503, [{"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}], {}, MOMENT, ROW),
    "Groq, tokens per minute": (413, openai("Request too large for model on tokens per minute (TPM)", "tokens", "rate_limit_exceeded"), {"Retry_After": "1"}, MOMENT, ROW),
    "Groq, capacity": (498, openai("capacity exceeded"), {}, MOMENT, ROW),
    "Mistral, invalid": (422, {"object": "error", "message": {"detail": [{"loc": ["body"], "msg": "Input should be less than 1.5"}]}, "type": "invalid_request_error"}, {}, SETUP, ROW),
    "Mistral, rate limit": (429, {"message": "Requests rate limit exceeded"}, {}, MOMENT, ROW),
    "Together, too long": (422, openai("Input validation error: `inputs` must have less than 4097 tokens", "invalid_request_error"), {}, SETUP, ROW),
    "Together, server": (503, openai("The server is overloaded or not ready yet.", "service_unavailable"), {}, MOMENT, ROW),
    "Fireworks, model": (404, {"error": {"object": "error", "type": "invalid_request_error", "code": "NOT_FOUND", "message": "Model not found, inaccessible, and/or not deployed"}}, {}, SETUP, ROW),
    "Fireworks, retryable": (400, {"error": {"message": "try later", "retryable": True}}, {}, MOMENT, ROW),
    "DeepSeek, no balance": (402, openai("Insufficient Balance", "unknown_error", "invalid_request_error"), {}, KEY, KEY),
    "DeepSeek, risk": (400, openai("Content Exists Risk. Content policy.", "invalid_request_error"), {}, ROW, ROW),
    "OpenRouter, flagged": (403, {"error": {"code": 403, "message": "openai/x requires moderation. Your input was flagged", "metadata": {"reasons": ["violence"]}}}, {}, ROW, ROW),
    "OpenRouter, model": (400, {"error": {"code": 400, "message": "x is not a valid model ID"}}, {}, SETUP, ROW),
    "OpenRouter, endpoints": (404, {"error": {"code": 404, "message": "No endpoints found for x."}}, {}, SETUP, ROW),
    "OpenRouter, upstream": (200, {"error": {"code": 502, "message": "Provider returned error"}}, {}, MOMENT, ROW),
    "OpenRouter, upstream rejects": (200, {"error": {"code": 400, "message": "Provider returned error"}}, {}, SETUP, ROW),
    "OpenRouter, upstream key": (200, {"error": {"code": 401, "message": "No auth"}}, {}, MOMENT, ROW),
    "OpenRouter, 402 to wait": (402, {"error": {"code": 402, "message": "in-flight budget"}}, {"Retry_After": "2"}, MOMENT, ROW),
    "vLLM, too long": (400, {"object": "error", "message": "This model's maximum context length is 2048 tokens.", "type": "BadRequestError", "param": None, "code": 400}, {}, SETUP, ROW),
    "vLLM, model": (404, {"object": "error", "message": "The model `x` does not exist.", "type": "NotFoundError", "code": 404}, {}, SETUP, ROW),
    "vLLM, died": (500, {"object": "error", "message": "EngineCore encountered an issue.", "type": "InternalServerError", "code": 500}, {}, MOMENT, ROW),
    "SGLang": (400, {"object": "error", "message": "The input is longer than the model's context length", "type": "BadRequestError", "code": 400}, {}, SETUP, ROW),
    "TGI, overloaded": (429, {"error": "Model is overloaded", "error_type": "overloaded"}, {}, MOMENT, ROW),
    "TGI, generation": (424, {"error": "Request failed during generation: CUDA error", "error_type": "generation"}, {}, MOMENT, ROW),
    "TGI, validation": (422, {"error": "Input validation error", "error_type": "validation"}, {}, SETUP, ROW),
    "llama.cpp, loading": (503, {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}, {}, MOMENT, ROW),
    "llama.cpp, too long": (400, {"error": {"code": 400, "message": "the request exceeds the available context size", "type": "exceed_context_size_error"}}, {}, SETUP, ROW),
    "Ollama, model": (404, openai('model "x" not found, try pulling it first', "api_error"), {}, SETUP, ROW),
    "Ollama, text": (500, {"error": "llama runner process has terminated"}, {}, MOMENT, ROW),
    "LiteLLM, model": (400, openai("Invalid model name passed in model=x", "None", "400"), {}, SETUP, ROW),
    "LiteLLM, rate limit": (400, openai("litellm.RateLimitError: rate limit", "throttling_error", "429"), {}, MOMENT, ROW),
    "Cloudflare, blocked": (403, BLOCKED_PAGE, {}, SETUP, ROW),
    "Cloudflare, tunnel": (530, "error code: 1033", {}, MOMENT, ROW),
    "Cloudflare, origin": (520, "error code: 520", {}, MOMENT, ROW),
    "nginx, gateway": (502, GATEWAY_PAGE, {}, MOMENT, ROW),
    "nginx, client left": (499, "", {}, MOMENT, ROW),
    "nginx, wrong path": (404, "<html><body><h1>404 Not Found</h1></body></html>", {}, SETUP, ROW),
    "storage": (507, {}, {}, MOMENT, ROW),
    "not implemented": (501, {}, {}, MOMENT, ROW),
    "too early": (425, {}, {}, MOMENT, ROW),
    "conflict": (409, {}, {}, MOMENT, ROW),
    "forbidden": (403, {"message": "Forbidden"}, {}, SETUP, ROW),
    "no choices": (200, {"choices": []}, {}, MOMENT, ROW),
    "null message": (200, {"choices": [{"message": None}]}, {}, MOMENT, ROW),
    "an error with 200": (200, {"error": {"message": "upstream failed"}}, {}, MOMENT, ROW),
    "a text error with 200": (200, {"error": "overloaded"}, {}, MOMENT, ROW),
}  # fmt: skip


async def fault_of(engine, request):
    """Return the fault of a failing request, or KEY for a ModelError, with the error."""
    try:
        await engine.complete(request)
    except ModelError as error:
        return KEY, error
    except EngineError as error:
        return error.fault, error
    raise AssertionError("it was answered")


@pytest.mark.parametrize("name", BODIES)
async def test_an_error_that_every_request_gets_is_not_the_rows(name):
    """Of eight requests at once none is accepted; nothing is the row's unless its words say so."""
    code, body, headers, outcome, _ = BODIES[name]
    async with Loopback(always=says(code, body, **headers)) as server:
        engine = engine_for(server)
        found = await asyncio.gather(*(fault_of(engine, ask(str(n))) for n in range(8)))
        await engine.aclose()
    # By its words a row is at fault, until the control request shows that it is everything.
    expected = {ROW, SETUP} if outcome is ROW else {outcome}
    assert {fault for fault, _ in found} == expected
    assert sum(fault is ROW for fault, _ in found) <= MAX_UNCHECKED


@pytest.mark.parametrize("name", BODIES)
async def test_an_error_that_one_request_gets_is_its_own(name):
    """The others, sent before, with it and after it, are answered."""
    code, body, headers, _, outcome = BODIES[name]
    mishap = says(code, body, **headers)

    def answer(prompt):
        return mishap if prompt == "odd" else prompt

    async with Loopback(answer=answer) as server:
        engine = engine_for(server)
        prompts = ["before", "odd", "with"]
        _, odd, _ = await asyncio.gather(
            engine.complete(ask("before")),
            fault_of(engine, ask("odd")),
            engine.complete(ask("with")),
        )
        assert (await engine.complete(ask("after"))).text == "after"
        await engine.aclose()
    assert odd[0] is outcome
    assert set(server.prompts()) - {CONTROL} == {*prompts, "after"}


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("OpenAI, parameter", "rejects every request in these words"),
        ("forbidden", "API key"),
        ("Gemini, wrong key", "API key"),
        ("OpenAI, region", "does not serve the country or region"),
        ("Gemini, place", "does not serve the country or region"),
    ],
)
async def test_the_error_of_a_set_up_has_the_servers_words_and_what_to_do(name, advice):
    """One line, for a run of one row too."""
    code, body, headers, _, _ = BODIES[name]
    async with Loopback(always=says(code, body, **headers)) as server:
        engine = engine_for(server)
        fault, error = await fault_of(engine, ask())
        await engine.aclose()
    assert fault is SETUP
    assert error.retryable
    assert error.got in str(error)
    assert advice in str(error)
    assert "run the same command again" in str(error)
    assert "\n" not in str(error)
    assert server.prompts() == ["hello", CONTROL]


@pytest.mark.parametrize("code", [400, 403, 404, 422])
async def test_a_single_row_that_is_rejected_is_at_fault_if_a_control_request_is_not(code):
    """It has the same system message and parameters."""

    def answer(prompt):
        return prompt if prompt == CONTROL else status(code, "no")

    async with Loopback(answer=answer) as server:
        engine = engine_for(server)
        fault, error = await fault_of(engine, ask("only"))
        await engine.aclose()
    assert (fault, error.rejected) == (ROW, True)
    row, control = (dict(call.body) for call in server.calls)
    assert row.pop("messages")[0] == control.pop("messages")[0]
    assert row == control


async def test_rejections_wait_for_the_slowest_request_in_flight():
    """Nothing is decided while one may still be accepted, and then they are the rows'."""

    async def slow(request):
        await asyncio.sleep(20)
        return await says(200, {"choices": [{"message": {"content": "ok"}}]})(request)

    def answer(prompt):
        return slow if prompt == "good" else status(400, "no")

    async with Loopback(answer=answer) as server:
        engine = engine_for(server)
        good = asyncio.create_task(engine.complete(ask("good")))
        found = await asyncio.gather(*(fault_of(engine, ask(f"bad {n}")) for n in range(30)))
        await good
        await engine.aclose()
    assert {fault for fault, _ in found} == {ROW}
    assert CONTROL not in server.prompts()


async def test_many_rejected_alike_are_the_set_ups_even_if_a_short_request_is_accepted():
    """A server whose context is too short for every prompt; different words are the rows'."""

    def answer(prompt):
        return prompt if prompt == CONTROL else status(400, f"too long: {len(prompt)} tokens")

    def answer_each(prompt):
        return prompt if prompt == CONTROL else status(400, f"no {'x' * int(prompt)}")

    for one, expected in ((answer, SETUP), (answer_each, ROW)):
        async with Loopback(answer=one) as server:
            engine = engine_for(server)
            asked = (fault_of(engine, ask(str(n))) for n in range(MANY_ALIKE))
            assert {fault for fault, _ in await asyncio.gather(*asked)} == {expected}
            await engine.aclose()


@pytest.mark.parametrize(("words", "has_answered"), [("flagged", False), ("too long", True)])
async def test_many_rows_that_are_asked_again_do_not_block_a_run(words, has_answered):
    """A resumed run may have only such rows left; moderation names the row by itself."""

    def answer(prompt):
        return prompt if prompt == CONTROL else status(400, words)

    async with Loopback(answer=answer) as server:
        engine = engine_for(server, has_answered=has_answered)
        asked = (fault_of(engine, ask(str(n))) for n in range(2 * MANY_ALIKE))
        assert {fault for fault, _ in await asyncio.gather(*asked)} == {ROW}
        await engine.aclose()


async def test_one_row_in_ten_that_is_rejected_costs_no_other_and_few_control_requests():
    """Among many at once, another accepted request is evidence enough."""

    def answer(prompt):
        return status(400, "no") if prompt.isdecimal() and int(prompt) % 10 == 0 else prompt

    async with Loopback(answer=answer, latency_s=1) as server:
        engine = engine_for(server, concurrency=32)
        slots = asyncio.Semaphore(40)

        async def one(n):
            async with slots:
                try:
                    return (await engine.complete(ask(str(n)))).text
                except EngineError as error:
                    return error.fault

        found = await asyncio.gather(*(one(n) for n in range(400)))
        await engine.aclose()
    assert found == [ROW if n % 10 == 0 else str(n) for n in range(400)]
    assert server.prompts().count(CONTROL) <= 1


async def test_a_key_that_expires_in_mid_run_stops_it():
    """After an accepted request, few rejections in a row are taken without new evidence."""
    async with Loopback() as server:
        engine = engine_for(server)
        await engine.complete(ask("before"))
        server.always = status(400, "rejected for a reason that does not say so")
        faults = [(await fault_of(engine, ask(str(n))))[0] for n in range(6)]
        await engine.aclose()
    assert faults == [ROW] * MAX_UNCHECKED + [SETUP] * (6 - MAX_UNCHECKED)


async def test_words_about_the_key_are_checked_at_once():
    """Also after an accepted request: no row is dropped for an expired key."""
    async with Loopback() as server:
        engine = engine_for(server)
        await engine.complete(ask("before"))
        server.always = status(400, "API key expired. Please renew the API key.")
        assert (await fault_of(engine, ask()))[0] is SETUP
        await engine.aclose()


async def test_parameters_have_evidence_of_their_own():
    """A request that another max_tokens was accepted for says nothing of this one."""

    async def strict(request):
        if json.loads(await request.text())["max_tokens"] > 100:
            return await status(400, "max_tokens is too large")(request)
        return await says(200, {"choices": [{"message": {"content": "ok"}}]})(request)

    async with Loopback(always=strict) as server:
        engine = engine_for(server)
        await engine.complete(ask())
        assert (await fault_of(engine, ask(max_tokens=200)))[0] is SETUP
        await engine.aclose()


@pytest.mark.parametrize("mishap", [status(500), reset], ids=["500", "connection reset"])
async def test_a_server_that_stops_answering_drops_no_row(mishap):
    """Requests in flight when it died, and later ones, are errors that may be retried."""
    async with Loopback(latency_s=1) as server:
        engine = engine_for(server)
        await asyncio.gather(*(engine.complete(ask(str(n))) for n in range(5)))
        server.always = mishap
        found = await asyncio.gather(*(fault_of(engine, ask(f"late {n}")) for n in range(30)))
        await engine.aclose()
    assert {fault for fault, _ in found} == {MOMENT}
    assert server.prompts().count(CONTROL) <= 3 * 30


async def test_a_request_at_which_the_server_always_hangs_up_is_at_fault():
    """Also if it is the only one that is left."""

    def answer(prompt):
        return reset if prompt == "poison" else prompt

    async with Loopback(answer=answer) as server:
        engine = engine_for(server)
        await engine.complete(ask("before"))
        fault, error = await fault_of(engine, ask("poison"))
        await engine.aclose()
    assert (fault, error.rejected) == (ROW, False)


async def test_a_server_that_is_gone_is_no_request_s_fault():
    """A refused connection, and no answer to the control request either."""
    async with Loopback() as server:
        engine = engine_for(server)
        await engine.complete(ask("before"))
    found = await asyncio.gather(*(fault_of(engine, ask(str(n))) for n in range(5)))
    await engine.aclose()
    assert {fault for fault, _ in found} == {MOMENT}


async def test_a_failing_row_is_distinguished_from_a_rejected_one():
    """It is dropped as failed, with the number of attempts."""

    def answer(prompt):
        return status(500, "out of range") if prompt == "odd" else prompt

    async with Loopback(answer=answer) as server:
        engine = engine_for(server)
        fault, error = await fault_of(engine, ask("odd"))
        await engine.aclose()
    assert (fault, error.rejected, error.retryable) == (ROW, False, False)
    assert "3 tries" in str(error)
    assert "out of range" in str(error)


async def test_a_rejection_before_the_server_goes_down_is_not_decided():
    """The control request is not answered: the row is asked again later."""

    def answer(prompt):
        return status(500) if prompt == CONTROL else status(400, "no")

    async with Loopback(answer=answer) as server:
        engine = engine_for(server)
        assert (await fault_of(engine, ask()))[0] is MOMENT
        await engine.aclose()


async def test_an_error_of_the_control_request_that_ends_the_run_ends_it():
    """A key that is rejected at that moment is a ModelError."""

    def answer(prompt):
        return status(401, "no") if prompt == CONTROL else status(400, "no")

    async with Loopback(answer=answer) as server:
        engine = engine_for(server)
        found = await asyncio.gather(*(fault_of(engine, ask(str(n))) for n in range(5)))
        await engine.aclose()
    assert {fault for fault, _ in found} == {KEY}


async def test_a_cancelled_wait_for_evidence_leaves_the_engine_usable():
    """The others decide without it."""

    async def slow(request):
        await asyncio.sleep(5)
        return await status(400, "no")(request)

    def answer(prompt):
        return slow if prompt == "slow" else status(400, "no")

    async with Loopback(answer=answer) as server:
        engine = engine_for(server)
        first, other = (asyncio.create_task(fault_of(engine, ask(p))) for p in ("slow", "quick"))
        await asyncio.sleep(1)
        other.cancel()
        assert (await first)[0] is SETUP
        with pytest.raises(EvolcoderError):
            await engine.complete(ask())
        await engine.aclose()


class Answering:
    """An engine that raises or returns what is given for each prompt; the control is as said."""

    identity = "told"

    def __init__(self, told):
        self.told = told

    async def complete(self, request):
        outcome = self.told[request.messages[-1].content]
        await asyncio.sleep(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def aclose(self):
        pass


def rejection(**more):
    return EngineError("no", asked="toy", retryable=False, **more)


@pytest.mark.parametrize(("has_answered", "expected"), [(False, SETUP), (True, ROW)])
async def test_the_last_rejected_rows_of_a_run_in_batches_do_not_block_it(has_answered, expected):
    """No control request is sent; that other answers came before is evidence."""
    inner = Answering({str(n): rejection() for n in range(3)})
    engine = EvidenceEngine(inner, has_answered=has_answered, asks_control=False)
    found = await asyncio.gather(*(fault_of(engine, ask(str(n))) for n in range(3)))
    assert {fault for fault, _ in found} == {expected}


async def test_what_befalls_a_batch_is_of_the_moment_for_all_its_rows():
    """Also if other requests were answered before."""
    done = Completion("yes", "", "stop", 1, 1)
    lost = EngineError("no connection", asked="toy", retryable=True, hint=Fault.MOMENT)
    inner = Answering({"first": done, **{str(n): lost for n in range(3)}})
    engine = EvidenceEngine(inner, asks_control=False)
    await engine.complete(ask("first"))
    found = await asyncio.gather(*(fault_of(engine, ask(str(n))) for n in range(3)))
    assert {fault for fault, _ in found} == {MOMENT}


async def test_a_limit_that_ends_the_others_is_no_fault_of_the_set_up():
    """A rejected row that waits for evidence ends with the limit."""
    inner = Answering({"row": rejection(), "late": BudgetReached("stopped after an hour")})
    engine = EvidenceEngine(inner, asks_control=False)
    found = await asyncio.gather(
        engine.complete(ask("row")), engine.complete(ask("late")), return_exceptions=True
    )
    assert [type(one) for one in found] == [BudgetReached] * 2


async def test_a_control_request_that_fails_in_an_unknown_way_leaves_no_request_waiting():
    """The run stops as if the server had not answered."""
    inner = Answering({"row": rejection(), CONTROL: ValueError("what?")})
    engine = EvidenceEngine(inner)
    fault, _ = await asyncio.wait_for(fault_of(engine, ask("row")), 30)
    assert fault is MOMENT

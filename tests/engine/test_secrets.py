"""API keys never appear in errors, answers or logs, whatever the server does with them."""

import base64
import json
import logging
import traceback
from urllib.parse import quote

import pytest
from aiohttp import web

from evolcoder.config.load import TrafficConfig
from evolcoder.engine.base import Message, Request, Sampling
from evolcoder.engine.endpoint import Endpoint, Key
from evolcoder.engine.openai import OpenAIEngine
from evolcoder.engine.redact import Secrets, redactor
from evolcoder.errors import EvolcoderError, ModelError
from loopback import Loopback, completion, raw, status

KEY = "sk-proj-Zq81vTmuH4xW90aBcDeF"
PASSWORD = "hunter2/hunter2"
PARTS = (KEY, KEY[:8], KEY[-6:])
ASK = Request("toy", (Message("user", "hello"),), Sampling(1.0, 0.9, 50), 7)


async def echoes_in_garbage(request):
    request.transport.write(f"HTTP/9 {request.headers['Authorization']}\r\n\r\n".encode())
    request.transport.close()
    return web.Response()


async def echoes_in_reason(request):
    return web.Response(status=400, reason=request.headers["Authorization"])


ECHOES = {
    "401 with the key": status(401, f"Incorrect API key provided: {KEY}."),
    "401 with a masked key": status(401, f"Incorrect key: {KEY[:8]}{'*' * 12}{KEY[-4:]}. Find it"),
    "401 with a shortened key": status(401, f"Incorrect key: {KEY[:8]}...{KEY[-6:]}"),
    "401 with the key's head": status(401, f"Incorrect key: {KEY[:12]}"),
    "401 with the key's tail": status(401, f"Incorrect key: ****{KEY[-6:]}"),
    "403 with the header": status(403, f"{{'Authorization': 'Bearer {KEY}'}}"),
    "400 with the key": status(400, f"bad request by {KEY}"),
    "500 with the key": status(500, f"crashed while serving {KEY}"),
    "a redirect with the key": status(307, "moved", location=f"https://example.org/?k={KEY}"),
    "no JSON but the key": raw(f"hello {KEY}".encode()),
    "no HTTP but the key": echoes_in_garbage,
    "a reason with the key": echoes_in_reason,
}


def all_of(error):
    """Everything that a log, debugger or traceback shows of an error and its causes."""
    while error is not None:
        yield str(error)
        yield repr(error)
        yield repr(vars(error))
        yield "".join(traceback.format_exception(error))
        error = error.__cause__ or error.__context__


@pytest.mark.virtual_time
@pytest.mark.parametrize("name", ECHOES)
async def test_no_error_shows_the_key(name, caplog):
    """Neither in messages, reprs, attributes or logs, nor in an error's causes."""
    caplog.set_level(logging.DEBUG)
    async with Loopback(always=ECHOES[name]) as server:
        traffic = TrafficConfig(max_tries=2, max_retry_s=10)
        engine = OpenAIEngine(server.base_url, api_key=KEY, traffic=traffic)
        with pytest.raises(EvolcoderError) as caught:
            await engine.complete(ASK)
        await engine.aclose()
    assert server.calls[0].headers["authorization"] == f"Bearer {KEY}"
    shown = "\n".join([*all_of(caught.value), repr(engine), engine.identity, caplog.text])
    assert [part for part in PARTS if part in shown] == []


@pytest.mark.virtual_time
async def test_a_probe_does_not_show_the_key():
    """Even if the server lists the key as a model name, or repeats it in an error."""
    for server in (Loopback(models=(KEY,)), Loopback(key="another")):
        async with server:
            engine = OpenAIEngine(server.base_url, api_key=KEY, traffic=TrafficConfig())
            with pytest.raises(EvolcoderError) as caught:
                await engine.probe("toy")
                await engine.complete(ASK)
            await engine.aclose()
        assert [part for part in PARTS if part in "\n".join(all_of(caught.value))] == []


async def test_a_login_in_the_url_is_sent_and_not_shown():
    """http://user:password@host authenticates; the identity is the URL without credentials."""
    async with Loopback() as server:
        login = f"http://me:{PASSWORD.replace('/', '%2F')}@"
        url = server.base_url.replace("http://", login)
        engine = OpenAIEngine(f"{url}/?key={KEY}", api_key="unused", traffic=TrafficConfig())
        server.mishaps.append(status(400, f"no: {PASSWORD}, {KEY}"))
        with pytest.raises(EvolcoderError) as caught:
            await engine.complete(ASK)
        await engine.aclose()
    assert engine.identity == server.base_url
    expected = base64.b64encode(f"me:{PASSWORD}".encode()).decode()
    assert server.calls[0].headers["authorization"] == f"Basic {expected}"
    shown = "\n".join(all_of(caught.value))
    assert [part for part in (*PARTS, PASSWORD) if part in shown] == []


def test_a_key_that_no_header_can_hold_is_refused_unseen():
    """White space around a key is stripped; a line break within it is an error without the key."""
    assert Endpoint.of("http://h/v1", api_key=f" {KEY}\n").headers["Authorization"].endswith(KEY)
    with pytest.raises(ModelError, match="OPENAI_API_KEY") as caught:
        Endpoint.of("http://h/v1", api_key=f"{KEY}\r\nX-Evil: 1")
    assert KEY not in "\n".join(all_of(caught.value))


@pytest.mark.parametrize(
    "url", ["", "localhost:8000/v1", "ftp://h/v1", "http://", "http://h:99999/v1", "http://[::1"]
)
def test_a_base_url_that_is_none_is_refused(url):
    """The message repeats the URL."""
    with pytest.raises(ModelError) as caught:
        Endpoint.of(url, api_key=None)
    assert url in str(caught.value)


def test_a_base_url_that_is_none_does_not_show_its_login():
    """A password with a slash makes the URL invalid and is not shown."""
    with pytest.raises(ModelError) as caught:
        Endpoint.of(f"http://me:{PASSWORD}@h/v1", api_key=None)
    assert PASSWORD[:7] not in "\n".join(all_of(caught.value))


@pytest.mark.parametrize("url", ["http://h/v1", "http://h/v1/", "http://h/v1//", " http://h/v1"])
def test_equal_base_urls_have_one_identity(url):
    """A trailing slash does not change the identity, so cached completions stay valid."""
    assert Endpoint.of(url, api_key=None).identity == "http://h/v1"


def test_a_query_in_the_base_url_goes_with_every_request():
    """Azure requires its API version there; it is not part of the identity."""
    address = Endpoint.of("http://h/openai?api-version=2024-10-21", api_key=None)
    assert str(address.chat_url) == "http://h/openai/chat/completions?api-version=2024-10-21"
    assert address.identity == "http://h/openai"


def test_a_short_key_is_taken_out_only_as_a_word():
    """Short keys such as `ollama` and `EMPTY` also occur within words."""
    redact = redactor(["llama"])
    assert redact("key llama rejected by ollama") == "key [secret] rejected by ollama"


def test_no_secret_means_no_change():
    """Without a key, texts are not changed."""
    assert redactor(["", ""])("anything") == "anything"


OTHER = "gsk_another/Server+Key0123"
"""Another server's key, also in use."""
FORMS = {
    "as it is": lambda key: f"your key is {key}, sir",
    "in a word": lambda key: f"x{key}y",
    "twice": lambda key: f"{key}{key}",
    "in quotes": lambda key: json.dumps({"Authorization": f"Bearer {key}"}),
    "percent-encoded": lambda key: f"?key={quote(key, safe='')}",
    "all percent-encoded": lambda key: "".join(f"%{ord(char):02X}" for char in key),
    "JSON escapes": lambda key: "".join(f"\\u{ord(char):04x}" for char in key),
    "one JSON escape": lambda key: f"\\u{ord(key[0]):04X}{key[1:]}",
    "escapes of escapes": lambda key: "".join(f"\\\\u{ord(char):04x}" for char in key),
    "Python escapes": lambda key: "".join(f"\\x{ord(char):02x}" for char in key),
    "HTML": lambda key: "".join(f"&#{ord(char)};" for char in key),
    "base64": lambda key: base64.b64encode(key.encode()).decode(),
    "base64 of a header": lambda key: base64.b64encode(f"Bearer {key}\r\n".encode()).decode(),
    "base64 of an odd place": lambda key: base64.urlsafe_b64encode(f"ab{key}xyz".encode()).decode(),
    "hexadecimal": lambda key: f"0x{key.encode().hex()}",
}


def holds(text, key):
    """Whether a text contains a key, or a long part of one of its encodings."""
    forms = [form(key) for form in FORMS.values()]
    forms += [base64.b64encode(key.encode()[n:]).decode()[:12] for n in range(3)]
    return [form for form in (key, *forms) if form in text]


@pytest.mark.virtual_time
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("key", [KEY, OTHER])
async def test_a_key_in_an_answer_is_masked(form, key):
    """In text, reasoning and finish, in any encoding, for any server in use; nothing else changes."""
    said = FORMS[form](key)

    def reply(body, text):
        found = completion(body, text, reasoning_content=f"I saw {said}")
        found["choices"][0]["finish_reason"] = said
        return found

    async with Loopback(answer=lambda _: f"before {said} after", reply=reply) as server:
        mine = Key(KEY, secrets=(OTHER,))
        engine = OpenAIEngine(server.base_url, api_key=mine, traffic=TrafficConfig())
        got = await engine.complete(ASK)
        await engine.aclose()
    assert holds("\n".join([got.text, got.reasoning, got.finish]), key) == []
    assert got.text.startswith("before ")
    assert got.text.endswith(" after")
    assert "[secret]" in got.text


async def test_a_key_in_pieces_of_json_is_masked():
    """Also if it is escaped in JSON or split over several content parts."""
    escaped = "".join(f"\\u{ord(char):04x}" for char in KEY)
    parts = [{"type": "text", "text": KEY[:9]}, {"type": "text", "text": KEY[9:]}]
    bodies = [f'"{escaped}"', f'"\\u0073{KEY[1:]}"', json.dumps(parts)]
    async with Loopback() as server:
        engine = OpenAIEngine(server.base_url, api_key=KEY, traffic=TrafficConfig())
        for content in bodies:
            server.mishaps.append(
                raw(f'{{"choices": [{{"message": {{"content": {content}}}}}]}}'.encode())
            )
            assert (await engine.complete(ASK)).text == "[secret]"
        await engine.aclose()


@pytest.mark.virtual_time
@pytest.mark.parametrize("form", FORMS)
async def test_an_encoded_key_in_an_error_is_masked_before_it_is_cut_short(form):
    """No part of a key remains where a long error is truncated."""
    traffic = TrafficConfig(max_tries=1, max_retry_s=1)
    async with Loopback() as server:
        engine = OpenAIEngine(server.base_url, api_key=Key(KEY, secrets=(OTHER,)), traffic=traffic)
        for before in (0, 240, 270, 290):
            server.mishaps.append(status(400, f"{'x' * before} {FORMS[form](OTHER)}"))
            with pytest.raises(EvolcoderError) as caught:
                await engine.complete(ASK)
            assert holds("\n".join(all_of(caught.value)), OTHER) == []
        await engine.aclose()


@pytest.mark.parametrize(
    "word", ["EMPTY", "ollama", "none", "Bearer", "password", "12345678", "x-1"]
)
def test_a_word_in_the_place_of_a_key_is_left_in_answers(word):
    """Placeholder keys are ordinary words, which answers keep."""
    text = f"{word} = 1  # {word}\n"
    assert Secrets([word]).masked(text) == text


def test_what_is_no_key_stays_as_it_is():
    """Only the complete key is removed; parts of it occur in many words."""
    text = f"task-parallel sk-proj- %41 \\u0073 {KEY[:-1]} {KEY[1:]}"
    assert Secrets([KEY, "", "EMPTY"]).masked(text) == text
    assert Secrets([]).masked(KEY) == KEY


def test_it_takes_linear_time_to_look_for_keys():
    """Backslashes, percent signs and repeated key prefixes cost no more than other text."""
    known = Secrets([KEY, OTHER])
    for hard in ("\\", "%", "&#", "\\u", KEY[:-1], "\\u0073"):
        text = hard * (200_000 // len(hard))
        assert known.masked(text) == text


def test_rejected_credentials_in_a_url_are_named_as_such():
    """The advice is about the URL instead of a key; a user name on its own is a secret too."""
    address = Endpoint.of(f"http://{KEY}@h/v1", api_key="unused")
    assert address.rejected[0] == "rejects the credentials in its URL"
    assert KEY not in address.redact(f"no such user: {KEY}")
    assert KEY not in address.masked(f"no such user: {KEY}")

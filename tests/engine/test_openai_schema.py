"""Request bodies, and parsing of responses."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evolcoder.engine import openai_schema
from evolcoder.engine.base import Completion, Message, Request, Sampling

patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
REQUEST = Request(
    "toy",
    (Message("system", "Be brief."), Message("user", "Say something.")),
    Sampling(0.7, 0.95, 512),
    1234,
)


def answer(message, *, finish="stop", usage=True):
    counts = {"prompt_tokens": 11, "completion_tokens": 22}
    body = {"choices": [{"message": message, "finish_reason": finish}]}
    return json.dumps(body | ({"usage": counts} if usage else {})).encode()


def read(message, **options):
    return openai_schema.parse_completion(answer(message, **options), REQUEST)


def test_a_request_says_all_that_decides_the_answer():
    """Model, chat and all sampling parameters are sent, since server defaults differ."""
    assert json.loads(openai_schema.payload(REQUEST)) == {
        "model": "toy",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Say something."},
        ],
        "temperature": 0.7,
        "top_p": 0.95,
        "max_tokens": 512,
        "seed": 1234,
    }


def test_a_refused_parameter_is_left_out_or_renamed():
    """max_tokens has a newer name; the other parameters have none."""
    body = json.loads(openai_schema.payload(REQUEST, frozenset({"max_tokens", "seed"})))
    assert body["max_completion_tokens"] == 512
    assert {"max_tokens", "seed"}.isdisjoint(body)
    assert body["temperature"] == 0.7


@patient
@given(st.text(st.characters(codec=None, categories=None)))
def test_any_string_can_be_asked(content):
    """Control characters too; lone surrogates become U+FFFD."""
    request = Request("toy", (Message("user", content),), REQUEST.sampling, 0)
    sent = json.loads(openai_schema.payload(request))["messages"][0]["content"]
    assert sent == content or "\ufffd" in sent


def test_a_completion_is_read():
    """Text, finish and token counts."""
    assert read({"content": "Something."}) == Completion("Something.", "", "stop", 11, 22)


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_in_a_field_of_its_own_is_kept_apart(field):
    """Servers with a reasoning parser use one of two fields; the text is not split again."""
    completion = read({"content": "Four, not </think>.", field: "Two and two."})
    assert (completion.reasoning, completion.text) == ("Two and two.", "Four, not </think>.")


def test_reasoning_in_tags_is_kept_apart():
    """Servers without a reasoning parser leave the tags in the text."""
    completion = read({"content": "<think>Two and two.</think>\n\nFour."})
    assert (completion.reasoning, completion.text) == ("Two and two.", "Four.")


@pytest.mark.parametrize("message", [{"content": None}, {"content": ""}, {}, {"content": []}])
def test_no_content_is_an_empty_answer(message):
    """Null, an empty string and a missing field are equivalent."""
    assert read(message).text == ""


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"model": "toy-2026-11-01"}, "toy-2026-11-01"),
        ({"modelVersion": "gemini-2.5-flash"}, "gemini-2.5-flash"),
        ({}, ""),
        ({"model": None}, ""),
        ({"model": ["toy"]}, ""),
        ({"model": " a\nb\x00\ud800 "}, "a b\ufffd\ufffd"),
        ({"model": "x" * 10_000}, "x" * 299 + "…"),
    ],
)
def test_the_model_that_answered_is_read(given, name):
    """On one line, of bounded length; a server that does not say it gives an empty name."""
    body = json.dumps({"choices": [{"message": {"content": "a"}}], **given}).encode()
    assert openai_schema.parse_completion(body, REQUEST).model == name


def test_a_refusal_is_an_answer():
    """OpenAI puts it in a separate field next to empty content; refusals are detected later."""
    assert read({"content": None, "refusal": "I cannot."}).text == "I cannot."


def test_content_in_parts_is_joined():
    """Parts without text, such as images or reasoning, are ignored."""
    parts = [{"type": "text", "text": "a"}, {"type": "thinking", "thinking": []}, {"text": "b"}]
    assert read({"content": parts}).text == "ab"


@pytest.mark.parametrize(
    ("finish", "means"),
    [
        ("length", "length"), ("max_tokens", "length"), ("MAX_TOKENS", "length"),
        ("model_length", "length"), ("model_context_window_exceeded", "length"),
        (None, "stop"), ("", "stop"), ("eos", "stop"), ("eos_token", "stop"), ("STOP", "stop"),
        ("end_turn", "stop"), ("stop_sequence", "stop"), ("COMPLETE", "stop"),
        ({"type": "stop", "matched": 2}, "stop"), ({"type": "abort"}, "abort"),
        ("tool_calls", "tool_calls"), ("function_call", "tool_calls"), ("tool_use", "tool_calls"),
        ("x", "x"), ("abort", "abort"), ("content_filter", "content_filter"),
        ("SAFETY", "SAFETY"), ("insufficient_system_resource", "insufficient_system_resource"),
    ],
)  # fmt: skip
def test_finish_reasons_are_normalised(finish, means):
    """Server-specific values become `stop` or `length`; unknown ones are kept."""
    assert read({"content": "a"}, finish=finish).finish == means


@pytest.mark.parametrize(
    ("word", "truncated", "broke_off"),
    [
        *((word, False, False) for word in ("stop", "EOS", "end_turn", "tool_calls", "functionCall")),
        *((word, True, False) for word in ("length", "max_tokens", "MAX_TOKENS", "maxTokens")),
        *((word, False, True) for word in (
            "abort", "error", "content_filter", "content-filter", "SAFETY", "RECITATION", "OTHER",
            "refusal", "pause_turn", "insufficient_system_resource", "cancelled", "timeout", "load",
            "repetition", "unknown", "FINISH_REASON_UNSPECIFIED", "?", "",
        )),
    ],
)  # fmt: skip
def test_every_finish_reason_is_whole_or_truncated_or_broken_off(word, truncated, broke_off):
    """Also as an older cache holds it; an unknown word means broken off."""
    found = Completion("a", "", word, 1, 1)
    assert (found.is_truncated, found.broke_off) == (truncated, broke_off)


@pytest.mark.parametrize("message", [{"content": ""}, {"content": None, "reasoning": "hm"}])
def test_nothing_without_a_finish_reason_is_no_whole_answer(message):
    """A text without one is: some servers leave the word out."""
    assert read(message, finish=None).broke_off
    assert not read({"content": "a"}, finish=None).broke_off


@pytest.mark.parametrize(
    "message",
    [
        {"content": "[THINK]hm[/THINK]Four."},
        {"content": "analysishm.assistantfinalFour."},
        {"content": "Four.", "reasoning_content": "hm"},
        {"content": "Four.", "reasoning": "hm"},
        {"content": "Four.", "thinking": "hm"},
        {"content": "Four.", "reasoning": {"text": "hm"}},
        {"content": "Four.", "reasoning_details": [{"type": "reasoning.text", "text": "hm"}]},
        {"content": "<think>hm</think>Four.", "reasoning_content": "hm"},
        {"content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Four."}]},
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
                     {"type": "text", "text": "Four."}]},
        {"content": [{"type": "reasoning", "text": "hm"}, {"type": "text", "text": "Four."}]},
    ],
)  # fmt: skip
def test_thinking_is_found_wherever_a_server_puts_it(message):
    """In the text, in a field, in parts; text that stands in two places counts once."""
    completion = read(message)
    assert (completion.reasoning.rstrip("."), completion.text) == ("hm", "Four.")


@pytest.mark.parametrize("given", [7, [], {}, [[[[["hm"]]]]], {"text": 7}, [None]])
def test_thinking_of_any_shape_is_read(given):
    """What is no text does not make an answer invalid."""
    assert read({"content": "Four.", "reasoning": given}).text == "Four."


def test_only_thinking_says_so():
    """With its length in characters."""
    assert "25 characters" in read({"content": "", "reasoning": "x" * 25}).only_thought
    assert read({"content": "", "reasoning": ""}).only_thought == ""
    assert read({"content": "a", "reasoning": "b"}).only_thought == ""


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": None}, {"prompt_tokens": -5}])
def test_missing_usage_is_estimated(usage):
    """Three characters count as a token, so uncounted usage still costs something."""
    body = {"choices": [{"message": {"content": "a" * 30}}], "usage": usage}
    completion = openai_schema.parse_completion(json.dumps(body).encode(), REQUEST)
    assert (completion.prompt_tokens, completion.completion_tokens) == (8, 10)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (rb"\ud83d cut", "\ufffd cut"),
        (b"\xe6\xbc cut", "\ufffd cut"),
        (rb"nul \u0000", "nul \ufffd"),
    ],
)
def test_characters_cut_in_half_are_read(raw, text):
    """A response truncated within a character is kept, since it was paid for."""
    body = b'{"choices": [{"message": {"content": "' + raw + b'"}}]}'
    assert openai_schema.parse_completion(body, REQUEST).text == text


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"7",
        b'"text"',
        b"{}",
        b'{"choices": null}',
        b'{"choices": []}',
        b'{"choices": [null]}',
        b'{"choices": [{"message": null}]}',
        b'{"choices": [{"message": {"content": 7}}]}',
        b"[" * 100_000,
        b"<html>",
    ],
)
def test_what_is_no_completion_is_a_value_error(body):
    """Bodies of any other shape raise ValueError only."""
    with pytest.raises(ValueError, match=r"."):
        openai_schema.parse_completion(body, REQUEST)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["choices", "message", "content", "usage", "error", "code", "detail"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@patient
@given(st.binary() | _JSON.map(lambda value: json.dumps(value).encode()))
def test_any_body_is_parsed_or_rejected(body):
    """Parsing any body gives a completion or a ValueError, and an error message."""
    try:
        assert isinstance(openai_schema.parse_completion(body, REQUEST), Completion)
    except ValueError:
        assert isinstance(openai_schema.parse_error(body).message, str)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": {"message": "no luck"}}, "no luck"),
        ({"error": "no luck"}, "no luck"),
        ({"message": "no luck"}, "no luck"),
        ({"detail": "no luck"}, "no luck"),
        ("no luck", "no luck"),
    ],
)
def test_an_error_body_is_read_in_every_known_form(body, message):
    """OpenAI, Ollama, Mistral and FastAPI each have their own."""
    assert openai_schema.parse_error(json.dumps(body).encode()).message == message


def test_an_error_page_is_shortened_to_one_line():
    """A proxy's HTML page is its visible text, truncated."""
    page = b"<html><style>p {}</style>\n<h1>502</h1>\n<script>let a</script>" + b"x" * 10_000
    message = openai_schema.parse_error(page).message
    assert message.startswith("502 xxx")
    assert len(message) <= openai_schema.MAX_MESSAGE_CHARS


REFUSALS = {
    "OpenAI, max_tokens": (
        {
            "message": "Unsupported parameter: 'max_tokens' is not supported with this model. "
            "Use 'max_completion_tokens' instead.",
            "param": "max_tokens",
            "code": "unsupported_parameter",
        },
        "max_tokens",
    ),
    "OpenAI, temperature": (
        {
            "message": "Unsupported value: 'temperature' does not support 0.2 with this model. "
            "Only the default (1) value is supported.",
            "param": "temperature",
            "code": "unsupported_value",
        },
        "temperature",
    ),
    "no param": ({"message": "Unrecognized request argument supplied: seed"}, "seed"),
    "FastAPI": (
        {"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "input": 7}]},
        "seed",
    ),
    "one of two": ({"message": "`temperature` and `top_p` cannot both be specified"}, "top_p"),
    "a value": ({"message": "max_tokens is too large: 9999", "param": "max_tokens"}, None),
    "the prompt": ({"message": "This model's maximum context length is 4096 tokens"}, None),
    "something else": ({"message": "Unsupported content type", "param": None}, None),
    "far apart": ({"message": "Unknown model. " + "y" * 80 + " temperature was 1"}, None),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refused_parameter_is_distinguished_from_an_invalid_value(name):
    """A parameter is only left out if the server does not support it at all."""
    body, parameter = REFUSALS[name]
    assert openai_schema.parse_error(json.dumps({"error": body}).encode()).parameter == parameter

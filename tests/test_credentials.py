"""Credentials in URLs, headers and request fields are found and removed."""

import pytest

from evolcoder.credentials import (
    header_names_secret,
    is_secret_field,
    names_secret,
    without_address,
    without_logins,
)


@pytest.mark.parametrize(
    ("spec", "model"),
    [
        ("http://127.0.0.1:8000/v1#m", "openai:m"),
        ("https://user:pass@host/v1#org/m:tag", "openai:org/m:tag"),
        ("https://host/v1?api-version=1&key=x#m", "openai:m?api-version=1"),
        ("http://[::1]:8000/v1#m#x", "openai:m#x"),
        ("openai:m", "openai:m"),
        ("qwen2.5-coder-0.5b", "qwen2.5-coder-0.5b"),
        ("models/a.gguf", "models/a.gguf"),
        ("scripted:a#b.json", "scripted:a#b.json"),
        ("engine:http://h/v1#m", "engine:http://h/v1#m"),
        ("http://host/v1", "http://host/v1"),
        ("http://host/v1#", "http://host/v1#"),
        ("http://ho[st/v1?%ff=%#m", "openai:m?%EF%BF%BD=%25"),
    ],
)
def test_a_spec_without_its_address_names_the_model(spec, model):
    """The place of a server goes, its interface stays; whatever names no server is kept."""
    assert without_address(spec) == model
    assert without_address(model) == model


@pytest.mark.parametrize(
    "name",
    ["api-key", "X-API-Key", "Authorization", "Ocp-Apim-Subscription-Key", "Cookie", "X-Auth-Token",
     "Proxy-Authorization", "x-goog-api-key", "Session-Id", "cf-access-client-secret"],
)  # fmt: skip
def test_headers_that_hold_secrets_are_known_by_name(name):
    """As those of Azure, Google and gateways."""
    assert header_names_secret(name)


@pytest.mark.parametrize(
    "name", ["anthropic-version", "X-Title", "HTTP-Referer", "OpenAI-Organization", "x-variant"]
)
def test_headers_without_secrets_are_shown(name):
    """They are part of what a run stores."""
    assert not header_names_secret(name)


RANDOM = "aQ9zT4mK2wX7rB1c"
SECRET_FIELDS = [
    ("api_key", "x"), ("api-key", "x"), ("apiKey", "x"), ("APIKey", "x"), ("token", "x"),
    ("key", "x"), ("authorization", "x"), ("Authorization", "Bearer x"), ("X-Auth", "x"),
    ("access_token", "x"), ("accessToken", "x"), ("client_secret", "x"), ("password", "x"),
    ("api_keys", "x"), ("aws_session_token", "x"), ("my_key", RANDOM), ("litellm_token", RANDOM),
    ("note", "Bearer abcdefghi"), ("note", f"sk-proj-{RANDOM}"), ("note", f"hf_{RANDOM}"),
]  # fmt: skip
OTHER_FIELDS = [
    ("prompt_cache_key", RANDOM), ("bos_token", "<s>"), ("eos_token", "<|im_end|>"),
    ("max_tokens", "x"), ("eos_token_id", "2"), ("pad_token", "[PAD]"), ("tokenizer", "x"),
    ("stop_tokens", "END"), ("author", "me"), ("monkey", "x"), ("stop", "sk-"), ("user", RANDOM),
    ("safety_identifier", RANDOM), ("idempotency_key", RANDOM), ("keywords", "x"), ("", RANDOM),
    ("reasoning_effort", "low"), ("secretary", "x"), ("grammar", "Bearer of news, and more"),
]  # fmt: skip


@pytest.mark.parametrize("fields", [SECRET_FIELDS, OTHER_FIELDS], ids=["secrets", "others"])
def test_fields_that_hold_secrets_are_known_by_name_or_value(fields):
    """A key of a cache and a token of a vocabulary are none."""
    expected = fields is SECRET_FIELDS
    assert [field for field in fields if is_secret_field(*field) is not expected] == []


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("http://me:pass@host:1/v1#m", "http://host:1/v1#m"),
        ("https://sk-token@host/v1", "https://host/v1"),
        ("https://a%40b:c@d@host/v1", "https://host/v1"),
        ("--model=http://me:p@h/v1#m --set a='https://u:q@i/v1#n'", "--model=http://h/v1#m --set a='https://i/v1#n'"),
        ("http://h/v1?api_key=s3cret&api-version=2024-10-21#m", "http://h/v1?api_key=&api-version=2024-10-21#m"),
        ("http://h/v1?key=s&x=1", "http://h/v1?key=&x=1"),
        ("http://host/v1#org/model@revision", "http://host/v1#org/model@revision"),
        ("http://host/path@x:y", "http://host/path@x:y"),
        ('{"a": "http://h", "b": "x@y"}', '{"a": "http://h", "b": "x@y"}'),
        ("openai:gpt-4o-mini", "openai:gpt-4o-mini"),
    ],
)  # fmt: skip
def test_logins_are_taken_out_of_urls_and_nothing_else(text, bare):
    """User, password and query keys are removed; an @ elsewhere is kept."""
    assert without_logins(text) == bare
    assert without_logins(bare) == bare


def test_parameters_that_hold_keys_are_known_by_their_names():
    """An API version is not a secret, and masking it would damage answers with dates."""
    assert all(
        map(names_secret, ["key", "api_key", "X-Api-Key", "access_token", "sig", "password"])
    )
    assert not any(map(names_secret, ["api-version", "v", "design", "model"]))

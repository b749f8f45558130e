"""An API key is only sent to the host that it was given for."""

import json

import pytest

from evolcoder.config.load import validate
from evolcoder.config.schema import ServerConfig
from evolcoder.engine.endpoint import Endpoint, KeyRing, logins_as_json
from evolcoder.errors import ConfigError

OURS, THEIRS = "sk-ours-0123456789ab", "key-theirs-ba9876543210"
ENVIRONMENT = {"OPENAI_API_KEY": OURS, "THEIR_KEY": THEIRS}


def ring(servers=(), **environment):
    named = {name: ServerConfig(key_variable="THEIR_KEY") for name in servers}
    return KeyRing(named, {**ENVIRONMENT, **environment})


@pytest.mark.parametrize(
    ("url", "base", "sent"),
    [
        ("https://api.openai.com/v1", "", True),
        ("https://API.OpenAI.com./v1/", "", True),
        ("https://api.openai.com:443/v1", "", True),
        ("http://api.openai.com/v1", "", False),
        ("https://api.openai.com:8443/v1", "", False),
        ("https://api.openai.com.evil.example/v1", "", False),
        ("https://api.openai.com@evil.example/v1", "", False),
        ("https://evil.example/api.openai.com/v1", "", False),
        ("https://evil.example/v1?x=api.openai.com", "", False),
        ("http://127.0.0.1:8000/v1", "", False),
        ("http://localhost:8000/v1", "http://127.0.0.1:8000/v1", False),
        ("http://127.0.0.1:8000/v2", "http://127.0.0.1:8000/v1", True),
        ("http://127.0.0.1:8001/v1", "http://127.0.0.1:8000/v1", False),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1", True),
        ("https://api.openai.com/v1", "http://127.0.0.1:8000/v1", False),
    ],
)
def test_openai_api_key_goes_to_the_configured_origin_alone(url, base, sent):
    """Scheme, host and port must be equal; similar host names do not match."""
    key = ring(OPENAI_BASE_URL=base).key_for(url)
    assert key.value == (OURS if sent else "")
    headers = Endpoint.of(url, api_key=key).headers
    assert (OURS in headers.get("Authorization", "")) == sent


@pytest.mark.parametrize(
    ("url", "base", "is_anthropic", "sent"),
    [
        ("https://api.anthropic.com/v1", "", False, True),
        ("https://api.anthropic.com/v1", "", True, True),
        ("http://api.anthropic.com/v1", "", True, False),
        ("https://api.anthropic.com.evil.example/v1", "", True, False),
        ("https://api.anthropic.com/v1", "http://127.0.0.1:8000", True, False),
        ("http://127.0.0.1:8000/v1", "http://127.0.0.1:8000", False, True),
        ("https://api.openai.com/v1", "", False, False),
        ("https://api.openai.com/v1", "https://api.openai.com", True, True),
        ("https://api.openai.com/v1", "https://api.openai.com", False, False),
    ],
)
def test_anthropic_api_key_goes_to_the_configured_origin_alone(url, base, is_anthropic, sent):
    """As OpenAI's; where one proxy has both, the spec decides."""
    keys = ring(ANTHROPIC_BASE_URL=base, ANTHROPIC_API_KEY="sk-ant-0123456789")
    key = keys.key_for(url, is_anthropic=is_anthropic)
    assert (key.value == "sk-ant-0123456789") == sent
    assert "sk-ant-0123456789" in keys.secrets()


@pytest.mark.parametrize(
    ("name", "url", "sent"),
    [
        ("api.example.org", "https://api.example.org/v1", True),
        ("API.example.org", "https://api.example.ORG./v1", True),
        ("api.example.org", "http://api.example.org:8000/v1", True),
        ("api.example.org:8000", "http://api.example.org:8000/v1", True),
        ("api.example.org:8000", "http://api.example.org:9000/v1", False),
        ("example.org", "https://api.example.org/v1", False),
        ("api.example.org", "https://api.example.org.evil/v1", False),
        ("[::1]:8000", "http://[::1]:8000/v1", True),
        ("münchen.example", "https://xn--mnchen-3ya.example/v1", True),
    ],
)
def test_another_server_gets_the_key_that_the_config_names_for_it(name, url, sent):
    """Configured by host for all ports, or by host and port; never another server's key."""
    assert ring([name]).key_for(url).value == (THEIRS if sent else "")


def test_a_key_by_port_takes_precedence():
    """Two servers on one host may have different keys."""
    servers = {"h": ServerConfig(key_variable="A"), "h:81": ServerConfig(key_variable="B")}
    keys = KeyRing(servers, {"A": "first-key-1", "B": "second-key-2"})
    assert keys.key_for("http://h:80/v1").value == "first-key-1"
    assert keys.key_for("http://h:81/v1").value == "second-key-2"


def test_an_unset_key_variable_is_an_error():
    """Before any request. The name is not shown, since it may be a key put there by mistake."""
    servers = {"h": ServerConfig(key_variable="sk_mistaken_for_a_name")}
    with pytest.raises(ConfigError, match=r"servers\.h\.key_variable: .* not set") as caught:
        KeyRing(servers, ENVIRONMENT).key_for("http://h/v1")
    assert "mistaken" not in str(caught.value)


@pytest.mark.parametrize(
    "servers",
    [
        {"h": {"key_variable": OURS}},
        {"h": OURS},
        {"h": {"key": OURS}},
        {"https://h/v1": {"key_variable": "A"}},
        {f"http://me:{OURS}@h": {"key_variable": "A"}},
        {"h": None},
    ],
)
def test_an_invalid_setting_is_reported_without_its_value(servers):
    """A key in place of its variable's name is not shown."""
    with pytest.raises(ConfigError, match="servers") as caught:
        validate({"servers": servers}, where="config")
    assert OURS not in str(caught.value)


def test_all_keys_in_use_are_known_as_secrets():
    """Keys of other servers, tokens and URL credentials included."""
    specs = [
        "http://me:hunter22@h/v1#m",
        "https://token-alone@i/v1#m",
        "http://j/v1?api_key=q-123456#m",
    ]
    names = {"h": ServerConfig(key_variable="THEIR_KEY")}
    known = KeyRing(names, {**ENVIRONMENT, "HF_TOKEN": "hf_abcdefgh"}, specs=specs)
    secrets = known.key_for("http://elsewhere/v1").secrets
    assert {OURS, THEIRS, "hunter22", "token-alone", "q-123456", "hf_abcdefgh"} <= set(secrets)
    assert not {"me", "v1"} & set(secrets)


def test_the_advice_says_how_to_name_an_unused_key():
    """If OPENAI_API_KEY is set but not sent, the error says why and what to configure."""
    advice = ring().key_for("http://127.0.0.1:8000/v1").advice
    assert "--set 'servers={\"127.0.0.1:8000\": {key_variable: NAME}}'" in advice
    assert "OPENAI_API_KEY is set but is only sent to https://api.openai.com/v1" in advice
    assert "OPENAI_API_KEY" not in KeyRing({}, {}).key_for("http://127.0.0.1:8000/v1").advice
    assert "set OPENAI_API_KEY" in ring().key_for("https://api.openai.com/v1").advice


def test_the_setting_that_the_advice_names_is_one():
    """The setting suggested by the error is valid, also with IPv6 and dots."""
    from evolcoder.config.load import load

    for url, host in (
        ("http://1.2.3.4:8000/v1", "1.2.3.4:8000"),
        ("http://[::1]:80/v1", "[::1]:80"),
    ):
        setting = ring().key_for(url).advice.partition("--set '")[2].partition("'")[0]
        config = load(None, [setting.replace("NAME", "THEIR_KEY")])
        assert list(config.servers) == [host]
        assert KeyRing(config.servers, ENVIRONMENT).key_for(url).value == THEIRS
        dotted = load(None, [f"servers.{host}.key_variable=THEIR_KEY"])
        assert dotted.servers == config.servers


def test_urls_with_credentials_are_passed_to_steps():
    """A loop's files and command lines contain none; its steps get them from the environment."""
    url = "http://me:hunter22@h:1/v1"
    found = logins_as_json([f"{url}#m", "http://i/v1#m", "openai:x", "vllm:student"])
    assert json.loads(found) == {"http://h:1/v1": url}
    keys = KeyRing({}, {"EVOLCODER_LOGINS": found})
    assert keys.with_login("http://h:1/v1") == url
    assert keys.with_login("http://i/v1") == "http://i/v1"
    assert "hunter22" in keys.secrets()
    assert logins_as_json(["http://i/v1#m"]) == ""

"""Finds credentials in URLs, headers and request fields; strips them and server addresses.

>>> without_logins("http://me:hunter2@host/v1?api_key=x&v=1#model")
'http://host/v1?api_key=&v=1#model'
"""

import re
from urllib.parse import parse_qsl, urlencode

_CREDENTIALS = re.compile(r"""(?<=://)[^/?#\s"'<>]*@""")
_KEY_LIKE = r"[\w-]*(?:key|token|secret|passw|signature|\bsig\b)[\w-]*"
_BETWEEN_URLS = re.compile(r"\s*,\s*(?=https?://)")
_SECRET_QUERY = re.compile(rf"""([?&]{_KEY_LIKE}=)[^&#\s"'<>]*""", re.IGNORECASE)
_SECRET_NAME = re.compile(_KEY_LIKE, re.IGNORECASE)
_NAME_WORDS = re.compile("[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_SECRET_WORDS = frozenset(
    """apikey apikeys auth authentication authorization bearer cookie cookies credential credentials
    jwt passphrase passwd password passwords pwd secret secrets""".split()
)
"""Words in a name that are enough for a secret."""
_SECRET_PAIRS = frozenset({"key", "keys", "token", "tokens"})
_BEFORE_SECRET = frozenset(
    """access account admin api auth azure bot bearer client gateway hf huggingface id jwt master
    openai org organization private project refresh security service session sign signing
    subscription user virtual""".split()
)
"""Words that make a secret of a `key` or `token` after them."""
_BEFORE_OTHERS = frozenset(
    """affinity batch cache conversation dedup foreign group idempotency partition primary request
    routing sort thread trace""".split()
)
"""Words after which a `key` or `token` is none, whatever its value looks like."""
_KEY_VALUE = re.compile(
    r"\s*(?:(?:Bearer|Basic)\s+\S{8,}|(?:sk|pk|rk|hf|gsk|ghp|xai|nvapi|tgp|fw|AIza|AKIA|csk|r8|pplx)"
    r"[-_]?[\w-]{16,})\s*"
)
"""Values in the form that providers give their keys."""
_RANDOM_VALUE = re.compile(r"(?=\D*\d)(?=[^A-Za-z]*[A-Za-z])[\w.+/=-]{16,}")
_SECRET_HEADER = re.compile(r"auth|cookie|credential|session|jwt|bearer|\bpat\b", re.IGNORECASE)


def without_logins(text: str) -> str:
    """Remove credentials from the URLs in a text: user and password, and keys in the query."""
    return _SECRET_QUERY.sub(r"\1", _CREDENTIALS.sub("", text)) if "://" in text else text


def names_secret(parameter: str) -> bool:
    """Return whether a URL parameter's name is that of a secret."""
    return _SECRET_NAME.fullmatch(parameter) is not None


def header_names_secret(header: str) -> bool:
    """Return whether a header's name is that of a secret, such as `api-key` or `Authorization`."""
    return names_secret(header) or _SECRET_HEADER.search(header) is not None


def is_secret_header(header: str, value: str) -> bool:
    """Return whether a header holds a secret, by its name or by the form of its value."""
    return header_names_secret(header) or _KEY_VALUE.fullmatch(value) is not None


def is_secret_field(name: str, value: str) -> bool:
    """Return whether a field of a request's body holds a secret.

    By its name, such as `token`, `api_key`, `accessToken` or `password`, or by the form of its
    value. A key or a token of another kind (`prompt_cache_key`, `bos_token`) is none, and one of
    an unknown kind is a secret if its value looks random.

    >>> is_secret_field("api-key", "x"), is_secret_field("eos_token", "</s>")
    (True, False)
    """
    if _KEY_VALUE.fullmatch(value):
        return True
    words = [word.lower() for word in _NAME_WORDS.findall(name)]
    if not _SECRET_WORDS.isdisjoint(words):
        return True
    *before, last = words or [""]
    if last not in _SECRET_PAIRS or (before and before[-1] in _BEFORE_OTHERS):
        return False
    if not before and last in {"key", "token"}:
        return bool(value)
    is_known = bool(before) and before[-1] in _BEFORE_SECRET
    return is_known or _RANDOM_VALUE.fullmatch(value) is not None


def without_address(spec: str) -> str:
    """Return a model spec without the place of its server, which does not decide the answer.

    Parameters of the URL stay, without keys: they may select a version of the interface.

    >>> without_address("http://10.0.0.7:8000/v1?api-version=1&key=x#model")
    'openai:model?api-version=1'
    """
    url, _, name = spec.partition("#")
    if not name or not url.startswith(("http://", "https://")):
        return spec
    query = public_query(server_urls(url)[0])
    return f"openai:{name}?{query}" if query else f"openai:{name}"


def server_urls(urls: str) -> list[str]:
    """Split the addresses of several servers of one model, which commas separate.

    >>> server_urls("http://a/v1,http://b/v1")
    ['http://a/v1', 'http://b/v1']
    """
    return _BETWEEN_URLS.split(urls)


def public_query(url: str) -> str:
    """Return the query of a URL without its keys."""
    query = url.partition("#")[0].partition("?")[2]
    found = parse_qsl(query, keep_blank_values=True)
    return urlencode([(name, value) for name, value in found if not names_secret(name)])

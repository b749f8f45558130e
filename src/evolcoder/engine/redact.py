"""Removes secrets from text that is shown or stored; servers echo the keys that they reject.

`redactor`, for server messages, also removes partial keys: the first four characters of a secret
with what follows, and the last four with what precedes. `masked`, for answers and everything else
that is kept, removes a secret verbatim, percent-encoded, escaped as in JSON, HTML or Python, in
base64 and in hexadecimal. It does not remove parts of secrets, nor secrets that are ordinary words
such as `EMPTY`, because these occur in normal text.

>>> redactor(["sk-abcdefgh1234"])("wrong key: sk-ab*****1234, go away")
'wrong key: [secret], go away'
>>> Secrets(["sk-abcdefgh1234"]).masked('key = "sk-abcdefgh1234"')
'key = "[secret]"'
"""

import base64
import re
from collections.abc import Callable, Iterable

VARIABLES = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
"""Environment variables with secrets; only other packages use the last two."""
REPLACEMENT = "[secret]"
"""Replacement for a secret."""
_MIN_PARTIAL = 8
"""Shorter secrets (`EMPTY`, `ollama`) may be words: they are removed only as whole words."""
_SHOWN_CHARS = 4
"""Characters that servers leave readable at either end of a masked key."""
_MIN_LETTERS = 16
"""Minimum length at which a value of letters only counts as a secret."""
_MIN_LENGTH = 6
"""Minimum length of values masked in answers; shorter ones would match too often."""
_CHARACTER_CLASSES = (str.islower, str.isupper, str.isdigit)
_ESCAPE_MARKS = ("\\u", "\\x", "%", "&#")
"""Marks of encoded text; texts without them skip the slower pattern."""


class Secrets:
    """The keys, passwords and tokens in use."""

    def __init__(self, values: Iterable[str]) -> None:
        self.values = tuple(dict.fromkeys(value for value in values if value))
        secrets = [value for value in self.values if _is_secret(value)]
        long = [value for value in secrets if len(value) >= _MIN_PARTIAL]
        self._plain = [*secrets, *(form for value in long for form in _encodings(value))]
        self._in_plain = re.compile("|".join(map(_word_pattern, self._plain))) if secrets else None
        self._encoded = re.compile("|".join(map(_escaped_pattern, long))) if long else None

    def masked(self, text: str) -> str:
        """Remove the secrets from a text that is stored or printed."""
        if self._in_plain is None:
            return text
        if any(form in text for form in self._plain):
            text = self._in_plain.sub(REPLACEMENT, text)
        if self._encoded is not None and any(mark in text for mark in _ESCAPE_MARKS):
            text = self._encoded.sub(REPLACEMENT, text)
        return text


def redactor(secrets: Iterable[str]) -> Callable[[str], str]:
    """Return a function that removes these secrets, and masked forms of them, from a text."""
    known = Secrets(secrets)
    patterns = [pattern for secret in known.values for pattern in _patterns(secret)]
    if not patterns:
        return str
    found = re.compile("|".join(patterns))
    return lambda text: found.sub(REPLACEMENT, known.masked(text))


def _patterns(secret: str) -> list[str]:
    if len(secret) < _MIN_PARTIAL:
        return [_word_pattern(secret)]
    inside = r"""[^\s"'<>(){},;]*"""
    start, end = re.escape(secret[:_SHOWN_CHARS]), re.escape(secret[-_SHOWN_CHARS:])
    return [re.escape(secret), start + inside, inside + end]


def _word_pattern(secret: str) -> str:
    """Pattern for a secret; a short one matches only as a whole word."""
    escaped = re.escape(secret)
    return escaped if len(secret) >= _MIN_PARTIAL else rf"(?<!\w){escaped}(?!\w)"


def _is_secret(secret: str) -> bool:
    """Distinguish a secret from a placeholder such as a plain word or number."""
    if len(secret) >= _MIN_LETTERS:
        return True
    word = secret[:1].lower() + secret[1:]
    is_word = word.isascii() and word.isalnum() and any(kind(word) for kind in _CHARACTER_CLASSES)
    return len(secret) >= _MIN_LENGTH and not is_word


def _encodings(secret: str) -> list[str]:
    """Return a secret's hexadecimal forms, and its base64 forms at any byte offset."""
    data = secret.encode("utf-8", "surrogatepass")
    found = [data.hex(), data.hex().upper()]
    for before in range(3):
        coded = base64.b64encode(bytes(before) + data).decode().rstrip("=")
        first = -(-8 * before // 6)  # skip characters that share bits with what precedes
        last = (8 * (before + len(data))) // 6  # the next one may depend on what follows
        found += [coded[first:last], coded[first:last].translate(_URL_SAFE)]
    return list(dict.fromkeys(found))


_URL_SAFE = str.maketrans("+/", "-_")


def _escaped_pattern(secret: str) -> str:
    """Pattern for a secret in which any character may be escaped."""
    return "".join(
        rf"(?:{re.escape(char)}|(?i:\\{{1,4}}(?:u00|x){ord(char):02x}|%{ord(char):02x}"
        rf"|&#0{{0,4}}{ord(char)};|&#x0{{0,4}}{ord(char):x};))"
        for char in secret
    )


_registered = Secrets(())


def register_secrets(secrets: Iterable[str]) -> None:
    """Make the module-level `masked` remove these secrets too, in this process."""
    global _registered  # noqa: PLW0603 - one process has one terminal
    _registered = Secrets((*_registered.values, *secrets))


def clear_secrets() -> None:
    """Forget all registered secrets."""
    global _registered  # noqa: PLW0603 - as above
    _registered = Secrets(())


def masked(text: str) -> str:
    """Remove the registered secrets from a text."""
    return _registered.masked(text)

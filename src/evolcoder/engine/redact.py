"""Keep secrets out of what is shown and stored; servers repeat the key that they reject.

Promises: no text that passed through `redactor`, for words of a server, holds a secret, its first
four characters with what follows them, or its last four with what stands before. None that passed
through `masked`, for answers and all else that is kept, holds a secret as it is, percent-encoded,
as escapes of JSON, HTML or Python, in base64 or in hexadecimal; there a part of a secret stays,
since four characters are in many words, and so does a secret that is a word, such as `EMPTY`.

>>> redactor(["sk-abcdefgh1234"])("wrong key: sk-ab*****1234, go away")
'wrong key: [secret], go away'
>>> Secrets(["sk-abcdefgh1234"]).masked('key = "sk-abcdefgh1234"')
'key = "[secret]"'
"""

import base64
import re
from collections.abc import Callable, Iterable

VARIABLES = ("OPENAI_API_KEY", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
"""Variables of the environment that hold secrets; the last two are used by other packages alone."""
SHOWN = "[secret]"
"""What stands where a secret stood."""
_LEAST = 8
"""Shorter secrets (`EMPTY`, `ollama`) are words too: only the whole of them is taken out."""
_END = 4
"""Characters that servers leave readable at either end of a masked key."""
_TELLING = 16
"""A secret so long is one, even of letters alone."""
_SHORTEST = 6
"""A shorter one is not looked for in answers, which would be full of it."""
_KINDS = (str.islower, str.isupper, str.isdigit)
_MARKS = ("\\u", "\\x", "%", "&#")
"""What an encoded text holds; most texts hold none, and are looked through faster."""


class Secrets:
    """The keys, passwords and tokens that are in use."""

    def __init__(self, values: Iterable[str]) -> None:
        self.values = tuple(dict.fromkeys(value for value in values if value))
        telling = [value for value in self.values if _is_telling(value)]
        long = [value for value in telling if len(value) >= _LEAST]
        self._plain = [*telling, *(form for value in long for form in _recoded(value))]
        self._in_plain = re.compile("|".join(map(_whole, self._plain))) if telling else None
        self._encoded = re.compile("|".join(map(_by_character, long))) if long else None

    def masked(self, text: str) -> str:
        """Take the secrets out of a text that is kept or printed."""
        if self._in_plain is None:
            return text
        if any(form in text for form in self._plain):
            text = self._in_plain.sub(SHOWN, text)
        if self._encoded is not None and any(mark in text for mark in _MARKS):
            text = self._encoded.sub(SHOWN, text)
        return text


def redactor(secrets: Iterable[str]) -> Callable[[str], str]:
    """Make a function that takes these secrets, and masked forms of them, out of a text."""
    known = Secrets(secrets)
    patterns = [pattern for secret in known.values for pattern in _patterns(secret)]
    if not patterns:
        return str
    found = re.compile("|".join(patterns))
    return lambda text: found.sub(SHOWN, known.masked(text))


def _patterns(secret: str) -> list[str]:
    if len(secret) < _LEAST:
        return [_whole(secret)]
    inside = r"""[^\s"'<>(){},;]*"""
    return [
        re.escape(secret), re.escape(secret[:_END]) + inside, inside + re.escape(secret[-_END:]),
    ]  # fmt: skip


def _whole(secret: str) -> str:
    """Match a secret; a short one as a word of its own."""
    escaped = re.escape(secret)
    return escaped if len(secret) >= _LEAST else rf"(?<!\w){escaped}(?!\w)"


def _is_telling(secret: str) -> bool:
    """Tell a secret from a word or a number that stands in its place where none is needed."""
    if len(secret) >= _TELLING:
        return True
    word = secret[:1].lower() + secret[1:]
    is_word = word.isascii() and word.isalnum() and any(kind(word) for kind in _KINDS)
    return len(secret) >= _SHORTEST and not is_word


def _recoded(secret: str) -> list[str]:
    """Return what a secret is in hexadecimal, and in base64 wherever it stands in what is coded."""
    data = secret.encode("utf-8", "surrogatepass")
    found = [data.hex(), data.hex().upper()]
    for before in range(3):
        coded = base64.b64encode(bytes(before) + data).decode().rstrip("=")
        first = -(-8 * before // 6)  # characters with bits of what stands before
        last = (8 * (before + len(data))) // 6  # what follows may change the one at the end
        found += [coded[first:last], coded[first:last].translate(_URL_SAFE)]
    return list(dict.fromkeys(found))


_URL_SAFE = str.maketrans("+/", "-_")


def _by_character(secret: str) -> str:
    """Match a secret of which any character may be written as an escape."""
    return "".join(
        rf"(?:{re.escape(char)}|(?i:\\{{1,4}}(?:u00|x){ord(char):02x}|%{ord(char):02x}"
        rf"|&#0{{0,4}}{ord(char)};|&#x0{{0,4}}{ord(char):x};))"
        for char in secret
    )


_hidden = Secrets(())


def hide(secrets: Iterable[str]) -> None:
    """Have `masked` take these secrets out from now on, in this process."""
    global _hidden  # noqa: PLW0603 - one process has one terminal
    _hidden = Secrets((*_hidden.values, *secrets))


def forget() -> None:
    """Forget what `hide` was told."""
    global _hidden  # noqa: PLW0603 - as above
    _hidden = Secrets(())


def masked(text: str) -> str:
    """Take out of a text the secrets that `hide` was told."""
    return _hidden.masked(text)

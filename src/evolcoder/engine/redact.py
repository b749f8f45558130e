"""Keep secrets out of what is shown: servers repeat the key that they reject, often masked.

Promises: no text that passed through holds a secret, its first four characters with what follows
them, or its last four with what stands before. Not promised: secrets that a server encodes anew.

>>> redactor(["sk-abcdefgh1234"])("wrong key: sk-ab*****1234, go away")
'wrong key: [secret], go away'
"""

import re
from collections.abc import Callable, Iterable

SHOWN = "[secret]"
"""What stands where a secret stood."""
_LEAST = 8
"""Shorter secrets (`EMPTY`, `ollama`) are words too: only the whole of them is taken out."""
_END = 4
"""Characters that servers leave readable at either end of a masked key."""


def redactor(secrets: Iterable[str]) -> Callable[[str], str]:
    """Make a function that takes these secrets, and masked forms of them, out of a text."""
    patterns = [pattern for secret in secrets if secret for pattern in _patterns(secret)]
    if not patterns:
        return str
    found = re.compile("|".join(patterns))
    return lambda text: found.sub(SHOWN, text)


def _patterns(secret: str) -> list[str]:
    whole = re.escape(secret)
    if len(secret) < _LEAST:
        return [rf"(?<!\w){whole}(?!\w)"]
    inside = r"""[^\s"'<>(){},;]*"""
    return [whole, re.escape(secret[:_END]) + inside, inside + re.escape(secret[-_END:])]

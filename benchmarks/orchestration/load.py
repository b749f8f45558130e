"""The load of every client: equally many requests, with prompts of the same sizes.

evolcoder gets seeds, and sends two requests for each: for a harder task, in a chat with worked
examples, and for its answer. The others get single prompts, as long as evolcoder's requests on
average; so their second request need not wait for the first. The same numbers give the same files.
"""

import json
import random
from collections.abc import Iterator
from pathlib import Path

_WORDS = (
    "invoice passenger sensor recipe library ferry parcel orchestra weather voucher stadium "
    "telescope pharmacy vineyard airport museum kitchen harvest festival elevator"
).split()
_DOES = (
    "groups them by month and returns the three largest totals",
    "finds the first gap longer than a day and returns its ends",
    "merges entries that overlap and returns them in order",
    "counts each kind and returns the kinds that occur twice",
)


def instruction(number: int) -> str:
    """Write a task of some forty words, unlike any of another number."""
    rng = random.Random(number)
    first, second, third = rng.sample(_WORDS, 3)
    return (
        f"Write a Python function that takes the {first} entries of branch {number}, each with a "
        f"{second} code, a date and an amount, leaves out entries whose {third} code is missing, "
        f"{rng.choice(_DOES)}, for a report that is printed every Monday morning."
    )


def write_seeds(path: Path, n_requests: int) -> None:
    """Write seeds, each with an answer, for half as many lineages as there are to be requests."""
    answer = "```python\ndef report(entries):\n    return sorted(entries)\n```"
    rows = ({"instruction": instruction(i), "output": answer} for i in range(n_requests // 2))
    _write(path, rows)


def write_prompts(path: Path, n_requests: int, n_chars: int) -> None:
    """Write single prompts of a length."""
    _write(path, ({"prompt": _prompt(i, n_chars)} for i in range(n_requests)))


def _prompt(number: int, n_chars: int) -> str:
    text = instruction(number)
    while len(text) < n_chars:
        number += 1_000_003
        text = f"{text} {instruction(number)}"
    return text[:n_chars]


def _write(path: Path, rows: Iterator[dict[str, str]]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{json.dumps(row)}\n" for row in rows)

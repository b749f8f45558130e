"""Answers of the loopback server: deterministic, plausible, about 200 tokens.

The same chat gets the same text. A chat with worked examples that asks for a harder task gets one
in the form of its first message; any other chat gets an explanation around a fenced block of code,
with words of the prompt and new ones. The code need not do what the words ask.
"""

import re
import zlib

_WORD = re.compile(r"[A-Za-z]{4,}")

_NOUNS = (
    "ledger", "turnstile", "lighthouse", "orchard", "tram", "beehive", "quarry", "harbour",
    "observatory", "carousel", "foundry", "greenhouse", "glacier", "bakery", "aqueduct", "archive",
)  # fmt: skip

_CODE = """```python
def summarise_{noun}(records, limit={limit}):
    totals = {{}}
    for name, amount in records:
        if amount < 0:
            raise ValueError(f"{{name}}: negative amount {{amount}}")
        totals[name] = totals.get(name, 0) + amount
    ordered = sorted(totals.items(), key=lambda pair: (-pair[1], pair[0]))
    return ordered[:limit]
```"""

_EXPLAINED = (
    "The request concerns {words}. The function below groups the records of the {noun} by name, "
    "refuses negative amounts, and returns the {limit} largest totals; equal totals keep "
    "alphabetical order.\n\n" + _CODE + "\n\nIt takes one pass over the records and sorts the "
    "totals once, so memory grows with the number of names alone."
)

_MORE = (
    "The measurements of every {noun} arrive as a stream of compressed lines, some damaged and "
    "some out of order, so skip damaged lines, count them, and tolerate a delay of {limit} "
    "minutes. Group the rest by calendar week and by region, keep a running median and the three "
    "longest gaps of each group, and report groups whose median differs by more than a tenth from "
    "the week before. Groups with fewer than {limit} measurements are merged with their southern "
    "neighbour, weeks follow the ISO calendar across the turn of a year, and equal medians are "
    "ordered by region. Raise a ValueError that names the line when a timestamp has no zone."
)

_HARDER = {
    "further demand": _CODE.replace("{limit}", "3") + "\nDemand: " + _MORE,
    "written as O(": "It must take O(n log n) time and O(k) extra space for n lines. " + _MORE,
    "rewrite the task": "Common: plain totals\nRarer: weekly medians by region\nNew task: {task} "
    + _MORE,
    "stand right behind it": _MORE,
}
"""How evolcoder's heuristics describe the form they want -> an answer in that form."""


def answer_to(messages: list[dict[str, str]]) -> str:
    """Make the answer to a chat."""
    prompt = messages[-1]["content"]
    choice = zlib.crc32(prompt.encode())
    task = prompt.rpartition("Task: ")[2].partition("\n")[0]
    words = " ".join(_WORD.findall(prompt[-300:])[-24:])
    noun, limit = _NOUNS[choice % len(_NOUNS)], choice % 97 + 3
    return _form(messages).format(task=task, words=words, noun=noun, limit=limit)


def _form(messages: list[dict[str, str]]) -> str:
    if len(messages) > 2:
        for mark, form in _HARDER.items():
            if mark in messages[0]["content"]:
                return form
    return _EXPLAINED

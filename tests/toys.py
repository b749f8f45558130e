"""A toy model: answers evolve prompts and tasks by rule, sometimes badly, always the same way."""

import hashlib
import json
import re

from evolcoder.config.load import validate
from evolcoder.engine.base import Role, Sampling
from evolcoder.engine.scripted import ScriptedEngine
from jsonl import write_jsonl

WORDS = """gzip unicode latency checksum quaternion invoice timezone ledger sparse cursor beacon
orchard turbine glacier saffron pigment harbour lantern meadow copper violin canyon marble thistle
falcon quarry ember willow anchor compass pebble prairie summit tundra velvet walnut""".split()


def pick(text, n):
    """Draw n distinct words that depend on the text alone."""
    digest = int(hashlib.sha256(text.encode()).hexdigest(), 16)
    chosen = []
    while len(chosen) < n:
        digest, at = divmod(digest, len(WORDS))
        if WORDS[at] not in chosen:
            chosen.append(WORDS[at])
    return chosen


def answer(asked, seed=0):
    """Answer one message: an evolution where a harder task is asked for, else a solution."""
    if "Task: " not in asked:
        name = pick(asked, 1)[0]
        if int(hashlib.md5(asked.encode()).hexdigest(), 16) % 11 == 0:
            return "I am sorry, but I cannot help with that."
        return f"Here it is.\n\n```python\ndef {name}(x):\n    return [x, {len(asked)}]\n```\n"
    template, task = asked.split("Task: ", 1)
    a, b, c, d, e, f, g, h = pick(asked + str(seed), 8)
    demand = (
        f"Also reject every {a} {b}, log the {c} {d}, and group {e} entries by {f} and {g} {h}."
    )
    if int(hashlib.md5(asked.encode()).hexdigest(), 16) % 7 == 0:
        return task.strip()
    if "O(...)" in template:
        return f"It must take O(n) time and O(1) extra space for n {a} {b} entries with {c} {d}."
    if "Demand" in json.dumps(template) or "does not do yet" in template:
        return f"```python\ndef f(x):\n    return x  # {a}\n```\nDemand: {demand}"
    if "sentences" in template and "behind it" in template:
        return demand
    first = re.sub(r"\s+", " ", task).strip().rstrip(".")
    return f"Needs: {a}, {b}\nNew task: {first} of {a} {b} records. {demand}"


def engine():
    """An engine that answers as above."""
    return ScriptedEngine(lambda request: answer(request.messages[-1].content, request.seed))


def role(max_tokens=512):
    """The toy model in any part."""
    return Role(engine(), "toy", Sampling(1.0, 0.9, max_tokens))


def config(**sections):
    """A config from sections; `budget={"rounds": 2}`."""
    return validate(sections, where="test")


def tasks(n):
    """Toy instructions, all different."""
    return [
        f"Write a Python function that sorts the {WORDS[i % len(WORDS)]} numbers in list {i}."
        for i in range(n)
    ]


def seeds_file(path, n, *, answered=True):
    """Write a seeds file of n rows."""
    rows = [
        {"instruction": text, "output": f"```python\nprint({i})\n```" if answered else ""}
        for i, text in enumerate(tasks(n))
    ]
    write_jsonl(path, rows)
    return path

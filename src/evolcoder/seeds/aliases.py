"""Rewrites rows of published data sets whose shape is their own, and chooses among several answers.

Guarantees: no text is changed, and a row of another shape is returned as it is. What a row says
about its answers (`selected`, a score, a winner) decides which one is taken; without that it is the
first. No I/O.

>>> rewritten({"user": "Add 1 and 2.", "assistant": "3"}, is_known=False)
{'instruction': 'Add 1 and 2.', 'output': '3'}
"""

from collections.abc import Mapping, Sequence

from evolcoder.seeds.chats import parsed_list

Fields = Mapping[str, object]

INNER = ("row", "data", "fields", "example", "item", "record", "sample")
"""Fields that hold the whole row."""
_PAIRS = (
    ("user", "assistant"), ("human", "assistant"), ("human", "bot"), ("human", "gpt"),
    ("user", "bot"), ("user_prompt", "assistant_response"), ("userprompt", "assistantresponse"),
    ("input_text", "output_text"), ("q", "a"), ("problem_statement", "code_solution"),
    ("problem_statement", "solution"), ("problem_description", "solution"), ("nl", "code"),
    ("docstring", "code"), ("rewritten_intent", "snippet"), ("intent", "snippet"),
    ("inputs_pretokenized", "targets_pretokenized"), ("body", "answer_body"), ("body", "answers"),
    ("title", "answers"),
)  # fmt: skip
"""Fields with a task and its response that are too common to be read where others are there."""
_RENAMED = {
    "preferred_output": "chosen", "non_preferred_output": "rejected", "chosen_response": "chosen",
    "rejected_response": "rejected", "response_j": "chosen", "response_k": "rejected",
}  # fmt: skip
"""Fields of preferences."""
_CHOSEN = ("selected", "is_selected", "accepted", "is_accepted")
"""Fields of an answer that is the one that was accepted."""
_SCORES = ("pm_score", "score", "overall_score", "upvotes", "pass_rate", "rating")
"""Fields of an answer with its score."""
_PARALLEL = ("scores", "ratings", "rating", "rewards", "pass_rates", "correctness",
             "correctness_math_verify")  # fmt: skip
"""Fields of a row with a score for each of its answers."""


def rewritten(row: Fields, *, is_known: bool) -> Fields:
    """Return a row in a shape that is read; `is_known`: a task was found in the row as it is."""
    for shape in (_preference, _request, _contest, _questions):
        if found := shape(row):
            return found
    if is_known:
        return row
    for asked, answered in _PAIRS:
        if row.get(asked) and answered in row:
            others = {name: value for name, value in row.items() if name not in {asked, answered}}
            plural = "answers" if answered == "answers" else "output"
            return others | {"instruction": row[asked], plural: row[answered]}
    return row


def _preference(row: Fields) -> Fields | None:
    """Rename the answers of a preference: OpenAI's, Stack Exchange's, and those of an arena."""
    asked = row.get("input")
    if isinstance(asked, Mapping) and "messages" in asked:
        row = {**row, "prompt": asked["messages"], "tools": asked.get("tools")}
        del row["input"]
    if not _RENAMED.keys().isdisjoint(row):
        return {_RENAMED.get(name, name): value for name, value in row.items()}
    for a, b in (("response_a", "response_b"), ("conversation_a", "conversation_b")):
        if a in row and b in row and (winner := _winner(row)):
            chosen, rejected = (a, b) if winner == "a" else (b, a)
            others = {name: value for name, value in row.items() if name not in {a, b}}
            answer = _first_text(row[chosen])
            return others | {
                "prompt": _first_text(row.get("prompt")) or "",
                "chosen": answer,
                "rejected": _first_text(row[rejected]),
            }
    return None


def _winner(row: Fields) -> str:
    """Return whose answer won; that of a where both are as good, and empty if none is."""
    named = str(row.get("winner") or "")
    if named in {"model_a", "a", "model_b", "b"}:
        return named[-1]
    if named == "tie" or row.get("winner_model_a") or row.get("winner_tie"):
        return "a"
    return "b" if row.get("winner_model_b") else ""


def _first_text(value: object) -> object:
    """Return the first text of a list in JSON, and any other value as it is."""
    found = parsed_list(value)
    is_texts = isinstance(found, list) and found and all(isinstance(one, str) for one in found)
    return found[0] if is_texts and isinstance(found, list) else value


def _request(row: Fields) -> Fields | None:
    """Read a request to a server of chats with its answer, as logs have them."""
    asked, answered = row.get("request"), row.get("response")
    if not isinstance(asked, Mapping) or not isinstance(answered, Mapping):
        return None
    choices = answered.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    said = first.get("message") if isinstance(first, Mapping) else None
    turns = asked.get("messages")
    if not isinstance(turns, list):
        return None
    return {"messages": [*turns, *([said] if said else [])], "tools": asked.get("tools")}


def _contest(row: Fields) -> Fields | None:
    """Read a task whose `prompt` is only the code above the solution, such as imports."""
    if all(row.get(name) for name in ("prompt", "completion", "query", "response")):
        return {"instruction": row["query"], "output": row["response"]}
    return None


def _questions(row: Fields) -> Fields | None:
    """Read the questions of a benchmark of chats, whose `turns` are all of the user's."""
    turns = row.get("turns")
    if not isinstance(turns, list) or not all(isinstance(one, str) for one in turns):
        return None
    if {"reference", "question_id", "category"}.isdisjoint(row):
        return None
    given = row.get("reference")
    answers = given if isinstance(given, list) else []
    chat: list[object] = []
    for n, question in enumerate(turns):
        chat.append({"role": "user", "content": question})
        chat.append({"role": "assistant", "content": answers[n] if n < len(answers) else ""})
    return {"messages": chat}


def best_of(values: Sequence[object], row: Fields) -> object:
    """Return the answer that is marked as accepted or has the best score; else the first."""
    scores = next((_numbers(row.get(name), len(values)) for name in _PARALLEL if name in row), [])
    if not scores and all(isinstance(one, Mapping) for one in values):
        rows = [one for one in values if isinstance(one, Mapping)]
        for name in _CHOSEN:
            if any(one.get(name) for one in rows):
                return next(one for one in rows if one.get(name))
        names = (name for name in _SCORES if all(name in one for one in rows))
        name = next(names, "rank" if all("rank" in one for one in rows) else "")
        scores = _numbers([one.get(name) for one in rows], len(rows)) if name else []
        scores = [-one for one in scores] if name == "rank" else scores
    return values[scores.index(max(scores))] if scores else values[0]


def _numbers(value: object, n: int) -> list[float]:
    """Return a list of `n` numbers; empty if it is none."""
    found = value if isinstance(value, list) else []
    numbers = [float(one) for one in found if isinstance(one, int | float) and one == one]  # noqa: PLR0124
    return numbers if len(numbers) == len(found) == n else []

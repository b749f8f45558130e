"""Rewrites rows of published data sets whose shape is their own, and chooses among several answers.

Guarantees: no text is changed, and a row of another shape is returned as it is. What a row says
about its answers (`selected`, a score, a winner) decides which one is taken; without that it is the
first. No I/O.

>>> rewritten({"user": "Add 1 and 2.", "assistant": "3"}, is_known=False)
{'instruction': 'Add 1 and 2.', 'output': '3'}
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from math import inf

from evolcoder.seeds.chats import parsed_list, turns_of
from evolcoder.seeds.fields import CUT_ENDS, ENDS, INPUTS, TASKS, TESTS
from evolcoder.seeds.logs import logged
from evolcoder.seeds.templates import is_templated, turns_in_text

Fields = Mapping[str, object]

INNER = ("row", "data", "fields", "example", "item", "record", "sample", "json")
"""Fields that hold the whole row, maybe as JSON."""
_PAIRS = (
    ("user", "assistant"), ("human", "assistant"), ("human", "bot"), ("human", "gpt"),
    ("user", "bot"), ("user_prompt", "assistant_response"), ("userprompt", "assistantresponse"),
    ("input_text", "output_text"), ("q", "a"), ("problem_statement", "code_solution"),
    ("problem_statement", "solution"), ("problem_description", "solution"), ("nl", "code"),
    ("docstring", "code"), ("rewritten_intent", "snippet"), ("intent", "snippet"),
    ("inputs_pretokenized", "targets_pretokenized"), ("body", "answer_body"), ("body", "answers"),
    ("question_body", "answer_body"), ("nl", "cmd"), ("user", "final"),
    ("docstring", "solution"),
    ("text_markdown", "answers"), ("selftext", "answers"), ("title", "answers"),
    ("input", "content"), ("text_input", "output"), ("text", "output"),
    ("func_documentation_string", "func_code_string"),
    ("textbox_q_instruction", "textbox_answer"), ("input_query", "expected_answer"),
    ("input", "expected"), ("input", "expected_output"), ("user_input", "response"),
    ("message_1", "message_2"), ("invocation", "cmd"),
)  # fmt: skip
"""Fields with a task and its response that are too common to be read where others are there."""
_BODIES = ("body", "selftext", "text_markdown")
"""Endings of the names of fields that continue a title."""
_STATEMENTS = (
    "question_content",
    "problem_statement",
    "problem_description",
    "task_description",
    "user_query",
)
"""Fields with a task that may have no response."""
_EDITS = (
    ("old_contents", "new_contents"), ("before", "after"), ("old_code", "new_code"),
    ("buggy_code", "fixed_code"), ("original_code", "edited_code"), ("buggy", "fixed"),
    ("wrong_code", "correct_code"),
)  # fmt: skip
"""Fields with code before and after an edit."""
_EDIT_TASKS = ("instruction", "instruction_descriptive", "instruction_lazy", "subject", "message",
               "commit_message", "prompt", "description", "question",
               "problem_statement")  # fmt: skip
"""Fields that say what to edit."""
_EDIT_ANSWERED = ("output", "response", "completion", "answer", "solution", "chosen", "messages",
                  "conversations")  # fmt: skip
"""Fields of a row that has a response of its own."""
_SUFFIXED = re.compile(r"(instruction|prompt|question|input|output|answer|response)_([a-z]{2,3})")
"""Fields named with a language, such as `instruction_zh`."""
_SQL = re.compile(
    r"\s*(?:SELECT\b.*\bFROM\b|WITH\s+\w+\s+AS\s*\(|INSERT\s+INTO\b|UPDATE\s+\w+\s+SET\b|DELETE\s+FROM\b)",
    re.IGNORECASE | re.DOTALL,
)
_SEGMENT_MARKS = re.compile(r"\A\s*(?:<s>|<bos>|<\|begin_of_text\|>)")
_RENAMED = {
    "preferred_output": "chosen", "non_preferred_output": "rejected", "chosen_response": "chosen",
    "rejected_response": "rejected", "chosen_messages": "chosen", "rejected_messages": "rejected",
    "response_j": "chosen", "response_k": "rejected", "chosen_conversations": "chosen",
    "rejected_conversations": "rejected", "rejected_message": "rejected",
}  # fmt: skip
"""Fields of preferences."""
_CHOSEN = ("selected", "is_selected", "accepted", "is_accepted")
"""Fields of an answer that is the one that was accepted."""
_SCORES = ("pm_score", "score", "overall_score", "upvotes", "pass_rate", "rating")
"""Fields of an answer with its score, in order of precedence."""
_SCORED = re.compile(
    r"annotations|(?!.*(?:incorrect|down|dislike|toxic|harm))"
    r".*(?:score|rating|reward|vote|likes|pass_rate|correct|passed|judg).*",
    re.IGNORECASE,
)
"""Names of further ones, and of fields of a row with a score for each of its answers."""


def rewritten(row: Fields, *, is_known: bool) -> Fields:
    """Return a row in a shape that is read; `is_known`: a task was found in the row as it is."""
    row = logged(row) or row
    shapes = (_preference, _contest, _questions, _edit, _segments, _sql, _defined, _prompted,
              _evolved)  # fmt: skip
    for shape in shapes:
        if found := shape(row):
            return found
    if is_known:
        return row
    for asked, answered in _PAIRS:
        if row.get(asked) and answered in row:
            others = {name: value for name, value in row.items() if name not in {asked, answered}}
            name = answered if answered in {"answers", "code"} else "output"
            title = row.get("title") if asked.endswith(_BODIES) else None
            task = f"{title}\n\n{row[asked]}" if isinstance(title, str) else row[asked]
            return others | {"instruction": task, name: row[answered]}
    if not row.get("prompt") and turns_of(context := row.get("context")):
        return {
            **{name: value for name, value in row.items() if name != "context"},
            "prompt": context,
        }
    return _of_language(row) or _statement(row) or row


def _of_language(row: Fields) -> Fields | None:
    """Remove the language from the names of fields, such as `instruction_zh` and `output_zh`."""
    found = [(name, match) for name in row if (match := _SUFFIXED.fullmatch(str(name)))]
    language = next((match[2] for _, match in found if match[1] in {"instruction", "prompt"}), "")
    renamed = {match[1]: row[name] for name, match in found if match[2] == language}
    return {**row, **renamed} if len(renamed) > 1 else None


def _statement(row: Fields) -> Fields | None:
    """Read a task without a response, or with a patch."""
    is_contest = not {*TESTS, "input_format"}.isdisjoint(row)
    names = [*_STATEMENTS, "description"] if is_contest else _STATEMENTS
    name = next((one for one in names if isinstance(row.get(one), str) and row[one]), None)
    if name is None:
        return None
    others = {one: value for one, value in row.items() if one not in {name, "text"}}
    patch = row.get("patch")
    answer = {"answer": _block(patch, "diff")} if isinstance(patch, str) and patch.strip() else {}
    return {**others, "question": row[name], **answer}


def _edit(row: Fields) -> Fields | None:
    """Read an edit: what to do with the code before it; the response is the code after it."""
    pair = next(
        ((old, new) for old, new in _EDITS
         if isinstance(row.get(old), str) and isinstance(row.get(new), str)), None
    )  # fmt: skip
    what = next((row[one] for one in _EDIT_TASKS if isinstance(row.get(one), str) and row[one]), "")
    if pair is None or not what or any(row.get(one) for one in _EDIT_ANSWERED):
        return None
    named = next((row[one] for one in ("lang", "language") if isinstance(row.get(one), str)), "")
    old, new = (_block(row[one], str(named)) for one in pair)
    others = {one: value for one, value in row.items() if one not in {*pair, *_EDIT_TASKS}}
    task = f"{what}\n\n{old}" if str(row[pair[0]]).strip() else what
    return {**others, "instruction": task, "output": new if str(row[pair[1]]).strip() else ""}


def _block(code: object, language: str) -> str:
    """Put code into a fence that is longer than those in it."""
    text = str(code).strip("\n")
    fence = "````" if "```" in text else "```"
    tag = language.strip().lower().replace(" ", "-")
    return f"{fence}{tag if re.fullmatch(r'[a-z0-9+#.-]{1,20}', tag) else ''}\n{text}\n{fence}"


def _sql(row: Fields) -> Fields | None:
    """Read a question about a database, whose answer in SQL has a name of its own."""
    asked = next((one for one in ("sql_prompt", "question") if row.get(one)), None)
    names = ("sql", "SQL", "query")
    found = next(
        (one for one in names if isinstance(row.get(one), str) and str(row[one]).strip()), None
    )
    if asked is None or found is None or any(row.get(one) for one in ("answer", "response")):
        return None
    if found == "query" and not _SQL.match(str(row[found])):
        return None
    schema = next((row[one] for one in ("sql_context", "context", "schema") if row.get(one)), None)
    others = {one: value for one, value in row.items() if one not in {asked, found, "sql_context"}}
    return {
        **others,
        "question": row[asked],
        "context": schema,
        "answer": _block(row[found], "sql"),
    }


def _defined(row: Fields) -> Fields | None:
    """Read Super-NaturalInstructions: a definition of the task, and its inputs."""
    if not isinstance(row.get("definition"), str) or "targets" not in row:
        return None
    others = {one: value for one, value in row.items() if one not in {"definition", "inputs"}}
    return {**others, "instruction": row["definition"], "input": row.get("inputs")}


def _segments(row: Fields) -> Fields | None:
    """Read axolotl's segments: what stands before the first one that is learnt is the task."""
    found = parsed_list(row.get("segments"))
    parts = found if isinstance(found, list) else []
    pairs = [(bool(one.get("label")), one.get("text")) for one in parts if isinstance(one, Mapping)]
    texts = [text for _, text in pairs if isinstance(text, str)]
    if not texts or len(texts) != len(parts):
        return None
    if turns_in_text(whole := "".join(texts)):
        return {"text": whole}
    learnt = next((n for n, (is_learnt, _) in enumerate(pairs) if is_learnt), len(pairs))
    end = next(
        (n for n, (is_learnt, _) in enumerate(pairs[learnt:], learnt) if not is_learnt), None
    )
    later = [{"role": "user", "content": "".join(texts[end:])}] if end is not None else []
    return {"messages": [
        {"role": "user", "content": _SEGMENT_MARKS.sub("", "".join(texts[:learnt])).strip()},
        {"role": "assistant", "content": "".join(texts[learnt:end])},
        *later,
    ]}  # fmt: skip


def _prompted(row: Fields) -> Fields | None:
    """Read a text `prompt` that has its input or context in another field as an instruction."""
    prompt = row.get("prompt")
    if not isinstance(prompt, str) or not prompt.strip() or is_templated(prompt):
        return None
    if {"instruction", "messages", "conversations", "canonical_solution"} & row.keys():
        return None
    if any(row.get(name) for name in TASKS if name not in INPUTS):
        return None
    inputs = [text for name in INPUTS if isinstance(text := row.get(name), str) and text.strip()]
    if len(inputs) != 1 or prompt.strip() in inputs[0]:
        return None
    read = {"prompt", *INPUTS} if inputs[0].strip() in prompt else {"prompt"}
    others = {name: value for name, value in row.items() if name not in read}
    return {**others, "instruction": prompt}


def _preference(row: Fields) -> Fields | None:
    """Rename the answers of a preference: OpenAI's, Stack Exchange's, and those of an arena."""
    asked = row.get("input")
    if isinstance(asked, Mapping) and "messages" in asked:
        row = {**row, "prompt": asked["messages"], "tools": asked.get("tools")}
        del row["input"]
    if not _RENAMED.keys().isdisjoint(row):
        row = {_RENAMED.get(name, name): value for name, value in row.items()}
        return _preference(row) or row
    if isinstance(row.get("chosen"), int):  # the number of an answer
        return {"best" if name == "chosen" else name: value for name, value in row.items()}
    if "rejected" in row and "chosen" not in row and isinstance(row.get("accepted"), str):
        return {"chosen" if name == "accepted" else name: value for name, value in row.items()}
    for pair in _CONTESTANTS:
        if row.keys() >= {*pair} and (winner := _winner(row, pair)):
            loser = pair[0] if winner == pair[1] else pair[1]
            asked = _asked(row)
            read = {*pair, "context"} if asked.get("prompt") is row.get("context") else {*pair}
            others = {name: value for name, value in row.items() if name not in read}
            answers = {"chosen": _first_text(row[winner]), "rejected": _first_text(row[loser])}
            return {**others, **asked, **answers}
    return None


def _asked(row: Fields) -> Fields:
    """Return the prompt of two answers: an instruction, a text or a list of turns."""
    if isinstance(row.get("instruction"), str):
        return {}
    context = row.get("context")
    if not row.get("prompt") and turns_of(context):
        return {"prompt": context}
    return {"prompt": _first_text(row.get("prompt")) or ""}


def _winner(row: Fields, pair: tuple[str, str]) -> str:
    """Return the field whose answer won; the first where both are as good, empty if none is."""
    named = str(row.get("winner") or "")
    if named in {"model_a", "a", "model_b", "b"}:
        return pair[named[-1] == "b"]
    if named == "tie" or row.get("winner_model_a") or row.get("winner_tie"):
        return pair[0]
    if row.get("winner_model_b"):
        return pair[1]
    for name in _MARGINS:
        if isinstance(margin := row.get(name), int | float) and margin == margin:  # noqa: PLR0124
            return pair[margin > 0]
    for name in _WINNERS:
        value = row.get(name)
        for field in pair:  # by its name, its letter or its number
            if value is not None and str(value).removesuffix(".0").lower() in {
                field, field.rpartition("_")[2], field.removeprefix("response"),
            }:  # fmt: skip
                return field
    return ""


_CONTESTANTS = (
    ("response_a", "response_b"), ("conversation_a", "conversation_b"), ("response1", "response2"),
    ("response_0", "response_1"), ("response_1", "response_2"), ("output_1", "output_2"),
)  # fmt: skip
"""Fields with two answers, of which another field says which one is better."""
_MARGINS = ("overall_preference", "preference_strength")
"""Fields with a number that is above 0 if the second answer is better."""
_WINNERS = ("better_response_id", "preference", "preferred", "better", "winner")
"""Fields that name the better answer, as its field does: `1`, `a`, `response_1`."""


def _first_text(value: object) -> object:
    """Return the first text of a list in JSON, and any other value as it is."""
    found = parsed_list(value)
    is_texts = isinstance(found, list) and found and all(isinstance(one, str) for one in found)
    return found[0] if is_texts and isinstance(found, list) else value


def _evolved(row: Fields) -> Fields | None:
    """Read an evolved instruction, or the last of several with its answer, not the original."""
    name = next((one for one in row if str(one).startswith("evolved_instruction")), None)
    if name is None or "instruction" not in row:
        return None
    task, others = row[name], {one: row[one] for one in row if one != name}
    if not isinstance(task, list):
        return {**others, "instruction": task}
    answers = row.get("answers")
    is_paired = bool(task) and isinstance(answers, list) and len(answers) == len(task)
    last = answers[::-1] if is_paired and isinstance(answers, list) else None
    return {**others, "instruction": task[-1] if task else None, "answers": last}


def _contest(row: Fields) -> Fields | None:
    """Read a task whose `prompt` is only the code above the solution, such as imports."""
    if not row.get("prompt") or not row.get("completion"):
        return None
    others = {name: value for name, value in row.items() if name not in {"prompt", "completion"}}
    if row.get("query") and row.get("response"):
        return {**others, "instruction": row["query"], "output": row["response"]}
    statement = any(row.get(name) for name in _STATEMENTS)
    return {**others, "code": row["completion"]} if statement else None


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


_PICKED = re.compile(r"(?:best|accepted|chosen|selected|preferred)(?:_\w+)?")
"""Names of fields of a row with the number or the id of its best answer."""


def _picked(values: Sequence[object], row: Fields) -> Iterator[object]:
    """Yield the answers that a row names by their ids, or by their numbers from 0."""
    for name, picked in row.items():
        if not _PICKED.fullmatch(str(name)) or isinstance(picked, bool | float | list | dict):
            continue
        ids = [one.get("id", one.get("answer_id")) for one in values if isinstance(one, Mapping)]
        if picked is not None and picked in ids:
            yield values[ids.index(picked)]
        elif isinstance(picked, int) and not str(name).endswith("id") and 0 <= picked < len(values):
            yield values[picked]


def best_of(values: Sequence[object], row: Fields) -> object:
    """Return the answer that is marked as accepted or has the best score; else the first.

    Those that the file says were cut at their longest are taken only if all were.
    """
    whole = [one for one in values if not is_cut(one)]
    for picked in _picked(values, row):
        return picked
    if whole and len(whole) < len(values):
        return best_of(whole, {})
    several = (_numbers(row[name], len(values)) for name in row if _SCORED.fullmatch(str(name)))
    scores = next(filter(None, several), [])
    if not scores and all(isinstance(one, Mapping) for one in values):
        rows = [one for one in values if isinstance(one, Mapping)]
        for name in _CHOSEN:
            if any(one.get(name) for one in rows):
                return next(one for one in rows if one.get(name))
        named = [*_SCORES, *filter(_SCORED.fullmatch, map(str, rows[0])), "rank"]
        name = next((name for name in named if all(name in one for one in rows)), "")
        scores = _numbers([one.get(name) for one in rows], len(rows)) if name else []
        if name == "rank":
            scores = [-one if one > -inf else one for one in scores]
    return values[scores.index(max(scores))] if scores else values[0]


def is_cut(answer: object) -> bool:
    """Whether a row or one of its answers says that a model's response was cut at its longest."""
    ends = [answer.get(name) for name in ENDS] if isinstance(answer, Mapping) else []
    return any(isinstance(one, str) and one.lower() in CUT_ENDS for one in ends)


def _numbers(value: object, n: int) -> list[float]:
    """Return a list of `n` scores, the lowest for those that are none; empty if it has no score."""
    found = [_number(one) for one in value] if isinstance(value, list) else []
    return found if len(found) == n and max(found, default=-inf) > -inf else []


def _number(value: object) -> float:
    """Return a score, which may be written as a text or stand in an object."""
    if isinstance(value, Mapping):
        value = next((value[one] for one in ("rating", "Rating", *_SCORES) if one in value), None)
    if isinstance(value, int | float):
        return float(value) if value == value else -inf  # noqa: PLR0124 - NaN
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,9}(?:\.\d{1,9})?", value.strip()):
        return float(value)
    return -inf

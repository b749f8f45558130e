"""Rewrites what servers, evaluation tools, annotation tools and viewers of data sets export.

Guarantees: no text is changed, and a row of another shape is returned as None. No I/O.

| shape | example |
| --- | --- |
| request and reply | `{"request": {"messages": …}, "response": {"choices": …}}` |
| batches of OpenAI, Anthropic, Bedrock, Vertex | `{"custom_id": …, "body": {"messages": …}}` |
| inputs and outputs of tracing tools | `{"inputs": {"question": …}, "outputs": {"answer": …}}` |
| tasks of Label Studio, records of Argilla | `{"data": {"prompt": …}, "annotations": […]}` |
| rows of the Hub's viewer | `{"row_idx": 0, "row": {…}, "truncated_cells": []}` |

>>> logged({"inputs": {"question": "Add 1 and 2."}, "outputs": {"answer": "3"}})
{'question': 'Add 1 and 2.', 'output': '3'}
"""

from collections.abc import Iterator, Mapping

from evolcoder.seeds.chats import parsed_list, turns_of
from evolcoder.seeds.fields import ANNOTATED, ANSWERS, CUT, ENDS, SYSTEMS, TOOLS

Fields = Mapping[str, object]

_ASKED = ("request", "request_body", "body", "params", "modelInput", "inputs", "input")
"""Fields with a request."""
_REPLIED = ("response", "response_body", "completion", "modelOutput", "outputs", "output",
            "expectedOutput", "expected_output", "reference_outputs", "expected")  # fmt: skip
"""Fields with the reply to it."""
_QUESTIONS = ("instruction", "question", "query", "prompt", "input", "text")
_SAID = ("output", "answer", "response", "text", "completion", "generated_text", "content")
_ANSWER_WORDS = ("response", "answer", "output", "completion", "solution", "corrected")
_MAX_DEPTH = 4


def logged(row: Fields) -> Fields | None:
    """Return the row that a log or an export holds."""
    return _cut_row(row) or _annotated(row) or _request(row) or _replied(row)


def _replied(row: Fields) -> Fields | None:
    """Read a row that is a request itself, with the reply of a server as an object."""
    answered = {name: row[name] for name in _REPLIED if _is_reply(row.get(name))}
    name, value = next(iter(answered.items()), ("choices", row if _is_reply(row) else None))
    if not (reply := _reply(value)):
        return None
    turns, others = row.get("messages"), {one: row[one] for one in row if one != name}
    if isinstance(turns, list):
        return {**others, **_end_of(value), "messages": [*turns, _turn(reply)]}
    return {
        **others,
        **_end_of(value),
        name: reply.get("content") if isinstance(reply, Mapping) else reply,
    }


def _is_reply(value: object) -> bool:
    """Whether a value is a server's reply; the `choices` of a question are texts."""
    several = (
        [value.get(one) for one in ("choices", "candidates")] if isinstance(value, Mapping) else []
    )
    return any(
        isinstance(one, list) and any(isinstance(each, Mapping) for each in one) for one in several
    )


def _request(row: Fields) -> Fields | None:
    """Read a request to a model, or the inputs of a call, with the reply if there is one."""
    if not {"preferred_output", "messages", "conversations"}.isdisjoint(row):  # has turns itself
        return None
    for name in _ASKED:
        asked = row.get(name)
        if name not in {"modelInput", "inputs", "input"}:
            asked = parsed_list(asked)
        if not isinstance(asked, Mapping):
            continue
        replies = (row[one] for one in _REPLIED if one != name and row.get(one))
        answered = row if _is_reply(row) else next(replies, None)
        reply, end = _reply(answered), _end_of(answered)
        turns = next((asked[one] for one in ("messages", "contents") if one in asked), None)
        if isinstance(turns, list) and turns_of(turns):
            others = {one: asked[one] for one in (*SYSTEMS, *TOOLS) if asked.get(one)}
            return {**others, **end, "messages": [*turns, *([_turn(reply)] if reply else [])]}
        has_task = any(isinstance(asked.get(one), str) for one in _QUESTIONS)
        if has_task and not any(one in row for one in _QUESTIONS if one != name):
            return {**asked, **end, "output": reply} if reply else asked
    return None


def _end_of(value: object, depth: int = 0) -> Fields:
    """Return the reason why a reply ended, as a field of the row; none if it says nothing."""
    if isinstance(value, list):
        value = value[0] if value else None
    if not isinstance(value, Mapping) or depth > _MAX_DEPTH:
        return {}
    found = {name: value[name] for name in ENDS if isinstance(value.get(name), str)}
    inner = (value[name] for name in ("body", "choices", "candidates") if value.get(name))
    return found or _end_of(next(inner, None), depth + 1)


def _turn(reply: object) -> object:
    if isinstance(reply, Mapping):
        return {**reply, "role": "assistant"}
    return {"role": "assistant", "content": reply}


def _reply(value: object, depth: int = 0) -> object:
    """Return the first text, list of parts or turn of a reply; None if there is none."""
    if isinstance(value, list):
        value = value[0] if value else None
    if not isinstance(value, Mapping) or depth > _MAX_DEPTH:
        return value if isinstance(value, str) else None
    for name in ("body", "choices", "candidates", "message"):
        if isinstance(value.get(name), Mapping | list):
            return _reply(value[name], depth + 1)
    content = value.get("content")
    if isinstance(content, Mapping):
        return content
    if isinstance(content, list) or value.get("tool_calls") or "role" in value:
        return value
    return next((value[one] for one in _SAID if isinstance(value.get(one), str)), None)


def _cut_row(row: Fields) -> Fields | None:
    """Read a row as the Hub's viewer returns it, without the cells that it cut."""
    inner, cut = row.get("row"), row.get("truncated_cells")
    if not isinstance(inner, Mapping) or not isinstance(cut, list):
        return None
    whole = {name: value for name, value in inner.items() if name not in cut}
    return {**whole, CUT: True} if cut else whole


def _annotated(row: Fields) -> Fields | None:
    """Read a task of Label Studio or a record of Argilla with the text that an annotator wrote."""
    objects = (row.get(name) for name in ("data", "fields"))
    inner = next((one for one in objects if isinstance(one, Mapping)), None)
    annotations, responses = row.get("annotations"), row.get("responses")
    if inner is not None and isinstance(annotations, list):
        texts, is_annotated = list(_label_studio(annotations)), bool(annotations)
    elif inner is not None and isinstance(responses, Mapping):
        texts, is_annotated = list(_argilla(responses)), bool(responses)
    elif inner is None and (asked := [name for name, one in row.items() if _is_answered(one)]):
        inner = {name: one for name, one in row.items() if name not in asked}
        texts, is_annotated = list(_argilla({name: row[name] for name in asked})), True
    else:
        return None
    if texts and not any(inner.get(name) for name in ANSWERS):
        return {**inner, "output": texts[0]}
    return {**inner, ANNOTATED: True} if is_annotated else inner


def _label_studio(annotations: object) -> Iterator[str]:
    """Yield the texts of the annotations that were not cancelled."""
    for one in annotations if isinstance(annotations, list) else ():
        results = one.get("result") if isinstance(one, Mapping) else None
        if not isinstance(results, list) or one.get("was_cancelled"):
            continue
        for result in results:
            value = result.get("value") if isinstance(result, Mapping) else None
            text = value.get("text") if isinstance(value, Mapping) else None
            if isinstance(result, Mapping) and result.get("type") == "textarea":
                yield from (one for one in _listed(text) if isinstance(one, str) and one.strip())


def _argilla(fields: Mapping[str, object]) -> Iterator[str]:
    """Yield the submitted texts of the questions that ask for a response."""
    for name, answers in fields.items():
        if not any(word in str(name).lower() for word in _ANSWER_WORDS):
            continue
        for one in _listed(answers):
            is_submitted = (
                isinstance(one, Mapping) and one.get("status", "submitted") == "submitted"
            )
            if isinstance(one, Mapping) and is_submitted and isinstance(one.get("value"), str):
                yield str(one["value"])


def _is_answered(value: object) -> bool:
    """Whether a field holds what annotators answered to a question of Argilla."""
    listed = value if isinstance(value, list) else []
    return bool(listed) and all(
        isinstance(one, Mapping) and "value" in one and "user_id" in one for one in listed
    )


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]

"""Reads the texts of one row of a sample file: a model's answers, programs or completions.

Rows of other tools hold them in many fields: see `ANSWER_FIELDS` and `PROGRAM_FIELDS`. Guarantees:
a text is never taken from a field with the problem's reference while another one holds what a model
wrote. A row without a text is one entry with a fault.

>>> [one.text for one in entries_of("line 1", {"task_id": "P/0", "completion": "a"}, form=None)]
['a']
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from evolcoder.bench.base import PromptForm
from evolcoder.bench.multipl_e import LANGUAGES
from evolcoder.engine.base import broke_off
from evolcoder.programming_language import language_of
from evolcoder.safe_repr import safe_repr

ANSWER_FIELDS = (
    "response", "generation", "answer", "output", "raw_response", "raw_output", "generated_text",
    "model_output", "prediction", "text", "content", "generations", "responses", "outputs",
    "resps", "filtered_resps", "choices", "messages", "message", "predictions", "pred",
    "model_answer", "llm_response", "generated_code", "raw_generation", "candidates", "completions",
    "samples", "output_list", "code_list", "conversations", "conversation", "modelOutput",
    "predict", "output_prediction_text", "generated", "llm_output", "model_response", "reply",
    "assistant",
)  # fmt: skip
"""Fields with a model's answer, in the order in which they are tried: of result files of others,
of lm-evaluation-harness, and of chat completions as servers send them."""
PROGRAM_FIELDS = ("code", "program", "all_code", "full_code")
"""Fields with a program, as DS-1000 has, which are read if no field of the others holds a text."""
_OF_BENCHMARKS = frozenset({"text", "content"})
"""Fields of answers that are the task's in rows of benchmarks, such as MBPP's."""
_WITHIN = ("completion", "solution", "body", "value", "result")
"""Fields within an answer that lead to its text; `result`, of Anthropic and HELM, if an object."""
_FORMS = {
    "solution": PromptForm.PROGRAM,
    "completion": PromptForm.COMPLETION,
    "completions": PromptForm.COMPLETION,
}
"""Fields that say what their text is, or their list of texts."""
ID_FIELDS = (
    "task_id", "problem_id", "question_id", "custom_id", "id", "name", "key", "recordId",
    "instance_id",
)  # fmt: skip
"""Fields with the id of a problem."""
_ID_PLACES = ("doc", "metadata", "inputs", "vars")
"""Fields of a row that may hold them, of lm-evaluation-harness, chat completions and traces."""
_PROMPT_FIELDS = ("prompt", "input_question", "instruction", "question", "input")
"""Fields with the prompt."""
MOST_NESTED = 8
"""Most levels at which an answer may stand within its row."""
_FINISH_FIELDS = (
    "finish_reason", "finishReason", "finish_reasons", "done_reason", "incomplete_details",
    "stop_reason",
)  # fmt: skip
"""Fields that say why a model stopped, the first of them that a row has; `incomplete_details`, of
OpenAI's responses, is an object with a reason."""
_MODELS = frozenset({"assistant", "gpt", "model", "bot", "ai"})
"""Speakers of a chat that are a model."""
_TEXT_PARTS = frozenset({"text", "output_text"})
"""Types of parts of an answer that are its text, rather than thinking or a call of a tool."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of a file that may be a sample."""

    where: str
    """Where it was found, such as `line 3`."""
    problem: str
    """Id of its problem as the file spells it; empty if there is none."""
    text: str
    """The generated text."""
    form: PromptForm | None
    """None if the row does not say it."""
    fault: str | None = None
    """Why it is no sample; None for nearly all."""
    language: str = ""
    """The language that its file or row names; empty if none."""
    prompt: str = ""
    """The prompt, if the row has it."""
    names: tuple[str, ...] = ()
    """All ids of the row, which may be those of a model or a request, too."""
    file: str = ""
    """Its file in a folder where each file holds all samples of its problems."""
    finish: str = ""
    """Why the model stopped, in a server's word; empty if the row does not say it."""


def entries_of(where: str, row: object, *, form: PromptForm | None) -> Iterator[Entry]:
    """Read a row. `form` is that of all texts, if the user says it.

    Among answers, a `solution` next to what a model said is the reference.
    """
    prompt = _prompt_of(row)
    name = name_of(row) or ("" if prompt else None)
    if not isinstance(row, dict) or name is None:
        yield Entry(where, "", "", PromptForm.PROGRAM, "task_id is missing")
        return
    given = row.get("language")
    language = given if isinstance(given, str) and programming_language(given) else ""
    entries = list(_from_fields(where, name, row, form))
    finishes = [*_finishes_in(row, MOST_NESTED)]
    if len(finishes) != len(entries):  # one word for all texts, or words that are no text's
        finishes = [finishes[0] if len(set(finishes)) == 1 else ""] * len(entries)
    names = (*_names_of(row),)
    for entry, finish in zip(entries, finishes, strict=True):
        yield replace(entry, prompt=prompt, language=language, names=names, finish=finish)


def programming_language(code: str) -> str | None:
    """Return the language of a name, or of a code of MultiPL-E; None if unknown."""
    name = code.lower().removesuffix("_test.go")
    return LANGUAGES.get(name) or language_of(name)


def _finishes_in(value: object, depth: int) -> Iterator[str]:
    """Yield the words with which a row and what it holds say why a model stopped, in order.

    Empty for a value that is no word. vLLM's `stop_reason` is the text that ended an answer, so
    only words that servers use count there.
    """
    if isinstance(value, dict):
        field = next((one for one in _FINISH_FIELDS if value.get(one)), None)
        if field is not None:
            given = value[field]
            found: object = given.get("reason") if isinstance(given, dict) else given
            for word in found if isinstance(found, list) else [found]:
                text = word if isinstance(word, str) else ""
                yield "" if field == "stop_reason" and broke_off(text) else text
            return
    if depth and isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _finishes_in(one, depth - 1)


def _prompt_of(row: object) -> str:
    """Return the prompt of a row, which HELM has in `request`; empty if there is none."""
    for place in (row, row.get("request")) if isinstance(row, dict) else ():
        texts = map(place.get, _PROMPT_FIELDS) if isinstance(place, dict) else ()
        if prompt := next((text for text in texts if isinstance(text, str)), None):
            return prompt
    return ""


def _from_fields(
    where: str, name: str, row: dict[str, object], form: PromptForm | None
) -> Iterator[Entry]:
    """Yield the texts of a row."""
    is_answers = form is PromptForm.ANSWER
    for field, of_field in _FORMS.items():
        value = row.get(field)
        texts = value if isinstance(value, list) and value else [value]
        if field == "solution":
            is_other = isinstance(value, dict) or (is_answers and _is_reference(row))
        else:  # a completion of a server may be an object, and several of them a list
            is_other = any(isinstance(one, dict | list) for one in texts)
        if (
            value is None
            or is_other
            or (_is_blank(texts) and _has_text(row, is_answers=is_answers))
        ):
            continue
        for text in texts:
            yield text_entry(where, name, text, of_field)
        return
    given = {
        one: value
        for one, value in row.items()
        if one != "solution" and not (one in _FORMS and _is_blank([value]))
    }
    if form is PromptForm.PROGRAM and given.get("filtered_resps"):
        given.pop("resps", None)  # lm-evaluation-harness filters the program out of the response
    texts = [*_answers(given, MOST_NESTED)]
    if not texts and (programs := _programs(row)):
        for text in programs:
            yield text_entry(where, name, text, PromptForm.PROGRAM)
        return
    if not texts:
        empty = next((one for one in _FORMS if one in row), None)
        why = f"{empty} is null" if empty else "has neither completion nor solution"
        yield Entry(where, name, "", PromptForm.PROGRAM, why)
    for text in texts:
        yield text_entry(where, name, text, None)


def _programs(row: dict[str, object]) -> list[object]:
    """Return the programs of a row without answers; the `code` of MBPP's own row is none."""
    fields = (one for one in PROGRAM_FIELDS if one != "code" or "test_list" not in row)
    value = next((row[one] for one in fields if row.get(one) is not None), None)
    return value if isinstance(value, list) else [] if value is None else [value]


def _has_text(row: dict[str, object], *, is_answers: bool) -> bool:
    """Whether some field of a row holds what a model wrote, so that a blank one is not it."""
    said = (field for field in ANSWER_FIELDS if field not in _OF_BENCHMARKS)
    fields = (*_FORMS, *(said if is_answers else ()))
    texts = (text for field in fields for text in _answers(row.get(field), MOST_NESTED))
    return any(isinstance(text, str) and text.strip() for text in texts)


def _is_blank(texts: Sequence[object]) -> bool:
    return all(isinstance(text, str) and not text.strip() for text in texts)


def _is_reference(row: dict[str, object]) -> bool:
    """Whether the `solution` of a row stands next to what a model said."""
    said = (row.get(field) for field in ANSWER_FIELDS if field not in _OF_BENCHMARKS)
    return any(text for value in said for text in _answers(value, MOST_NESTED))


def name_of(row: object) -> str | None:
    """Return the first id of a row, which lm-evaluation-harness has in `doc`."""
    return next(_names_of(row), None)


def _names_of(row: object) -> Iterator[str]:
    """Yield the ids of a row."""
    places = [row, *map(row.get, _ID_PLACES)] if isinstance(row, dict) else []
    for place in places:
        ids = map(place.get, ID_FIELDS) if isinstance(place, dict) else ()
        yield from (id_of(one) for one in ids if one is not None)


def rows_of_columns(value: dict[str, object]) -> list[dict[str, object]]:
    """Return the rows of an object of columns, as tables are written; empty if it is none.

    A column is a list, or an object by the row's number; the names may stand apart from the rows.
    """
    names, cells = value.get("columns"), value.get("data")
    if isinstance(names, list) and isinstance(cells, list):
        return [dict(zip(names, row, strict=False)) for row in cells if isinstance(row, list)]
    columns = {
        name: list(one.values()) if isinstance(one, dict) else one
        for name, one in value.items()
        if isinstance(one, list | dict)
    }
    if len(columns) < 2 or columns.keys().isdisjoint(ID_FIELDS):
        return []
    if len({len(one) for one in columns.values()}) != 1:
        return []
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _answers(value: object, depth: int) -> Iterator[object]:
    """Yield the answers in a row: texts, lists of texts, messages, choices of a chat completion."""
    if depth <= 0 or value is None:
        return
    if isinstance(value, list):
        yield from _in_list(value, depth)
    elif isinstance(value, dict):
        if isinstance(parts := value.get("parts"), list):  # of Gemini
            said = [one for one in parts if isinstance(one, dict) and not one.get("thought")]
            yield "".join(str(one.get("text", "")) for one in said)
            return
        for field in (*ANSWER_FIELDS, *_WITHIN):
            found = value.get(field)
            if found is not None and (field != "result" or isinstance(found, dict)):
                yield from _answers(found, depth - 1)
                return
    else:
        yield value


def _in_list(value: list[object], depth: int) -> Iterator[object]:
    """Yield the last message of a model, the text of an answer's parts, or all answers."""
    messages = [one for one in value if isinstance(one, dict) and _speaker(one) is not None]
    if messages:
        said = [one for one in messages if _speaker(one) in _MODELS]
        yield from _answers(said[-1], depth - 1) if said else ()
        return
    parts = [one for one in value if isinstance(one, dict) and one.get("type") in _TEXT_PARTS]
    if parts and all(isinstance(one, dict) and one.get("type") for one in value):
        yield "".join(str(one.get("text", "")) for one in parts)
        return
    for one in value:
        yield from _answers(one, depth - 1)


def _speaker(turn: dict[str, object]) -> object:
    """Return who speaks a turn of a chat; None if it is no turn."""
    return turn.get("role", turn.get("from"))


def id_of(value: object) -> str:
    """Return an id as text; in an untrusted file it may be of any type."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**9:
        return str(value)
    return value if isinstance(value, str) else safe_repr(value)


def text_entry(where: str, problem: str, text: object, form: PromptForm | None) -> Entry:
    """Return the entry of a text, which in an untrusted file may be of any type."""
    if not isinstance(text, str):
        return Entry(where, problem, "", form, f"text is a {type(text).__name__}, not a string")
    return Entry(where, problem, text, form)

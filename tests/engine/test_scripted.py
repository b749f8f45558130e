"""The engine that answers from a script."""

import json

import pytest

from evolcoder.engine.answer_checks import AnswerChecks, CheckedEngine
from evolcoder.engine.base import Message, Request, Sampling
from evolcoder.engine.scripted import ScriptedEngine, from_file
from evolcoder.errors import EngineError, ModelError


def ask(prompt, *, seed=7, max_tokens=50):
    return Request("toy", (Message("user", prompt),), Sampling(0.0, 1.0, max_tokens), seed)


@pytest.fixture
def script(tmp_path):
    def write(*rules):
        path = tmp_path / "script.json"
        path.write_text(json.dumps({"rules": rules}))
        return path

    return write


async def test_the_first_rule_that_matches_answers(script):
    """Rules are tried in the order of the file."""
    engine = from_file(
        script({"match": "sort", "answer": "sorted"}, {"match": ".", "answer": "anything"})
    )
    assert (await engine.complete(ask("Please sort."))).text == "sorted"
    assert (await engine.complete(ask("Please add."))).text == "anything"


async def test_groups_and_seed_are_filled_in(script):
    r"""\1, \g<name> and {seed} are substituted."""
    engine = from_file(script({"match": r"(\w+) a (?P<what>\w+)", "answer": r"\1 \g<what> {seed}"}))
    assert (await engine.complete(ask("write a program", seed=42))).text == "write program 42"


async def test_no_rule_means_an_empty_answer(script):
    """A script need not cover every request."""
    assert (await from_file(script()).complete(ask("hello"))).text == ""


@pytest.mark.parametrize("retryable", [True, False])
async def test_a_rule_may_fail(script, retryable):
    """With the rule's text, retryable or not."""
    engine = from_file(script({"match": ".", "error": "down", "retryable": retryable}))
    with pytest.raises(EngineError, match="down") as caught:
        await engine.complete(ask("hello"))
    assert caught.value.retryable is retryable


def test_equal_scripts_have_one_identity(script):
    """The identity is a content hash, so cached completions are valid for copies only."""
    first = from_file(script({"match": "a", "answer": "b"})).identity
    assert from_file(script({"answer": "b", "match": "a"})).identity == first
    assert from_file(script({"match": "a", "answer": "c"})).identity != first


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '{"rules": 7}', '{"rules": [{}]}', '{"rules": [{"match": "("}]}'],
)
def test_what_is_no_script_is_a_model_error(tmp_path, text):
    """The message is one line that names the file."""
    path = tmp_path / "script.json"
    path.write_text(text)
    with pytest.raises(ModelError, match=r"script\.json: not a script") as caught:
        from_file(path)
    assert "\n" not in str(caught.value)


def test_a_script_that_is_missing_is_a_model_error(tmp_path):
    """The message names the file and says why."""
    with pytest.raises(ModelError, match=r"none\.json: cannot be read: No such file"):
        from_file(tmp_path / "none.json")


async def test_an_answer_is_cut_at_max_tokens_words():
    """Words count as tokens; the finish is `length`."""
    engine = ScriptedEngine(lambda request: "one two  three\nfour")
    cut = await engine.complete(ask("count", max_tokens=2))
    assert (cut.text.split(), cut.finish, cut.completion_tokens) == (["one", "two"], "length", 2)
    whole = await engine.complete(ask("count", max_tokens=4))
    assert (whole.text, whole.finish) == ("one two  three\nfour", "stop")


@pytest.mark.parametrize(
    "text", ["编写一个返回中位数的函数。", "ソートする関数を書く。", "เขียนฟังก์ชันที่หามัธยฐานของจำนวน"]
)
async def test_tokens_of_texts_without_spaces_are_counted(script, text):
    """So no server seems to have cut the prompt, and a budget counts the answer."""
    found = []
    engine = from_file(script({"match": ".", "answer": text * 40}))
    request = ask(text * 40)
    completion = await CheckedEngine(engine, AnswerChecks(found.append)).complete(request)
    assert found == []
    assert completion.prompt_tokens == completion.completion_tokens > 20

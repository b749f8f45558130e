"""Another model than the one asked for, and a prompt that was cut, are noted once."""

import dataclasses

import pytest

from evolcoder.engine.answer_checks import AnswerChecks, CheckedEngine, least_tokens, same_model
from evolcoder.engine.base import Completion, Message, Request, Sampling

SAME = [
    ("m", ""),
    ("m", "m"),
    ("gpt-4o", "gpt-4o-2024-08-06"),
    ("gpt-4", "gpt-4-0613"),
    ("gpt-4-turbo", "gpt-4-turbo-2024-04-09"),
    ("gpt-3.5-turbo", "gpt-3.5-turbo-0125"),
    ("gpt-35-turbo", "gpt-3.5-turbo-0125"),
    ("claude-3-5-sonnet-latest", "claude-3-5-sonnet-20241022"),
    ("claude-3-5-sonnet", "claude-3-5-sonnet@20240620"),
    ("mistral-large-latest", "mistral-large-2411"),
    ("gemini-2.5-flash", "models/gemini-2.5-flash"),
    ("gemini-2.5-flash", "gemini-2.5-flash-preview-05-20"),
    ("gemini-2.5-pro", "gemini-2.5-pro-preview-06-05"),
    ("gemini-1.5-pro", "gemini-1.5-pro-002"),
    ("models/gemini-2.0-flash", "gemini-2.0-flash"),
    ("command-r", "command-r-08-2024"),
    ("openai/gpt-4o", "gpt-4o"),
    ("gpt-4o", "openai/gpt-4o-2024-11-20"),
    ("openai/gpt-4o-mini:nitro", "openai/gpt-4o-mini"),
    ("deepseek/deepseek-r1:free", "deepseek/deepseek-r1"),
    ("deepseek-r1", "deepseek-r1-0528"),
    ("qwen2.5", "qwen2.5:latest"),
    ("qwen2.5:latest", "qwen2.5"),
    ("Qwen/Qwen2.5-7B-Instruct", "/models/Qwen2.5-7B-Instruct/"),
    ("Qwen2.5-7B-Instruct", "qwen2.5-7b-instruct"),
    ("qwen2.5-coder-7b", "/srv/models/Qwen2.5-Coder-7B.gguf"),
    ("qwen2.5-coder-7b", r"C:\models\qwen2.5-coder-7b.gguf"),
    (
        "Qwen/Qwen2.5-7B-Instruct",
        "/root/.cache/huggingface/hub/models--Qwen--Qwen2.5-7B-Instruct/snapshots/a09a35",
    ),
    ("llama-v3p1-8b-instruct", "accounts/fireworks/models/llama-v3p1-8b-instruct"),
    ("my_model", "my-model"),
    ("m", "m.Q4_K_M.gguf"),
    ("qwen2.5-coder-7b-instruct", "/models/qwen2.5-coder-7b-instruct-q8_0.gguf"),
    ("Qwen3-Coder-30B", "Qwen3-Coder-30B-UD-IQ2_XXS.gguf"),
    ("m", "m-bf16.gguf"),
]
OTHER = [
    ("m.Q4_K_M.gguf", "m.Q8_0.gguf"),
    ("m", "n.Q4_K_M.gguf"),
    ("m", "tiny-fallback"),
    ("gpt-4o", "gpt-4o-mini"),
    ("gpt-4o", "gpt-4o-mini-2024-07-18"),
    ("gpt-4", "gpt-4-32k"),
    ("gpt-4o-2024-05-13", "gpt-4o-2024-08-06"),
    ("gpt-4.1", "gpt-4"),
    ("o1", "o3"),
    ("qwen2.5:7b", "qwen2.5:0.5b"),
    ("qwen2.5-7b", "qwen2.5-72b"),
    ("llama-3-70b", "llama-3-8b"),
    ("llama-3.1-8b-instruct", "llama-3.1-8b"),
    ("Qwen/Qwen2.5-7B-Instruct", "Qwen/Qwen2.5-7B-Instruct-Turbo"),
    ("openai/gpt-4o", "openai/gpt-4o-search"),
    ("mistral-large-2407", "mistral-large-2411"),
    ("claude-3-5-sonnet-latest", "claude-3-5-haiku-20241022"),
    ("deepseek-chat", "deepseek-reasoner"),
    ("a", "b"),
]


@pytest.mark.parametrize(("asked", "answered"), SAME)
def test_other_spellings_of_a_model_are_the_model(asked, answered):
    """Snapshots of an alias, provider prefixes, tags, paths, files and spellings."""
    assert same_model(asked, answered)
    assert same_model(answered, asked)


@pytest.mark.parametrize(("asked", "answered"), OTHER)
def test_other_models_are_known(asked, answered):
    """Sizes, variants, tags and two snapshots differ."""
    assert not same_model(asked, answered)
    assert not same_model(answered, asked)


class Answers:
    """Answers with one completion."""

    identity = "http://h/v1"

    def __init__(self, completion):
        self.completion = completion

    async def complete(self, request):
        return self.completion

    async def aclose(self):
        self.completion = None


def ask(text="hello", model="m"):
    return Request(model, (Message("user", text),), Sampling(1.0, 1.0, 9), 0)


async def notes(completion, *requests):
    """Return what is noted of the same answer to several requests."""
    found = []
    engine = CheckedEngine(Answers(completion), AnswerChecks(found.append))
    for request in requests:
        assert await engine.complete(request) == completion
    await engine.aclose()
    return found


ANSWER = Completion("x", "", "stop", 400, 4)


async def test_another_model_is_noted_once_for_each_that_was_asked():
    """The line names both, and the server."""
    other = dataclasses.replace(ANSWER, model="tiny-fallback")
    found = await notes(other, ask(), ask("again"), ask(model="n"), ask(model="tiny-fallback"))
    assert len(found) == 2
    assert all(word in found[0] for word in ("'tiny-fallback'", "'m'", "http://h/v1"))


WORDS = "Write a function that reads numbers and returns their median, or None without any. "
PROMPTS = {
    "prose": WORDS * 100,
    "code": "def f(x):\n    return [y ** 2 for y in x if y]\n" * 100,
    "Chinese": "编写一个函数，读取一组数字并返回它们的中位数。" * 100,
    "Russian": "Напишите функцию, которая возвращает медиану списка чисел. " * 100,
    "no spaces": "abcdefghij" * 1000,
}


@pytest.mark.parametrize("kind", PROMPTS)
async def test_a_prompt_that_was_cut_is_noted_once(kind):
    """A count far below what any tokenizer needs shows it, in text of any kind."""
    request = ask(PROMPTS[kind])
    cut = dataclasses.replace(ANSWER, prompt_tokens=12)
    found = await notes(cut, request, request)
    assert len(found) == 1
    assert "counted 12 tokens" in found[0]


@pytest.mark.parametrize(
    ("kind", "characters_per_token"),
    [("prose", 5.5), ("code", 5.0), ("Chinese", 2.2), ("Russian", 6.0), ("no spaces", 16.0)],
)
async def test_a_whole_prompt_is_not_noted(kind, characters_per_token):
    """The densest tokenizers count enough of it."""
    text = PROMPTS[kind]
    whole = dataclasses.replace(ANSWER, prompt_tokens=int(len(text) / characters_per_token))
    assert await notes(whole, ask(text)) == []


@pytest.mark.parametrize("text", ["", "hello", " " * 10_000, "\n" * 500, WORDS * 3])
async def test_short_prompts_and_white_space_are_not_noted(text):
    """White space is packed densely, and few words prove nothing."""
    assert least_tokens(ask(text)) < 50
    assert await notes(dataclasses.replace(ANSWER, prompt_tokens=1), ask(text)) == []


async def test_an_engine_that_counts_nothing_is_not_noted():
    """0 tokens are no count, as of an engine of a user's own."""
    assert await notes(dataclasses.replace(ANSWER, prompt_tokens=0), ask(PROMPTS["prose"])) == []

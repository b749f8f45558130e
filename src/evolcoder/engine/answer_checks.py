"""Notes, once per model, answers that are not what was asked for.

Another model than the one asked for answered, or the server cut the prompt: it counted far fewer
tokens than the text needs. Neither is an error: some gateways rename models, and no count is exact.
Servers write one model in several ways: with the provider in front, as a path or file, with a tag,
or as the dated snapshot that an alias stands for. Two snapshots, sizes or tags are two models.

>>> CheckedEngine(CachedEngine(engine, cache), AnswerChecks(print))   # doctest: +SKIP
>>> same_model("gpt-4o", "openai/gpt-4o-2024-08-06"), same_model("gpt-4o", "gpt-4o-mini")
(True, False)
"""

import math
import re
from collections import Counter
from collections.abc import Callable

from evolcoder.engine.base import Completion, Engine, Request, key_identity
from evolcoder.engine.openai_schema import count_prompt_characters, estimate_tokens
from evolcoder.text import late_pattern, remembered

MIN_TOKENS = 50
"""Prompts that need fewer tokens are not checked."""
CUT_SHARE = 0.7
"""A prompt was cut if the server counted less than this share of its least tokens."""
_CHARACTERS_PER_TOKEN = 20
"""No tokenizer known to us packs more of a text without spaces into a token."""
_CJK = late_pattern("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_CJK_PER_TOKEN = 3
_BLANKS = " \t\n\r\v\f\x1c\x1d\x1e\x1f"
"""ASCII white space, as `str.split` sees it."""
_QUANTIZATION = re.compile(r"[-.](?:ud-)?(i?q\d(?:-[a-z0-9]{1,3})*|bf16|f16|f32)$")
_SNAPSHOT = re.compile(
    r"[-@](?:preview-)?(?:\d{4}-\d{2}-\d{2}|\d{2}-\d{4}|\d{2}-\d{2}|\d{8}|\d{6}|\d{4}|00\d)$"
)
"""The date or number of a snapshot, unlike sizes such as `-70b` and versions such as `-4`."""
_DOTS = re.compile(r"\.(?!\d+[bm](?![a-z]))")
"""Dots that are not of a size, such as `1.3b`."""
_STATES = re.compile(r"-(?:latest|preview|exp|experimental)$")
"""Suffixes of aliases that may stand for newer models later."""
_EXTENSIONS = (".gguf", ".safetensors", ".bin")
_HUB_FOLDER = re.compile(r"models--(?:[^/]*--)?([^/]+)/snapshots/[^/]+$")
"""The Hub's cache: the model's name is not the last folder."""
_MOVING_TAGS = frozenset({"", "latest"})


class AnswerChecks:
    """The checks of one run, shared by its engines."""

    def __init__(self, note: Callable[[str], None]) -> None:
        """`note` is called with each message, which is one line."""
        self.answered: Counter[str] = Counter()
        """Answers by the name of the model that answered, as far as servers say it."""
        self._note = note
        self._noted: set[tuple[str, str]] = set()

    def check(self, identity: str, request: Request, completion: Completion) -> None:
        """Note what is wrong with an answer, unless it was noted for this model."""
        model = request.model
        if completion.model:
            self.answered[completion.model] += 1
        if not same_model(model, completion.model) and self._is_first("model", model):
            self._note(
                f"warning: {completion.model!r} answered in place of {model!r} at {identity}; "
                "lineages and cards name the model that answered"
            )
        if not completion.prompt_tokens or (
            completion.prompt_tokens >= CUT_SHARE * _most_words(request)
        ):
            return  # 0 is no count
        needed = least_tokens(request)
        if (
            needed >= MIN_TOKENS
            and completion.prompt_tokens != estimate_tokens(count_prompt_characters(request))
            and completion.prompt_tokens < CUT_SHARE * needed
            and self._is_first("cut", model)
        ):
            self._note(
                f"warning: {model} at {identity} counted {completion.prompt_tokens:,} tokens in a "
                f"prompt that needs at least {needed:,}: the server seems to cut prompts; raise "
                "its context length, unless it counts only what it had not cached"
            )

    def _is_first(self, kind: str, model: str) -> bool:
        if (kind, model) in self._noted:
            return False
        self._noted.add((kind, model))
        return True


def _most_words(request: Request) -> float:
    """Return an upper bound of `least_tokens` at a tenth of its cost; infinite if there is none."""
    return sum([_most_words_of(message.content) for message in request.messages])


@remembered
def _most_words_of(text: str) -> float:
    if not text.isascii():
        return math.inf
    n_blanks = sum(map(text.count, _BLANKS))
    return max(n_blanks + 1, len(text) // _CHARACTERS_PER_TOKEN)


def least_tokens(request: Request) -> int:
    """Return a lower bound, over all tokenizers, of the tokens of a prompt."""
    return sum(least_tokens_of(message.content) for message in request.messages)


def least_tokens_of(text: str) -> int:
    """Return a lower bound, over all tokenizers, of the tokens of a text."""
    words = text.split()
    n_cjk = 0 if text.isascii() else len(_CJK.findall(text))
    n_characters = sum(map(len, words))
    return max(len(words), n_cjk // _CJK_PER_TOKEN, n_characters // _CHARACTERS_PER_TOKEN)


class CheckedEngine:
    """Checks the answers of an engine, cached ones included."""

    def __init__(self, inner: Engine, checks: AnswerChecks) -> None:
        self.identity = inner.identity
        self.key_identity = key_identity(inner)
        self._inner = inner
        self._checks = checks

    async def complete(self, request: Request) -> Completion:
        """Return the answer of the wrapped engine."""
        completion = await self._inner.complete(request)
        self._checks.check(self.identity, request, completion)
        return completion

    async def aclose(self) -> None:
        """Close the wrapped engine."""
        await self._inner.aclose()


def same_model(asked: str, answered: str) -> bool:
    """Return whether both names may stand for one model; an empty one may stand for any."""
    if not asked or not answered or asked == answered:
        return True
    (base, tag), (other, other_tag) = (
        _split_tag(plain_name(asked)),
        _split_tag(plain_name(answered)),
    )
    if tag and other_tag and tag != other_tag:
        return False
    (base, quantized), (other, other_quantized) = map(_split_quantization, (base, other))
    if quantized and other_quantized and quantized != other_quantized:
        return False
    (stem, date), (other_stem, other_date) = _split_snapshot(base), _split_snapshot(other)
    return stem == other_stem and (not date or not other_date or date == other_date)


def plain_name(name: str) -> str:
    """Return the last part of a name or path, in one spelling."""
    path = name.strip().casefold().replace("\\", "/").rstrip("/")
    if cached := _HUB_FOLDER.search(path):
        path = cached[1]
    last = path.rpartition("/")[2]
    for extension in _EXTENSIONS:
        last = last.removesuffix(extension)
    return last.replace("_", "-")


def _split_tag(name: str) -> tuple[str, str]:
    """Split `NAME:TAG`; a tag that names no variant is empty."""
    base, _, tag = name.partition(":")
    return base, "" if tag in _MOVING_TAGS else tag


def _split_quantization(name: str) -> tuple[str, str]:
    """Split off how a GGUF file is quantized, as in `m.Q4_K_M.gguf`, whose server says `m`."""
    found = _QUANTIZATION.search(name)
    return (name[: found.start()], found[1]) if found else (name, "")


def _split_snapshot(name: str) -> tuple[str, str]:
    """Split off the date of a snapshot; dots of versions do not count (`gpt-35-turbo`)."""
    found = _SNAPSHOT.search(name)
    stem = name[: found.start()] if found else name
    date = re.sub(r"\D", "", found[0]) if found else ""
    return _DOTS.sub("", _STATES.sub("", stem)), date

"""Begins the sentences that a small model adds to a task, so that it has only to complete them.

Left alone, a model of 0.5B parameters explains the task, solves it or says it again. Begun with a
case that the task leaves open, such as `If the list is empty,`, it says what shall happen then. A
model in this process continues the beginning as if it had written it; one on a server, which may
not do that, is asked to begin its answer so. For `complexity`, the beginning has the bound: small
models name one that any program meets, so it is one that is known to be hard for such a task.
The choice depends on the task's text and language, round and attempt, and on the config's seed.

Tasks in the languages of `openings-translated.toml` have openings of their own, by kinds that are
recognised by beginnings of words, since words there are inflected or not separated by blanks.

>>> openings_for("deepen", task, round=1, seed=0)[0]   # doctest: +SKIP
'Then group the entries by'
"""

import math
import re
import tomllib
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

from evolcoder.evolution.candidate import tokenize
from evolcoder.evolution.heuristics import WorkedExample
from evolcoder.evolution.parse import docstring, prose
from evolcoder.evolution.wanted_output import WantedOutput, wanted_output
from evolcoder.ids import rng_for
from evolcoder.natural_language import is_likely_foreign, prompt_language
from evolcoder.records import Task
from evolcoder.text import STOP_WORDS, is_unspaced, words

FOR_ANY = ("constrain", "specialise")
"""The heuristics whose openings do for any other, after its own."""
FEWEST = 3
"""With fewer openings of its own, a task gets further results, then those for any kind."""
UNTYPED = frozenset({None, "python", "javascript", "php", "ruby", "perl", "lua", "r", "julia"})
"""Languages in which a caller may pass a value of any type; None: any language will do."""
_ASKS_FOR_CODE = re.compile(
    r"\s*(?:how (?:can|could|would|should|do (?:i|you|we)|to)\b|can you\b|could you\b"
    r"|is (?:there an?|it) (?:\w+ )?(?:way|possible)\b"
    r"|what (?:is|would be|are) (?:the|an?) (?:[\w#+.]+ ){0,2}?"
    r"(?:code|query|command|script|function|program|syntax|statement|equivalent)\b"
    r"|define an? (?:[\w`+#]+ ){0,3}?"
    r"(?:function|(?:data)?class|enum|type|struct|method|interface)\b"
    r"|read (?:an?|the) [^.\n]{0,60}\b(?:file|input)\b"
    r"|what would the (?:[\w#+.]+ )?code look\b)",
    re.IGNORECASE,
)
"""A question that is answered with code."""
_NAMES_CODE = re.compile(
    r"\b(?:code|snippet|functions?|methods?|programs?|scripts?|query|queries|statements?|class(?:es)?"
    r"|loops?|arrays?|lists?|tuples?|dictionar(?:y|ies)|strings?|numbers?|integers?|files?|tables?"
    r"|columns?|elements?|pages?|buttons?|variables?|regex|expression|sql|css|html|json|csv"
    r"|implement|write|build|develop|program|declare|apis?|servers?|calculator|database|app)\b",
    re.IGNORECASE,
)
"""What code works on, without which such a question asks for an explanation."""
_ASKS_FOR_OUTPUT = re.compile(
    r"\s*(?:determine|predict|find|give|state|say|what) (?:out )?(?:is |will be |would be )?"
    r"(?:the )?(?:expected )?(?:output|result) (?:of|when|if|from)\b"
    r"|\s*after (?:running|executing|calling) [^.?\n]{0,80}\bwhat (?:is|will|would)\b",
    re.IGNORECASE,
)
"""A request for what a program prints."""
LIKE_FROM = (4, 16)
"""Content words of a task above which it needs two, or three, words of a kind to be of it."""
_ABBREVIATIONS = (
    "e.g.|i.e.|z.|z. B.|z.B.|d.|d. h.|d.h.|u.|u. a.|u.a.|p.|p. ej.|p. ex.|par ex.|por ex.|ad es."
)
"""Full stops that end no sentence, also where a capital letter follows."""
_CASELESS = "\u0590-\u10ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3"
"""Letters of scripts without capital letters."""
_NEXT_SENTENCE = re.compile(
    "".join(rf"(?<!\b{re.escape(one)})" for one in _ABBREVIATIONS.split("|"))
    + rf"(?<=[.!?])\s+(?=[A-ZÀ-ÖØ-ÞА-ЯЁ¿¡{_CASELESS}])|(?<=[。！？｡।॥؟۔])(?=\s*\S)"
)
_PAIRED = (("“", "”"), ("„", "“"), ("«", "»"), ("「", "」"), ("『", "』"), ("（", "）"), ("(", ")"))
"""Quotation marks and brackets, within which no sentence ends."""
_LOW_QUOTED = re.compile("„[^“”]*[“”]")
"""A quotation whose closing mark opens one in other languages."""
_OPENING_MARKS = "*_>\"'` “„«「『"
_FULL_STOPS = (".", "。", "।")
_COMMAS = (",", "，", "、", "،")
_NEXT_CLAUSE = re.compile(
    r"(?<=\w), (?:and )?(?:then )?(?:accept|add|calculate|combine|compare|count|display"
    r"|exclude|filter|group|ignore|include|keep|leave|list|order|print|put|remove|return|round|show|skip|sort"
    r"|sum|use|(?:it|there|they|the \w+) (?:must|should)|must|should)\b.*",
    re.IGNORECASE,
)
"""A further demand in a sentence, as small models add one that has nothing to do with the first."""
_QUOTE = re.compile(r"(?<!\w)['‘]|['’](?!\w)")
"""A mark around a quoted name, such as `'Car'`, which is no part of the word."""
_LITERAL = re.compile(r"\[|\{|\"|`|\d")
_CONTINUES = re.compile(r"[\s.,;:!?)]")
_CJK = "\u3000-\u30ff\u3400-\u9fff\uff00-\uff60"
_ARTICLES = ("ال", "لل", "بال", "وال", "فال", "كال", "ب", "و", "ل", "ف")
"""What Arabic writes together with the word after it."""
_BEGINS_WORD = (
    rf"(?<![\u0900-\u0dff])(?:(?<!\w)|(?<=[{_CJK}])"
    + "".join(rf"|(?<=\b{article})" for article in _ARTICLES)
    + ")"
)
"""Where a word begins; signs of vowels, which are no letters to `re`, are within one."""
_ENDS_UNSPACED = re.compile(rf"[{_CJK}]$")
"""The end of an opening in a script without blanks between words."""


_Split = Callable[[str], frozenset[str]]


@dataclass(frozen=True, slots=True)
class _Condition:
    """The tasks that a kind or an opening fits."""

    needs: tuple[frozenset[str], ...]
    lacks: frozenset[str]
    untyped: bool

    @classmethod
    def of(cls, entry: Mapping[str, Any], split: _Split) -> "_Condition":
        needs = entry.get("needs", ())
        lists = (needs,) if isinstance(needs, str) else needs
        sets = tuple(split(each) for each in lists)
        return cls(sets, split(entry.get("lacks", "")), entry.get("untyped", False))

    def fits(self, found: frozenset[str], language: str | None) -> bool:
        has_needed = all(not needed.isdisjoint(found) for needed in self.needs)
        is_typed = self.untyped and language not in UNTYPED
        return has_needed and self.lacks.isdisjoint(found) and not is_typed


_Openings = tuple[tuple[str, _Condition], ...]


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of task with the openings for it."""

    like: frozenset[str]
    condition: _Condition
    nouns: tuple[str, ...]
    asks_for_words: bool
    is_certain: bool
    by_heuristic: dict[str, _Openings]


@dataclass(frozen=True, slots=True)
class Openings:
    """The openings for tasks in one natural language."""

    language: str
    """ISO 639-1 code."""
    template: str
    """Prompt that asks for one more requirement; contains `{task}`."""
    examples: tuple[WorkedExample, ...]
    """Worked examples. They and the template are the same for all tasks and heuristics, so that a
    model reads them once."""
    begin: str
    """Asks a model on a server to begin with `{opening}`; contains `{prompt}` too."""
    kinds: tuple[_Kind, ...]
    """The kinds of tasks."""
    bounds: _Openings
    """The openings for `complexity`."""
    beginnings: "_Beginnings | None"
    """The beginnings of words that conditions name; None for English, with whole words."""

    def words(self, text: str) -> frozenset[str]:
        """Return what conditions can find in a text."""
        if self.beginnings is None:
            return _english_words(text)
        return self.beginnings.found_in(unicodedata.normalize("NFC", text.lower()))

    def kind_of(self, text: str, found: frozenset[str]) -> _Kind:
        """Return the kind of a task, in whose prose these words were found."""
        if self.beginnings is None:
            return _kind_of(text, found)
        return next(kind for kind in self.kinds if kind.condition.fits(found, None))

    def general(self, kind: _Kind) -> _Kind:
        """Return the last kind, which fits any task, of those that ask for the same as this one."""
        return next(
            one for one in reversed(self.kinds) if one.asks_for_words == kind.asks_for_words
        )


def openings_in(text: str) -> Openings | None:
    """Return the openings in the language of a task; None if there are none."""
    language = prompt_language(text) or ("" if is_likely_foreign(text) else "en")
    return _english() if language == "en" else _translated().get(language)


def openings_for(heuristic: str, task: Task, *, round: int, seed: int) -> tuple[str, ...]:
    """Return openings for a heuristic's additions to a task, in the order of the attempts.

    Empty if there are none in the task's language, or no bound is known for it.
    """
    text = task.instruction
    known = openings_in(text)
    if known is None:
        return ()
    request = known.words(f"{prose(text)}\n{docstring(text)}")

    def fits(listed: _Openings) -> list[str]:
        return [say for say, when in listed if when.fits(request, task.language)]

    if heuristic == "complexity":
        return tuple(fits(known.bounds))  # the most specific bound comes first
    kind = known.kind_of(text, request)
    named = words(text)
    noun = next((noun for noun in kind.nouns if noun in named or f"{noun}s" in named), "")
    noun = noun or (kind.nouns[-1] if kind.nouns else "")
    said, rng = tokenize(text).content_words, rng_for(seed, "opening", task.id, round)

    def shuffled(kind: _Kind, name: str) -> list[str]:
        found = [say.format(noun=noun) for say in fits(kind.by_heuristic.get(name, ()))]
        new = [say for say in found if say[-1] not in _COMMAS or _says_more(say, said)]
        rng.shuffle(new)
        return new

    found = dict.fromkeys(say for name in (heuristic, *FOR_ANY) for say in shuffled(kind, name))
    general = known.general(kind)
    for one, name in ((kind, "deepen"), *((general, name) for name in (heuristic, *FOR_ANY))):
        if len(found) < FEWEST:
            found |= dict.fromkeys(shuffled(one, name))
    return tuple(found)


def is_whole(opening: str) -> bool:
    """Whether an opening is a whole sentence, to which a model has nothing to add."""
    return opening.endswith(_FULL_STOPS)


def complete(opening: str, continuation: str) -> str:
    """Join an opening with what a model wrote after it, up to the end of the sentence.

    Further sentences of small models explain how, and further demands wander off. Empty if the
    model wrote nothing that completes the sentence: punctuation or filler words alone, another
    paragraph, or a code block.
    """
    text = _first_sentence(continuation.partition("\n")[0].rstrip())
    is_repeated = text.lower().lstrip().startswith(opening.lower())
    said = text.lstrip()[len(opening) :] if is_repeated else text
    said = _NEXT_CLAUSE.sub(".", said)
    if "```" in said or not (tokenize(said).content_words or _LITERAL.search(said)):
        return ""
    begun = text.lstrip()[: len(opening)] if is_repeated else opening
    if _ENDS_UNSPACED.search(begun):
        return f"{begun}{said.lstrip()}"
    return f"{begun}{'' if _CONTINUES.match(said) else ' '}{said}"


def complete_asked(opening: str, answer: str) -> str | None:
    """Return the sentence of a model that was asked to begin its answer with an opening.

    None if it began it in another way.
    """
    text = answer.strip().lstrip(_OPENING_MARKS)
    if text.lower().startswith(opening.lower()) or text[:1].islower():
        return complete(opening, _without_closing_mark(text))
    return None


def _without_closing_mark(text: str) -> str:
    """Remove a quotation mark at the end of a text that closes none within it."""
    last = text[-1:]
    for opens, closes in (('"', '"'), *_PAIRED[:5]):
        is_own = text.count(opens) % 2 == 0 if opens == closes else opens in text
        if last == closes and not is_own:
            return text[:-1]
    return text


def _first_sentence(text: str) -> str:
    """Return the text up to the end of its first sentence; none ends within quotation marks."""
    for found in _NEXT_SENTENCE.finditer(text):
        before = _LOW_QUOTED.sub("", text[: found.start()])
        is_open = before.count('"') % 2 or any(
            before.count(opens) > before.count(closes) for opens, closes in _PAIRED
        )
        if not is_open:
            return text[: found.start()]
    return text


def _says_more(opening: str, said: frozenset[str]) -> bool:
    """Whether an opening has words that a task lacks, of which these are the content words."""
    return not tokenize(opening).content_words <= said


def _kind_of(text: str, found: frozenset[str]) -> _Kind:
    """Return the kind of a task: that with most of its words, rare ones first; else the last.

    Long tasks have some words of every kind, so they need more of one.
    """
    asks_for_code = _ASKS_FOR_CODE.match(text) and _NAMES_CODE.search(text)
    is_words = not asks_for_code and (
        wanted_output(text) is WantedOutput.WORDS or _ASKS_FOR_CODE.match(text) is not None
    )
    asks_for_words = is_words or _ASKS_FOR_OUTPUT.match(text) is not None
    weights, content = _weights(), found - STOP_WORDS

    def likeness(kind: _Kind) -> float:
        return sum(weights[word] for word in kind.like & content)

    fitting = [
        kind
        for kind in _english().kinds
        if kind.asks_for_words == asks_for_words and kind.condition.fits(found, None)
    ]
    best = max(fitting, key=likeness)
    n_needed = sum(len(content) > size for size in LIKE_FROM)
    is_kind = best.is_certain or len(best.like & content) > n_needed
    return best if is_kind else fitting[-1]


def _listed(entries: Sequence[str | Mapping[str, Any]], split: _Split) -> _Openings:
    tables = [{"say": entry} if isinstance(entry, str) else entry for entry in entries]
    return tuple((table["say"], _Condition.of(table, split)) for table in tables)


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads((files("evolcoder") / "data" / name).read_text("utf-8"))


def _openings(language: str, data: Mapping[str, Any], split: _Split) -> Openings:
    """Make the openings of a language from its table."""
    kinds = tuple(
        _Kind(
            split(kind.get("like", "")),
            _Condition.of(kind, split),
            tuple(kind.get("nouns", ())),
            kind.get("asks_for_words", False),
            kind.get("certain", False),
            {name: _listed(kind[name], split) for name in ("constrain", "specialise", "deepen")},
        )
        for kind in data["kinds"]
    )
    bounds, prompt = _listed(data["bounds"], split), data["prompt"]
    examples = tuple(WorkedExample(one["task"], one["answer"]) for one in prompt["examples"])
    beginnings = None if language == "en" else _Beginnings.of(kinds, bounds)
    begin = data["begin"]
    return Openings(language, prompt["template"], examples, begin, kinds, bounds, beginnings)


@dataclass(frozen=True, slots=True)
class _Beginnings:
    """The beginnings of words that the conditions of a language name."""

    pattern: re.Pattern[str]
    """Finds the longest one at each place."""
    prefixes: dict[str, frozenset[str]]
    """Each one -> itself and the shorter ones that it begins with."""

    @classmethod
    def of(cls, kinds: Sequence[_Kind], bounds: _Openings) -> "_Beginnings":
        listed = [bounds, *(each for kind in kinds for each in kind.by_heuristic.values())]
        conditions = [kind.condition for kind in kinds]
        conditions += [when for openings in listed for _, when in openings]
        named = {word for when in conditions for each in (*when.needs, when.lacks) for word in each}
        patterns = (
            re.escape(word) if is_unspaced(word) else f"{_BEGINS_WORD}{re.escape(word)}"
            for word in sorted(named, key=len, reverse=True)
        )
        prefixes = {word: frozenset(one for one in named if word.startswith(one)) for word in named}
        return cls(re.compile(rf"(?=({'|'.join(patterns)}))"), prefixes)

    def found_in(self, text: str) -> frozenset[str]:
        """Return those in a lower-cased text.

        In scripts without blanks between words they are found anywhere, and a word in other
        letters begins next to them.
        """
        longest = set(self.pattern.findall(text))
        return frozenset().union(*(self.prefixes[word] for word in longest))


@lru_cache(maxsize=1)
def _english() -> Openings:
    return _openings("en", _read("openings.toml"), _english_words)


def _english_words(text: str) -> frozenset[str]:
    """Return the words of a text, with those such as `from` that are no content words."""
    found = tokenize(_QUOTE.sub(" ", text))
    return found.content_words | (found.distinct & STOP_WORDS)


def _composed(text: str) -> frozenset[str]:
    """Split a list of beginnings, in the form of Unicode in which texts are searched."""
    return frozenset(unicodedata.normalize("NFC", text).split())


@lru_cache(maxsize=1)
def _translated() -> dict[str, Openings]:
    """Return language -> openings."""
    return {
        language: _openings(language, data, _composed)
        for language, data in _read("openings-translated.toml").items()
    }


@lru_cache(maxsize=1)
def _weights() -> dict[str, float]:
    """Weigh each word by how few kinds have it."""
    kinds = _english().kinds
    counts = Counter(word for kind in kinds for word in kind.like)
    return {word: math.log(1 + len(kinds) / n) for word, n in counts.items()}

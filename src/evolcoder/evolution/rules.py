"""Rules that reject failed evolutions: one function per rule, the first violation is the reason.

Rules only look at the text, so the same text always gets the same result, with evidence. Whatever
the parent says already is never a violation. A passing candidate is not guaranteed to be harder; it
only fails in none of the ways listed here. The optional judge model is asked elsewhere (`evolver`).
Copies of the prompt or its examples are detected from `N_COPIED_WORDS` consecutive words upwards.

>>> find_violation(candidate)   # doctest: +SKIP
RuleViolation(reason=<Reason.EQUAL_TO_PARENT: 'equal_to_parent'>, detail='the same words')
"""

import re
from collections.abc import Callable
from functools import lru_cache
from itertools import islice

from evolcoder.config.load import TASK_PLACEHOLDER, EliminateConfig
from evolcoder.evolution import patterns
from evolcoder.evolution.candidate import CandidateTask, RuleViolation, TokenizedText, tokenize
from evolcoder.evolution.heuristics import Heuristic, TaskContents
from evolcoder.evolution.parse import attachment, find_reference, prose
from evolcoder.evolution.rewriting import (
    breaks_code,
    copies_a_hint,
    prescribes_means,
    shortens,
)
from evolcoder.fences import code_lines
from evolcoder.natural_language import changed_language
from evolcoder.programming_language import code_blocks, named_languages
from evolcoder.records import Reason
from evolcoder.text import count_words, is_unspaced, longest_repeat, words

N_COPIED_WORDS = 7
"""Consecutive words shared with the prompt that count as copied rather than coincidence."""
N_COPIED_ELSEWHERE = 10
"""The same in other languages, whose fewer prompts have the plainest wordings."""


def copies_the_prompt(candidate: CandidateTask) -> RuleViolation | None:
    """Find talk about the rewriting, unfilled placeholders, and copied prompt text."""
    if phrase := candidate.new_phrase(patterns.ABOUT_THE_PROMPT) or _asks_to_ask(candidate):
        return RuleViolation(Reason.PROMPT_COPIED, phrase)
    if phrase := _new_match(candidate, patterns.ABOUT_THE_PROMPT_ELSEWHERE):
        return RuleViolation(Reason.PROMPT_COPIED, phrase)
    text = candidate.after.text
    if (found := patterns.UNUSUAL.search(text)) and found[0] not in candidate.before.text:
        return RuleViolation(Reason.PROMPT_COPIED, found[0])
    if any(mark in text for mark in "{[<") and (gap := patterns.PLACEHOLDER.search(text)):
        return RuleViolation(Reason.PROMPT_COPIED, gap[0])
    return _copied_run(candidate) or _parrots(candidate)


MAX_PARROTED, MIN_PARROTED_WORDS = 0.8, 4
"""Share of an addition's new content words that may come from the examples, and the fewest words
that count."""


def _parrots(candidate: CandidateTask) -> RuleViolation | None:
    """Find an addition most of whose new words are those of the examples."""
    if candidate.added is None or not candidate.is_english:
        return None
    new = candidate.added.content_words - candidate.before.content_words - patterns.EMPTY_WORDS
    copied = new & _example_words(candidate.heuristic)
    if len(copied) < MIN_PARROTED_WORDS or len(copied) < MAX_PARROTED * len(new):
        return None
    return RuleViolation(
        Reason.PROMPT_COPIED, f"words of the examples: {', '.join(sorted(copied))}"
    )


@lru_cache(maxsize=512)
def _example_words(heuristic: Heuristic) -> frozenset[str]:
    answers = (tokenize(example.answer).content_words for example in heuristic.examples)
    return frozenset().union(*answers) - patterns.BOUND_WORDS


def _new_match(candidate: CandidateTask, pattern: re.Pattern[str]) -> str:
    """Return the first match of a pattern for other languages that the parent does not contain."""
    text = candidate.after.text
    if text.isascii() and candidate.is_english:
        return ""
    before = candidate.before.text
    return next((found[0] for found in pattern.finditer(text) if found[0] not in before), "")


def _asks_to_ask(candidate: CandidateTask) -> str:
    after = candidate.after.padded_words
    if " ask for " not in after or " ask for " in candidate.before.padded_words:
        return ""
    found = patterns.ASKS_TO_ASK.search(after)
    return found[0] if found else ""


def _copied_run(candidate: CandidateTask) -> RuleViolation | None:
    """Find consecutive words of the template or an example that the parent does not contain."""
    split, (runs, marks) = candidate.after.words, _prompt_ngrams(candidate.heuristic)
    n = _n_copied(candidate.heuristic)
    if candidate.added is not None:
        # The parent's words come first, and runs of the parent's words are never copies.
        split = split[max(0, len(candidate.before.words) - n + 1) :]
    if candidate.is_begun and candidate.added is not None:
        # The beginning is not the model's.
        split = candidate.added.words[len(words(candidate.opening)) :]
    if marks.isdisjoint(zip(split, split[3:], split[n - 1 :], strict=False)):
        return None
    for at in range(len(split) - n + 1):
        run = " ".join(split[at : at + n])
        if run in runs and run not in candidate.before.padded_words:
            return RuleViolation(Reason.PROMPT_COPIED, run)
    return None


def _n_copied(heuristic: Heuristic) -> int:
    """Return how many words in a row are copied; pairs of characters count half."""
    if heuristic.language == "en":
        return N_COPIED_WORDS
    return N_COPIED_ELSEWHERE * (2 if is_unspaced(words(heuristic.template)[0]) else 1)


@lru_cache(maxsize=64)
def _prompt_ngrams(heuristic: Heuristic) -> tuple[frozenset[str], frozenset[tuple[str, str, str]]]:
    """Return all n-grams of a prompt, and words 0, 3 and -1 of each as a fast pre-filter.

    N-grams about time or space bounds are excluded, since there are few ways to word one.
    """
    shown = [heuristic.template.replace(TASK_PLACEHOLDER, "\n")]
    shown += [text for example in heuristic.examples for text in (example.task, example.answer)]
    n = _n_copied(heuristic)
    runs = [
        run
        for split in map(words, shown)
        for at in range(len(split) - n + 1)
        if not {"time", "space", "o", "時間", "时间"} & set(run := split[at : at + n])
    ]
    return frozenset(map(" ".join, runs)), frozenset((run[0], run[3], run[-1]) for run in runs)


Rule = Callable[[CandidateTask], RuleViolation | None]

MIN_DISTRACTOR_CHARS = 12
"""Fewest letters and digits of a distractor."""
ALLOWED_CODE_LINES = 2
"""Lines of data or code that a task may add without counting as a solution."""


def find_violation(candidate: CandidateTask) -> RuleViolation | None:
    """Return the first rule violation of a candidate, or None."""
    for rule in SPOILED_RULES if candidate.is_spoiled else RULES:
        if found := rule(candidate):
            return found
    return None


def _is_empty(candidate: CandidateTask) -> RuleViolation | None:
    if candidate.cut_off:
        return RuleViolation(Reason.TRUNCATED, "ended at the length limit")
    return None if candidate.after.content_words else RuleViolation(Reason.EMPTY, "no words")


def _is_refusal(candidate: CandidateTask) -> RuleViolation | None:
    found = patterns.REFUSES.match((candidate.added or candidate.after).text)
    return RuleViolation(Reason.REFUSAL, found[0]) if found else None


def _loops(candidate: CandidateTask) -> RuleViolation | None:
    repeated = longest_repeat(candidate.after.text)
    return RuleViolation(Reason.LOOPING, repeated[:80]) if repeated else None


def _leaves_the_natural_language(candidate: CandidateTask) -> RuleViolation | None:
    """Find a task or an addition in another natural language than the parent's."""
    new = candidate.added or candidate.after
    changed = changed_language(candidate.before.text, new.text)
    return RuleViolation(Reason.WRONG_LANGUAGE, changed) if changed else None


def _is_no_task(candidate: CandidateTask) -> RuleViolation | None:
    first = candidate.after.words[0]
    if not candidate.is_english:
        return None
    if first in patterns.OPENINGS or candidate.before.words[:1] == (first,):
        return None
    if first not in patterns.WEAK_OPENINGS:
        return RuleViolation(Reason.NOT_A_TASK, f"begins with {first}")
    if not patterns.ASKS.search(candidate.after.text):
        return RuleViolation(Reason.NOT_A_TASK, "asks for nothing")
    return None


def _contains_solution(candidate: CandidateTask) -> RuleViolation | None:
    if phrase := candidate.new_phrase(patterns.EXPLAINS) or _new_match(
        candidate, patterns.EXPLAINS_ELSEWHERE
    ):
        return RuleViolation(Reason.SOLVED, phrase)
    return _only_explains(candidate) or _adds_code(candidate)


def _only_explains(candidate: CandidateTask) -> RuleViolation | None:
    """Find an addition that explains or describes and requires nothing."""
    if candidate.added is None or not candidate.is_english:
        return None
    text, first = candidate.added.text, candidate.added.words[:1]
    if _demands_nothing(candidate, text):
        return RuleViolation(Reason.SOLVED, f"demands nothing: {text[:60]}")
    if first and patterns.EXPLAINING_OPENINGS.issuperset(first) and not _makes_demand(text):
        return RuleViolation(Reason.SOLVED, f"only explains: {text[:60]}")
    if candidate.heuristic.holds is not TaskContents.NOTHING:
        return None
    found = patterns.MEANS.match(text) or patterns.PRESCRIBES.match(text)
    return RuleViolation(Reason.SOLVED, f"prescribes the means: {found[0]}") if found else None


def _demands_nothing(candidate: CandidateTask, text: str) -> bool:
    """Whether an addition begins with a statement and says nothing that must be done."""
    return (
        candidate.heuristic.holds is TaskContents.NOTHING
        and patterns.STATES.match(text) is not None
        and not (patterns.OBLIGES.search(text) or patterns.BEHAVIOUR.search(text) or "?" in text)
    )


def _makes_demand(text: str) -> bool:
    """Whether a text contains a modal verb, or a later sentence that opens like a request."""
    openings = (
        sentence.split(maxsplit=1)[0] for sentence in patterns.SENTENCES.split(text.strip())[1:]
    )
    explains = all(word.strip(",:").lower() in patterns.EXPLAINING_LATER for word in openings)
    return not explains or bool(patterns.OBLIGES.search(text))


def _adds_code(candidate: CandidateTask) -> RuleViolation | None:
    """Find code that the parent does not show; as many lines as it shows may be changed."""
    text, before = candidate.after.text, candidate.before.text
    blocks = [block.code for block in code_blocks(text)] if "```" in text else []
    lines = [line for code in blocks for line in code.splitlines()] + code_lines(text)
    added = [line.strip() for line in lines if line.strip() and line.strip() not in before]
    shown = len(code_lines(before))
    if len(added) > ALLOWED_CODE_LINES + shown:
        return RuleViolation(Reason.SOLVED, f"{len(added)} lines of code, e.g. {added[0][:60]}")
    return None


def _is_boilerplate(candidate: CandidateTask) -> RuleViolation | None:
    text, before = candidate.after.text, candidate.before.text
    if "\n" not in text and "**" not in text and "#" not in text:
        return None
    if (found := patterns.HEADING.search(text)) and found[0].strip() not in before:
        return RuleViolation(Reason.BOILERPLATE, found[0].strip()[:60])
    if len(patterns.BULLET.findall(text)) > 4 + len(patterns.BULLET.findall(before)):
        return RuleViolation(Reason.BOILERPLATE, "a long list")
    return None


def _asks_several_tasks(candidate: CandidateTask) -> RuleViolation | None:
    text = candidate.after.text
    n = len(patterns.NEW_REQUEST.findall(text)) if "\n" in text else 0
    if n > max(1, len(patterns.NEW_REQUEST.findall(candidate.before.text))):
        return RuleViolation(Reason.SEVERAL_TASKS, f"{n} tasks")
    return None


def _starts_another_task(candidate: CandidateTask) -> RuleViolation | None:
    """Find an addition that starts another task."""
    found = patterns.ANOTHER_TASK.match(candidate.added.text) if candidate.added else None
    return RuleViolation(Reason.SEVERAL_TASKS, f"another task: {found[0]}") if found else None


def _is_unrelated(candidate: CandidateTask) -> RuleViolation | None:
    """Find a rewritten task that keeps too few of its parent's words."""
    if candidate.added is not None:
        return None
    parent_prose = prose(candidate.before.text)
    same = parent_prose == candidate.before.text
    old = candidate.before if same else tokenize(parent_prose)
    expected, found = old.content_words - patterns.EMPTY_WORDS, candidate.after.content_words
    if not candidate.is_english:
        # Inflected words differ in their endings.
        expected, found = (frozenset(w[:5] for w in each) for each in (expected, found))
    kept = len(expected & found)
    if kept >= candidate.rules.min_kept * len(expected):
        return None
    return RuleViolation(Reason.UNRELATED, f"keeps {kept} of {len(expected)} words")


def _revokes_parent(candidate: CandidateTask) -> RuleViolation | None:
    """Find an addition that revokes the task it is added to."""
    added = candidate.added
    if added is not None and (case := _case_of_no_input(candidate, added)):
        return RuleViolation(Reason.CONTRADICTS, case)
    if added is not None and (opposed := _opposes(candidate, added)):
        return RuleViolation(Reason.CONTRADICTS, opposed)
    if added is None or "instead" not in added.distinct:
        return None
    if patterns.INSTEAD.search(added.text):
        return RuleViolation(Reason.CONTRADICTS, "something else instead")
    found = patterns.INSTEAD_OF.search(added.text)
    if found is None or candidate.heuristic.holds is not TaskContents.NOTHING:
        return None
    replaced = tokenize(found[1]).content_words - patterns.EMPTY_WORDS
    revoked = replaced and replaced <= candidate.before.content_words
    return RuleViolation(Reason.CONTRADICTS, found[0]) if revoked else None


def _case_of_no_input(candidate: CandidateTask, added: TokenizedText) -> str:
    """Return a case that depends on an input, where the task fixes its numbers and has none."""
    case = patterns.CASE_OF_INPUT.match(added.text) if candidate.is_begun else None
    asked = prose(candidate.before.text) if case else ""
    fixed = patterns.FIXED_NUMBERS.search(asked)
    if case is None or fixed is None or patterns.TAKES_INPUT.search(asked):
        return ""
    return f"{case[0]} but: {fixed[0]}"


def _opposes(candidate: CandidateTask, added: TokenizedText) -> str:
    """Return a demand that the parent rules out, or the opposite of one that it makes."""
    before = candidate.before.distinct
    if before.isdisjoint(added.distinct) or not candidate.is_english:
        return ""
    for found in patterns.FORBIDS.finditer(candidate.before.text):
        name = re.escape(found[1].rstrip("."))
        used = re.search(rf"\b(?:use|using|with)\b[^.;]{{0,40}}\b{name}", added.text, re.I)
        if used and found[0].lower() not in added.text.lower():
            return f"{found[0]}, but: {used[0]}"
    if not added.distinct.isdisjoint(patterns.ALTERNATIVES):
        return ""
    text, old = added.text.lower(), candidate.before.text.lower()
    for pair in (*patterns.OPPOSITES, *((b, a) for a, b in patterns.OPPOSITES)):
        if pair[0] in old and pair[1] not in old and pair[1] in text and pair[0] not in text:
            return f"{pair[1]}, not {pair[0]}"
    return ""


def _lacks_input(candidate: CandidateTask) -> RuleViolation | None:
    """Find a reference to data that neither the parent nor the child shows."""
    text = candidate.after.text if candidate.added is None else candidate.added.text
    found = find_reference(text)
    if not found or "\n" in text or any(mark in text for mark in "[{(\"'`:=“"):
        return None
    if (
        candidate.added is not None
        and candidate.before.content_words & tokenize(found).content_words
    ):
        return None
    if candidate.added is None and not attachment(candidate.before.text):
        return None
    return RuleViolation(Reason.MISSING_INPUT, f"refers to missing data: {found}")


def _loses_data(candidate: CandidateTask) -> RuleViolation | None:
    """Find a rewritten task with another opening that has lost most of its parent's data.

    One that opens like its parent is assumed not to need the data any more.
    """
    rewritten = candidate.added is None and candidate.after.words[:3] != candidate.before.words[:3]
    if not rewritten or "\n" in candidate.after.text or "\n" not in candidate.before.text:
        return None
    before = candidate.before.text
    data = set(words(attachment(before))).difference(words(prose(before)))
    kept = data & candidate.after.distinct
    if not data or 2 * len(kept) > len(data):
        return None
    detail = f"keeps {len(kept)} of {len(data)} words of the data"
    return RuleViolation(Reason.MISSING_INPUT, detail)


def _lacks_required_content(candidate: CandidateTask) -> RuleViolation | None:
    holds, distractor = candidate.heuristic.holds, candidate.distractor
    if holds is TaskContents.BOUND:
        text = (candidate.added or candidate.after).text
        required = patterns.BOUND.search(text) and (
            not candidate.is_english or patterns.DEMANDS.search(text)
        )
        return None if required else RuleViolation(Reason.NO_BOUND, "requires no complexity bound")
    if holds is not TaskContents.BAIT:
        return None
    if distractor is None:
        return RuleViolation(Reason.NO_BAIT, "no code block")
    if not distractor.closed or not _has_substance(distractor.code):
        return RuleViolation(Reason.NO_BAIT, "incomplete code block")
    if f" {' '.join(words(distractor.code))} " in candidate.before.padded_words:
        return RuleViolation(Reason.NO_BAIT, "the parent's own code")
    return None if candidate.is_spoiled else _does_it_already(candidate, distractor.code)


def _does_it_already(candidate: CandidateTask, code: str) -> RuleViolation | None:
    """Find a distractor whose code has what the demand names, as far as that can be seen."""
    text = (candidate.added or candidate.after).text
    named = [done for wanted, done in patterns.DONE_BY if wanted.search(text)]
    if named and all(done.search(code) for done in named):
        return RuleViolation(Reason.NO_BAIT, f"the code does it already: {text[:60]}")
    return None


def _has_substance(code: str) -> bool:
    """Whether code has enough letters and digits; stops reading once it has."""
    return (
        sum(1 for _ in islice(filter(str.isalnum, code), MIN_DISTRACTOR_CHARS))
        == MIN_DISTRACTOR_CHARS
    )


def _changes_the_language(candidate: CandidateTask) -> RuleViolation | None:
    language = candidate.parent.language
    if language is None or language in candidate.after.words:
        return None
    named = named_languages(candidate.after.text, candidate.after.words)
    if language in named:
        return None
    if not named and not candidate.is_english:
        return None  # the name may be written in the letters of the task's language
    shown = [block.code.strip() for block in code_blocks(candidate.before.text)]
    if not named and shown and all(code in candidate.after.text for code in shown):
        return None  # the code is the same, and only the tag of its fence is missing
    if not named and language not in named_languages(candidate.before.text, candidate.before.words):
        return None
    seen = ", ".join(sorted(named)) or "no language"
    return RuleViolation(Reason.WRONG_LANGUAGE, f"names {seen}, not {language}")


def _equals_its_parent(candidate: CandidateTask) -> RuleViolation | None:
    if said := _says_nothing_new(candidate):
        return RuleViolation(Reason.EQUAL_TO_PARENT, said)
    new = candidate.new_words
    asks_for_more = candidate.heuristic.holds is TaskContents.NOTHING and not candidate.is_begun
    least: float = candidate.rules.min_new_words if asks_for_more else 2
    if candidate.n_new_words < least:
        return RuleViolation(Reason.EQUAL_TO_PARENT, f"new: {', '.join(sorted(new)) or 'nothing'}")
    if restated := _restates(candidate):
        return RuleViolation(Reason.EQUAL_TO_PARENT, restated)
    if candidate.heuristic.holds is not TaskContents.NOTHING:
        return None
    common = len(candidate.after.content_words & candidate.before.content_words)
    overlap = common / (
        len(candidate.after.content_words) + len(candidate.before.content_words) - common
    )
    if overlap > candidate.rules.max_overlap:
        return RuleViolation(Reason.EQUAL_TO_PARENT, f"overlap {overlap:.2f}")
    return None


MIN_NEW_SHARE, MIN_RESTATED_WORDS = 0.4, 5
"""Share of an addition's content words that its parent lacks; with fewer it says the same again."""


def _says_nothing_new(candidate: CandidateTask) -> str:
    if candidate.after.words == candidate.before.words:
        return "the same words"
    return "only asks for correctness" if _only_asks_to_be_right(candidate) else ""


def _restates(candidate: CandidateTask) -> str:
    if candidate.added is None or candidate.heuristic.holds is TaskContents.BOUND:
        return ""
    said = candidate.added.content_words - patterns.EMPTY_WORDS
    n_new = len(said - candidate.before.content_words - patterns.REQUEST_WORDS)
    if len(said) < MIN_RESTATED_WORDS or n_new >= MIN_NEW_SHARE * len(said):
        return ""
    return f"{n_new} of {len(said)} words are new"


def _only_asks_to_be_right(candidate: CandidateTask) -> bool:
    """Whether an addition asks for correctness, which every task implies."""
    if candidate.added is None or "correct" in candidate.before.padded_words:
        return False
    said = candidate.added.text
    if patterns.RIGHT_ELSEWHERE.search(said) and not patterns.LITERAL.search(said):
        return patterns.RIGHT_ELSEWHERE.search(candidate.before.text) is None
    return not candidate.added.distinct.isdisjoint(("correct", "correctly"))


MAX_COMPLETION_WORDS = 30
"""Most words that complete a sentence which was begun; longer ones wander from its subject."""
N_OWN_DEMAND = 3
"""New words from which a beginning is a demand of its own, such as one about a matrix."""
N_STEM = 4
"""Characters at the beginning of words by which a restatement is seen: sorts, sorted."""


def _is_met_anyway(candidate: CandidateTask) -> RuleViolation | None:
    """Find a begun sentence that rules out what no program for the task would use."""
    if not candidate.opening or candidate.added is None:
        return None
    found = patterns.MET_ANYWAY.search(candidate.added.text) or _needless_ban(candidate)
    detail = f"any program meets this: {found[0]}" if found else ""
    return RuleViolation(Reason.EQUAL_TO_PARENT, detail) if found else None


def _takes_back(candidate: CandidateTask) -> RuleViolation | None:
    """Find a begun sentence that demands a bound and then allows another one."""
    if candidate.added is None or candidate.heuristic.holds is not TaskContents.BOUND:
        return None
    rest = candidate.added.text[len(candidate.opening) :] if candidate.opening else ""
    found = patterns.TAKES_BACK.search(rest)
    detail = f"takes the bound back: {found[0]}" if found else ""
    return RuleViolation(Reason.CONTRADICTS, detail) if found else None


def _needless_ban(candidate: CandidateTask) -> re.Match[str] | None:
    """Find a ban on a ready-made function for the whole task, which no library has."""
    found = patterns.BUILT_IN_FOR.search(candidate.added.text if candidate.added else "")
    if found is None or patterns.READY_MADE.search(found[1]):
        return None
    known = {word[:N_STEM] for word in candidate.before.content_words}
    named = {word[:N_STEM] for word in tokenize(found[1]).content_words - patterns.VAGUE_WORDS}
    return found if named - patterns.OWN_SUBJECT <= known else None


def _completes_badly(candidate: CandidateTask) -> RuleViolation | None:
    """Find a begun sentence whose rest says nothing new, gives reasons, or has no consequence."""
    if not candidate.opening or candidate.added is None:
        return None
    rest = candidate.added.text[len(candidate.opening) :]
    said = tokenize(rest)
    shown = f"...{rest[:60]}"
    if (n := count_words(rest)) > MAX_COMPLETION_WORDS:
        return RuleViolation(Reason.TOO_LONG, f"completes a sentence with {n} words")
    if found := patterns.GIVES_REASONS.search(rest):
        return RuleViolation(Reason.SOLVED, f"gives a reason: {found[0]}")
    known = {word[:N_STEM] for word in candidate.before.content_words}

    def new(text: TokenizedText) -> set[str]:
        found = {word for word in text.content_words if word[:N_STEM] not in known}
        return found - patterns.VAGUE_WORDS

    says_enough = candidate.opening.endswith(", and") or new(said)
    says_little = not says_enough and len(new(tokenize(candidate.opening))) < N_OWN_DEMAND
    if says_little and not patterns.LITERAL.search(rest):
        return RuleViolation(Reason.EQUAL_TO_PARENT, f"says little: {shown}")
    leaves_open = candidate.is_english and candidate.opening.endswith((",", " and if"))
    if candidate.is_english and patterns.BEGINS_A_CASE.match(candidate.opening):
        leaves_open, rest = True, candidate.added.text.partition(",")[2]
    if leaves_open and not patterns.CONSEQUENCE.search(rest):
        return RuleViolation(Reason.NOT_A_TASK, f"says no consequence: {shown}")
    return None


def _grew_too_much(candidate: CandidateTask) -> RuleViolation | None:
    n, rules = count_words(candidate.after.text), candidate.rules
    bound = min(rules.max_growth * count_words(candidate.before.text) + 60, rules.max_words)
    return RuleViolation(Reason.TOO_LONG, f"{n} words, at most {bound:.0f}") if n > bound else None


def find_hopeless(before: TokenizedText, rules: EliminateConfig) -> RuleViolation | None:
    """Return why no evolution of a task can pass the length rules, or None."""
    if not is_hopeless(before.text, rules):
        return None
    n = count_words(before.text)
    detail = f"the task itself has {n} words, and an evolution at most {rules.max_words}"
    return RuleViolation(
        Reason.TOO_LONG, f"{detail} (eliminate.max_words); the model was not asked"
    )


def is_hopeless(instruction: str, rules: EliminateConfig) -> bool:
    """Return whether no evolution of a task can pass the length rules."""
    return len(instruction) >= rules.max_words and count_words(instruction) >= rules.max_words


RULES: tuple[Rule, ...] = (
    _is_empty,
    _is_refusal,
    _loops,
    _leaves_the_natural_language,
    copies_the_prompt,
    copies_a_hint,
    _is_no_task,
    _contains_solution,
    prescribes_means,
    _is_boilerplate,
    _asks_several_tasks,
    _starts_another_task,
    _is_unrelated,
    _revokes_parent,
    _lacks_input,
    _loses_data,
    breaks_code,
    shortens,
    _lacks_required_content,
    _changes_the_language,
    _equals_its_parent,
    _is_met_anyway,
    _takes_back,
    _completes_badly,
    _grew_too_much,
)
"""All rules in order of precedence: the most informative reason comes first."""

SPOILED_RULES: tuple[Rule, ...] = (_is_empty, _lacks_required_content)
"""Those for a task that is its parent with a changed solution: all others judge new words."""

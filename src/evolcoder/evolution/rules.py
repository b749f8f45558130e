"""When an evolution has failed: one rule a function, and the first fault found is the reason.

Promises: rules look at words and marks alone, so the same text meets the same fate; every fault
says what was seen. What the parent says already is never a fault of its child. Does not promise
that what passes is harder, only that it fails in none of the ways listed here. A model that judges
is asked elsewhere, and never alone decides.

The rule that an evolution must not speak with the words of the prompt that asked for it.

Promises: what the parent says already is no copy. Does not look for what a model took from an
example in fewer than seven words.
"""

from collections.abc import Callable
from functools import lru_cache
from itertools import islice

from evolcoder.config.load import TASK_PLACEHOLDER
from evolcoder.evolution import patterns
from evolcoder.evolution.candidate import CandidateTask, RuleViolation, read
from evolcoder.evolution.heuristics import Heuristic, TaskContents
from evolcoder.evolution.parse import attachment, prose, refers
from evolcoder.records import Reason
from evolcoder.text import code_blocks, code_lines, longest_repeat, named_languages, words

COPIED_WORDS = 7
"""So many words in a row, taken from the prompt, are copied and no coincidence."""


def copies_the_prompt(draft: CandidateTask) -> RuleViolation | None:
    """Look for speech about the rewriting, gaps left open, and the words of prompt and examples."""
    if phrase := draft.newly_says(patterns.ABOUT_THE_PROMPT) or _asks_to_ask(draft):
        return RuleViolation(Reason.PROMPT_COPIED, phrase)
    text = draft.after.text
    if any(mark in text for mark in "{[<") and (gap := patterns.PLACEHOLDER.search(text)):
        return RuleViolation(Reason.PROMPT_COPIED, gap[0])
    return _copies_in_a_row(draft)


def _asks_to_ask(draft: CandidateTask) -> str:
    said = draft.after.said
    if " ask for " not in said or " ask for " in draft.before.said:
        return ""
    found = patterns.ASKS_TO_ASK.search(said)
    return found[0] if found else ""


def _copies_in_a_row(draft: CandidateTask) -> RuleViolation | None:
    """Look for a run of words that the template or an example holds and the parent does not."""
    split, (runs, marks) = draft.after.words, _asked(draft.heuristic)
    if draft.added is not None:
        # The parent's words stand first, and no run of them alone is a fault.
        split = split[max(0, len(draft.before.words) - COPIED_WORDS + 1) :]
    if marks.isdisjoint(zip(split, split[3:], split[COPIED_WORDS - 1 :], strict=False)):
        return None
    for at in range(len(split) - COPIED_WORDS + 1):
        run = " ".join(split[at : at + COPIED_WORDS])
        if run in runs and run not in draft.before.said:
            return RuleViolation(Reason.PROMPT_COPIED, run)
    return None


@lru_cache(maxsize=64)
def _asked(heuristic: Heuristic) -> tuple[frozenset[str], frozenset[tuple[str, str, str]]]:
    """Collect all runs of words that a prompt shows, and three words of each to look up first.

    Bounds are left out, since there are few ways to word one.
    """
    shown = [heuristic.template.replace(TASK_PLACEHOLDER, "\n")]
    shown += [text for example in heuristic.examples for text in (example.task, example.answer)]
    runs = [
        run
        for split in map(words, shown)
        for at in range(len(split) - COPIED_WORDS + 1)
        if not {"time", "space"} & set(run := split[at : at + COPIED_WORDS])
    ]
    return frozenset(map(" ".join, runs)), frozenset((run[0], run[3], run[-1]) for run in runs)


Rule = Callable[[CandidateTask], RuleViolation | None]

LEAST_BAIT = 12
"""Letters and digits below which a fence holds no code to speak of."""
FREE_LINES = 2
"""Lines of data or code that a task may add without being a solution."""


def fault(draft: CandidateTask) -> RuleViolation | None:
    """Return the first fault that the rules find, or None."""
    for rule in RULES:
        if found := rule(draft):
            return found
    return None


def _is_empty(draft: CandidateTask) -> RuleViolation | None:
    if draft.cut_off:
        return RuleViolation(Reason.TRUNCATED, "ended at the length limit")
    return None if draft.after.telling else RuleViolation(Reason.EMPTY, "no words")


def _is_refusal(draft: CandidateTask) -> RuleViolation | None:
    found = patterns.REFUSES.match((draft.added or draft.after).text)
    return RuleViolation(Reason.REFUSAL, found[0]) if found else None


def _loops(draft: CandidateTask) -> RuleViolation | None:
    repeated = longest_repeat(draft.after.text)
    return RuleViolation(Reason.LOOPING, repeated[:80]) if repeated else None


def _speaks_another_tongue(draft: CandidateTask) -> RuleViolation | None:
    text = draft.after.text
    if text.isascii():
        return None
    foreign = {c for c in text if ord(c) > 0x2FF and c.isalpha()} - set(draft.before.text)
    return (
        RuleViolation(Reason.WRONG_LANGUAGE, "".join(sorted(foreign))[:40])
        if len(foreign) > 3
        else None
    )


def _is_no_task(draft: CandidateTask) -> RuleViolation | None:
    first = draft.after.words[0]
    if first in patterns.OPENINGS or draft.before.words[:1] == (first,):
        return None
    if first not in patterns.WEAK_OPENINGS:
        return RuleViolation(Reason.NOT_A_TASK, f"begins with {first}")
    if not patterns.ASKS.search(draft.after.text):
        return RuleViolation(Reason.NOT_A_TASK, "asks for nothing")
    return None


def _solves(draft: CandidateTask) -> RuleViolation | None:
    if phrase := draft.newly_says(patterns.EXPLAINS):
        return RuleViolation(Reason.SOLVED, phrase)
    return _tells(draft) or _holds_code(draft)


def _tells(draft: CandidateTask) -> RuleViolation | None:
    """Look for an addition that says how things are or are done, and demands nothing."""
    if draft.added is None:
        return None
    text, first = draft.added.text, draft.added.words[:1]
    if first and patterns.TELLING_OPENINGS.issuperset(first) and not _demands(text):
        return RuleViolation(Reason.SOLVED, f"only tells: {text[:60]}")
    if first != ("use",) or draft.heuristic.holds is not TaskContents.NOTHING:
        return None
    found = patterns.MEANS.match(text)
    return RuleViolation(Reason.SOLVED, f"names the means: {found[0]}") if found else None


def _demands(text: str) -> bool:
    """Whether a word obliges, or a later sentence opens as one that demands may."""
    later = (
        sentence.split(maxsplit=1)[0] for sentence in patterns.SENTENCES.split(text.strip())[1:]
    )
    tells = all(word.strip(",:").lower() in patterns.TELLING_ON for word in later)
    return not tells or bool(patterns.OBLIGES.search(text))


def _holds_code(draft: CandidateTask) -> RuleViolation | None:
    """Look for code that the parent does not show; a parent that shows code may see it changed."""
    text, before = draft.after.text, draft.before.text
    blocks = [block.code for block in code_blocks(text)] if "```" in text else []
    lines = [line for code in blocks for line in code.splitlines()] + code_lines(text)
    added = [line.strip() for line in lines if line.strip() and line.strip() not in before]
    shown = len(code_lines(before))
    if len(added) > FREE_LINES + shown:
        return RuleViolation(Reason.SOLVED, f"{len(added)} lines of code, as {added[0][:60]}")
    return None


def _is_boilerplate(draft: CandidateTask) -> RuleViolation | None:
    text, before = draft.after.text, draft.before.text
    if "\n" not in text and "**" not in text and "#" not in text:
        return None
    if (found := patterns.HEADING.search(text)) and found[0].strip() not in before:
        return RuleViolation(Reason.BOILERPLATE, found[0].strip()[:60])
    if len(patterns.BULLET.findall(text)) > 4 + len(patterns.BULLET.findall(before)):
        return RuleViolation(Reason.BOILERPLATE, "a long list")
    return None


def _asks_several(draft: CandidateTask) -> RuleViolation | None:
    text = draft.after.text
    n = len(patterns.NEW_REQUEST.findall(text)) if "\n" in text else 0
    if n > max(1, len(patterns.NEW_REQUEST.findall(draft.before.text))):
        return RuleViolation(Reason.SEVERAL_TASKS, f"{n} tasks")
    return None


def _asks_something_else(draft: CandidateTask) -> RuleViolation | None:
    """Look for an addition that opens a task of its own."""
    found = patterns.ANOTHER_TASK.match(draft.added.text) if draft.added else None
    return RuleViolation(Reason.SEVERAL_TASKS, f"another task: {found[0]}") if found else None


def _is_unrelated(draft: CandidateTask) -> RuleViolation | None:
    """Look for a rewritten task that keeps too little of its parent's words."""
    if draft.added is not None:
        return None
    told = prose(draft.before.text)
    old = draft.before if told == draft.before.text else read(told)
    wanted = old.telling - patterns.EMPTY_WORDS
    kept = len(wanted & draft.after.telling)
    if kept >= draft.rules.min_kept * len(wanted):
        return None
    return RuleViolation(Reason.UNRELATED, f"keeps {kept} of {len(wanted)} words")


def _takes_back(draft: CandidateTask) -> RuleViolation | None:
    """Look for an addition that revokes the task that it stands behind."""
    added = draft.added
    if added is None or "instead" not in added.distinct:
        return None
    if patterns.INSTEAD.search(added.text):
        return RuleViolation(Reason.CONTRADICTS, "something else instead")
    found = patterns.INSTEAD_OF.search(added.text)
    if found is None or draft.heuristic.holds is not TaskContents.NOTHING:
        return None
    given_up = read(found[1]).telling - patterns.EMPTY_WORDS
    revoked = given_up and given_up <= draft.before.telling
    return RuleViolation(Reason.CONTRADICTS, found[0]) if revoked else None


def _lacks_its_input(draft: CandidateTask) -> RuleViolation | None:
    """Look for words that point at data which neither the parent nor the child shows."""
    text = draft.after.text if draft.added is None else draft.added.text
    found = refers(text)
    if not found or "\n" in text or any(mark in text for mark in "[{(\"'`:=“"):
        return None
    if draft.added is not None and draft.before.telling & read(found).telling:
        return None
    if draft.added is None and not attachment(draft.before.text):
        return None
    return RuleViolation(Reason.MISSING_INPUT, f"shows no {found}")


def _loses_its_data(draft: CandidateTask) -> RuleViolation | None:
    """Look for a rewritten task that begins in another way and holds little of its parent's data.

    One that begins as its parent does is taken to need the data no more.
    """
    rewritten = draft.added is None and draft.after.words[:3] != draft.before.words[:3]
    if not rewritten or "\n" in draft.after.text or "\n" not in draft.before.text:
        return None
    own = set(words(attachment(draft.before.text))).difference(words(prose(draft.before.text)))
    held = own & draft.after.distinct
    if not own or 2 * len(held) > len(own):
        return None
    return RuleViolation(Reason.MISSING_INPUT, f"holds {len(held)} of {len(own)} words of the data")


def _lacks_what_it_must_hold(draft: CandidateTask) -> RuleViolation | None:
    holds, bait = draft.heuristic.holds, draft.bait
    if holds is TaskContents.BOUND:
        said = (draft.added or draft.after).text
        asked = patterns.BOUND.search(said) and patterns.DEMANDS.search(said)
        return None if asked else RuleViolation(Reason.NO_BOUND, "demands no bound")
    if holds is not TaskContents.BAIT:
        return None
    if bait is None:
        return RuleViolation(Reason.NO_BAIT, "no code block")
    if not bait.closed or not _has_substance(bait.code):
        return RuleViolation(Reason.NO_BAIT, "not a whole piece of code")
    if f" {' '.join(words(bait.code))} " in draft.before.said:
        return RuleViolation(Reason.NO_BAIT, "the parent's own code")
    return None


def _has_substance(code: str) -> bool:
    """Whether code has letters and digits enough; it is read no further than that."""
    return sum(1 for _ in islice(filter(str.isalnum, code), LEAST_BAIT)) == LEAST_BAIT


def _changes_the_language(draft: CandidateTask) -> RuleViolation | None:
    language = draft.parent.language
    if language is None or language in draft.after.words:
        return None
    named = named_languages(draft.after.text, draft.after.words)
    if language in named:
        return None
    if not named and language not in named_languages(draft.before.text, draft.before.words):
        return None
    seen = ", ".join(sorted(named)) or "no language"
    return RuleViolation(Reason.WRONG_LANGUAGE, f"names {seen}, not {language}")


def _equals_its_parent(draft: CandidateTask) -> RuleViolation | None:
    if draft.after.words == draft.before.words:
        return RuleViolation(Reason.EQUAL_TO_PARENT, "the same words")
    if _only_asks_to_be_right(draft):
        return RuleViolation(Reason.EQUAL_TO_PARENT, "asks to be right")
    new = draft.new_words
    least = draft.rules.min_new_words if draft.heuristic.holds is TaskContents.NOTHING else 2
    if len(new) < least:
        return RuleViolation(Reason.EQUAL_TO_PARENT, f"new: {', '.join(sorted(new)) or 'nothing'}")
    if draft.heuristic.holds is not TaskContents.NOTHING:
        return None
    common = len(draft.after.telling & draft.before.telling)
    overlap = common / (len(draft.after.telling) + len(draft.before.telling) - common)
    if overlap > draft.rules.max_overlap:
        return RuleViolation(Reason.EQUAL_TO_PARENT, f"overlap {overlap:.2f}")
    return None


def _only_asks_to_be_right(draft: CandidateTask) -> bool:
    """Whether an addition wants something done correctly, as every task does unsaid."""
    if draft.added is None or "correct" in draft.before.said:
        return False
    return not draft.added.distinct.isdisjoint(("correct", "correctly"))


def _grew_too_much(draft: CandidateTask) -> RuleViolation | None:
    n, rules = len(draft.after.words), draft.rules
    bound = min(rules.max_growth * len(draft.before.words) + 60, rules.max_words)
    return RuleViolation(Reason.TOO_LONG, f"{n} words, at most {bound:.0f}") if n > bound else None


RULES: tuple[Rule, ...] = (
    _is_empty,
    _is_refusal,
    _loops,
    _speaks_another_tongue,
    copies_the_prompt,
    _is_no_task,
    _solves,
    _is_boilerplate,
    _asks_several,
    _asks_something_else,
    _is_unrelated,
    _takes_back,
    _lacks_its_input,
    _loses_its_data,
    _lacks_what_it_must_hold,
    _changes_the_language,
    _equals_its_parent,
    _grew_too_much,
)
"""In the order in which faults are told: what explains the most comes first."""

"""The rule that an evolution must not speak with the words of the prompt that asked for it.

Promises: what the parent says already is no copy. Does not look for what a model took from an
example in fewer than seven words.
"""

from functools import lru_cache

from evolcoder.config.load import TASK_PLACEHOLDER
from evolcoder.evolve import patterns
from evolcoder.evolve.candidate import Draft, Fault
from evolcoder.evolve.heuristics import Heuristic
from evolcoder.records import Reason
from evolcoder.text import words

COPIED_WORDS = 7
"""So many words in a row, taken from the prompt, are copied and no coincidence."""


def copies_the_prompt(draft: Draft) -> Fault | None:
    """Look for speech about the rewriting, gaps left open, and the words of prompt and examples."""
    if phrase := draft.newly_says(patterns.ABOUT_THE_PROMPT) or _asks_to_ask(draft):
        return Fault(Reason.PROMPT_COPIED, phrase)
    text = draft.after.text
    if any(mark in text for mark in "{[<") and (gap := patterns.PLACEHOLDER.search(text)):
        return Fault(Reason.PROMPT_COPIED, gap[0])
    return _copies_in_a_row(draft)


def _asks_to_ask(draft: Draft) -> str:
    said = draft.after.said
    if " ask for " not in said or " ask for " in draft.before.said:
        return ""
    found = patterns.ASKS_TO_ASK.search(said)
    return found[0] if found else ""


def _copies_in_a_row(draft: Draft) -> Fault | None:
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
            return Fault(Reason.PROMPT_COPIED, run)
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

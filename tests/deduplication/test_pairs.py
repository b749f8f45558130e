"""Two or three rows under one preamble are compared without it."""

import random

import pytest

from deduplication.hashing import Hashing
from deduplication.test_shared_text import BARLEY, HEADER, ONE_WORD, PLACES, TASKS
from evolcoder.deduplication.find import TURN_END, Document, Similarity, find_duplicates

INLINE = {"inline": HEADER + " {}", "inline behind": "{} " + HEADER}
SEVERAL_WORDS = {
    "other sentences": TASKS,
    "one frame": [
        "Write a function that returns the largest element of a list.",
        "Write a function that counts all vowels in a string.",
        "Write a function that removes every third key of a mapping.",
    ],
    "two sentences": [
        "Read a ledger. Print its longest page.",
        "Sum the fees. Return them by owner.",
        "Draw a tide. Mark the ebb in blue.",
    ],
    "with code": [
        "What does `sorted(a)[0]` give?",
        "How does `len(set(b))` count?",
        "Why does `x.append(3)` fail here?",
    ],
    "questions": ["How do I open a socket?", "Why is recursion slow?", "What are tuples for?"],
}

IN_SHORT_LINES = {
    name: tasks
    for name, tasks in (ONE_WORD | SEVERAL_WORDS).items()
    if name not in {"verb in a long task", "adjective"}
}
"""Not those with one other word in a long line, which cannot be told from copies."""


def matches(texts, answers=(), similarity=None, **more):
    """Numbers of the duplicates with those of their matches."""
    said = [*answers, *[""] * len(texts)]
    documents = [Document(str(n), text, ordinal=n, answer=said[n]) for n, text in enumerate(texts)]
    found = find_duplicates(documents, similarity or Similarity(), seed=0, **more)
    return {(int(one.id), int(one.match)) for one in found}


@pytest.mark.parametrize("n_rows", [2, 3])
@pytest.mark.parametrize("template", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("tasks", IN_SHORT_LINES.values(), ids=IN_SHORT_LINES)
def test_few_tasks_in_lines_of_their_own_are_no_duplicates(tasks, template, n_rows):
    """Without answers, unless most words of a long line are equal; doubles are still found."""
    texts = [template.format(task) for task in tasks[:n_rows]]
    assert matches(texts) == set()
    twins = [template.format(f"Please {tasks[1].upper()}"), template.format(f"{tasks[1]} !")]
    assert matches([texts[1], *twins]) == {(1, 0), (2, 0)}


@pytest.mark.parametrize("n_rows", [2, 3])
@pytest.mark.parametrize("template", (PLACES | INLINE).values(), ids=PLACES | INLINE)
@pytest.mark.parametrize("tasks", (ONE_WORD | SEVERAL_WORDS).values(), ids=ONE_WORD | SEVERAL_WORDS)
def test_unlike_answers_tell_tasks_under_a_preamble(tasks, template, n_rows):
    """Whatever the place of the task, and even if one word differs."""
    rng = random.Random(7)
    texts = [template.format(task) for task in tasks[:n_rows]]
    answers = [" ".join(f"w{rng.randrange(99)}" for _ in range(30)) for _ in texts]
    assert matches(texts, answers) == set()
    twin = template.format(f"Please {tasks[1].upper()}")
    assert matches([*texts, twin], [*answers, "quite another answer"]) == {(n_rows, 1)}


@pytest.mark.parametrize("template", INLINE.values(), ids=INLINE)
@pytest.mark.parametrize("tasks", SEVERAL_WORDS.values(), ids=SEVERAL_WORDS)
def test_sentences_with_other_words_are_other_tasks_without_a_line_end(tasks, template):
    """A preamble may end in the middle of a line."""
    assert matches([template.format(task) for task in tasks[:3]]) == set()


@pytest.mark.parametrize("answers", [(), ("x = 1\ny = 2",) * 4], ids=["none", "alike"])
def test_copies_of_a_long_text_stay_duplicates(answers):
    """A changed word, another phrase in a long sentence, a courtesy, the number of the question."""
    changes = [
        HEADER.replace("clerk", "scribe"),
        HEADER.replace("explain each step", "give every reason"),
        f"Hello! {HEADER} Thanks.",
        f"Question 7: {HEADER}",
        HEADER.replace("the code", "a code"),
    ]
    for change in changes:
        assert matches([HEADER, change], answers) == {(1, 0)}


@pytest.mark.parametrize("seed", range(5))
def test_copies_with_changes_here_and_there_stay_duplicates(seed):
    """One line of 200 words in sentences of ten, of which up to six words are changed."""
    rng = random.Random(seed)
    drawn = ["".join(rng.choices("klmnopq", k=6)) for _ in range(200)]
    words = [word + "." * (n % 10 == 9) for n, word in enumerate(drawn)]
    for n_changed in range(1, 7):
        changed = [*words]
        for at in rng.sample(range(20, 180, 12), n_changed):
            changed[at] = f"z{'abcdefgh'[n_changed]}"
        assert matches([" ".join(words), " ".join(changed)]) == {(1, 0)}


def test_answers_alike_tell_a_copy():
    """A word changed in a line of its own, with the same answer."""
    texts = [f"{HEADER}\n{BARLEY}\nReturn a {word}." for word in ("list", "sequence")]
    answers = ["def f(a):\n    return sorted(a)", "def f(a):\n    return  sorted(a)"]
    assert matches(texts) == set()
    assert matches(texts, answers) == {(1, 0)}


def test_tasks_under_a_preamble_are_told_by_meaning_too():
    """And the same task under it, in other words, is found."""
    meaning = Similarity(near=None, meaning=0.9)
    texts = [f"{HEADER}\n{task}" for task in ("Sort a list of names.", "Find the primes below n.")]
    twin = f"{HEADER}\nSort names of a list."
    found = matches([*texts, twin], similarity=meaning, embedder=Hashing())
    assert found == {(2, 0)}


def test_turns_of_chats_are_compared_each():
    """A preamble in one turn, and tasks behind it."""
    chats = [
        TURN_END.join([f"{HEADER}\n{task}", "Which names?", "All of them.", "Done."])
        for task in ("Sort the names.", "Merge two trees.", "SORT the names!")
    ]
    assert matches(chats) == {(2, 0)}

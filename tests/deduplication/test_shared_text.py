"""A header that most rows share makes no duplicates, and hides none."""

import random

import pytest

from deduplication.hashing import Hashing
from evolcoder.deduplication.find import TURN_END, Document, Similarity, find_duplicates

HEADER = (
    "You answer questions of harbour masters who keep ledgers. Follow the rules of the guild, name "
    "every vessel as it is named in the question, explain each step before you give the program, "
    "mind what happens where a ledger is empty or a page is missing, use nothing but what comes "
    "with the language, keep the names of functions as they are given, and put all of the code "
    "into one fenced block that runs as it is, since a clerk will copy it into the ledger by hand."
)
TASKS = (
    "Write a function that reverses the order of vessels in a list.",
    "Count the barley sacks of each owner.",
    "Merge two sorted tide tables into one.",
    "Tell whether a berth number is prime.",
    "Find the longest common route of two pilots.",
    "Sort a list.",
    "Compute the fee of each voyage from its weight, its distance and the season it leaves in.",
)
SHOTS = f"Question: add 2 and 3.\nAnswer: 5.\nQuestion: {HEADER}\nAnswer: yes.\nQuestion: "


def drops(texts, similarity=None, **more):
    """Ids of the duplicates with their matches, and what was taken as shared."""
    documents = [Document(str(n), text, ordinal=n) for n, text in enumerate(texts)]
    shared = []
    found = find_duplicates(documents, similarity or Similarity(), seed=0, shared=shared, **more)
    return {(int(one.id), int(one.match)) for one in found}, shared


@pytest.mark.parametrize(
    "template",
    [
        HEADER + "\n\n### Task:\n{}",
        HEADER + " {}",
        "{}\n" + HEADER,
        HEADER[:250] + "\n{}\n" + HEADER[250:],
        SHOTS + "{}\nAnswer:",
        HEADER.upper() + "\t{}",
    ],
)
@pytest.mark.parametrize("similarity", [Similarity(), Similarity(near=None, meaning=0.95)])
def test_a_shared_text_makes_no_duplicates_and_hides_none(template, similarity):
    """In front of a task, behind it, around it; real duplicates under it are still found."""
    more = {"embedder": Hashing()} if similarity.meaning else {}
    texts = [template.format(task) for task in TASKS]
    found, shared = drops(texts, similarity, **more)
    assert found == set()
    assert shared
    found, _ = drops([*texts, template.format(f"{TASKS[6]} Thanks"), texts[2]], similarity, **more)
    assert found >= {(8, 2)}
    assert found <= {(8, 2), (7, 6)}
    assert similarity.near is None or (7, 6) in found


def test_a_minority_without_the_header_is_compared_as_before():
    """Rows of another kind in the same data keep their duplicates."""
    plain = "Draw the harbour with its three piers, the lighthouse and the long grey wall at night"
    texts = [f"{HEADER} {task}" for task in TASKS]
    assert drops([*texts, plain, f"{plain} now"])[0] == {(8, 7)}


@pytest.mark.parametrize("n_rows", [2, 3, 6, 40])
def test_copies_with_a_changed_word_are_duplicates_however_many(n_rows):
    """What most rows share is no header if nothing else of a row is left."""
    texts = [HEADER, *(f"{HEADER} {word}" for word in "now please today soon thanks".split())]
    texts += [HEADER.replace("clerk", f"clerk{n}") for n in range(40)]
    found, _ = drops(texts[:n_rows])
    assert {match for _, match in found} == {0}
    assert len(found) == n_rows - 1


def test_rows_that_say_nothing_but_the_header_are_doubles():
    """An empty rest is never compared: such rows match each other and no task."""
    texts = [*(f"{HEADER}\n{task}" for task in TASKS), HEADER, HEADER, HEADER.upper()]
    assert drops(texts)[0] == {(8, 7), (9, 7)}


def test_copies_of_one_row_are_no_header():
    """A text is counted once however often it is repeated."""
    rows = [f"{HEADER} {TASKS[0]}"] * 8
    found, shared = drops([*rows, f"{HEADER} {TASKS[0]} now", "Sort a list.", "Count vessels."])
    assert found == {(n, 0) for n in range(1, 9)}
    assert shared == []


def test_the_order_of_rows_does_not_matter():
    """A sample by hash finds the same header and the same duplicates."""
    rng = random.Random(5)
    tasks = [" ".join(f"w{rng.randrange(9999)}" for _ in range(9)) for _ in range(600)]
    texts = [f"{HEADER} {task}" for task in [*tasks, *(f"{task} now" for task in tasks[:50])]]
    first, shared = drops(texts)
    order = rng.sample(range(len(texts)), len(texts))
    documents = [Document(str(n), texts[n], ordinal=n) for n in order]
    second = find_duplicates(documents, Similarity(), seed=0)
    assert first == {(int(one.id), int(one.match)) for one in second}
    assert first == {(600 + n, n) for n in range(50)}
    assert len(shared) == 1


PLACES = {
    "front": HEADER + "\n\n### Task:\n{}",
    "behind": "{}\n\n" + HEADER,
    "around": HEADER[:250] + "\n{}\n" + HEADER[250:],
}
ONE_WORD = {
    "verb": [f"{one} a list." for one in "Reverse Rotate Sort Shuffle".split()],
    "verb in a long task": [
        f"Write a function that {one} a list of integers."
        for one in "reverses rotates sorts shuffles flattens".split()
    ],
    "adjective": [
        f"Write a function that takes a list and returns the {one} element of it."
        for one in "largest smallest middle first rarest".split()
    ],
    "object": [f"Reverse a {one}." for one in "list string tree number stack".split()],
    "verb and object": [
        f"{verb} the {noun}."
        for verb in ("Reverse", "Rotate", "Sort")
        for noun in ("list", "tree", "string", "graph")
    ],
    "name": [f"Write the function `{one}`." for one in "gcd lcm is_prime rev_list".split()],
    "stub": [f"def {one}(xs):" for one in "reverse rotate sort shuffle".split()],
    "number": [f"Print the first {one} primes." for one in (5, 10, 20, 30, 40)],
    "number at the end": [f"Compute Fibonacci number {one}" for one in (5, 10, 20, 30)],
    "nothing else": "reverse rotate sort shuffle flatten".split(),
    "many": [
        f"Find the {one} of a number."
        for one in """root square cube digits factors primes divisors sign parity bits length sum
        product half double triple exponent inverse ceiling floor residue modulus complement
        rank""".split()
    ],
}


@pytest.mark.parametrize("template", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("tasks", ONE_WORD.values(), ids=ONE_WORD)
def test_one_other_word_under_a_header_is_another_task(template, tasks):
    """What remains without the header decides; the same task in other words stays a duplicate."""
    texts = [template.format(task) for task in tasks]
    found, shared = drops(texts)
    assert found == set()
    assert shared
    twins = [template.format(f"Please {tasks[1].upper()}"), template.format(f"{tasks[1]} !")]
    assert drops([*texts, *twins])[0] == {(len(texts), 1), (len(texts) + 1, 1)}


BARLEY = "Return the owner whose barley sacks weigh most in a ledger."
COPIES = {
    "courtesies": [f"{BARLEY} {one}" for one in ("", "now", "please", "thanks", "today")],
    "numbered questions": [f"Question {n}: {BARLEY}" for n in range(5)],
    "numbered names": [f"solve_{n}" for n in range(5)],
    "nothing": ["", "please", "now", "thanks", "hello"],
}


@pytest.mark.parametrize("template", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("tasks", COPIES.values(), ids=COPIES)
def test_what_makes_no_other_task_under_a_header_stays_a_duplicate(template, tasks):
    """Courtesies, the number of a row, and numbers within a name."""
    found, _ = drops([template.format(task) for task in tasks])
    assert found == {(n, 0) for n in range(1, len(tasks))}


@pytest.mark.parametrize(("n_words", "n_rows"), [(60, 4), (60, 40), (90, 4), (90, 6), (90, 150)])
@pytest.mark.parametrize("seed", range(3))
def test_copies_with_other_words_in_other_places_are_duplicates(n_words, n_rows, seed):
    """Tasks differ at one place of a header, copies of a text anywhere."""
    rng = random.Random(seed)
    words = (HEADER + " " + HEADER[::-1]).split()[:n_words]
    texts = [" ".join(words)]
    for n in range(n_rows - 1):
        changed = [*words]
        changed[rng.randrange(n_words)] = "".join(rng.choices("klmnopq", k=7)) + "xyz"[n % 3]
        texts.append(" ".join(changed))
    assert drops(texts)[0] == {(n, 0) for n in range(1, n_rows)}


@pytest.mark.parametrize("template", PLACES.values(), ids=PLACES)
def test_a_header_of_few_rows_is_a_header(template):
    """Each of several sources of a data set may have its own."""
    rng = random.Random(3)
    others = [" ".join(f"w{rng.randrange(9999)}" for _ in range(12)) for _ in range(50)]
    tasks = ONE_WORD["verb in a long task"] + ONE_WORD["object"]
    texts = [template.format(task) for task in [*tasks, f"{tasks[3]} !"]]
    second = [f"{HEADER[::-1]} {task}" for task in tasks]
    assert drops([*texts, *others])[0] == {(10, 3)}
    assert drops([*texts, *others, *second])[0] == {(10, 3)}


def test_a_header_in_one_turn_of_a_chat_is_left_out():
    """Whichever turn has it; tasks differ as they do elsewhere."""
    chats = [
        TURN_END.join(["Hi.", "What can I do?", f"{HEADER} {task}", "Done."])
        for task in [*ONE_WORD["verb"], "ROTATE a list!!"]
    ]
    assert drops(chats)[0] == {(4, 1)}

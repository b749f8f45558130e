"""Duplicates are dropped by precedence, independently of the order of arrival."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deduplication.hashing import Hashing
from evolcoder.deduplication.find import TURN_END, Document, Similarity, find_duplicates
from evolcoder.deduplication.minhash import choose_bands, fold, jaccard, shingles

LONG = [
    f"{a} {b} {c}"
    for a in "sort merge split".split()
    for b in "list tree".split()
    for c in "fast twice backwards".split()
]
PIECES = st.lists(st.sampled_from(LONG), min_size=0, max_size=12).map(" then ".join)
ENTRIES = st.lists(
    st.builds(
        Document,
        id=st.integers(0, 10**6).map(str),
        text=PIECES,
        round=st.integers(0, 3),
        ordinal=st.integers(0, 5),
        is_verified=st.booleans(),
        is_external=st.booleans(),
    ),
    max_size=25,
    unique_by=lambda entry: entry.id,
)


def words(n, start=0):
    return " ".join(f"w{at}" for at in range(start, start + n))


def drops(entries, likeness=None, **more):
    found = find_duplicates(entries, likeness or Similarity(), seed=0, **more)
    return {d.id: (d.match, d.kind.value, d.similarity) for d in found}


def test_case_and_white_space_make_no_difference():
    """Texts that differ in case, white space or Unicode normalisation are exact duplicates."""
    found = drops([Document("a", "Café: sort  it"), Document("b", "cafe\u0301:\nSORT it")])
    assert found == {"b": ("a", "exact", 1.0)}


def test_a_turn_ends_where_it_ends():
    """Chats of the same words in other turns are no duplicates."""
    chats = (["Sort it.", "x y", "z"], ["Sort it. x", "y", "z"])
    documents = [Document(str(n), TURN_END.join(turns)) for n, turns in enumerate(chats)]
    assert not list(find_duplicates(documents, Similarity(), seed=0))


def test_a_near_duplicate_names_its_match_and_the_exact_similarity():
    """Similarity is the exact Jaccard index, not an estimate."""
    one, two = words(100), words(100, start=4)
    found = drops([Document("a", one), Document("b", two)])
    assert found == {"b": ("a", "near", round(jaccard(shingles(one), shingles(two)), 6))}


def test_below_the_threshold_both_stay():
    """Texts below the threshold are no duplicates, even if they share a band."""
    assert drops([Document("a", words(100)), Document("b", words(100, start=20))]) == {}


def test_no_chain_drops_a_row():
    """A resembles B and B resembles C, but not A and C: C is kept, since B is dropped."""
    chain = [Document(f"{at}", words(100, start=8 * at), ordinal=at) for at in range(3)]
    assert set(drops(chain)) == {"1"}


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        (Document("z", "x", is_verified=True, round=3), Document("a", "x")),
        (Document("z", "x", round=1, ordinal=9), Document("a", "x", round=2, ordinal=0)),
        (Document("z", "x", ordinal=1), Document("a", "x", ordinal=2)),
        (Document("z", "x", is_external=True, round=9), Document("a", "x", is_verified=True)),
    ],
)
def test_the_survivor_follows_the_rule(better, worse):
    """Precedence: external rows, verified ones, earlier rounds, smaller ordinals."""
    for pair in ([better, worse], [worse, better]):
        assert drops(pair) == {"a": ("z", "exact", 1.0)}


def test_nothing_of_another_data_set_is_dropped():
    """External rows are only compared with ours."""
    beside = [Document("x", "same", is_external=True), Document("y", "same", is_external=True)]
    assert set(drops([*beside, Document("a", "same"), Document("b", "other")])) == {"a"}


def test_a_child_is_not_compared_with_its_parent():
    """A parent and child may be equal; an unrelated equal row is dropped."""
    family = [Document("p", "same"), Document("c", "same", round=1, parent="p")]
    assert drops(family) == {}
    assert drops([*family, Document("s", "same", round=2)])["s"][0] in {"p", "c"}


def test_meaning_drops_what_words_do_not_show():
    """With an embedder, texts with a high cosine are duplicates; the cosine is reported."""
    entries = [Document("a", "abc" * 9 + " xyz"), Document("b", "abc" * 9 + " xyz!")]
    found = drops(entries, Similarity(exact=False, near=None, meaning=0.9), embedder=Hashing())
    assert found["b"][:2] == ("a", "meaning")
    assert 0.9 <= found["b"][2] < 1


def test_another_language_is_another_task():
    """The same task for another programming language is no near-duplicate."""
    task = "Write a {} program that reads a file of numbers and prints how often each occurs, sorted by number, one per line, and then the sum of all"
    tasks = [Document(name, task.format(name)) for name in ("C", "C++", "Python", "Java")]
    assert drops(tasks, Similarity(near=0.6)) == {}
    assert set(
        drops([*tasks, Document("x", task.format("Python script or"))], Similarity(near=0.6))
    ) == {"x"}


@pytest.mark.e2e
def test_odd_texts_end_in_a_verdict():
    """Empty texts, lone surrogates, NUL, punctuation and a megabyte are compared like others."""
    odd = [
        "",
        "\ud800",
        "\x00\x00",
        "!!!",
        "…",
        "语言 模型 训练",
        "a" * 1_000_000,
        "x y " * 250_000,
    ]
    entries = [Document(f"{at}{copy}", text) for at, text in enumerate(odd) for copy in "ab"]
    found = drops(entries, Similarity(meaning=0.99), embedder=Hashing())
    assert {id for id in found if id.endswith("b")} == {f"{at}b" for at in range(len(odd))}


@settings(max_examples=60, deadline=None)
@given(entries=ENTRIES, seed=st.integers(0, 2**32))
def test_the_order_of_arrival_does_not_matter(entries, seed):
    """Documents in any order give the same drops, matches and similarities."""
    shuffled = random.Random(seed).sample(entries, len(entries))
    likeness = Similarity(near=0.6, meaning=0.97)
    first, second = (drops(some, likeness, embedder=Hashing()) for some in (entries, shuffled))
    assert first == second


@settings(max_examples=60, deadline=None)
@given(entries=ENTRIES)
def test_every_match_is_kept_and_similar(entries):
    """A match is kept, precedes the drop and is similar; no two kept rows have equal texts."""
    by_id = {entry.id: entry for entry in entries}
    found = drops(entries, Similarity(near=0.6))
    for id, (match, kind, similarity) in found.items():
        mine, theirs = (shingles(fold(by_id[one].text)) for one in (id, match))
        assert match not in found
        assert similarity >= (1 if kind == "exact" else 0.6)
        assert kind == "exact" or similarity == round(jaccard(mine, theirs), 6)
    kept = [fold(e.text) for e in entries if e.id not in found and not e.is_external]
    assert len(kept) == len(set(kept))


def test_nearly_all_planted_duplicates_are_found():
    """MinHash finds at least 97 % of duplicates just above the threshold, for three seeds."""
    rng = random.Random(7)
    entries, planted = [], set()
    for at in range(300):
        text = [f"v{rng.randrange(10**6)}" for _ in range(120)]
        twin = [*text]
        for place in (10, 40, 70, 100):
            twin[place] = "changed"
        entries += [Document(f"a{at}", " ".join(text)), Document(f"b{at}", " ".join(twin))]
        planted.add(f"b{at}")
    for seed in range(3):
        found = {d.id for d in find_duplicates(entries, Similarity(), seed=seed)}
        assert found <= planted
        assert len(found) >= 0.97 * len(planted)


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.8, 0.9, 1.0])
def test_bands_find_pairs_at_the_threshold(threshold):
    """At least 99 % of pairs at the threshold share a band."""
    n_bands, width = choose_bands(threshold, 128)
    assert n_bands * width <= 128
    assert 1 - (1 - threshold**width) ** n_bands >= 0.99


QUESTION = (
    "What does {} return for two integers where one is negative and the other is odd, and why?"
)
BLOCK = "Say which branch of this code runs and what it prints in the end:\n```python\nx = a {} b\nprint(x)\n```"


@pytest.mark.parametrize("template", [QUESTION, BLOCK])
@pytest.mark.parametrize(("one", "other"), [("+", "-"), ("<<", ">>"), ("//", "/"), ("==", "!=")])
def test_code_with_other_operators_is_another_task(template, one, other):
    """Word n-grams do not see operators, which may be all in which two tasks differ."""
    inner = "`a {} b`" if template is QUESTION else "{}"
    texts = [template.format(inner.format(sign)) for sign in (one, other)]
    assert not drops([Document(str(n), text) for n, text in enumerate(texts)])


@pytest.mark.parametrize(
    "other",
    [
        QUESTION.format("`a+b`"),
        QUESTION.format("**a + b**"),
        f"- {QUESTION.format('`a + b`')}",
        f"{QUESTION.format('`a + b`')} >>> Thanks!",
        f"{QUESTION.format('`a - b`')} Explain it in one short sentence.",
    ],
)
def test_other_marks_make_no_other_task(other):
    """Layout, marks around code and edits that change words leave a near duplicate one."""
    entries = [Document("0", QUESTION.format("`a + b`")), Document("1", other)]
    assert len(list(drops(entries, Similarity(near=0.7)))) == 1

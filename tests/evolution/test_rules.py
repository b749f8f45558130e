"""Every kind of failed evolution has its reason; unusual but good ones pass."""

from dataclasses import replace

import pytest

from evolcoder.config.load import EliminateConfig
from evolcoder.evolution.candidate import CandidateTask, tokenize
from evolcoder.evolution.heuristics import BUILT_IN, ExampleForm, TaskContents
from evolcoder.evolution.parse import parse
from evolcoder.evolution.prompts import HINTS, WHOLE_TASK_HINTS
from evolcoder.evolution.rewriting import copies_a_hint
from evolcoder.evolution.rules import RULES, find_violation
from evolcoder.programming_language import named_language
from evolcoder.records import Reason, Task
from evolcoder.text import words

BY_NAME = {heuristic.name: heuristic for heuristic in BUILT_IN}
SORT = "Write a Python function that sorts a list of numbers."
DATA = "Print the last two elements of the following array.\nlet a = [1, 2, 3];"


def judged(answer, parent=SORT, *, heuristic="specialise", cut_off=False, **rules):
    """Parse an answer and return the reason of its first violation, or None."""
    chosen = BY_NAME[heuristic]
    parsed = parse(answer, parent, chosen)
    task = Task.seed(parent, ordinal=0, language=named_language(parent))
    added = None if parsed.addition is None else tokenize(parsed.addition)
    found = find_violation(
        CandidateTask(
            task,
            tokenize(parent),
            tokenize(parsed.text),
            added,
            parsed.distractor,
            cut_off,
            chosen,
            EliminateConfig(**rules),
        )
    )
    return found and found.reason


GOOD = (
    "Write a Python function that sorts version strings such as 1.10.2 by their numeric parts, "
    "pre-releases before their release."
)


@pytest.mark.parametrize(
    ("answer", "parent", "heuristic"),
    [
        (GOOD, SORT, "specialise"),
        ("Skip entries that are not finite, and keep equal ones in place.", SORT, "constrain"),
        ("Ensure your solution does not use slicing, and rank complex entries by magnitude.", SORT, "constrain"),
        ("It must run in O(n log n) time and O(1) extra space.", SORT, "complexity"),
        ("It must take linear time for small integers.", SORT, "complexity"),
        ("```python\ndef f(x):\n    return sorted(x)\n```\nDemand: Sort by absolute magnitude.", SORT, "misdirect"),
        ("How would you merge sorted runs that do not fit into memory?", "How to sort?", "deepen"),
        ("Given a list of meetings, return the pairs that overlap, earliest first, in Python.", SORT, "specialise"),
        ("Print the last two even elements of the following array, the larger first.\nlet a = [1, 4, 6];", DATA, "specialise"),
        ("Print every second element from the end of the following array, separated by dashes.", DATA, "specialise"),
        ("This must also work for values that do not compare, such as None.", SORT, "constrain"),
        ("The caller should get a new list, and a tie keeps its order.", SORT, "constrain"),
        ("Use a built-in loop over chunks, and merge sorted runs from disk.", SORT, "constrain"),
        ("Use the function to write a method that ranks rows by their medians.", SORT, "deepen"),
        ("Walk through it by recursion instead of a loop, and skip negative entries.", SORT, "constrain"),
        ("Ask for the user's name and age first, and greet adults by name.", SORT, "constrain"),
        ("Also offer descending order by a parameter, and skip missing entries.", "Write a Python function that puts a list into ascending order.", "constrain"),
        ("```python\ndef f(x):\n    return sorted(x)\n```\nDemand: It must also treat unusual inputs such as NaN.", SORT, "misdirect"),
        ("Use a class that counts comparisons, and report them per element.", SORT, "constrain"),
        ("Write a Python function that sorts names in ñandú order: á, é, í, then ö and ü.", SORT, "specialise"),
    ],
)  # fmt: skip
def test_good_evolutions_pass(answer, parent, heuristic):
    """Rules reject failures, not styles."""
    assert judged(answer, parent, heuristic=heuristic) is None


@pytest.mark.parametrize(
    ("answer", "parent", "heuristic", "reason"),
    [
        ("", SORT, "constrain", Reason.EMPTY),
        ("...", SORT, "specialise", Reason.EMPTY),
        ("I'm sorry, but I can't assist with that.", SORT, "specialise", Reason.REFUSAL),
        (f"{GOOD} " + "Sort it once more, please. " * 9, SORT, "specialise", Reason.LOOPING),
        ("写一个函数,对版本字符串进行排序,并返回结果列表。", SORT, "specialise", Reason.WRONG_LANGUAGE),
        ("Write a Java method that sorts version strings by numeric parts.", SORT, "specialise", Reason.WRONG_LANGUAGE),
        ("Write a function that sorts version strings by numeric parts and release.", SORT, "specialise", Reason.WRONG_LANGUAGE),
        ("Write a Python function for the original task that also sorts by length, case and origin.", SORT, "specialise", Reason.PROMPT_COPIED),
        ("Add more requirements, such as two keys with tie breaking.", SORT, "constrain", Reason.PROMPT_COPIED),
        ("Write a Python function for [your task here] with two sort keys.", SORT, "specialise", Reason.PROMPT_COPIED),
        ("Skip entries that are not numbers, and raise a ValueError if nothing is left to add.", SORT, "constrain", Reason.PROMPT_COPIED),
        ("Python lists are sorted with the built-in sorted, which is stable.", SORT, "specialise", Reason.NOT_A_TASK),
        ("In Python, lists keep order and allow duplicate entries of any kind", SORT, "specialise", Reason.NOT_A_TASK),
        ("Write a Python function that sorts by two keys. You can use a tuple as the key.", SORT, "specialise", Reason.SOLVED),
        ("To solve this, sort by the first key in Python and then the second.", SORT, "constrain", Reason.SOLVED),
        ("To sort the list, compare neighbours and swap those out of order until none is left.", SORT, "deepen", Reason.SOLVED),
        ("The complexity of sorting is linearithmic, since each level of merging reads all.", SORT, "deepen", Reason.SOLVED),
        ("```python\ndef f(x):\n    return x\n```\nDemand: The correct code should be sorted by magnitude.", SORT, "misdirect", Reason.SOLVED),
        ("Use a for loop to compare neighbours, and swap those out of order.", SORT, "constrain", Reason.SOLVED),
        ("Use a function to put neighbours into order, and call it until none is left.", SORT, "constrain", Reason.SOLVED),
        ("Take a matrix of words instead of a list, and skip those with digits.", SORT, "constrain", Reason.CONTRADICTS),
        ("Use the 'sort' method to put the entries into ascending order.", SORT, "deepen", Reason.SOLVED),
        ("Then ask for the median of all numbers, and of each quarter.", SORT, "deepen", Reason.PROMPT_COPIED),
        ("Handle infinity and zero, and ask for a function that prints both.", SORT, "constrain", Reason.PROMPT_COPIED),
        ("Then work out something harder, such as the median of medians.", SORT, "deepen", Reason.PROMPT_COPIED),
        ("Handle negative numbers and zero correctly, also in long lists.", SORT, "constrain", Reason.EQUAL_TO_PARENT),
        ("Show the last even elements of a list, the odd ones as dashes between neighbours.", DATA, "specialise", Reason.MISSING_INPUT),
        (f"{GOOD}\n```python\ndef f(x):\n    y = sorted(x)\n    return y\n```", SORT, "specialise", Reason.SOLVED),
        (f"{GOOD}\ndef f(x):\n    y = sorted(x)\n    z = y[0]\n    return f(z)", SORT, "specialise", Reason.SOLVED),
        (f"{GOOD}\n## Constraints\nNone is negative.", SORT, "specialise", Reason.BOILERPLATE),
        (f"{GOOD}\n- one\n- two\n- three\n- four\n- five", SORT, "specialise", Reason.BOILERPLATE),
        (f"{GOOD}\nWrite a program that prints Python versions.", SORT, "specialise", Reason.SEVERAL_TASKS),
        ("Implement an algorithm for the towers of Hanoi.", "Print all permutations of a string.", "deepen", Reason.SEVERAL_TASKS),
        ("Write a haiku about the zoo and its keeper at dawn.", SORT, "specialise", Reason.UNRELATED),
        ("Its time complexity is O(n log n) for n numbers.", SORT, "complexity", Reason.NO_BOUND),
        ("Count how often each country occurs in this dataset and chart it", SORT, "constrain", Reason.MISSING_INPUT),
        ("Sort them in descending order by absolute value instead.", SORT, "constrain", Reason.CONTRADICTS),
        ("It must be as fast as any sorting network known.", SORT, "complexity", Reason.NO_BOUND),
        ("計算量は入力の長さに比例すること。", "数値のリストを並べ替える関数を書いてください。", "complexity", Reason.NO_BOUND),
        ("Sort by absolute value and keep equal ones in place.", SORT, "misdirect", Reason.NO_BAIT),
        ("```python\nx\n```\nDemand: Sort by absolute magnitude.", SORT, "misdirect", Reason.NO_BAIT),
        ("Demand: Sort by value.\n```python\ndef f(numbers):\n    return sor", SORT, "misdirect", Reason.NO_BAIT),
        ("```python\ndef f(x):\n    return x\n```\nDemand: It must also treat unusual inputs.", SORT, "misdirect", Reason.PROMPT_COPIED),
        ("```python\ndef f(x):\n    return x\n```\nDemand: Sort by length, but you should not mend it.", SORT, "misdirect", Reason.PROMPT_COPIED),
        ("```python\ndef f(x):\n    if not x:\n        raise ValueError\n    return sorted(x)\n```\nDemand: It must also raise an error for an empty list.", SORT, "misdirect", Reason.NO_BAIT),
        ("Add a line of code to read every entry into memory twice.", SORT, "constrain", Reason.SOLVED),
        ("Then use the `heapq.merge()` function to join both halves again.", SORT, "deepen", Reason.SOLVED),
        ("Use the 'sorted' call for halves, and merge them by hand after that.", "Write a Python function that orders numbers without using sorted.", "constrain", Reason.CONTRADICTS),
        ("Put them into descending order by magnitude, and skip missing entries.", "Write a Python function that puts a list into ascending order.", "constrain", Reason.CONTRADICTS),
        ("Add a check to see if the list of numbers that the Python function sorts is a list of numbers, please.", SORT, "constrain", Reason.EQUAL_TO_PARENT),
        ("Fix this Python code, which should return the mean and the median of numbers.\n```python\ndef mean(v):\n    total = sum(v)\n```", "Fix this Python code, which should return the mean.\n```python\ndef mean(v):\n    total = sum(v)\n    return total / len(v)\n```", "specialise", Reason.MISSING_INPUT),
        (SORT, SORT, "specialise", Reason.EQUAL_TO_PARENT),
        ("Write a Python function which properly sorts a given list of numbers.", SORT, "specialise", Reason.EQUAL_TO_PARENT),
        ("Ensure that the code is efficient, well documented and readable.", SORT, "constrain", Reason.EQUAL_TO_PARENT),
        (" ".join([GOOD, *(f"Item{n} matters." for n in range(99))]), SORT, "specialise", Reason.TOO_LONG),
    ],
)  # fmt: skip
def test_every_violation_has_its_reason(answer, parent, heuristic, reason):
    """One observed answer of each kind."""
    assert judged(answer, parent, heuristic=heuristic) is reason


def test_a_truncated_answer_is_rejected():
    """A task without its end is rejected, however well it starts."""
    assert judged(GOOD, cut_off=True) is Reason.TRUNCATED


def test_a_task_that_refers_to_data_must_show_it():
    """A child of a parent with data must not refer to missing data."""
    lost = "Print the last elements of the following array reversed, dashes between odd neighbours"
    assert judged(lost, DATA) is None
    chosen, task = BY_NAME["specialise"], Task.seed(DATA, ordinal=0, language=None)
    draft = CandidateTask(
        task, tokenize(DATA), tokenize(lost), None, None, False, chosen, EliminateConfig()
    )
    found = find_violation(draft)
    assert found is not None
    assert found.reason is Reason.MISSING_INPUT


def test_a_rewritten_task_with_a_new_opening_must_keep_most_of_its_parents_data():
    """The same opening or most of the data suffices."""
    anew = "Show the last even elements of {}, the odd ones as dashes between neighbours."
    assert judged(anew.format("a list"), DATA) is Reason.MISSING_INPUT
    assert judged(anew.format("the array a = [1, 2, 3]"), DATA) is None
    assert judged(f"Print the last two {anew[5:].format('a list')}", DATA) is None


def test_correctness_is_a_requirement_if_the_parent_is_about_it():
    """Otherwise asking for correctness adds nothing."""
    added = "Count the misspelt words, and list each with the correct spelling."
    assert judged(added, SORT, heuristic="constrain") is Reason.EQUAL_TO_PARENT
    parent = "Write a Python function that tells whether a word has its correct spelling."
    assert judged(added, parent, heuristic="constrain") is None


def test_an_addition_may_explain_before_it_requires_something():
    """A text that only explains is rejected."""
    scene = "The lines arrive compressed and some are damaged. "
    asks = "Skip damaged ones, count them, and group the rest by calendar week."
    assert judged(scene + asks, SORT, heuristic="constrain") is None
    tells = "If a line is damaged, its checksum differs from the rest by one."
    assert judged(scene + tells, SORT, heuristic="constrain") is Reason.SOLVED


def test_text_of_the_parent_is_no_violation():
    """A parent that mentions its solution or a task may have children that do."""
    parent = "Explain how you can use a stack in this code.\n## Stack\nx = 1"
    child = "Explain how you can use two stacks as a queue in this code, and what each push costs then.\n## Stack\nx = 1"
    assert judged(child, parent) is None


def test_a_language_known_only_from_the_seeds_answer_need_not_be_named():
    """A child may name no language like its parent, but not another one."""
    task = Task.seed("Sort a list of numbers.", ordinal=0, language="ruby")
    chosen = BY_NAME["specialise"]

    def reason(text):
        before, after = tokenize(task.instruction), tokenize(text)
        found = find_violation(
            CandidateTask(task, before, after, None, None, False, chosen, EliminateConfig())
        )
        return found and found.reason

    assert reason("Sort a list of version strings, pre-releases before their release.") is None
    assert reason("Sort version strings by numeric parts in Java.") is Reason.WRONG_LANGUAGE


def test_a_candidate_that_adds_little_is_doubtful_and_no_violation():
    """Another candidate is tried before it is accepted."""
    chosen, task = BY_NAME["constrain"], Task.seed(SORT, ordinal=0, language="python")

    def draft(addition):
        text = f"{SORT} {addition}"
        return CandidateTask(
            task,
            tokenize(SORT),
            tokenize(text),
            tokenize(addition),
            None,
            False,
            chosen,
            EliminateConfig(),
        )

    little, enough = (
        draft("Skip zeros, round halves."),
        draft("Skip zeros, round halves up, and warn about overflow in stderr logs."),
    )
    assert find_violation(little) is None
    assert find_violation(enough) is None
    assert little.is_doubtful
    assert not enough.is_doubtful


def test_the_limits_come_from_the_config():
    """Every limit has an effect."""
    little = "Write a Python function that sorts a list of huge numbers."
    assert judged(little) is Reason.EQUAL_TO_PARENT
    assert judged(little, min_new_words=1) is None
    assert judged(little, min_new_words=1, max_overlap=0.5) is Reason.EQUAL_TO_PARENT
    assert judged(GOOD, max_words=10) is Reason.TOO_LONG
    longer = f"{GOOD} " + " ".join(f"Item{n} matters." for n in range(25))
    assert judged(longer) is None
    assert judged(longer, max_growth=1.01) is Reason.TOO_LONG


@pytest.mark.parametrize("heuristic", BUILT_IN, ids=lambda one: one.name)
def test_an_example_is_a_good_answer_of_its_own_heuristic(heuristic):
    """Worked examples pass all rules except the one against copying them."""
    for example in heuristic.examples:
        found = judged(example.answer, example.task, heuristic=heuristic.name)
        assert found in (None, Reason.PROMPT_COPIED)
        assert (heuristic.holds is TaskContents.BAIT) == ("```" in example.answer)
        assert (heuristic.form is ExampleForm.TASK) == ("New task:" in example.answer)


def test_each_run_of_words_of_a_hint_is_found():
    """At the beginning, in the middle and at the end of a text, unless the parent has it."""
    task = Task.seed(SORT, ordinal=0, language="python")
    sorting = CandidateTask(
        task,
        tokenize(SORT),
        tokenize(SORT),
        None,
        None,
        False,
        BY_NAME["specialise"],
        EliminateConfig(),
    )
    hints = [hint for known in (HINTS, WHOLE_TASK_HINTS) for hint in known.values()]
    runs = {
        " ".join(run)
        for h in hints
        for run in zip(*(words(h)[at:] for at in range(5)), strict=False)
    }
    for run in sorted(run for run in runs if "time" not in run.split()):
        for text in (f"{run} today", f"Sort a list {run} today", f"Sort a list {run}"):
            for parent, found in ((SORT, True), (f"{SORT} {run}", False)):
                candidate = replace(sorting, before=tokenize(parent), after=tokenize(text))
                assert (copies_a_hint(candidate) is not None) == found, (run, text)


def test_every_rule_is_listed_once():
    """The table has no duplicates."""
    assert len(set(RULES)) == len(RULES) == 25

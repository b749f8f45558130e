"""A small model in this process completes sentences that are begun for it."""

import asyncio
import tomllib
import unicodedata
from dataclasses import replace
from importlib.resources import files

import pytest

from evolcoder.config.load import validate
from evolcoder.engine.base import Role, Sampling
from evolcoder.engine.scripted import ScriptedEngine
from evolcoder.evolution import patterns
from evolcoder.evolution.candidate import CandidateTask, concatenate, tokenize
from evolcoder.evolution.distractor import DRAFT
from evolcoder.evolution.evolver import evolve, first_messages
from evolcoder.evolution.heuristics import BUILT_IN
from evolcoder.evolution.openings import (
    complete,
    complete_asked,
    is_whole,
    openings_for,
    openings_in,
)
from evolcoder.evolution.rules import find_violation
from evolcoder.evolution.styles import heuristics_of
from evolcoder.evolution.translations import FRAMES, in_language
from evolcoder.natural_language import script_of
from evolcoder.records import Drop, Reason, Task

BY_NAME = {heuristic.name: heuristic for heuristic in BUILT_IN}
SORT = Task.seed("Write a Python function that sorts a list.", ordinal=0, language="python")


def evolved(answer, heuristic, identity="gguf:toy", model="toy-0.5b", *, task=SORT):
    """Evolve a task with one answer for each request; returns the result and the last messages."""
    asked = []

    def said(request):
        asked.append(request.messages[-1])
        return answer if isinstance(answer, str) else answer[len(asked) - 1]

    engine = ScriptedEngine(said)
    engine.identity = identity
    role = Role(engine, model, Sampling(1.0, 0.9, 200))
    config = validate({"evolve": {"candidates": 1}}, where="test")
    told = evolve(
        task, round=1, heuristic=BY_NAME[heuristic], evolver=role, judge=None, config=config
    )
    return asyncio.run(told), asked


def violation_of(opening, said, *, parent=SORT, heuristic="constrain"):
    """Return what is wrong with a sentence that was begun for a task and completed."""
    before, added = tokenize(parent.instruction), tokenize(f"{opening} {said}")
    after = concatenate(f"{before.text} {added.text}", before, added)
    rules = validate({}, where="test").eliminate
    named = BY_NAME.get(heuristic, heuristic)
    return find_violation(
        CandidateTask(parent, before, after, added, None, False, named, rules, opening)
    )


def seed(instruction):
    return Task.seed(instruction, ordinal=0, language=None)


def test_the_model_completes_an_opening():
    """The opening is the last message, and the task has both; text after a line break is left out."""
    made, asked = evolved(" raise a ValueError that names its position.\nUse raise.", "constrain")
    opening = openings_for("constrain", SORT, round=1, seed=0)[0]
    assert (asked[-1].role, asked[-1].content) == ("assistant", opening)
    assert isinstance(made, Task), made
    assert made.instruction == (
        f"{SORT.instruction} {opening} raise a ValueError that names its position."
    )


@pytest.mark.parametrize(
    "answer", ["", " ", ".", "...", " the", "\n\nThe list is sorted.", "```python\nx = 1\n```"]
)
@pytest.mark.parametrize("heuristic", ["constrain", "deepen"])
def test_an_opening_that_is_not_completed_is_no_task(heuristic, answer):
    """Half a sentence demands nothing, whatever words the opening has."""
    made, _ = evolved(answer, heuristic)
    assert isinstance(made, Drop)
    assert made.reason is Reason.EMPTY


def test_a_sentence_does_not_end_at_an_abbreviation():
    """Nor is what stands in code, or a number, nothing."""
    assert complete("Skip", " blanks, e.g. Tab. It helps.") == "Skip blanks, e.g. Tab."
    assert complete("Then return", " `0`.") == "Then return `0`."


@pytest.mark.parametrize("identity", ["gguf:toy", "http://127.0.0.1:1/v1"])
def test_a_distractor_is_a_solution_with_one_change(identity):
    """One request for a solution; the task is its parent, a sentence of ours, and wrong code."""
    code = "```python\ndef f(x):\n    return min(x)\n```"
    made, asked = evolved(f"{code}\nIt works.", "misdirect", identity)
    assert isinstance(made, Task), made
    assert made.heuristic == "misdirect"
    assert [message.content for message in asked] == [DRAFT.format(task=SORT.instruction)]
    prose, frame, rest = (
        made.instruction.replace("\n", "\n\n", 1).split("\n\n", 2)[0],
        *(made.instruction.partition("\n\n")[2].split("\n", 1)),
    )
    assert prose == SORT.instruction
    assert frame in FRAMES
    assert rest == code.replace("min", "max")


@pytest.mark.parametrize(
    "answer",
    [
        "It is sorted.",
        "```python\ndef f(x):\n    return x\n```",  # no place to change
        "```python\ndef f(x):\n    return min(x)",  # not closed
        "```java\nint f(int[] x) { return x[0] + 1; }\n```",  # another language
        "```python\n" + "x = a + b\n" * 31 + "```",  # long
    ],
)
def test_an_answer_without_short_code_to_change_is_no_distractor(answer):
    """It is dropped with the reason, and never shown unchanged."""
    made, _ = evolved(answer, "misdirect")
    assert isinstance(made, Drop)
    assert made.reason is Reason.NO_BAIT


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("{opening} raise a ValueError.", "{opening} raise a ValueError."),
        ('"{opening} raise a ValueError."', "{opening} raise a ValueError."),
        ("raise a ValueError. It is easy.", "{opening} raise a ValueError."),
        ("Skip what is not finite, and keep equal ones apart.", None),
    ],
)
def test_a_model_on_a_server_is_asked_to_begin_so(answer, text):
    """It need not repeat the beginning, and one that begins otherwise is read as it is."""
    opening = openings_for("constrain", SORT, round=1, seed=0)[0]
    answer = answer.format(opening=opening)
    made, asked = evolved(answer, "constrain", "http://127.0.0.1:1/v1")
    assert asked[-1].role == "user"
    assert asked[-1].content.endswith(
        openings_in(SORT.instruction).begin.format(prompt="", opening=opening)
    )
    assert isinstance(made, Task), made
    added = text.format(opening=opening) if text else answer
    assert made.instruction == f"{SORT.instruction} {added}"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("handle it gracefully.", Reason.EQUAL_TO_PARENT),
        ("return the sorted list.", Reason.EQUAL_TO_PARENT),
        ("the numbers of the other kind.", Reason.NOT_A_TASK),
        ("return None because there is no largest number.", Reason.SOLVED),
        ("return " + " and ".join(f"name{n}" for n in range(20)) + ".", Reason.TOO_LONG),
        ("return None.", None),
        ("print a message to stderr.", None),
    ],
)
def test_what_completes_a_sentence_must_say_something(said, reason):
    """Restating, reasons, and sentences that run on are dropped, though their opening is new."""
    opening = "If the list is empty,"
    found = violation_of(opening, said)
    assert (found.reason if found else None) is reason


@pytest.mark.parametrize(("said", "is_met"), [
    ("external libraries.", True),
    ("third-party packages or modules.", True),
    ("additional data structures.", True),
    ("printed to the console.", True),
    ("loops.", False),
    ("regular expressions or the module re.", False),
])  # fmt: skip
def test_a_demand_that_any_program_meets_is_none(said, is_met):
    """Small models like to rule out external libraries, which no program for such tasks needs."""
    opening = "It must be done without using any"
    found = violation_of(opening, said)
    assert (found is not None and "any program meets this" in found.detail) is is_met


@pytest.mark.parametrize(
    ("said", "takes_back"),
    [
        ("you use memoization, it can be done in O(n) time.", True),
        ("you use a loop, it might be O(n^2).", True),
        ("n is larger than 10,000.", False),
    ],
)
def test_a_bound_is_not_taken_back_in_its_own_sentence(said, takes_back):
    """As weak models do when they complete it."""
    opening = "It must find the nth number in O(log n) steps, also if"
    parent = Task.seed("Write a function for the nth Fibonacci number.", ordinal=0, language=None)
    found = violation_of(opening, said, parent=parent, heuristic="complexity")
    assert (found is not None and "takes the bound back" in found.detail) is takes_back, found


@pytest.mark.parametrize(("opening", "said", "is_met"), [
    ("Numbers that occur several times must be", "counted multiple times.", True),
    ("Numbers that occur several times must be", "counted only once.", False),
    ("Upper and lower case must", "be considered.", True),
    ("Upper and lower case must", "be considered equal.", False),
    ("Entries that are equal must keep", "their original order.", True),
    ("It must be done without using any", "built-in functions for checking a vowel.", True),
    ("It must be done without using any", "predefined library for vowels.", True),
    ("It must be done without using any", "built-in functions for sorting.", False),
    ("It must be done without using any", "built-in functions for regular expressions.", False),
])  # fmt: skip
def test_what_the_simplest_program_does_is_no_demand(opening, said, is_met):
    """Such as to count each number, or to use no function that no library has."""
    parent = Task.seed("Check if a letter is a vowel.", ordinal=0, language=None)
    found = violation_of(opening, said, parent=parent)
    assert (found is not None and "any program meets this" in found.detail) is is_met, found


@pytest.mark.parametrize(("instruction", "is_wrong"), [
    ("Print the squares of the integers from 1 to 10.", True),
    ("List the first 10 prime numbers.", True),
    ("Write a function that squares the integers from 1 to 10.", False),
    ("Read a number from the user that is between 1 and 10.", False),
    ("Print the square of a number.", False),
])  # fmt: skip
@pytest.mark.parametrize("opening", ["If the number is negative,", "If the input is not a number,"])
def test_a_case_of_an_input_contradicts_fixed_numbers(instruction, is_wrong, opening):
    """A task that fixes its numbers has no other ones; one with an input may."""
    parent = Task.seed(instruction, ordinal=0, language=None)
    found = violation_of(opening, "print an error message to stderr.", parent=parent)
    assert (found is not None and found.reason is Reason.CONTRADICTS) is is_wrong, found


@pytest.mark.parametrize(("opening", "said", "reason"), [
    ("If the list is empty,", "the function must return None.", None),
    ("Then write three tests for it, one of which checks that", "the list [5] stays unchanged.", None),
    ("Then show in a further column", "how many customers have the same name.", Reason.PROMPT_COPIED),
])  # fmt: skip
def test_only_what_the_model_wrote_can_be_copied(opening, said, reason):
    """A beginning that is worded like an example was not copied by the model."""
    parent = Task.seed("Find the largest value of a list.", ordinal=0, language=None)
    examples = openings_in(parent.instruction)
    named = replace(BY_NAME["constrain"], template=examples.template, examples=examples.examples)
    found = violation_of(opening, said, parent=parent, heuristic=named)
    assert (found.reason if found else None) is reason, found


@pytest.mark.parametrize(("opening", "said", "is_whole"), [
    ("If the file is larger than", "10 megabytes.", False),
    ("If the file is larger than", "10 megabytes, it must be skipped.", True),
    ("While the pointer is over it,", "the list must turn red.", True),
    ("When the page is printed,", "600px.", False),
    ("If the list is empty,", "0.", False),
])  # fmt: skip
def test_a_case_needs_a_consequence(opening, said, is_whole):
    """Also where the model has to complete the case before it."""
    found = violation_of(opening, said)
    assert (found is None) is is_whole


def test_a_beginning_that_demands_enough_may_be_completed_with_known_words():
    """One about a matrix is new, although its rest names what the task names."""
    parent = Task.seed("Find the largest value of a list.", ordinal=0, language=None)
    for opening, reason in (
        ("Then use it for each row of a matrix, and print the number of the row with the", None),
        ("Then print the", Reason.EQUAL_TO_PARENT),
    ):
        found = violation_of(opening, "largest value.", parent=parent, heuristic="deepen")
        assert (found.reason if found else None) is reason


@pytest.mark.parametrize(
    ("heuristic", "identity", "model"),
    [
        ("constrain", "scripted", "toy-0.5b"),
        ("constrain", "gguf:toy", "toy-7b"),
    ],
)
def test_others_begin_for_themselves(heuristic, identity, model):
    """Models of no known size and large ones have no opening."""
    _, asked = evolved("It must take O(n) time.", heuristic, identity, model)
    assert [message.role for message in asked] == ["user"]


def test_openings_fit_the_task_and_say_something_new():
    """The noun is the task's own, each attempt has another one, and none repeats the task."""
    text = "Write a function that sums the numbers of an array. If the array is empty, return 0."
    task = Task.seed(text, ordinal=0, language=None)
    found = openings_for("constrain", task, round=1, seed=0)
    assert len(found) == len(set(found)) > 3
    assert "If the array is empty," not in found
    deeper = openings_for("deepen", task, round=1, seed=0)
    assert (
        "Then use it for each row of a matrix, and print the number of the row with the" in deeper
    )
    other = Task.seed(
        "Write a function that finds the largest tuple entry.", ordinal=0, language=None
    )
    assert "If the tuple is empty," in openings_for("constrain", other, round=1, seed=0)
    dutch = seed("Schrijf een functie die de getallen van een lijst sorteert.")
    assert openings_for("constrain", dutch, round=1, seed=0) == ()
    unclear = seed("Genera una password casuale.")  # Italian or Spanish
    assert openings_for("constrain", unclear, round=1, seed=0) == ()


def test_openings_depend_on_the_programming_language():
    """Where types are checked, no caller can pass entries that are no numbers."""
    text = "Write a function that returns the sum of an array of numbers."
    found = {
        language: openings_for(
            "constrain", Task.seed(text, ordinal=0, language=language), round=1, seed=0
        )
        for language in ("python", "java")
    }
    assert "Entries that are not numbers must" in found["python"]
    assert "Entries that are not numbers must" not in found["java"]


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        ("Write a function that checks if a number is prime.", "O(sqrt(n))"),
        ("Find all prime numbers up to a limit.", "O(n log log n)"),
        ("Check whether a string is a palindrome.", "O(1) extra space"),
        ("Write a function to sort a list of numbers.", "O(n log n) time and O(1) extra space"),
        ("Implement bubble sort in C.", ""),
        ("Write a function that adds two numbers.", ""),
    ],
)
def test_a_bound_is_one_that_the_simplest_program_misses(text, bound):
    """For a task without a known one, none is begun; nor for one that prescribes a slow way."""
    found = openings_for("complexity", Task.seed(text, ordinal=0, language=None), round=1, seed=0)
    assert bound in found[0] if bound else found == ()
    assert all(map(is_whole, found))


@pytest.mark.parametrize(
    ("text", "opening"),
    [
        ("How would you write a function that reverses a string?", "Then use it to check whether"),
        ("How does the any() method work in Java?", "Then show with a short program how"),
        (
            "Determine the output of this code.\n\nprint(1)",
            "Then put the code into a function that takes",
        ),
        ("Classify these words as nouns or verbs.\n\nrun, house", "Then write a function that"),
        ("Print the odd numbers from 1 to 10.", "Then print as well the sum of"),
        (
            "Write a SQL query that lists all orders.",
            "Then number the rows in a further column, beginning with",
        ),
        (
            "Fix the syntax error in this code.\n\nprint(1",
            "Then say in one sentence what would happen if",
        ),
        ("Write a class for a bank account.", "Then keep a history of"),
        (
            "Read a text from a file and count its lines.",
            "Then do this for every file of a folder, and print for each of them",
        ),
        (
            "Why does this fail? Correct the error.\n\nprint(1",
            "Then say in one sentence how such a mistake is found",
        ),
    ],
)
def test_a_kind_is_found_by_the_words_of_a_task(text, opening):
    """Questions about code, for code and for a value are told apart, and so are the subjects."""
    task = Task.seed(text, ordinal=0, language=None)
    assert opening in openings_for("deepen", task, round=1, seed=0)


def listed(text, language=None, heuristics=("constrain", "deepen", "specialise")):
    """Return the openings of some heuristics for a text."""
    task = Task.seed(text, ordinal=0, language=language)
    return {
        opening
        for heuristic in heuristics
        for opening in openings_for(heuristic, task, round=1, seed=0)
    }


@pytest.mark.parametrize(("text", "offered", "missing"), [
    # a case that the task has no input for
    ("Print the squares of all integers from 1 to 10.", "", "If the number is negative,"),
    ("Write a function that checks if a number is prime.",
     "If the number is not prime, it must show as well its smallest", "If the number is negative,"),
    ("Write a function that returns the factorial of a number.", "If the number is negative,", ""),
    ("Write a function that checks if a number is even.",
     "It must tell as well whether the number is divisible by", "Leave out all numbers whose last digit is"),
    # a demand that the simplest program meets
    ("Write a function that returns the sum of a list of numbers.",
     "Numbers that occur several times must be counted only", "If the list is empty,"),
    ("Write a function that returns the average of a list of numbers.", "If the list is empty,", ""),
    ("Write a function that counts the vowels of a string.", "", "Upper and lower case must make no"),
    ("Write a function that checks if two strings are anagrams.",
     "Upper and lower case must make no", "If the string is empty,"),
    # words of a kind that is meant otherwise
    ("Sort a list of dates in ascending order.", "", "Even numbers must come before"),
    ("Invert a dictionary.", "If two keys have the same value, the result must hold", "If a key is missing,"),
    ("Create a SQL table with the columns id and name.",
     "It must not be possible to insert a row without", "Show only the ten rows with the highest"),
    ("Write a SQL query that counts the books of a genre.", "The column with the result must be named",
     "The result must be ordered by"),
    ("Write a shell script that checks if a file exists.", "If it is a folder and not a file,",
     "If the file does not exist,"),
    ("Translate the following Python code to Java.\n\nprint(1)",
     "Each line of the new code must have a comment that", "Entries that are not numbers must"),
    ("Use the requests library to send a GET request to an API.", "If the status code is not 200,",
     "Answer only requests that have the header"),
    ("Write a query in MongoDB to count the documents of a collection.", "", "The result must be sorted by"),
    ("Define a Java class called 'Car' with a price.", "Printing an object must show", ""),
    ("Search for a value in a binary search tree with recursion.", "", "Then add a button that"),
    ("How would you implement a REST API in Express?", "Then add a second address that returns",
     "Show as well a short example in which"),
    ("After running the code below, what will be the value of x?\n\nx = 1", "Say as well what it would print if",
     "Print as well how long"),
])  # fmt: skip
def test_an_opening_is_offered_where_its_case_can_occur(text, offered, missing):
    """Not where the task has no such input, meets it anyway, or means another thing."""
    found = listed(text)
    assert not offered or offered in found
    assert missing not in found


@pytest.mark.parametrize("text", [
    "Write a Python function that checks if a number is even or odd.",
    "Write a C# method that checks if a string has only digits.",
    "Write a Java method that deletes an entry of an array at a given position.",
    'Compute the length of the word "Hello" in Python.',
    "Print the multiplication table of a small number.",
    "Find the number of books with SQL.",
])  # fmt: skip
@pytest.mark.parametrize("heuristic", ["constrain", "deepen", "specialise"])
def test_a_task_with_few_openings_of_its_kind_gets_others(text, heuristic):
    """Further results, and openings that fit a task of any kind."""
    assert listed(text, heuristics=(heuristic,))


def test_conditions_name_words_that_a_text_can_have():
    """Also those that are no content words, such as `from`, and names in quotation marks."""
    known = openings_in("Sort a list.")
    text = "Sum the numbers from 'a' to 'word' without using loops, given the students' list."
    assert known.words(text) >= {"from", "without", "using", "given", "word", "student", "list"}
    conditions = [kind.condition for kind in known.kinds] + [when for _, when in known.bounds]
    for kind in known.kinds:
        conditions += [when for listed in kind.by_heuristic.values() for _, when in listed]
    named = {word for when in conditions for each in (*when.needs, when.lacks) for word in each}
    assert all(word in known.words(word) for word in named)


def test_every_opening_can_be_chosen():
    """No kind and no opening is shadowed: each has a word that a task needs in a list of words."""
    data = tomllib.loads((files("evolcoder") / "data" / "openings.toml").read_text("utf-8"))
    for entry in [
        *data["kinds"],
        *data["bounds"],
        *(
            one
            for kind in data["kinds"]
            for one in (*kind["constrain"], *kind["specialise"], *kind["deepen"])
        ),
    ]:
        if isinstance(entry, str):
            continue
        assert entry.keys() <= {
            "say", "needs", "lacks", "untyped", "like", "nouns", "asks_for_words", "certain", "constrain",
            "specialise", "deepen",
        }  # fmt: skip
        lists = entry.get("needs", ())
        lacks = set(entry.get("lacks", "").split())
        for words in (lists,) if isinstance(lists, str) else lists:
            assert set(words.split()) - lacks, entry


@pytest.mark.parametrize(
    ("continuation", "text"),
    [
        (" be skipped.", "Blanks must be skipped."),
        (" be skipped, e.g. in names. Then sort.", "Blanks must be skipped, e.g. in names."),
        ("be skipped.", "Blanks must be skipped."),
        ("Blanks must be kept.", "Blanks must be kept."),
        (", if any, stay.\n\nmore", "Blanks must, if any, stay."),
        (" be skipped, and the function must return a float.", "Blanks must be skipped."),
        (" be skipped, sort the rest, and sum it up.", "Blanks must be skipped."),
        (
            " be skipped, except in names and lists.",
            "Blanks must be skipped, except in names and lists.",
        ),
    ],
)
def test_openings_and_continuations_are_joined(continuation, text):
    """With one blank between words, and once where the model repeats the opening."""
    assert complete("Blanks must", continuation) == text


def test_a_special_case_is_begun_as_an_addition():
    """A small model need not repeat the task: its sentence is added, and the name is kept."""
    made, asked = evolved(" come last, and are not compared.", "specialise")
    opening = openings_for("specialise", SORT, round=1, seed=0)[0]
    assert asked[-1].content == opening
    assert isinstance(made, Task), made
    assert made.heuristic == "specialise"
    assert made.instruction == f"{SORT.instruction} {opening} come last, and are not compared."


def test_no_bound_is_asked_for_where_none_is_known():
    """A small model would name one that any program meets; the drop says so, and costs nothing."""
    task = seed("Print the name of the user.")
    made, asked = evolved("It must take O(1) time.", "complexity", task=task)
    assert isinstance(made, Drop)
    assert (made.reason, made.made.attempts, asked) == (Reason.NO_BOUND, 0, [])


@pytest.mark.parametrize("identity", ["gguf:toy", "http://127.0.0.1:1/v1"])
def test_a_task_that_no_beginning_fits_is_not_asked(identity):
    """Small models begin badly; the drop says so, costs nothing, and is the same for servers."""
    task = seed("Assign the tuple (3, 4) to x.")
    made, asked = evolved("Then sort them.", "constrain", identity, task=task)
    assert isinstance(made, Drop)
    assert (made.reason, made.made.attempts, asked) == (Reason.NO_OPENING, 0, [])


SORT_IN = {
    "en": SORT.instruction,
    "zh": "编写一个 Python 函数，对数字列表排序。",
    "ru": "Напишите на Python функцию, которая сортирует список чисел.",
    "es": "Escribe una función de Python que ordena una lista de números.",
    "fr": "Écrivez une fonction Python qui renvoie une liste de nombres sans les doublons.",
    "de": "Schreibe eine Python-Funktion, die eine Liste von Zahlen sortiert.",
    "ja": "数値のリストを並べ替える Python 関数を書いてください。",
    "ko": "숫자 리스트를 정렬하는 파이썬 함수를 작성하세요.",
    "pt": "Escreva uma função em Python que ordene uma lista de números.",
    "it": "Scrivi una funzione Python che ordini una lista di numeri.",
    "ar": "اكتب دالة بلغة Python ترتب قائمة من الأعداد.",
    "hi": "एक Python फ़ंक्शन लिखें जो संख्याओं की सूची को क्रमबद्ध करे।",
}


@pytest.mark.parametrize("language", sorted({*SORT_IN} - {"hi"}))
def test_begun_sentences_share_one_prompt(language):
    """Tasks and heuristics have the same turns before the task, in its language."""
    chats = []
    for heuristic in ("constrain", "deepen", "specialise"):
        engine = ScriptedEngine(lambda request: chats.append(request.messages) or " 3.")
        engine.identity = "gguf:toy"
        role = Role(engine, "toy-0.5b", Sampling(1.0, 0.9, 200))
        told = evolve(
            seed(SORT_IN[language]), round=1, heuristic=BY_NAME[heuristic], evolver=role,
            judge=None, config=validate({"evolve": {"candidates": 1}}, where="test"),
        )  # fmt: skip
        asyncio.run(told)
    known = openings_in(SORT_IN[language])
    assert known.language == language
    assert len({chat[:-1] for chat in chats}) == 1
    assert chats[0][1].content == known.examples[0].answer
    assert chats[0][-2].content == known.template.format(task=SORT_IN[language])


TRANSLATED = tomllib.loads(
    (files("evolcoder") / "data" / "openings-translated.toml").read_text("utf-8")
)


@pytest.mark.parametrize("language", TRANSLATED)
def test_translated_openings_are_complete(language):
    """Every kind has openings of each heuristic, and the last kind fits any task."""
    data = TRANSLATED[language]
    assert "{prompt}" in data["begin"]
    assert "{opening}" in data["begin"]
    assert "{task}" in data["prompt"]["template"]
    assert all(
        kind[name] for kind in data["kinds"] for name in ("constrain", "deepen", "specialise")
    )
    assert "needs" not in data["kinds"][-1]
    for shown in [
        data["prompt"]["template"],
        *(one["answer"] for one in data["prompt"]["examples"]),
    ]:
        assert openings_in(shown).language == language


SCRIPTS = {
    "zh": {"han"}, "ja": {"kana", "han"}, "ko": {"hangul"}, "ru": {"cyrillic"}, "ar": {"arabic"},
    "hi": {"devanagari"},
}  # fmt: skip
"""The scripts of a language; Latin ones elsewhere, and everywhere in names such as SQL."""


def entries_of(language):
    """Return the openings of a language with their conditions."""
    data = TRANSLATED[language]
    names = ("constrain", "deepen", "specialise")
    listed = [one for kind in data["kinds"] for name in names for one in kind[name]]
    return [{"say": one} if isinstance(one, str) else one for one in (*listed, *data["bounds"])]


@pytest.mark.parametrize("language", TRANSLATED)
def test_translated_openings_are_in_the_script_of_their_language(language):
    """All of them, whole words, and with no blank at the end, where the model goes on."""
    own = SCRIPTS.get(language, {"latin"})
    for entry in entries_of(language):
        say = entry["say"]
        scripts = {script_of(char) for char in say} - {"", "latin"}
        assert scripts <= own, say
        assert own == {"latin"} or scripts, say
        assert say == say.strip()
        assert say[-1] not in "!?"
        is_bound = entry in TRANSLATED[language]["bounds"]
        assert is_whole(say) is (is_bound or language == "hi")


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_translated_kind_and_opening_can_be_chosen(language):
    """For each there is a text of words that it needs, and no kind before it takes that."""
    known = openings_in(TRANSLATED[language]["prompt"]["template"])
    for entry in (*TRANSLATED[language]["kinds"], *entries_of(language)):
        lists = entry.get("needs", ())
        lacks = set(entry.get("lacks", "").split())
        for words in (lists,) if isinstance(lists, str) else lists:
            assert set(words.split()) - lacks, entry
    for kind in known.kinds[:-1]:
        first = sorted(kind.condition.needs[0])
        rest = [sorted(each)[0] for each in kind.condition.needs[1:]]
        texts = [" ".join([word, *rest]) for word in first]
        assert any(known.kind_of(text, known.words(text)) is kind for text in texts), first


@pytest.mark.parametrize(("instruction", "has"), [
    ("社員ごとの売上を求めるSQLを書いてください。", "結果に列を一つ追加し、そこに"),
    ("用SQL查询所有客户。", "结果中还要增加一列，显示"),
    ('次の関数を完成させてください。\n\ndef f(x):\n    """文字列が回文かどうかを返す。"""\n', "句読点や記号は"),
    ('Complete a função.\n\ndef f(x: list) -> float:\n    """Retorna a média da lista."""\n',
     "Se a lista estiver vazia, a função deve"),
    (unicodedata.normalize("NFD", "Escribe una función que invierta una cadena."),
     "Con una cadena vacía la función debe"),
    (unicodedata.normalize("NFD", "리스트의 평균을 구하는 함수를 작성하세요."), "리스트가 비어 있으면 함수는"),
    ("رتّب القائمة في دالة بلغة Python.", "إذا كانت القائمة فارغة، يجب أن تعيد الدالة"),
    ("एक फंक्शन लिखें जो सूची का योग लौटाए।", "यदि सूची खाली हो, तो फ़ंक्शन को अपवाद फेंकना चाहिए।"),
])  # fmt: skip
def test_words_of_a_task_are_found_as_they_are_written(instruction, has):
    """Next to letters of an unspaced script, after an article, decomposed, and in a docstring."""
    listed = {
        opening
        for heuristic in ("constrain", "deepen", "specialise")
        for opening in openings_for(heuristic, seed(instruction), round=1, seed=0)
    }
    assert has in listed


@pytest.mark.parametrize(("instruction", "has", "lacks"), [
    ("编写一条 SQL 查询，列出工资最高的员工。", "结果中还要增加一列，显示", "最多只显示"),
    ("编写一个 Python 脚本，列出文件夹中的文件。", "不包括所有小于", "如果文件不存在，程序必须"),
    ("编写一个函数，合并两个列表。", "出现多次的元素必须", "然后还要返回这些元素的"),
    ("解释什么是闭包。", "还要给出一段简短的程序，其中", "还要打印运行所用的时间，单位为"),
    ("编写一个函数，判断类型是否正确。", "如果输入无效，程序必须", "打印对象时，必须显示"),
    ("Напишите функцию, которая печатает словарь.", "Добавьте параметр, который определяет,",
     "Не учитывайте слова, в которых меньше"),
    ("Объясните, чем список отличается от кортежа.", "Приведите короткую программу, в которой",
     "Если список пуст, функция должна"),
    ("Напишите скрипт, который выводит файлы папки.", "Не учитывайте файлы, размер которых меньше",
     "Если файла нет, программа должна"),
    ("Erkläre, was eine Closure in JavaScript ist.", "Zeige ein kurzes Programm, das",
     "Bei ungültiger Eingabe soll das Programm"),
    ("Écrivez une requête SQL qui affiche les clients.", "Ajoutez une colonne qui indique",
     "Les éléments répétés ne doivent figurer dans le résultat"),
    ("Crea una clase de Python para un libro.", "Al imprimir un objeto debe mostrarse",
     "Si la lista está vacía, la función debe"),
    ("Erstelle eine SQL-Abfrage, die alle Kunden auflistet.", "Zeige höchstens",
     "Zeilen mit gleichem Wert sollen sortiert sein nach"),
    ("配列の最大値を返す関数を書いてください。", "配列が空の場合、関数は", "リストが空の場合、関数は"),
    ("クロージャとは何ですか。", "説明には次の言葉を必ず使ってください：", "入力が無効な場合、プログラムは"),
    ("このコードのバグを修正してください。", "さらに、引数として None が渡された場合は、", "入力が無効な場合、プログラムは"),
    ("フォルダー内のファイルを一覧表示するスクリプトを書いてください。", "ただし、サイズが 100 KB 未満のファイルは",
     "ファイルが存在しない場合、プログラムは"),
    ("배열을 정렬하는 함수를 작성하세요.", "중복된 원소는 결과에", "빈 문자열이 전달되면 함수는"),
    ("클로저가 무엇인지 설명해 주세요.", "설명에는 다음 낱말을 꼭 쓰세요:", "입력이 잘못되면 프로그램은"),
    ("학생 클래스를 만드세요.", "객체를 출력하면", "인수 없이 호출되면 함수는"),
    ("Explique o que é recursão em programação.", "Mostre um programa curto que imprima",
     "Se for chamada sem argumentos, a função deve"),
    ("Crie um programa que leia um arquivo de texto.", "Se o arquivo não existir, o programa deve",
     "Com uma string vazia, a função deve"),
    ("Implemente uma fila em Java com as operações inserir e remover.", "Deve guardar no máximo",
     "Se a lista estiver vazia, a função deve"),
    ("Escribe una función que cuente las letras de una palabra.", "Con una cadena vacía la función debe",
     "No tengas en cuenta las palabras de menos de"),
    ("Gere uma senha aleatória.", "A senha deve conter pelo menos", "Os sinais de pontuação devem"),
    ("Scrivi una funzione che ordini una lista di numeri.", "Gli elementi ripetuti devono comparire nel risultato solo",
     "Mostra un breve programma che stampi"),
    ("Spiega la differenza tra lista e tupla.", "Mostra un breve programma che stampi",
     "Se la lista è vuota, la funzione deve"),
    ("اشرح الفرق بين القائمة والصف.", "اعرض برنامجًا قصيرًا يكون فيه", "أضف معاملًا يحدد ما إذا"),
    ("समझाएँ कि क्लोज़र क्या है।", "एक आम गलती भी बताएँ और उसे पाँच पंक्तियों के कोड में दिखाएँ।",
     "यदि सूची खाली हो, तो फ़ंक्शन को अपवाद फेंकना चाहिए।"),
])  # fmt: skip
def test_openings_fit_tasks_in_other_languages(instruction, has, lacks):
    """By kinds of tasks, which are recognised by beginnings of words."""
    listed = {
        opening
        for heuristic in ("constrain", "deepen", "specialise")
        for opening in openings_for(heuristic, seed(instruction), round=1, seed=0)
    }
    assert has in listed
    assert lacks not in listed


@pytest.mark.parametrize(("instruction", "said", "whole"), [
    ("编写一个 Python 函数，返回列表的总和。", " 返回 0。这样更安全。", "返回 0。"),
    ("编写一个 Python 函数，返回列表的总和。", "返回 0。\n```python\nx\n```", "返回 0。"),
    ("Напишите функцию, которая считает сумму списка.", " вернуть 0. Это нужно.", " вернуть 0."),
    ("Schreibe eine Funktion, die eine Liste summiert.", " 0 zurückgeben. Das hilft.",
     " 0 zurückgeben."),
    ("リストの合計を返す関数を書いてください。", " 0 を返してください。便利です。", "0 を返してください。"),
    ("リストの合計を返す関数を書いてください。", "「空です。」と表示してください。以上。",
     "「空です。」と表示してください。"),
    ("编写一个 Python 函数，返回列表的总和。", "显示“空！请重试。”，并返回 0。好。", "显示“空！请重试。”，并返回 0。"),
    ("리스트의 합계를 반환하는 함수를 작성하세요.", " 0을 반환해야 합니다. 그러면 안전합니다.",
     " 0을 반환해야 합니다."),
    ("Scrivi una funzione che sommi una lista.", " restituire 0. Così è sicuro.", " restituire 0."),
    ("Schreibe eine Funktion, die eine Liste summiert.", " Texte, z. B. Namen, übergehen. Ende.",
     " Texte, z. B. Namen, übergehen."),
    ("Schreibe eine Funktion, die eine Liste summiert.", " „Leer! Ende.“ ausgeben. Das hilft.",
     " „Leer! Ende.“ ausgeben."),
    ("اكتب دالة تعيد مجموع قائمة.", " القيمة 0. هذا أفضل.", " القيمة 0."),
    ("एक फ़ंक्शन लिखें जो सूची का योग लौटाए।", " 0 लौटाना चाहिए। यह ठीक है।", " 0 लौटाना चाहिए।"),
])  # fmt: skip
def test_an_opening_is_completed_in_its_script(instruction, said, whole):
    """With a blank where the script has blanks, and up to the end of the sentence."""
    opening = openings_for("constrain", seed(instruction), round=1, seed=0)[0]
    assert complete(opening, said) == f"{opening}{whole}"


@pytest.mark.parametrize(
    "bound", ["計算時間はO(n)に限る。", "時間 O(n) に限る。", "时间为O(n log n)。"]
)
def test_a_bound_is_found_next_to_letters_of_an_unspaced_script(bound):
    """No blank is needed before it."""
    task = seed("数値のリストを並べ替える関数を書いてください。")
    assert patterns.BOUND.search(bound)
    found = violation_of(bound[:4], bound[4:], parent=task, heuristic="complexity")
    assert found is None or found.reason is not Reason.NO_BOUND


@pytest.mark.parametrize(("opening", "answer", "text"), [
    ("空行は", "「空行は無視してください。」", "空行は無視してください。"),
    ("空行は", "空行は「空」と表示する。", "空行は「空」と表示する。"),
    ("No uses", "«No uses bucles.»", "No uses bucles."),
    ("Zeige", "„Zeige drei Zeilen.“", "Zeige drei Zeilen."),
    ("Print", 'Print "none"', 'Print "none"'),
    ("Print", '"Print nothing."', "Print nothing."),
])  # fmt: skip
def test_quotation_marks_around_an_answer_are_removed(opening, answer, text):
    """Those of any language, and none that belongs to a quotation within it."""
    assert complete_asked(opening, answer) == text


@pytest.mark.parametrize(("instruction", "opening", "said", "is_kept"), [
    ("Escribe una función que sume dos números.", "Después escribe tres pruebas, una de ellas con",
     "los resultados que se comprueban correctamente.", False),
    ("Escribe una función que sume dos números.", "Después escribe tres pruebas, una de ellas con",
     "-1 y 5, que se sumen correctamente.", True),
    ("二つの数を足す関数を書いてください。", "入力が無効な場合、プログラムは", "正しく動作しなければなりません。", False),
    ("두 수를 더하는 함수를 작성하세요.", "그런 다음 테스트를 세 개 작성하고 그중 하나의 입력은",
     "함수가 올바르게 동작하는지 확인하세요.", False),
    ("Escreva uma função que some dois números.", "Se a entrada não for válida, o programa deve",
     "retornar None, já que não há soma.", False),
])  # fmt: skip
def test_asking_for_correctness_or_giving_reasons_is_no_demand_in_any_language(
    instruction, opening, said, is_kept
):
    """Every task asks for a right answer; a value is a demand."""
    found = violation_of(opening, said, parent=seed(instruction))
    assert (found is None) is is_kept, found


@pytest.mark.parametrize("language", sorted({*TRANSLATED} - {"hi"}))
def test_a_server_is_asked_in_the_language_of_the_task(language):
    """The sentence that asks for an opening is in it, in the worked examples too."""
    task = seed(SORT_IN[language])
    config = validate({"evolve": {"candidates": 1}}, where="test")
    chat = first_messages(task, BY_NAME["constrain"], config, is_small=True)
    opening = openings_for("constrain", task, round=1, seed=0)[0]
    begin = openings_in(task.instruction).begin
    assert chat[-1].content.endswith(begin.format(prompt="", opening=opening))
    shown = [turn.content for turn in chat if turn.role == "user"]
    first = begin.rpartition("\n\n")[2].partition("{opening}")[0]
    assert all(text.rpartition("\n\n")[2].startswith(first) for text in shown)
    for asked, answer in zip(chat[0:-1:2], chat[1:-1:2], strict=True):
        begun = asked.content.rpartition("\n\n")[2]
        assert any(answer.content[:n] in begun for n in (4, 3))


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        (SORT.instruction, "For n entries it must take O(n log n) time and O(1) extra space, also if all of them are equal."),
        ("Написать функцию, которая проверяет, является ли строка палиндромом.", "Для n символов допускается только время O(n) и O(1) дополнительной памяти."),
        ("编写一个函数，判断一个数是否为素数。", "对于数 n，必须只用 O(sqrt(n)) 的时间。"),
    ],
)  # fmt: skip
def test_a_whole_sentence_with_a_bound_costs_no_request(text, bound):
    """It passes the rules, and no model is asked."""
    asked = []
    engine = ScriptedEngine(lambda request: asked.append(request) or " be skipped.")
    config = validate({}, where="test")
    role = Role(engine, "toy-0.5b", Sampling(1.0, 0.9, 200))
    parent, named = Task.seed(text, ordinal=0, language=None), BY_NAME["complexity"]
    found = asyncio.run(
        evolve(parent, round=1, heuristic=named, evolver=role, judge=None, config=config)
    )
    assert isinstance(found, Task)
    assert found.instruction.endswith(bound)
    assert asked == []


@pytest.mark.parametrize("heuristic", ["constrain", "specialise", "misdirect", "complexity"])
def test_an_estimate_counts_what_is_asked_first(heuristic):
    """The messages are those of the first request; none where the model is not asked, as for a bound."""
    chats = []
    engine = ScriptedEngine(lambda request: chats.append(request.messages) or " be skipped.")
    engine.identity = "http://127.0.0.1:1/v1"
    config = validate({"evolve": {"candidates": 1}}, where="test")
    role = Role(engine, "toy-0.5b", Sampling(1.0, 0.9, 200))
    named = BY_NAME[heuristic]
    told = evolve(SORT, round=1, heuristic=named, evolver=role, judge=None, config=config)
    asyncio.run(told)
    assert list(filter(None, [first_messages(SORT, named, config, is_small=True)])) == chats
    assert bool(chats) is (heuristic != "complexity")
    unfit = Task.seed("Assign the tuple (3, 4) to x.", ordinal=0, language=None)
    assert first_messages(unfit, BY_NAME["deepen"], config, is_small=True) == ()


def test_code_that_the_task_shows_is_no_distractor():
    """A task about code that it shows is not made harder by a wrong copy of it."""
    code = "def f(x):\n    y = x + 1\n    return y"
    task = Task.seed(f"Comment this code.\n\n{code}", ordinal=0, language=None)
    engine = ScriptedEngine(lambda _: f"```python\n{code}\n```")
    engine.identity = "gguf:toy"
    told = evolve(
        task, round=1, heuristic=BY_NAME["misdirect"], judge=None,
        evolver=Role(engine, "toy-0.5b", Sampling(1.0, 0.9, 200)),
        config=validate({"evolve": {"candidates": 1}}, where="test"),
    )  # fmt: skip
    made = asyncio.run(told)
    assert isinstance(made, Drop)
    assert made.reason is Reason.NO_BAIT


@pytest.mark.parametrize(
    "changes",
    [
        {"style": "rewrite"},
        {"heuristics": {"specialise": {"template": "Mine.\n\nTask: {task}"}}},
        {"heuristics": {"specialise": {"examples": [{"task": "Add.", "answer": "Multiply."}]}}},
    ],
)
def test_what_a_config_changes_is_asked_as_it_says(changes):
    """A style, template or examples of the user's own are never exchanged for a beginning."""
    config = validate({"evolve": {"candidates": 1, **changes}}, where="test")
    heuristic = next(one for one in heuristics_of(config.evolve) if one.name == "specialise")
    asked = []
    engine = ScriptedEngine(lambda request: asked.append(request) or "Sort it.")
    engine.identity = "gguf:toy"
    role = Role(engine, "toy-0.5b", Sampling(1.0, 0.9, 200))
    told = evolve(SORT, round=1, heuristic=heuristic, evolver=role, judge=None, config=config)
    asyncio.run(told)
    prompt = heuristic.template.format(task=SORT.instruction)
    assert asked[0].messages[-1].content == prompt


def test_a_small_model_is_asked_in_the_language_of_the_task():
    """With a sentence that asks for it, and without an opening in English."""
    asked = []
    engine = ScriptedEngine(lambda request: asked.append(request) or "Sla lege regels over.")
    engine.identity = "gguf:toy"
    role = Role(engine, "toy-0.5b", Sampling(1.0, 0.9, 200))
    task = seed("Schrijf een Python-functie die de getallen van een lijst sorteert.")
    told = evolve(
        task, round=1, heuristic=BY_NAME["constrain"], evolver=role, judge=None,
        config=validate({"evolve": {"candidates": 1}}, where="test"),
    )  # fmt: skip
    asyncio.run(told)
    prompt = in_language(BY_NAME["constrain"], task.instruction).template
    assert asked[0].messages[-1].content == prompt.format(task=task.instruction)

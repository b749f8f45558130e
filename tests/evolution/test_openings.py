"""A small model in this process completes sentences that are begun for it."""

import asyncio
import tomllib
from importlib.resources import files

import pytest

from evolcoder.config.load import validate
from evolcoder.engine.base import Role, Sampling
from evolcoder.engine.scripted import ScriptedEngine
from evolcoder.evolution.candidate import CandidateTask, concatenate, tokenize
from evolcoder.evolution.distractor import DRAFT
from evolcoder.evolution.evolver import evolve, first_messages
from evolcoder.evolution.heuristics import BUILT_IN
from evolcoder.evolution.openings import complete, openings_for, openings_in
from evolcoder.evolution.rules import find_violation
from evolcoder.evolution.styles import heuristics_of
from evolcoder.evolution.translations import FRAMES, in_language
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
    named = BY_NAME[heuristic]
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
    italian = Task.seed(
        "Scrivi una funzione che ordina gli elementi della lista.", ordinal=0, language=None
    )
    assert openings_for("constrain", italian, round=1, seed=0) == ()


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


@pytest.mark.parametrize(
    ("text", "opening"),
    [
        ("How would you write a function that reverses a string?", "Then use it to check whether"),
        ("How does the any() method work in Java?", "Then show with a short program how"),
        ("Determine the output of this code.\n\nprint(1)", "Then change one line so that"),
        ("Classify these words as nouns or verbs.\n\nrun, house", "Then write a function that"),
        ("Print the odd numbers from 1 to 10.", "Then print as well the sum of"),
        ("Write a SQL query that lists all orders.", "Then show in a further column"),
        ("Fix the syntax error in this code.\n\nprint(1", "Then say in one sentence which"),
        ("Write a class for a bank account.", "Then keep a history of"),
        ("Read a text from a file and count its lines.", "Then write a second file that has"),
        ("Why does this fail? Correct the error.\n\nprint(1", "Then write a test that fails"),
    ],
)
def test_a_kind_is_found_by_the_words_of_a_task(text, opening):
    """Questions about code, for code and for a value are told apart, and so are the subjects."""
    task = Task.seed(text, ordinal=0, language=None)
    assert opening in openings_for("deepen", task, round=1, seed=0)


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
}


@pytest.mark.parametrize("language", SORT_IN)
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


@pytest.mark.parametrize(("instruction", "has", "lacks"), [
    ("编写一条 SQL 查询，列出工资最高的员工。", "结果中还要增加一列，显示", "最多只显示"),
    ("编写一个 Python 脚本，列出文件夹中的文件。", "不包括所有小于", "如果文件不存在，程序必须"),
    ("编写一个函数，合并两个列表。", "出现多次的元素必须", "然后还要返回这些元素的"),
    ("解释什么是闭包。", "还要给出一段简短的程序，其中", "实现时不得使用"),
    ("编写一个函数，判断类型是否正确。", "如果输入无效，程序必须", "打印对象时，必须显示"),
    ("Напишите функцию, которая печатает словарь.", "Добавьте параметр, который определяет,",
     "Не учитывайте слова, в которых меньше"),
    ("Объясните, чем список отличается от кортежа.", "Приведите короткую программу, в которой",
     "Если список пуст, функция должна"),
    ("Напишите скрипт, который выводит файлы папки.", "Не учитывайте файлы, размер которых меньше",
     "Если файла нет, программа должна"),
    ("Erkläre, was eine Closure in JavaScript ist.", "Zeige ein kurzes Programm, in dem",
     "Bei ungültiger Eingabe muss das Programm"),
    ("Écrivez une requête SQL qui affiche les clients.", "Ajoutez une colonne qui indique",
     "N'utilisez pas"),
    ("Crea una clase de Python para un libro.", "Al imprimir un objeto debe mostrarse",
     "Si la lista está vacía, la función debe"),
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
])  # fmt: skip
def test_an_opening_is_completed_in_its_script(instruction, said, whole):
    """With a blank where the script has blanks, and up to the end of the sentence."""
    opening = openings_for("constrain", seed(instruction), round=1, seed=0)[0]
    assert complete(opening, said) == f"{opening}{whole}"


@pytest.mark.parametrize("language", TRANSLATED)
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


@pytest.mark.parametrize("heuristic", ["constrain", "specialise", "misdirect", "complexity"])
def test_an_estimate_counts_what_is_asked_first(heuristic):
    """The messages are those of the first request; none where the model is not asked."""
    chats = []
    engine = ScriptedEngine(lambda request: chats.append(request.messages) or " be skipped.")
    engine.identity = "http://127.0.0.1:1/v1"
    config = validate({"evolve": {"candidates": 1}}, where="test")
    role = Role(engine, "toy-0.5b", Sampling(1.0, 0.9, 200))
    named = BY_NAME[heuristic]
    told = evolve(SORT, round=1, heuristic=named, evolver=role, judge=None, config=config)
    asyncio.run(told)
    assert [first_messages(SORT, named, config, is_small=True)] == chats
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
    """With the translated prompt and its examples, and without an opening in English."""
    asked = []
    engine = ScriptedEngine(
        lambda request: asked.append(request) or "エラーの場合は None を返すこと。"
    )
    engine.identity = "gguf:toy"
    role = Role(engine, "toy-0.5b", Sampling(1.0, 0.9, 200))
    task = Task.seed("リストを並べ替える Python 関数を書いてください。", ordinal=0, language=None)
    told = evolve(
        task, round=1, heuristic=BY_NAME["constrain"], evolver=role, judge=None,
        config=validate({"evolve": {"candidates": 1}}, where="test"),
    )  # fmt: skip
    asyncio.run(told)
    prompt = in_language(BY_NAME["constrain"], task.instruction).template
    assert asked[0].messages[-1].content == prompt.format(task=task.instruction)

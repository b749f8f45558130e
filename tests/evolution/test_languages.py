"""A task in any language evolves in that language, and the code in it stays whole."""

import asyncio

import pytest

from evolcoder.config.load import EliminateConfig, validate
from evolcoder.engine.base import Completion, Role, Sampling
from evolcoder.engine.scripted import ScriptedEngine
from evolcoder.evolution.evolver import evolve
from evolcoder.evolution.heuristics import BUILT_IN
from evolcoder.evolution.parse import append_addition
from evolcoder.evolution.respond import find_defect
from evolcoder.evolution.translations import FRAMES, KEEP_ANY, frames_of, in_language
from evolcoder.programming_language import named_language
from evolcoder.records import Drop, Reason, Task

BY_NAME = {heuristic.name: heuristic for heuristic in BUILT_IN}
ENGLISH = "Skip entries that are not finite, and keep equal ones in their old order."
ADDITIONS = {
    "编写一个 Python 函数，返回数字列表中的最大值。": "还要忽略不是数字的元素，并在列表为空时返回 None。",
    "リストの最大値を返すPython関数を書いてください。": "空のリストには None を返し、文字列の要素は長さで比較すること。",
    "Напишите на Python функцию, которая возвращает наибольшее число списка.": "Пропускайте строки и пустые значения, а при равенстве возвращайте первый индекс.",
    "숫자 목록에서 최댓값을 반환하는 함수를 작성하세요.": "문자열 항목은 건너뛰고 목록이 비어 있으면 None을 반환해야 합니다.",
    "اكتب دالة تعيد أكبر عدد في القائمة": "تجاهل العناصر التي ليست أرقامًا وأعد None عندما تكون القائمة فارغة.",
    "एक फ़ंक्शन लिखें जो सूची में सबसे बड़ी संख्या लौटाए।": "खाली सूची के लिए None लौटाएँ और पाठ वाले तत्वों को छोड़ दें।",
    "Γράψε μια συνάρτηση που επιστρέφει το μέγιστο μιας λίστας.": "Αγνόησε τα κενά στοιχεία και επίστρεψε None όταν η λίστα είναι άδεια.",
    "כתוב פונקציה שמחזירה את המקסימום של רשימה.": "דלג על ערכים שאינם מספרים והחזר None כאשר הרשימה ריקה.",
    "เขียนฟังก์ชันที่คืนค่าสูงสุดของรายการ": "ข้ามค่าที่ไม่ใช่ตัวเลข และคืนค่า None เมื่อรายการว่าง",
    "Escribe una función que devuelva el mayor número de una lista.": "Omite los valores que no sean números y devuelve None si la lista está vacía.",
    "Schreibe eine Funktion, die die größte Zahl einer Liste zurückgibt.": "Überspringe Einträge, die keine Zahlen sind, und gib bei einer leeren Liste None zurück.",
}
"""An addition to a task in its own language, for several."""


def evolved(seed, *answers, heuristic="constrain", **sections):
    """Evolve a seed with scripted answers; returns the result and the prompts sent."""
    sent, left = [], iter(answers)

    def answer(request):
        sent.append("\n".join(message.content for message in request.messages))
        return next(left)

    task = Task.seed(seed, ordinal=0, language=named_language(seed))
    role = Role(ScriptedEngine(answer), "toy", Sampling(1.0, 0.9, 200))
    config = validate({"evolve": {"candidates": len(answers) or 1}, **sections}, where="test")
    chosen = BY_NAME[heuristic]
    told = evolve(task, round=1, heuristic=chosen, evolver=role, judge=None, config=config)
    return asyncio.run(told), sent


def test_a_task_evolves_in_its_own_language_only():
    """An addition in English is dropped as `wrong_language`, one in the task's own is kept."""
    for seed, addition in ADDITIONS.items():
        made, _ = evolved(seed, addition)
        assert isinstance(made, Task), (seed, made)
        assert made.instruction.startswith(seed)
        assert made.instruction.endswith(addition)
        made, _ = evolved(seed, ENGLISH)
        assert isinstance(made, Drop), seed
        assert made.reason is Reason.WRONG_LANGUAGE


def test_a_rewritten_task_in_another_language_is_judged_like_an_english_one():
    """It needs no English opening, and inflected words of the parent count as kept."""
    seed = "Напишите на Python функцию, которая сортирует список чисел."
    better = "Напишите на Python функцию, которая сортирует списки версий по числовым частям, причём предварительные стоят перед выпуском."
    made, _ = evolved(seed, f"Новая задача: {better}", heuristic="specialise")
    assert isinstance(made, Task), made
    assert made.instruction == better
    made, _ = evolved(
        seed, "Напишите стихотворение о зоопарке и его сторожах.", heuristic="specialise"
    )
    assert isinstance(made, Drop)
    assert made.reason is Reason.UNRELATED


def test_prompts_are_in_the_language_of_the_task():
    """Translated where they are, otherwise with a sentence that asks for the language."""
    for seed in ADDITIONS:
        for heuristic in BUILT_IN:
            own = in_language(heuristic, seed)
            assert own.template != heuristic.template
            assert own.template.count("{task}") == 1
            assert (own.name, own.form, own.holds) == (
                heuristic.name,
                heuristic.form,
                heuristic.holds,
            )
    english = BY_NAME["constrain"]
    for task in ("Write a function that sorts the list.", "Fix it"):
        assert in_language(english, task).template == english.template
    unclear = in_language(english, "Genera una password casuale.").template
    assert unclear == f"{english.template}\n\n{KEEP_ANY}"
    assert frames_of("de") != frames_of("el") == FRAMES


@pytest.mark.parametrize("code", ["zh", "ja", "ko", "ru", "es", "fr", "de"])
def test_translated_examples_are_good_answers(code):
    """Each passes all rules except the one against copying it."""
    seeds = {"zh": 0, "ja": 1, "ru": 2, "ko": 3, "es": 9, "de": 10}
    french = "Écris une fonction qui renvoie le plus grand nombre d'une liste."
    seed = french if code == "fr" else [*ADDITIONS][seeds[code]]
    for heuristic in BUILT_IN:
        own = in_language(heuristic, seed)
        assert own.language == code
        for example in own.examples:
            made, _ = evolved(example.task, example.answer, heuristic=heuristic.name)
            assert isinstance(made, Task) or made.reason is Reason.PROMPT_COPIED, made


def test_a_task_that_cannot_pass_the_length_rules_is_not_asked():
    """It is dropped with its length, in scripts without blanks too, and the limit is the config's."""
    for seed in ("Sort the words. " + "word " * 2400, "编写一个函数。" + "数据" * 500):
        made, sent = evolved(seed)
        assert isinstance(made, Drop)
        assert made.reason is Reason.TOO_LONG
        assert "eliminate.max_words" in made.detail
        assert made.made is not None
        assert sent == []
        assert made.made.attempts == made.made.prompt_tokens == 0
    _, sent = evolved("Sort the words. " + "word " * 2400, ENGLISH, eliminate={"max_words": 5000})
    assert len(sent) == 1


@pytest.mark.parametrize(
    ("instruction", "prose", "reason"),
    [
        (next(iter(ADDITIONS)), ENGLISH * 2, Reason.WRONG_LANGUAGE),
        (next(iter(ADDITIONS)), ENGLISH, None),
        (next(iter(ADDITIONS)), "这个函数先跳过不是数字的元素，然后逐个比较剩下的元素，并返回其中最大的那一个。" * 2, None),
        (f"{next(iter(ADDITIONS))}请用英文回答。", ENGLISH * 2, None),
        ("Reactのcomponentでuser listをrenderするcodeを書いてください。", ENGLISH * 2, Reason.WRONG_LANGUAGE),
        ("Reactのcomponentでuser listをrenderするcodeを書いてください。", "このcomponentはuser listをpropsで受け取り、mapで各userをrenderします。" * 3, None),
        ("Python list에서 max 값을 return하는 function을 작성해줘", ENGLISH * 2, Reason.WRONG_LANGUAGE),
        ("Python list에서 max 값을 return하는 function을 작성해줘", "이 function은 list를 순회하면서 가장 큰 값을 기억하고 마지막에 return합니다. " * 3, None),
        ("ＣＳＶを１００行読む関数を書いてください。", "この関数はＣＳＶを１行ずつ読み、１００行で止まります。" * 4, None),
        ("Complete a função abaixo em Python.", "La función recorre la lista y devuelve el mayor de los números que no son cero. " * 4, Reason.WRONG_LANGUAGE),
        ("Complete a função abaixo em Python.", "A função percorre a lista e retorna o maior dos números que não são zero. " * 4, None),
        ("Write a Python function that returns the largest number of a list.", "Функция пропускает строки и возвращает наибольшее число списка. " * 5, Reason.WRONG_LANGUAGE),
    ],
)  # fmt: skip
def test_an_answer_in_another_language_is_dropped(instruction, prose, reason):
    """Code and its comments may be in any language, and so may short notes."""
    text = f"{prose}\n\n```python\n# {ENGLISH * 3}\ndef f(x):\n    return max(x)\n```"
    answer = Completion.of(text, "", "stop", sent=1, received=9)
    task = Task.seed(instruction, ordinal=0, language="python")
    found = find_defect(task, answer, EliminateConfig())
    assert (found and found[0]) == reason


def test_an_answer_that_is_the_distractor_is_dropped():
    """The code that a task warns of, commented or not, is no answer; with a change it is one."""
    task = Task.seed("Sort it.", ordinal=0, language="python").child(
        "Sort it.\n\nA draft:\n```python\ndef f(x):\n    return x\n```",
        round=1, heuristic="misdirect", language="python", made=None,
    )  # fmt: skip

    def reason(code):
        answer = Completion.of(f"```python\n{code}\n```", "", "stop", sent=1, received=9)
        found = find_defect(task, answer, EliminateConfig())
        return found and found[0]

    assert reason("# as asked\ndef f(x):\n    return x  # done") is Reason.BAIT_IS_ANSWER
    assert reason("def f(x):\n    return sorted(x)") is None


STUB = 'from typing import List\n\n\ndef f(xs: List[int]) -> int:\n    """ Return the sum of xs\n    given.\n    >>> f([1])\n    1\n    """\n'
PANDAS = "Problem:\nI have a DataFrame:\n   A  B\n0  1  2\n\nHow can I shuffle it?\n\n\nA:\n<code>\nimport pandas as pd\ndf = pd.DataFrame({'A': [1]})\n</code>\nresult = ... # put solution in this variable\nBEGIN SOLUTION\n<code>\n"
FENCED = "```python\ndef mean(v):\n    return sum(v) / len(v)\n```"


@pytest.mark.parametrize(
    ("parent", "child"),
    [
        (STUB, STUB.replace("    >>>", "    ADD.\n    >>>")),
        ('def f(x):\n    """Return x."""\n', 'def f(x):\n    """Return x.\n    ADD.\n    """\n'),
        ('Complete it:\n```python\ndef f(x):\n    """Return x."""\n    pass\n```', 'Complete it:\n```python\ndef f(x):\n    """Return x.\n    ADD.\n    """\n    pass\n```'),
        (PANDAS, PANDAS.replace("shuffle it?", "shuffle it? ADD.")),
        (f"Mend this function, so that it returns 0.\n\n{FENCED}", f"Mend this function, so that it returns 0. ADD.\n\n{FENCED}"),
        (f"Find the bug in this code:\n{FENCED}", f"Find the bug in this code. ADD.\n{FENCED}"),
        (f"{FENCED}\nRewrite this program without a loop.", f"{FENCED}\nRewrite this program without a loop.\n\nADD."),
        (f"Given\n{FENCED}\nand\n{FENCED}\nmerge both into one.", f"Given. ADD.\n{FENCED}\nand\n{FENCED}\nmerge both into one."),
        ("def add(a, b):\n    return a - b", "ADD.\n\ndef add(a, b):\n    return a - b"),
        ("Use recursion here: for i in range(10): print(i)", "Use recursion here: for i in range(10): print(i)\n\nADD."),
        ("Explain it.\nfor (int i = 0; i < n; i++) {\n  x();\n}", "Explain it. ADD.\nfor (int i = 0; i < n; i++) {\n  x();\n}"),
        ("#include <stdio.h>\nint main() { }\nExplain this C program.", "#include <stdio.h>\nint main() { }\nExplain this C program.\n\nADD."),
        ("Fix it.\n\nint sum = 0;\nfor (int i = 0; i < 9; i++) {\n}", "Fix it. ADD.\n\nint sum = 0;\nfor (int i = 0; i < 9; i++) {\n}"),
        ('Mend it.\n\ns = "How are you ?"\nfor word in s.split():\n    print(word)', 'Mend it. ADD.\n\ns = "How are you ?"\nfor word in s.split():\n    print(word)'),
        ("Find its depth.\n\n# Definition for a node.\nclass Node:\n    pass", "Find its depth. ADD.\n\n# Definition for a node.\nclass Node:\n    pass"),
        ("编写一个 Python 函数 f(x)\n\n输入：[1,2]", "编写一个 Python 函数 f(x)。ADD.\n\n输入：[1,2]"),
        (f"修复下面的代码：\n{FENCED}", f"修复下面的代码。ADD.\n{FENCED}"),
        (f"Sort it.\n\nA first draft is this:\n{FENCED}", f"Sort it. ADD.\n\nA first draft is this:\n{FENCED}"),
    ],
)  # fmt: skip
def test_additions_never_break_code(parent, child):
    """They go before the code, into the docstring of a function to complete, or after the task."""
    assert append_addition(parent, "ADD.") == child


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (STUB, "python"),
        (PANDAS, "python"),
        ("Explain it.\n#include <stdio.h>\nint main() { return 0; }", "c"),
        ("What does it print?\nconst x = [1];\nconsole.log(x);", "javascript"),
        ("Fix it.\nSELECT name FROM people WHERE;", "sql"),
        ("Mend it.\nfn main() { let mut x = 1; }", "rust"),
        ("用C语言编写一个程序", "c"),
        ("Напишите на Go функцию", "go"),
        ("编写一个Python函数", "python"),
        ("Sort a list: the smallest value first.", None),
    ],
)
def test_the_language_of_a_task_is_read_from_its_code_too(text, language):
    """A language that is named counts first."""
    assert named_language(text) == language

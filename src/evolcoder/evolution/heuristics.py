"""The heuristics of Code Evol-Instruct as data, and the choice among them.

The ideas are those of the paper (arXiv 2306.08568); the prompts are written for this project. Small
models copy examples rather than follow instructions, so each heuristic has worked examples that
cover the most frequent mistakes: lost input data, a changed programming language.
The choice depends on seed, task and round only. A model may not follow the heuristic; `rules`
checks that.

>>> heuristic = choose(resolve(config.evolve), config.seed, task, round=1)   # doctest: +SKIP
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from evolcoder.config.load import EvolveConfig, HeuristicConfig
from evolcoder.errors import ConfigError
from evolcoder.evolution.wanted_output import WantedOutput, wanted_output
from evolcoder.ids import rng_for
from evolcoder.records import Task


class TaskContents(StrEnum):
    """What an evolution must contain to satisfy its heuristic. Values are config values."""

    NOTHING = "nothing"
    BAIT = "bait"
    BOUND = "bound"


class ExampleForm(StrEnum):
    """Form of the evolver's answer. Values are config values."""

    TASK = "task"
    """The whole new task, after `New task:` if a plan precedes it."""
    ADDITION = "addition"
    """Sentences to insert after the parent's prose; with a distractor, its code comes first."""


class Applicability(StrEnum):
    """The tasks that a heuristic applies to. Values are config values."""

    ANY = "any"
    CODE = "code"
    ALGORITHM = "algorithm"


@dataclass(frozen=True, slots=True)
class WorkedExample:
    """A few-shot example: a task and the evolver's answer to it."""

    task: str
    """The original task."""
    answer: str
    """The answer in the form of the heuristic."""


@dataclass(frozen=True, slots=True)
class Heuristic:
    """One way to make a task harder."""

    name: str
    """Name, stored with every task that it made."""
    weight: float
    """Relative probability of being chosen."""
    template: str
    """Prompt; `{task}` is replaced by the task."""
    examples: tuple[WorkedExample, ...] = ()
    """Worked examples, rendered with the template."""
    form: ExampleForm = ExampleForm.TASK
    """Requested form of the answer."""
    holds: TaskContents = TaskContents.NOTHING
    """What its evolutions must contain."""
    suits: Applicability = Applicability.ANY
    """The tasks that it applies to."""
    origin: str = "evolcoder"
    """Author of the template."""
    language: str = "en"
    """Natural language that the prompt asks for, as an ISO 639-1 code or the name of a script."""


BUILT_IN: tuple[Heuristic, ...] = (
    Heuristic(
        "constrain",
        1.0,
        "Which concrete requirements would make this programming task harder? Reply with one or "
        "two sentences that can stand right behind it, and do not solve it.\n\nTask: {task}",
        (
            WorkedExample(
                "Write a Python function that returns the sum of a list of numbers.",
                "Skip entries that are not numbers, and raise a ValueError if nothing is left to "
                "add.",
            ),
            WorkedExample(
                "Create a SQL query that lists all open orders.\n"
                "orders(id, customer, status, placed_on)",
                "Leave out orders without a customer, compare the status without regard to case, "
                "and list the oldest order first.",
            ),
            WorkedExample(
                "Explain what a closure is in JavaScript.",
                "Show a loop in which a variable is captured wrongly, and compare two ways to "
                "avoid it.",
            ),
        ),
        form=ExampleForm.ADDITION,
    ),
    Heuristic(
        "specialise",
        1.0,
        "Make this programming task harder: take something common that it asks for, think of "
        "something rarer and more specific of the same kind, and rewrite the task with it. Keep "
        "the rest and the programming language. Do not solve it.\n\nTask: {task}",
        (
            WorkedExample(
                "Write a JavaScript function that sorts an array of numbers.\n[3, 1, 2]",
                "Common: numbers in ascending order\n"
                "Rarer: version strings by their numeric parts\n"
                "New task: Write a JavaScript function that sorts an array of version strings by "
                "their numeric parts, so that 1.10.0 comes after 1.9.2, and puts pre-releases such "
                "as 1.9.2-beta before their release.\n"
                '["1.10.0", "1.9.2-beta", "1.9.2"]',
            ),
            WorkedExample(
                "How do you open a file in Python?",
                "Common: a plain file\n"
                "Rarer: a compressed log with damaged bytes\n"
                "New task: How do you open a gzip-compressed log file in Python and read it line "
                "by line, replacing bytes that are not valid UTF-8?",
            ),
            WorkedExample(
                "Create a program to print a greeting.",
                "Common: a fixed greeting\n"
                "Rarer: a greeting by time zone and hour\n"
                "New task: Create a program to print a greeting that depends on the local hour in "
                "a time zone given by its name, and that says good night after ten in the "
                "evening.",
            ),
        ),
    ),
    Heuristic(
        "deepen",
        1.0,
        "This programming task takes only a step or two. What could be asked for on top of it, so "
        "that its result must be used to work out something harder? Reply with one or two "
        "sentences that can stand right behind it, and do not solve it.\n\nTask: {task}",
        (
            WorkedExample(
                "Create a Java method that finds the largest number in an array.\n"
                "int[] a = {4, 9, 2};",
                "Then use it to rank the rows of a matrix by their largest number, and of rows "
                "that are equal in this put the one with the smaller average first.",
            ),
            WorkedExample(
                "Explain what a primary key is.",
                "Then take a table of enrolments whose key is the student's name, explain what "
                "goes wrong when two students share a name, and work out which key would be "
                "better.",
            ),
            WorkedExample(
                "Write a function to count the words in a sentence.",
                "With its help, split a paragraph into sentences and return each that has more "
                "words than the sentence before it; abbreviations such as e.g. must not end a "
                "sentence.",
            ),
        ),
        form=ExampleForm.ADDITION,
    ),
    Heuristic(
        "misdirect",
        1.0,
        "Solve this programming task with the simplest code, in ten lines at most. Then say what "
        "the same code must do as well and does not do yet, such as treat an unusual input, and "
        "do not mend it.\n\nTask: {task}",
        (
            WorkedExample(
                "Write a Python function that counts the vowels in a string.\n'hello'",
                "```python\ndef count_vowels(text):\n"
                '    return sum(1 for c in text if c in "aeiou")\n```\n'
                "Demand: It must also count capital vowels, and vowels with an accent such as "
                "\u00e9 like plain ones.",
            ),
            WorkedExample(
                "Make all links on a page red with CSS.",
                "```css\na { color: red; }\n```\n"
                "Demand: It must also leave the links of the navigation bar as they are, and turn "
                "those that were visited grey.",
            ),
        ),
        form=ExampleForm.ADDITION,
        holds=TaskContents.BAIT,
        suits=Applicability.CODE,
    ),
    Heuristic(
        "complexity",
        1 / 3,
        "Which time or space complexity, written as O(...), would make this programming task "
        "harder, because a simple solution misses it and a clever one reaches it? Reply with one "
        "sentence that can stand right behind the task, and do not solve it.\n\nTask: {task}",
        (
            WorkedExample(
                "Write a Python function that checks whether two numbers in a list add up to a "
                "target.",
                "It must run in O(n) time for a list of n numbers, and may use O(n) extra space.",
            ),
            WorkedExample(
                "Create a C program to rotate an array by k places.\nint a[] = {1, 2, 3, 4};",
                "For an array of n elements it must take O(n) time and O(1) extra space, whatever "
                "k is.",
            ),
            WorkedExample(
                "Find the first position of a value in a sorted array.",
                "It must take O(log n) time, also where the value stands there many times.",
            ),
        ),
        form=ExampleForm.ADDITION,
        holds=TaskContents.BOUND,
        suits=Applicability.ALGORITHM,
    ),
)

_GROWS = re.compile(
    r"\b(?:array|list|string|sentence|word|text|tree|graph|matrix|sort|search|find|sum|count"
    r"|duplicate|sequence|series|fibonacci|prime|palindrome|permutation|substring|median|maximum"
    r"|minimum|merge|anagram|linked|stack|queue|subset|divisor|rotat\w+|revers\w+|travers\w+)s?\b"
)
"""Searched for in lower-cased text, which is twice as fast as a case-insensitive search."""
_GROWS_ELSEWHERE = re.compile(
    r"数组|陣列|列表|字符串|字串|句子|单词|矩阵|排序|查找|搜索|求和|素数|质数|回文|子串|最大|最小|链表"
    r"|配列|リスト|文字列|並べ替え|ソート|検索|合計|素数|回文|배열|리스트|문자열|정렬|검색|합계|최댓값"
    r"|массив|спис|строк|сортир|матриц|сумм|простых чис|палиндром|наибольш|наименьш|слов"
    r"|lista|arreglo|cadena|orden|matriz|palíndrom|primos|suma|liste|tableau|chaîne|tri[eé]|somme"
    r"|zahlen|zeichenkette|sortier|größte|kleinste|summe|palindrom|قائمة|مصفوفة|نص|ترتيب|أكبر"
    r"|सूची|सरणी|स्ट्रिंग|क्रमबद्ध|सबसे बड़ी",
)
"""The same in other languages."""
_NOT_ALGORITHMIC = frozenset({"html", "css", "sql"})


def resolve(
    config: EvolveConfig, built_in: Sequence[Heuristic] = BUILT_IN
) -> tuple[Heuristic, ...]:
    """Merge the built-in heuristics with the config's by name, without those of weight 0.

    `built_in` are those of a style (`styles`). Raises ConfigError if no heuristic has a weight, or
    a new one has no template.
    """
    known = {heuristic.name: heuristic for heuristic in built_in}
    named = {name: _merged(name, known.get(name), own) for name, own in config.heuristics.items()}
    merged = named if config.only_these else known | named
    if not any(heuristic.weight for heuristic in merged.values()):
        raise ConfigError(
            "evolve.heuristics: no heuristic has a weight above 0; set a weight, "
            "or remove evolve.only_these"
        )
    return tuple(heuristic for heuristic in merged.values() if heuristic.weight)


def choose(heuristics: Sequence[Heuristic], seed: int, task: Task, round: int) -> Heuristic:
    """Choose by weight among the heuristics that apply to a task; among all, if none does."""
    categories = categories_of(task)
    fitting = [one for one in heuristics if one.suits in categories] or heuristics
    rng = rng_for(seed, "heuristic", task.id, round)
    return rng.choices(fitting, [heuristic.weight for heuristic in fitting])[0]


def categories_of(task: Task) -> set[Applicability]:
    """Classify a task by its wording."""
    if wanted_output(task.instruction) is WantedOutput.WORDS:
        return {Applicability.ANY}
    lowered = task.instruction.lower()
    grows = _GROWS.search(lowered) or _GROWS_ELSEWHERE.search(lowered)
    if task.language in _NOT_ALGORITHMIC or grows is None:
        return {Applicability.ANY, Applicability.CODE}
    return {Applicability.ANY, Applicability.CODE, Applicability.ALGORITHM}


def _merged(name: str, built_in: Heuristic | None, own: HeuristicConfig) -> Heuristic:
    if own.template is None and built_in is None:
        names = ", ".join(heuristic.name for heuristic in BUILT_IN)
        raise ConfigError(
            f"evolve.heuristics.{name}: has no template and is not built in (built in: {names})"
        )
    old = built_in or Heuristic(name, 1.0, "")
    examples = () if own.template is not None else old.examples
    if own.examples is not None:
        examples = tuple(WorkedExample(example.task, example.answer) for example in own.examples)
    return Heuristic(
        name,
        old.weight if own.weight is None else own.weight,
        own.template or old.template,
        examples,
        ExampleForm(own.answer)
        if own.answer
        else old.form
        if own.template is None
        else ExampleForm.TASK,
        TaskContents(own.must_hold) if own.must_hold else old.holds,
        Applicability(own.suits) if own.suits else old.suits,
        old.origin if own.template is None and own.examples is None else own.origin,
    )

"""The heuristics as data: what each asks for, its worked examples, and the tasks it suits.

The ideas are those of Code Evol-Instruct (arXiv 2306.08568); every word here is our own. A small
model copies what it is shown rather than what it is told, so each heuristic comes with two worked
examples, and those hold what goes wrong most: data that must stay, a language that must not change.

Promises: the choice depends on seed, task and round alone. Does not promise that a model does what
a heuristic asks; `eliminate` looks at that.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from evolcoder.config.load import EvolveConfig, HeuristicConfig
from evolcoder.errors import ConfigError
from evolcoder.ids import rng_for
from evolcoder.records import Task
from evolcoder.text import WantedLanguage, wants


class TaskContents(StrEnum):
    """What an evolution must hold to be what its heuristic says."""

    NOTHING = "nothing"
    BAIT = "bait"
    BOUND = "bound"


class ExampleForm(StrEnum):
    """What the evolver answers with."""

    TASK = "task"
    """The whole new task, after a `New task:` if a plan stands before it."""
    ADDITION = "addition"
    """Sentences to be put behind the parent's prose; for a bait, after its code."""


class Applicability(StrEnum):
    """The tasks that a heuristic makes sense for."""

    ANY = "any"
    CODE = "code"
    ALGORITHM = "algorithm"


@dataclass(frozen=True, slots=True)
class WorkedExample:
    """A task and the evolver's answer to it, shown as an earlier turn of the chat."""

    task: str
    """A task before."""
    answer: str
    """The answer in the form that the heuristic asks for."""


@dataclass(frozen=True, slots=True)
class Heuristic:
    """One way to make a task harder."""

    name: str
    """As stored with every task that it made."""
    weight: float
    """Relative chance of being picked."""
    template: str
    """What the evolver is asked; `{task}` stands for the task."""
    examples: tuple[WorkedExample, ...] = ()
    """Worked examples, put through the template."""
    form: ExampleForm = ExampleForm.TASK
    """What it asks the evolver to answer with."""
    holds: TaskContents = TaskContents.NOTHING
    """What its evolutions must hold."""
    suits: Applicability = Applicability.ANY
    """The tasks that it is picked for."""
    origin: str = "evolcoder"
    """Who wrote it."""


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
"""Looked for in lower case, which takes half the time of a search without regard to case."""
_NOT_ALGORITHMIC = frozenset({"html", "css", "sql"})


def resolve(config: EvolveConfig) -> tuple[Heuristic, ...]:
    """Merge the built-in heuristics with the user's, by name; turned-off ones are left out."""
    known = {heuristic.name: heuristic for heuristic in BUILT_IN}
    named = {name: _merged(name, known.get(name), own) for name, own in config.heuristics.items()}
    merged = named if config.only_these else known | named
    if not any(heuristic.weight for heuristic in merged.values()):
        raise ConfigError(
            "evolve.heuristics: no heuristic has a weight above 0; give one a weight, "
            "or leave evolve.only_these out"
        )
    return tuple(heuristic for heuristic in merged.values() if heuristic.weight)


def choose(heuristics: Sequence[Heuristic], seed: int, task: Task, round: int) -> Heuristic:
    """Pick by weight among the heuristics that suit a task; among all, if none does."""
    suited = kinds(task)
    fitting = [heuristic for heuristic in heuristics if heuristic.suits in suited] or heuristics
    rng = rng_for(seed, "heuristic", task.id, round)
    return rng.choices(fitting, [heuristic.weight for heuristic in fitting])[0]


def kinds(task: Task) -> set[Applicability]:
    """Return the kinds of tasks that a task is, by its wording."""
    if wants(task.instruction) is WantedLanguage.WORDS:
        return {Applicability.ANY}
    if task.language in _NOT_ALGORITHMIC or _GROWS.search(task.instruction.lower()) is None:
        return {Applicability.ANY, Applicability.CODE}
    return {Applicability.ANY, Applicability.CODE, Applicability.ALGORITHM}


def _merged(name: str, built_in: Heuristic | None, own: HeuristicConfig) -> Heuristic:
    if own.template is None and built_in is None:
        names = ", ".join(heuristic.name for heuristic in BUILT_IN)
        raise ConfigError(
            f"evolve.heuristics.{name}: has no template, and is none of the built-in {names}"
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

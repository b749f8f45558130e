"""MBPP (Google, 2021) and MBPP+ (EvalPlus): Python tasks described in one sentence.

MBPP runs three assertions per problem; MBPP+ calls the function with many more inputs and compares
its answers with the reference's. `mbpp` is the test split of 500 problems. `mbpp-dev` merges train
and validation: 464 problems that no published score uses, for deciding when to stop evolving.
MBPP+ stores inputs as JSON, which has no tuples and complex numbers; `with_python_types` restores
them per problem, by the same table as EvalPlus 0.3.1.

    mbpp_dev(DataFolder(data_dir=None, cache=folder)).problems()

>>> with_python_types(106, [[[5, 6], [9, 10]]])
(([5, 6], (9, 10)),)
"""

import ast
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

from evolcoder.bench.base import AssertChecks, CallChecks, Problem, PromptSettings
from evolcoder.bench.comparators import Comparator
from evolcoder.bench.fetch import DataFile, DataFolder, Row, rows
from evolcoder.bench.function_bench import FunctionBench, entry_points
from evolcoder.code.python_ast import tree_of
from evolcoder.errors import BenchError
from evolcoder.text import one_line

Value: TypeAlias = Any
"""A JSON value."""
Arguments = tuple[Value, ...]
"""Positional arguments of one call."""


def with_python_types(number: int, inputs: Iterable[Sequence[Value]]) -> tuple[Arguments, ...]:
    """Convert the JSON inputs of a problem, given its task number, to their Python types."""
    convert = _CONVERSIONS.get(number, tuple)
    return tuple(convert(arguments) for arguments in inputs)


def _tuples(value: Value) -> list[Value]:
    return [tuple(item) for item in value]


def _each_a_tuple(arguments: Sequence[Value]) -> Arguments:
    return tuple(_tuples(arguments))


def _each_a_list_of_tuples(arguments: Sequence[Value]) -> Arguments:
    return tuple(_tuples(argument) for argument in arguments)


def _each_a_tuple_of_tuples(arguments: Sequence[Value]) -> Arguments:
    return tuple(tuple(_tuples(argument)) for argument in arguments)


def _first_a_tuple(arguments: Sequence[Value]) -> Arguments:
    return (tuple(arguments[0]), *arguments[1:])


def _second_a_tuple(arguments: Sequence[Value]) -> Arguments:
    return (arguments[0], tuple(arguments[1]))


def _first_a_list_of_tuples(arguments: Sequence[Value]) -> Arguments:
    return (_tuples(arguments[0]), *arguments[1:])


def _all_tuples(value: Value) -> Value:
    return tuple(_all_tuples(item) for item in value) if isinstance(value, list) else value


def _values_are_tuples(arguments: Sequence[Value]) -> Arguments:
    return ({key: tuple(value) for key, value in arguments[0].items()}, *arguments[1:])


def _one_level_of_tuples(arguments: Sequence[Value]) -> Arguments:
    return (tuple(tuple(item) if isinstance(item, list) else item for item in arguments[0]),)


_CONVERTED_TASKS: tuple[tuple[Callable[[Sequence[Value]], Arguments], str], ...] = (
    (
        _each_a_tuple,
        "2 116 132 222 261 273 394 421 424 429 470 560 579 596 616 630 726 740 744 809",
    ),
    (_each_a_list_of_tuples, "63 64 70 94 120 237 272 299 409 473 614 780"),
    (_each_a_tuple_of_tuples, "259 445"),
    (_first_a_tuple, "250 405 446 720 763 808"),
    (_second_a_tuple, "106 750"),
    (_first_a_list_of_tuples, "75 413 753"),
    (_one_level_of_tuples, "278"),
    (_all_tuples, "580 615 791"),
    (_values_are_tuples, "722"),
    (lambda arguments: (float(arguments[0]), complex(arguments[1])), "124"),
    (lambda arguments: (complex(arguments[0]),), "252"),
)
_CONVERSIONS = {
    int(number): convert for convert, numbers in _CONVERTED_TASKS for number in numbers.split()
}
"""Task number -> conversion of its arguments."""


MBPP = DataFile(
    "mbpp/mbpp.jsonl.gz",
    "https://github.com/google-research/google-research/raw/"
    "f82046ba5aabbbb427dbfd38a254d26bff08b533/mbpp/mbpp.jsonl",
    "ccf64ceae9c5403bf50a044cb6d505bfd2a2963ee58338ba268fd65beab92a9f",
    (),
)
MBPP_PLUS = DataFile(
    "mbpp/MbppPlus.jsonl.gz",
    "https://github.com/evalplus/mbppplus_release/releases/download/v0.2.0/MbppPlus.jsonl.gz",
    "b54e762755248ca411b523c917fa9f93c07b5ff2966bf60b3917b853926a3dad",
    (),
)
TEST = range(11, 511)
"""Task numbers of the test split."""
DEV = range(511, 975)
"""Task numbers of validation (511 to 600) and train (601 to 974)."""
STOPS = ("\nassert", '\n"""', "\nprint(", "\nif ", "\n#")
"""Stop sequences; helper functions before the requested one are kept."""
ORACLES = {
    **dict.fromkeys((737, 787, 794), Comparator.NOT_NONE),
    **dict.fromkeys((2, 7, 111, 140, 232, 579, 769), Comparator.SAME_SET),
    558: Comparator.PADDED_DIGITS,
    581: Comparator.PYRAMID,
}
"""Task number of an MBPP+ problem with more than one correct answer -> comparator."""

TOO_LARGE = {255: lambda arguments: arguments[1] > 40}
"""Task number of MBPP+ -> inputs to omit: five of 112, whose answers take a gigabyte each."""


def mbpp(folder: DataFolder) -> FunctionBench:
    """Read the test split of MBPP."""
    return FunctionBench("mbpp", _split(folder, TEST), _prompt)


def mbpp_dev(folder: DataFolder) -> FunctionBench:
    """Read train and validation of MBPP as one dev set."""
    return FunctionBench("mbpp-dev", _split(folder, DEV), _prompt)


def mbpp_plus(folder: DataFolder) -> FunctionBench:
    """Read MBPP+."""
    return FunctionBench("mbpp+", tuple(map(_extended, rows(MBPP_PLUS, folder))), _prompt)


def _split(folder: DataFolder, numbers: range) -> tuple[Problem, ...]:
    return tuple(_original(row) for row in rows(MBPP, folder) if row["task_id"] in numbers)


def _original(row: Row) -> Problem:
    reference = row["code"].replace("\r\n", "\n") + "\n"
    setup = row["test_setup_code"].replace("\r\n", "\n")
    tests = "\n".join(line.strip() for line in row["test_list"])
    names, imports = _used_names(reference, f"{setup}\n{tests}")
    source = "\n".join([*imports, setup, tests, ""]).lstrip("\n")
    return Problem(
        id=f"Mbpp/{row['task_id']}",
        prompt=f'"""\n{row["text"].strip()}\n{tests}\n"""\n',
        checks=AssertChecks(source, names, None),
        reference=reference,
        stub=_stub(names),
        groups=(),
    )


def _extended(row: Row) -> Problem:
    number = int(row["task_id"].removeprefix("Mbpp/"))
    reference = row["prompt"] + row["canonical_solution"]
    inputs = [*row["base_input"], *row["plus_input"]]
    checks = CallChecks(
        entry_point=row["entry_point"],
        inputs=tuple(
            one
            for one in with_python_types(number, inputs)
            if not TOO_LARGE.get(number, _never)(one)
        ),
        n_base=len(row["base_input"]),
        atol=row["atol"],
        oracle=ORACLES.get(number, Comparator.EQUAL),
        reference=reference,
    )
    stub = _stub((row["entry_point"],))
    return Problem(row["task_id"], row["prompt"], checks, reference, stub, ())


def _never(_arguments: Arguments) -> bool:
    return False


def _used_names(reference: str, tests: str) -> tuple[tuple[str, ...], list[str]]:
    """Return the names that tests use of a program, and its imports that they rely on."""
    test_tree, tree = tree_of(tests), tree_of(reference)
    if test_tree is None or tree is None:
        raise BenchError(f"MBPP is damaged: not valid Python: {one_line(reference, 60)}")
    used = {node.id for node in ast.walk(test_tree) if isinstance(node, ast.Name)}
    names, imports = [], []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name in used:
            names.append(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom) and used & _bound(node.names):
            imports.append(ast.unparse(node))
    return tuple(dict.fromkeys(names)), imports


def _bound(aliases: Iterable[ast.alias]) -> set[str]:
    return {alias.asname or alias.name.split(".")[0] for alias in aliases}


def _stub(names: Iterable[str]) -> str:
    return "".join(f"def {name}(*args, **kwargs):\n    pass\n" for name in names)


def _prompt(problem: Problem) -> PromptSettings:
    names = " and ".join(f"`{name}`" for name in entry_points(problem))
    task = problem.prompt.strip().removeprefix('"""').removesuffix('"""').strip()
    words, _, asserts = task.partition("\nassert")
    instruction = (
        f"{words.strip()}\n\nWrite it in Python as {names}, so that this holds:\n\n"
        f"```python\nassert{asserts}\n```\n\n"
        "Answer with all of the code, and with the imports that it needs, in one fenced block."
    )
    return PromptSettings(instruction, problem.prompt, "python", STOPS)

r"""Makes the inputs on which all answers to a task are run.

They come, in this order, from the task's own examples, from generated tests, from the calls and the
example usage in the answers themselves, and from random changes of these. Without any call they are
made of the types that the signature names or its parameters' names suggest; of a class an object is
made so, and its methods are called. Only what can be read
as a literal becomes an argument; nothing is evaluated here. Equal arguments give equal probes.
Which inputs are valid is not known here: the answers decide by accepting them (`choose`).

>>> examples_in("Write f, e.g. f([1, 2]) -> 3.", "f")
[Example(arguments=([1, 2],), expected='3')]
"""

import ast
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Any

from evolcoder.code.callables import CallableKind, CallableSubject
from evolcoder.code.python_ast import is_main_guard, literal_of, parse
from evolcoder.decontamination.execution.examples import (
    ProblemExample,
    inputs_drawn,
    inputs_like,
)
from evolcoder.programming_language import code_blocks
from evolcoder.verification.generated_tests.test_parser import parse_checks

MAX_PROBES = 48
"""Maximum inputs per task."""
N_RANDOM = 12
"""Maximum random inputs of each kind."""
MAX_SCRIPTS = 4
"""Maximum programs of example usage."""
MAX_ARGUMENT_CHARS = 2000
"""Longest arguments of a call that is taken from a text."""
MAX_INTEGER = 1 << 40
"""Largest integer in a call that is taken from a text."""


class InputOrigin(StrEnum):
    """Where an input comes from. Values are stored; never rename one."""

    TASK = "task"
    TESTS = "tests"
    ANSWERS = "answers"
    RANDOM = "random"


@dataclass(frozen=True, slots=True)
class Probe:
    """An input on which every answer is run."""

    origin: InputOrigin
    """Where it comes from."""
    arguments: tuple[Any, ...] = ()
    """Arguments of a call; empty for a script."""
    script: str = ""
    """Statements to run; empty for a call."""
    test: str = ""
    """The test that the script is, as it was written; empty if it asserts nothing."""

    @property
    def plain(self) -> list[Any]:
        """The probe as `observer` wants it."""
        return ["script", self.script] if self.script else ["call", list(self.arguments)]


@dataclass(frozen=True, slots=True)
class Example:
    """A call that a text shows."""

    arguments: tuple[Any, ...]
    """Its arguments, as literals."""
    expected: str | None
    """Source of the literal that the text says it returns; None if it says none."""


def probes(
    instruction: str,
    subject: CallableSubject,
    texts: Sequence[tuple[str, str]],
    tests: Sequence[str],
    *,
    seed: str,
) -> list[Probe]:
    """Return the inputs for the answers to a task, at most `MAX_PROBES`.

    `texts` are the answers, each with the name that it gives the subject; `tests` are generated
    ones, which call it by its entry point.
    """
    name = subject.entry_point
    own = examples_in(instruction, name)
    shown = [*_instruction_tests(instruction, own, name)]
    found = [_test_probe(InputOrigin.TASK, test) for test in shown]
    found += [_test_probe(InputOrigin.TESTS, test) for test in tests if test not in shown]
    if subject.form is CallableKind.CLASS:
        found += [*_usage(texts, name), *_object_usage(subject)]
    else:
        calls = [(InputOrigin.TASK, one.arguments) for one in own]
        calls += [(InputOrigin.TESTS, one) for test in tests for one in _calls_in(test, name)]
        distinct = dict.fromkeys(texts)
        calls += [(InputOrigin.ANSWERS, one) for two in distinct for one in _shown_calls(*two)]
        calls = [one for one in calls if _may_take(subject, one[1])]
        found += [Probe(origin, arguments) for origin, arguments in calls]
        found += _random(subject, [arguments for _, arguments in calls], seed)
        found += _usage(texts, name) if not calls else []
    return list({repr((one.arguments, one.script)): one for one in reversed(found)}.values())[::-1][
        :MAX_PROBES
    ]


def _may_take(subject: CallableSubject, arguments: Sequence[Any]) -> bool:
    return len(arguments) >= subject.n_params


_RESULT = re.compile(
    r"[`\"')\]]?\s*(?:==|=>|->|→|returns?|should return|gives?|yields?|is|#\s*(?:Output:|returns|→"
    r"|->|=>|=)?|\n(?=\S))\s*[`\"]?\s*",
    re.IGNORECASE,
)
"""What stands between a call and the result that a text says it has."""


MAX_CALLS = 100
"""Most calls of a text that are looked at."""


def examples_in(text: str, name: str) -> list[Example]:
    """Find calls of a function with literal arguments in a text, with the results it states."""
    found: list[Example] = []
    for start in islice(re.finditer(rf"(?<![\w.]){re.escape(name)}\s*\(", text), MAX_CALLS):
        source = _balanced(text, start.end() - 1)
        arguments = _literals(f"f{source}") if source else None
        if arguments is None:
            continue
        place = start.end() - 1 + len(source or "")
        between = _RESULT.match(text, place)
        expected = _literal_at(text, between.end()) if between else None
        found.append(Example(arguments, expected))
    return found


def _balanced(text: str, begin: int) -> str | None:
    """Return the text of a bracketed group that begins at an offset; strings are respected."""
    depth, quote, place = 0, "", begin
    while place < min(len(text), begin + MAX_ARGUMENT_CHARS):
        letter = text[place]
        if quote:
            place += letter == "\\"
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter in "([{":
            depth += 1
        elif letter in ")]}":
            depth -= 1
            if depth == 0:
                return text[begin : place + 1]
        place += 1
    return None


def _literals(call: str) -> tuple[Any, ...] | None:
    """Return the arguments of the source of a call, if all are positional literals."""
    tree = parse(call)
    match tree.body if tree else []:
        case [ast.Expr(value=ast.Call(args=args, keywords=[]))]:
            return _values(args, {})
    return None


def _values(nodes: Sequence[ast.expr], known: dict[str, Any]) -> tuple[Any, ...] | None:
    try:
        values = tuple(
            known[node.id] if isinstance(node, ast.Name) else literal_of(node) for node in nodes
        )
    except (ValueError, KeyError):
        return None
    return values if all(_is_small(one) for one in values) else None


def _is_small(value: object, depth: int = 0) -> bool:
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    if isinstance(value, list | tuple | set):
        return (
            depth < 8
            and len(value) <= MAX_ARGUMENT_CHARS
            and all(_is_small(one, depth + 1) for one in value)
        )
    if isinstance(value, str | bytes):
        return len(value) <= MAX_ARGUMENT_CHARS
    plain = value is None or isinstance(value, bool | int | float | complex)
    return plain and not (isinstance(value, int) and abs(value) > MAX_INTEGER)


def _literal_at(text: str, place: int) -> str | None:
    """Return the source of the literal at an offset, as long as it can be."""
    line = text[place : place + MAX_ARGUMENT_CHARS].split("\n", maxsplit=1)[0]
    if line[:1] in {"[", "(", "{"}:
        candidates = [_balanced(text, place) or ""]
    else:
        ends = re.match(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|-?\d+(?:\.\d+)?(?!\w)|\w+", line)
        candidates = [ends[0]] if ends else []
    for source in candidates:
        try:
            return repr(literal_of(source))
        except ValueError:
            continue
    return None


def _instruction_tests(text: str, examples: Sequence[Example], name: str) -> Iterator[str]:
    """Yield the tests that a task itself states: asserts in it, and calls with their results."""
    if re.search(r"\bassert\b", text):
        yield from parse_checks(text, name)
    for one in examples:
        if one.expected is not None:
            given = ", ".join(map(repr, one.arguments))
            yield f"assert {name}({given}) == {one.expected}"


class _Watcher(ast.NodeTransformer):
    """Passes on what the asserts of a test compare to the observer."""

    def visit_Assert(self, node: ast.Assert) -> ast.Assert:
        test = node.test
        if isinstance(test, ast.Compare):
            test.left = _seen(test.left)
        elif not isinstance(test, ast.Constant):
            node.test = _seen(test)
        return node


def _seen(node: ast.expr) -> ast.expr:
    return ast.Call(ast.Name("_seen_", ast.Load()), [node], [])


def _test_probe(origin: InputOrigin, test: str) -> Probe:
    tree = _Watcher().visit(ast.parse(test))
    return Probe(origin, script=ast.unparse(ast.fix_missing_locations(tree)), test=test)


def _calls_in(
    source: str, name: str, known: dict[str, Any] | None = None
) -> Iterator[tuple[Any, ...]]:
    """Yield the arguments of a function's calls whose arguments are literals or known names."""
    tree = parse(source)
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == name:
            values = None if node.keywords else _values(node.args, known or {})
            if values is not None:
                yield values


def _shown_calls(text: str, name: str) -> Iterator[tuple[Any, ...]]:
    """Yield the arguments of the calls in an answer's programs, outside of definitions."""
    for tree in _trees(text):
        known: dict[str, Any] = {}
        for node in _statements(tree):
            match node:
                case ast.Assign(targets=[ast.Name(id=bound)], value=value):
                    if (values := _values([value], known)) is not None:
                        known[bound] = values[0]
            yield from _calls_in(ast.unparse(node), name, known)
    for one in examples_in(text, name):
        yield one.arguments


def _trees(text: str) -> Iterator[ast.Module]:
    blocks = [block.code for block in code_blocks(text) if block.language in {None, "python"}]
    yield from filter(None, map(parse, blocks))


_DEFINES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)


def _statements(tree: ast.Module) -> list[ast.stmt]:
    """Return the statements of a program that define nothing, and those of its main guard."""
    found: list[ast.stmt] = []
    for node in tree.body:
        is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if is_main_guard(node) and isinstance(node, ast.If):
            found += node.body
        elif not isinstance(node, _DEFINES) and not is_text:
            found.append(node)
    return found


class _Renamer(ast.NodeTransformer):
    def __init__(self, name: str, new: str) -> None:
        self._name, self._new = name, new

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name(self._new, node.ctx) if node.id == self._name else node


def _usage(texts: Iterable[tuple[str, str]], name: str) -> Iterator[Probe]:
    """Yield the example usage of the answers, as scripts that print."""
    found: dict[str, None] = {}
    for text, used in texts:
        for tree in _trees(text):
            body = _statements(tree)
            names = {one.id for one in ast.walk(ast.Module(body, [])) if isinstance(one, ast.Name)}
            if used in names and not names & {"input", "open"}:
                module = _Renamer(used, name).visit(ast.Module(body, []))
                found[ast.unparse(ast.fix_missing_locations(module))] = None
    return (
        Probe(InputOrigin.ANSWERS, script=script) for script in itertools.islice(found, MAX_SCRIPTS)
    )


def _random(
    subject: CallableSubject, known: Sequence[tuple[Any, ...]], seed: str
) -> Iterator[Probe]:
    """Yield random inputs like the known ones, or of the types that the signature suggests."""
    arities = Counter(map(len, known)).most_common(1)
    given = [one for one in known if arities and len(one) == arities[0][0]]
    made: list[tuple[Any, ...]] = []
    if not given:
        given = made = list(itertools.islice(_typed(subject), 2 * N_RANDOM))
    if given and given[0] and subject.form is not CallableKind.PROGRAM:
        examples = [ProblemExample(one, None, exact=False) for one in given]
        like, drawn = inputs_like(examples, seed=seed), inputs_drawn(examples, seed=seed)
        made = [*made, *like[:N_RANDOM], *drawn[:N_RANDOM]]
    elif not subject.n_params and not given:
        made = [()]
    for arguments in made:
        yield Probe(InputOrigin.RANDOM, arguments)


_NUMBERS: tuple[Any, ...] = (7, 0, 1, 12, -3)
_LISTS: tuple[Any, ...] = ([3, 1, 2], [], [5], [4, 4, 1, 9, 1], [-2, 7, 0])
_TEXTS: tuple[Any, ...] = ("hello world", "", "a", "Level", "abc123")
_WORDS: tuple[Any, ...] = (["pear", "fig", "apple"], [], ["a", "b", "a"])
_GRIDS: tuple[Any, ...] = ([[1, 2], [3, 4]], [[1]], [[0, 1, 0], [1, 1, 0], [0, 0, 1]])
_TABLES: tuple[Any, ...] = ({"a": 1, "b": 2}, {}, {"x": 5})
_FLOATS: tuple[Any, ...] = (2.5, 0.0, -1.5, 10.0)
_FLAGS: tuple[Any, ...] = (True, False)
_TYPED_INPUT: tuple[Any, ...] = (
    "5\n", "3 4\n", "3\n4\n", "hello world\n", "5\n1 2 3 4 5\n", "10\n3\n2\n", "1 2 3 4 5\n",
    "2\n7\n", "racecar\n", "0\n", "-3\n8\n", "4\n4\n", "12 5\n", "1\n2\n3\n", "100\n",
)  # fmt: skip
_BY_ANNOTATION: tuple[tuple[re.Pattern[str], tuple[Any, ...]], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), values)
    for pattern, values in (
        (r"(?:list|sequence|iterable|tuple)\[(?:list|tuple|sequence)\[", _GRIDS),
        (r"(?:list|sequence|iterable|set|tuple)\[str", _WORDS),
        (r"(?:list|sequence|iterable|set|tuple)\b", _LISTS),
        (r"(?:dict|mapping)\b", _TABLES),
        (r"bool\b", _FLAGS),
        (r"int\b", _NUMBERS),
        (r"float\b|complex\b", _FLOATS),
        (r"str\b", _TEXTS),
    )
)
_BY_NAME: tuple[tuple[re.Pattern[str], tuple[Any, ...]], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), values)
    for pattern, values in (
        (r"matrix|grid|board|table|rows|graph|edges|intervals|points", _GRIDS),
        (r"words|strings|strs|names|lines|texts|sentences", _WORDS),
        (r"nums|numbers|arr|lst|list|values|items|data|seq|prices|heights|scores|ints", _LISTS),
        (r"dict|map|counts|inventory", _TABLES),
        (r"^(?:s\d?|str\d?|string\d?|text|word|sentence|name|line|char|pattern|key)$", _TEXTS),
        (r"^(?:n|m|k|x|y|a|b|i|num|number|target|limit|size|count|year|age|low|high)$", _NUMBERS),
        (r"rate|price|amount|balance|cost|salary|ratio|radius|width|height|temp", _FLOATS),
    )
)
_UNKNOWN = (*_LISTS[:2], *_TEXTS[:2], *_NUMBERS[:2], *_WORDS[:1], *_TABLES[:1], *_GRIDS[:1])


def _typed(subject: CallableSubject) -> Iterator[tuple[Any, ...]]:
    """Yield arguments of the types that a signature names, or that its names suggest."""
    if subject.form is CallableKind.PROGRAM:
        yield from ((one,) for one in _TYPED_INPUT)
        return
    tree = parse(f"{subject.signature}: pass")
    match tree.body if tree else []:
        case [ast.FunctionDef(args=spec)] if pools := _pools(spec)[: subject.n_params]:
            for at in range(max(map(len, pools)) * min(len(pools), 2)):
                yield _turn(pools, at)


def _pools(spec: ast.arguments) -> list[tuple[Any, ...]]:
    """Return values for each required parameter but `self`."""
    parameters = [*spec.posonlyargs, *spec.args]
    required = parameters[: len(parameters) - len(spec.defaults)]
    return [_pool(one) for one in required if one.arg not in {"self", "cls"}]


def _turn(pools: Sequence[Sequence[Any]], at: int) -> tuple[Any, ...]:
    """Return one value of each pool; in turn all are used, and neighbours differ in all of them."""
    longest = max(map(len, pools), default=1)
    return tuple(pool[(at + n * (at // longest)) % len(pool)] for n, pool in enumerate(pools))


MAX_OBJECTS, MAX_METHODS = 10, 6
"""Objects that are made of a class, and methods of each that are called."""


def _object_usage(subject: CallableSubject) -> Iterator[Probe]:
    """Yield scripts that make an object and call its methods: all in turn, and each by itself."""
    lines = subject.signature.splitlines()
    tree = parse("\n".join([lines[0], *(f"{line}: pass" for line in lines[1:]), "    pass"]))
    whole = tree.body[0] if tree else None
    defined = whole.body if isinstance(whole, ast.ClassDef) else []
    methods = {one.name: _pools(one.args) for one in defined if isinstance(one, ast.FunctionDef)}
    own = methods.pop("__init__", [])
    calls = dict(islice(methods.items(), MAX_METHODS))
    for at in range(MAX_OBJECTS):
        made = f"made = {subject.entry_point}({_written(_turn(own, at))})\n"
        used = [_USED.format(name=name, given=_written(_turn(calls[name], at))) for name in calls]
        for script in [made + "".join(used), *(made + one for one in used)]:
            yield Probe(InputOrigin.RANDOM, script=script)


_USED = """\
part = made.{name}
_seen_(part({given}) if callable(part) else part)
"""


def _written(values: tuple[Any, ...]) -> str:
    return ", ".join(map(repr, values))


def _pool(parameter: ast.arg) -> tuple[Any, ...]:
    named = ast.unparse(parameter.annotation) if parameter.annotation else ""
    named = named.replace("typing.", "").removeprefix("Optional[")
    for pattern, values in _BY_ANNOTATION if named else ():
        if pattern.match(named):
            return values
    for pattern, values in _BY_NAME:
        if pattern.search(parameter.arg):
            return values
    return _UNKNOWN

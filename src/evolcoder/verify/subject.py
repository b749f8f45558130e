r"""What of a Python answer can be called by tests: a function or a class, with all that it needs.

Promises: nothing is run. Of the answer's program only what calling the entry point can reach is
kept (and the imports that this uses), so that example usage at the bottom, `input()` and prints do
not take part; the same text gives the same subject. The signature holds names and parameters, with
their defaults and annotations, and no line of a body or docstring: a test writer who reads it has
not seen the answer.
Does not promise that the program as a whole runs; that is another check's question.

>>> text = "```python\ndef double(x):\n    return 2 * x\n\nprint(double(4))\n```"
>>> subject_of(text, "Write a function that doubles.").signature
'def double(x)'
"""

import ast
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from evolcoder.text import code_blocks
from evolcoder.verify.python import Definition, definitions, parse, reachable

_IMPORTS = (ast.Import, ast.ImportFrom)
_NOT_TESTED = re.compile(r"test|main$|_", re.IGNORECASE)
"""Names that are tests, drivers, or private."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A program cut down to what its tests need."""

    source: str = field(repr=False)
    """The program, without what calling the entry point cannot reach."""
    entry_point: str
    """The function or class that tests call."""
    signature: str
    """Name and parameters of the function, or of the class and its methods."""
    is_class: bool
    """Whether tests make objects of it, rather than call it for its value."""
    n_params: int
    """Parameters that a call has to give; of a class, those of `__init__` without the object."""

    def named(self, entry_point: str) -> "Subject":
        """Return the same program, callable under another name as well."""
        if entry_point == self.entry_point:
            return self
        source = f"{self.source}\n{entry_point} = {self.entry_point}"
        return Subject(source, entry_point, self.signature, self.is_class, self.n_params)


def subject_of(text: str, instruction: str, entry_point: str | None = None) -> Subject | None:
    """Find what can be tested in an answer; if a name is wanted and there, that.

    The first block counts that has something to test. Among several functions that is the one
    that the task names, else the last that no other one uses.
    """
    for tree in map(parse, _programs(text)):
        if tree is not None and (node := _chosen(tree, instruction, entry_point)) is not None:
            return _cut_down(tree, node)
    return None


def fitting(text: str, wanted: Subject) -> Subject | None:
    """Find in another answer to the same task what can be called as the wanted subject is.

    A function of another name fits if it takes as many arguments.
    """
    found = subject_of(text, "", wanted.entry_point)
    if found is None or found.is_class != wanted.is_class:
        return None
    same = found.entry_point == wanted.entry_point or found.n_params == wanted.n_params
    return found.named(wanted.entry_point) if same else None


def program_of(code: str, wanted: Subject) -> Subject | None:
    """Do the same as `fitting` for bare code."""
    return fitting(f"~~~~~~\n{code}\n~~~~~~", wanted)


def _programs(text: str) -> list[str]:
    """Return what may be the program: fenced blocks in order, or all of an unfenced text."""
    blocks = [block for block in code_blocks(text) if block.language in {None, "python"}]
    return [block.code for block in blocks] if blocks or "```" in text else [text]


def _chosen(tree: ast.Module, instruction: str, wanted: str | None) -> Definition | None:
    defined = {name: node for name, node in definitions(tree).items() if _is_testable(node)}
    if wanted in defined:
        return defined[wanted]
    if not defined:
        return None
    named = [node for name, node in defined.items() if _is_named(name, instruction)]
    used = {
        part.id
        for name, node in defined.items()
        for part in ast.walk(node)
        if isinstance(part, ast.Name) and part.id != name
    }
    roots = [node for name, node in defined.items() if name not in used]
    functions = [node for node in roots if isinstance(node, ast.FunctionDef)]
    return (named or functions or roots or list(defined.values()))[-1]


def _is_named(name: str, instruction: str) -> bool:
    """Whether a task speaks of code by this name, and not of a thing that is called so."""
    before, behind = r"(?:\b(?:function|method|class|called|named)\s+[`'\"]?|`)", r"\s*\("
    told = rf"{before}{re.escape(name)}\b|\b{re.escape(name)}{behind}"
    return re.search(told, instruction) is not None


def _is_testable(node: Definition) -> bool:
    if _NOT_TESTED.match(node.name) or isinstance(node, ast.AsyncFunctionDef):
        return False
    if isinstance(node, ast.ClassDef):
        return any(not method.name.startswith("_") for method in _methods(node))
    return bool(node.args.posonlyargs or node.args.args or node.args.vararg or _returns(node))


def _returns(node: ast.FunctionDef) -> bool:
    return any(isinstance(part, ast.Return) and part.value is not None for part in ast.walk(node))


def _cut_down(tree: ast.Module, node: Definition) -> Subject:
    kept = reachable(tree, node.name)
    used = {part.id for root in kept for part in ast.walk(root) if isinstance(part, ast.Name)}
    body = [
        one
        for one in tree.body
        if any(one is root for root in kept) or (isinstance(one, _IMPORTS) and _used(one, used))
    ]
    source = ast.unparse(ast.Module(body, []))
    is_class = isinstance(node, ast.ClassDef)
    return Subject(source, node.name, _signature(node), is_class, _n_params(node))


def _used(node: ast.Import | ast.ImportFrom, names: Iterable[str]) -> bool:
    bound = {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    if isinstance(node, ast.ImportFrom) and node.module == "__future__":
        return True
    return "*" in bound or not bound.isdisjoint(names)


def _signature(node: Definition) -> str:
    if not isinstance(node, ast.ClassDef):
        return _head(node)
    shown = [method for method in _methods(node) if method.name == "__init__" or _is_public(method)]
    return "\n".join([f"class {node.name}:", *(f"    {_head(method)}" for method in shown)])


def _head(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    return f"def {node.name}({ast.unparse(node.args)})"


def _is_public(node: ast.FunctionDef) -> bool:
    return not node.name.startswith("_")


def _methods(node: ast.ClassDef) -> Sequence[ast.FunctionDef]:
    return [part for part in node.body if isinstance(part, ast.FunctionDef)]


def _n_params(node: Definition) -> int:
    if isinstance(node, ast.ClassDef):
        made = [method for method in _methods(node) if method.name == "__init__"]
        return _n_params(made[0]) - 1 if made else 0
    return len(node.args.posonlyargs) + len(node.args.args) - len(node.args.defaults)

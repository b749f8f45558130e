r"""Checks that the distractor code in a task is wrong, and is not the response itself.

The heuristic `misdirect` appends a possibly misleading piece of code to a task. This module
extracts it, compares it with the response (as syntax trees, ignoring names, comments and
docstrings), and runs it against the row's validated generated tests.
A distractor that cannot be run against validated checks is `not_measured`. A failing distractor is
not guaranteed to be wrong in the way the task describes, nor is a passing one guaranteed to be
right: the score is the strength of the checks.

>>> find_distractor("Add.\n\nA draft:\n```python\nx = 1\n```").code
'x = 1'
"""

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from evolcoder.code.callables import CallableSubject, find_compatible_in_code, subject_of
from evolcoder.code.python_ast import parse
from evolcoder.config.load import VerifyConfig
from evolcoder.records import JSON, Check, CheckResult, Response, Task
from evolcoder.sandbox.base import Limits, Sandbox
from evolcoder.text import CodeBlock, code_blocks
from evolcoder.verification.generated_tests.check import validated_checks
from evolcoder.verification.generated_tests.runner import reduced_limits, run_checks


class DistractorFinding(StrEnum):
    """Finding about a distractor. Values are stored; never rename one."""

    NO_BAIT = "no_bait"
    """The task has no distractor."""
    IS_ANSWER = "is_answer"
    """The response's program is the distractor, or other code shown in the task."""
    WORKS = "works"
    """The distractor passes all checks of the row."""
    FAILS = "fails"
    """The distractor does not parse, or fails a check."""
    NOT_MEASURED = "not_measured"
    """The row has no validated checks, or they cannot call the distractor."""


@dataclass(frozen=True, slots=True)
class DistractorCheck:
    """A `RowCheck` that judges the distractor of a task."""

    sandbox: Sandbox
    """Runs the distractor."""
    config: VerifyConfig
    """Resource limits of a program."""
    heuristics: frozenset[str] = frozenset({"misdirect"})
    """Heuristics whose tasks end with a distractor."""

    @property
    def check(self) -> Check:
        """The kind of check."""
        return Check.BAIT

    async def __call__(
        self, task: Task, response: Response, before: Mapping[Check, CheckResult]
    ) -> CheckResult:
        """Judge a row's distractor by the validated checks in the verdict of `tests`."""
        has_distractor = task.heuristic in self.heuristics
        distractor = find_distractor(task.instruction) if has_distractor else None
        if distractor is None:
            return CheckResult.of(response, Check.BAIT, DistractorFinding.NO_BAIT)
        # A task evolved by `misdirect` more than once also shows the earlier distractors.
        if any(is_same_program(shown, response.text) for shown in code_blocks(task.instruction)):
            reason = "the response's program is code shown in the task"
            return _result(response, DistractorFinding.IS_ANSWER, reason)
        if distractor.language == "python" and parse(distractor.code) is None:
            return _result(response, DistractorFinding.FAILS, "the distractor does not parse")
        checks = validated_checks(before)
        subject = subject_of(response.text, task.instruction)
        program = find_compatible_in_code(distractor.code, subject) if subject else None
        if not checks or program is None:
            reason = (
                "the distractor cannot be called like the response's program"
                if checks
                else "the row has no validated checks"
            )
            return _result(response, DistractorFinding.NOT_MEASURED, reason)
        return await self._run(response, program, checks, before[Check.TESTS].score)

    async def _run(
        self,
        response: Response,
        distractor: CallableSubject,
        checks: Sequence[str],
        strength: float | None,
    ) -> CheckResult:
        config = self.config
        limits = reduced_limits(Limits(config.cpu_s, config.wall_s, config.memory_mb))
        outcomes = await run_checks(
            self.sandbox, distractor.source, distractor.entry_point, checks, limits
        )
        failed = [check for check, passed in zip(checks, outcomes, strict=True) if not passed]
        finding = DistractorFinding.FAILS if failed else DistractorFinding.WORKS
        detail: dict[str, JSON] = {
            "said": failed[0] if failed else f"the distractor passes all {len(checks)} checks",
            "checks": len(checks),
            "failed": len(failed),
        }
        return CheckResult.of(response, Check.BAIT, finding, score=strength, detail=detail)


def _result(response: Response, finding: DistractorFinding, reason: str) -> CheckResult:
    return CheckResult.of(response, Check.BAIT, finding, detail={"said": reason})


def find_distractor(instruction: str) -> CodeBlock | None:
    """Return the fenced code block that ends a task, or None."""
    blocks = code_blocks(instruction)
    ends = instruction.rstrip().endswith(("```", "~~~"))
    return blocks[-1] if blocks and ends and blocks[-1].code.strip() else None


def is_same_program(distractor: CodeBlock, response: str) -> bool:
    """Whether a response's program equals the distractor up to names, comments and docstrings.

    A response that repeats the distractor and then corrects it differs. In Python only definitions
    and their dependencies are compared; usage examples are ignored.
    """
    blocks = code_blocks(response)
    tagged = [block for block in blocks if block.language == distractor.language]
    programs = [block.code for block in tagged or blocks]
    with_callable = [code for code in programs if _callable_part(code) != code]
    found = {_normalized(_callable_part(code)) for code in with_callable or programs}
    return found == {_normalized(_callable_part(distractor.code))}


def _callable_part(code: str) -> str:
    """Return the callable of Python code with its dependencies; without one, the whole code."""
    subject = subject_of(f"~~~~~~\n{code}\n~~~~~~", "")
    return f"{subject.body}\n" if subject else code


def _normalized(code: str) -> str:
    """Return code without comments, docstrings and layout, with its own names numbered."""
    tree = parse(code)
    if tree is None:
        return " ".join(code.split())
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        _drop_docstring(node)
        for field in ("id", "arg", "name"):
            name = getattr(node, field, None)
            if isinstance(name, str) and _binds(node):
                names.setdefault(name, f"name_{len(names)}")
    for node in ast.walk(tree):
        for field in ("id", "arg", "name"):
            name = getattr(node, field, None)
            if isinstance(name, str) and name in names and not isinstance(node, ast.alias):
                setattr(node, field, names[name])
    return ast.unparse(tree)


def _binds(node: ast.AST) -> bool:
    stores = isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    return stores or isinstance(node, ast.arg | ast.FunctionDef | ast.ClassDef)


def _drop_docstring(node: ast.AST) -> None:
    if not isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
        return
    if ast.get_docstring(node, clean=False) is not None:
        node.body = node.body[1:] or [ast.Pass()]

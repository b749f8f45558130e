r"""Whether the wrong code that a task holds is wrong, and is not the answer itself.

`misdirect` puts a piece of code behind a task, as a reference that may mislead. It comes out of the
task again here, is compared with the answer (as trees, whatever their names, comments and
docstrings), and is run against the checks that `tests` chose and tested for the row.
Promises: nothing is claimed of a bait that could not be run against sound checks: that is
`not_measured`. Does not promise that a bait which fails is wrong in the way that its task says, nor
that one which passes weak checks is right: the score is the strength of the checks.

>>> bait_in("Add.\n\nA draft:\n```python\nx = 1\n```").code
'x = 1'
"""

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from evolcoder.code.callables import CallableSubject, program_of, subject_of
from evolcoder.code.python_ast import parse
from evolcoder.config.load import VerifyConfig
from evolcoder.records import JSON, Check, CheckResult, Response, Task
from evolcoder.sandbox.base import Limits, Sandbox
from evolcoder.text import CodeBlock, code_blocks
from evolcoder.verification.generated_tests.runner import hurried, outcomes


class DistractorFinding(StrEnum):
    """What became of a bait. Values are stored; never rename one."""

    NO_BAIT = "no_bait"
    """The task holds none."""
    IS_ANSWER = "is_answer"
    """The answer's program is the bait, or other code that the task shows."""
    WORKS = "works"
    """It passes all the checks of the row."""
    FAILS = "fails"
    """It does not parse, or fails a check."""
    NOT_MEASURED = "not_measured"
    """The row has no sound checks, or they cannot call it."""


@dataclass(frozen=True, slots=True)
class DistractorCheck:
    """The check, with all that it needs bound into it."""

    sandbox: Sandbox
    """Runs the bait."""
    config: VerifyConfig
    """What a program may use."""
    heuristics: frozenset[str] = frozenset({"misdirect"})
    """Names of the heuristics whose tasks end with a bait."""

    @property
    def check(self) -> Check:
        """Which check this is."""
        return Check.BAIT

    async def __call__(
        self, task: Task, response: Response, before: Mapping[Check, CheckResult]
    ) -> CheckResult:
        """Look at a row's bait; the row's checks are taken from the verdict of `tests`."""
        bait = bait_in(task.instruction) if task.heuristic in self.heuristics else None
        if bait is None:
            return CheckResult.of(response, Check.BAIT, DistractorFinding.NO_BAIT)
        # A task that was misdirected before holds the earlier baits as well.
        if any(is_same(shown, response.text) for shown in code_blocks(task.instruction)):
            said = "the answer's program is code that the task shows"
            return CheckResult.of(
                response, Check.BAIT, DistractorFinding.IS_ANSWER, detail={"said": said}
            )
        if bait.language == "python" and parse(bait.code) is None:
            said = "it does not parse"
            return CheckResult.of(
                response, Check.BAIT, DistractorFinding.FAILS, detail={"said": said}
            )
        tests = before.get(Check.TESTS)
        checks = _checks_of(tests)
        wanted = subject_of(response.text, task.instruction)
        program = program_of(bait.code, wanted) if wanted else None
        if tests is None or not checks or program is None:
            said = "it cannot be called as the answer is" if checks else "there are no sound checks"
            return CheckResult.of(
                response, Check.BAIT, DistractorFinding.NOT_MEASURED, detail={"said": said}
            )
        return await self._ran(response, program, checks, tests.score)

    async def _ran(
        self,
        response: Response,
        bait: CallableSubject,
        checks: Sequence[str],
        strength: float | None,
    ) -> CheckResult:
        config = self.config
        limits = hurried(Limits(config.cpu_s, config.wall_s, config.memory_mb))
        found = await outcomes(self.sandbox, bait.source, bait.entry_point, checks, limits)
        failed = [check for check, passed in zip(checks, found, strict=True) if not passed]
        finding = DistractorFinding.FAILS if failed else DistractorFinding.WORKS
        detail: dict[str, JSON] = {
            "said": failed[0] if failed else f"it passes all of {len(checks)} checks",
            "checks": len(checks),
            "failed": len(failed),
        }
        return CheckResult.of(response, Check.BAIT, finding, score=strength, detail=detail)


def bait_in(instruction: str) -> CodeBlock | None:
    """Return the fenced code that a task ends with."""
    blocks = code_blocks(instruction)
    ends = instruction.rstrip().endswith(("```", "~~~"))
    return blocks[-1] if blocks and ends and blocks[-1].code.strip() else None


def is_same(bait: CodeBlock, answer: str) -> bool:
    """Whether an answer's program is the bait, whatever both call things.

    An answer that shows the bait and then mends it is not. In Python only what can be called is
    compared, so that an example of its use hides nothing.
    """
    blocks = code_blocks(answer)
    tagged = [block for block in blocks if block.language == bait.language]
    written = [block.code for block in tagged or blocks]
    callable_ = [code for code in written if _core(code) != code]
    found = {_normal(_core(code)) for code in callable_ or written}
    return found == {_normal(_core(bait.code))}


def _core(code: str) -> str:
    """Return what of Python code can be called, with all that it needs; else the code."""
    subject = subject_of(f"~~~~~~\n{code}\n~~~~~~", "")
    return f"{subject.body}\n" if subject else code


def _checks_of(tests: CheckResult | None) -> list[str]:
    """Return the checks that stood their test; a verdict has a strength only then."""
    found = tests.detail.get("checks") if tests is not None and tests.score is not None else None
    return [str(check) for check in found] if isinstance(found, Sequence) else []


def _normal(code: str) -> str:
    """Write code in a form that comments, white space, docstrings and own names do not change."""
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

r"""Checks that the distractor code in a task is wrong, and is not the response itself.

The heuristic `misdirect` appends a possibly misleading piece of code to a task. This module
extracts it, compares it with the response (as syntax trees, ignoring names, comments and
docstrings), and runs it. No model is asked. In this order decide:

1. the row's validated generated tests, if it has any;
2. the examples in the task and the asserts in the response that the response's own program passes:
   a distractor that fails one is wrong;
3. the response's program on typed random inputs, odd ones among them (`varied_calls`): a distractor
   that behaves alike on all of them is not wrong, or the response is as wrong as it is, unless the
   task demands what no result shows, such as a bound. Objects of a class are made and their methods
   called, and programs get lines to read, as answers are compared with each other (`agreement`).

A response whose words call the distractor right while tests or examples show it wrong leaves too.
What cannot be run so is `not_measured`. A failing distractor is not guaranteed to be wrong in the
way the task describes, nor is a passing one guaranteed to be right: the score is the strength of
the validated tests.

>>> find_distractor("Add.\n\nA draft:\n```python\nx = 1\n```").code
'x = 1'
>>> examples_in("For instance, add(1, 2) returns 3.", "add")
('assert add(1, 2) == 3',)
"""

import ast
import marshal
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice

from evolcoder.code.callables import (
    CallableKind,
    CallableSubject,
    find_compatible_in_code,
    subject_of,
)
from evolcoder.code.mistagged import other_language
from evolcoder.code.python_ast import (
    Definition,
    definitions,
    expression_of,
    is_literal,
    literal_of,
    parse,
)
from evolcoder.config.load import VerifyConfig
from evolcoder.fences import without_code
from evolcoder.ids import rng_for
from evolcoder.programming_language import CodeBlock, code_blocks
from evolcoder.records import JSON, Check, CheckResult, Response, Task
from evolcoder.sandbox.base import Limits, Program, Sandbox, Script
from evolcoder.text import one_line
from evolcoder.verification.agreement.clusters import is_elsewhere, is_same, shown_as
from evolcoder.verification.agreement.inputs import probes
from evolcoder.verification.agreement.observing import observe
from evolcoder.verification.complexity.inputs import UnsizedError, infer_arguments, varied_calls
from evolcoder.verification.generated_tests.check import validated_checks
from evolcoder.verification.generated_tests.runner import reduced_limits, run_checks
from evolcoder.verification.generated_tests.test_parser import parse_checks

N_CALLS = 40
"""Random calls on which distractor and response are compared."""
MIN_VALUES = 8
"""Fewest calls that return a value for programs to count as alike."""
MIN_DISTINCT = 3
"""Fewest different values among these."""
MAX_OUTCOME_CHARS = 400
"""Longest text of a value that is compared as it is; a longer one by its beginning and a digest."""


class DistractorFinding(StrEnum):
    """Finding about a distractor. Values are stored; never rename one."""

    NO_BAIT = "no_bait"
    """The task has no distractor."""
    IS_ANSWER = "is_answer"
    """The response's program is the distractor, or other code shown in the task."""
    CALLED_RIGHT = "called_right"
    """The response calls the distractor right, and checks show that it is wrong."""
    WORKS = "works"
    """The distractor passes all checks of the row, or behaves as the response does."""
    FAILS = "fails"
    """The distractor does not parse, fails a check, or behaves otherwise than the response."""
    NOT_MEASURED = "not_measured"
    """Neither checks nor inputs could decide; `said` has the reason."""


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
        """Judge a row's distractor by tests, examples or random inputs; see the module."""
        has_distractor = task.heuristic in self.heuristics
        distractor = find_distractor(task.instruction) if has_distractor else None
        if distractor is None:
            return CheckResult.of(response, Check.BAIT, DistractorFinding.NO_BAIT)
        # A task evolved by `misdirect` more than once also shows the earlier distractors.
        if any(is_same_program(shown, response.text) for shown in code_blocks(task.instruction)):
            reason = "the response's program is code shown in the task"
            return _result(response, DistractorFinding.IS_ANSWER, reason)
        if distractor.language == "python" and parse(distractor.code) is None:
            if name := other_language(distractor.code):
                reason = f"the distractor is no Python, whatever its fence says: {name}"
                return _result(response, DistractorFinding.NOT_MEASURED, reason)
            return _fails(response, "the distractor does not parse")
        return await self._by_running(task, response, distractor, before)

    async def _by_running(
        self,
        task: Task,
        response: Response,
        distractor: CodeBlock,
        before: Mapping[Check, CheckResult],
    ) -> CheckResult:
        subject = subject_of(response.text, task.instruction)
        program = find_compatible_in_code(distractor.code, subject) if subject else None
        if subject is None or program is None:
            reason = "the response has no Python code that can be called"
            if subject is not None:
                reason = "the distractor cannot be called like the response's program"
            return _result(response, DistractorFinding.NOT_MEASURED, reason)
        if checks := validated_checks(before):
            return await self._by_checks(response, program, checks, before[Check.TESTS].score)
        examples = await self._examples(task, response, subject)
        if examples:
            found = await self._by_checks(response, program, examples, None)
            if found.kind != DistractorFinding.WORKS:
                return found
        return await self._by_inputs(task, response, subject, program, examples)

    async def _by_checks(
        self,
        response: Response,
        distractor: CallableSubject,
        checks: Sequence[str],
        strength: float | None,
    ) -> CheckResult:
        outcomes = await run_checks(
            self.sandbox, distractor.source, distractor.entry_point, checks, self._limits
        )
        failed = [check for check, passed in zip(checks, outcomes, strict=True) if not passed]
        detail: dict[str, JSON] = {"checks": len(checks), "failed": len(failed)}
        if failed:
            return _fails(response, failed[0], detail, strength)
        said = f"the distractor passes all {len(checks)} checks"
        return _result(response, DistractorFinding.WORKS, said, detail, strength)

    async def _examples(
        self, task: Task, response: Response, subject: CallableSubject
    ) -> tuple[str, ...]:
        """Return the examples of task and response that the response's own program passes."""
        shown = _before_distractor(task.instruction)
        found = [
            *examples_in(shown, subject.entry_point),
            *_asserts_in(shown, subject.entry_point),
            *_asserts_in(response.text, subject.entry_point),
        ]
        examples = tuple(dict.fromkeys(found))
        if not examples:
            return ()
        passed = await run_checks(
            self.sandbox, subject.source, subject.entry_point, examples, self._limits
        )
        return tuple(one for one, holds in zip(examples, passed, strict=True) if holds)

    async def _by_inputs(
        self,
        task: Task,
        response: Response,
        subject: CallableSubject,
        distractor: CallableSubject,
        examples: Sequence[str],
    ) -> CheckResult:
        """Compare distractor and response on random inputs of the types of their arguments."""
        tree = parse(subject.body)
        node = definitions(tree).get(subject.name) if tree is not None else None
        undecided = f"the distractor passes the {len(examples)} examples, which do not decide; "
        why = undecided if examples else ""
        if node is None or isinstance(node, ast.ClassDef) or subject.form is CallableKind.PROGRAM:
            found = await self._by_observing(task, response, subject, distractor)
            return _unless_demanded(task, response, found)
        shown = [*examples, *(one.code for one in code_blocks(response.text))]
        try:
            arguments = infer_arguments(node, shown, by_name=True)
        except UnsizedError as error:
            return _result(response, DistractorFinding.NOT_MEASURED, f"{why}{error}")
        calls = varied_calls(arguments, rng_for(0, "bait", task.id), N_CALLS)
        own = await _outcomes(self.sandbox, subject, calls, self._limits)
        other = await _outcomes(self.sandbox, distractor, calls, self._limits)
        if _ORDER_OF_SETS.search(subject.source):
            own, other = _in_any_order(own, other)
        return _unless_demanded(
            task, response, _compared(response, subject.entry_point, calls, own, other)
        )

    async def _by_observing(
        self,
        task: Task,
        response: Response,
        subject: CallableSubject,
        distractor: CallableSubject,
    ) -> CheckResult:
        """Compare classes by what methods of their objects do, programs by what they print."""
        shown, texts = _before_distractor(task.instruction), [(response.text, subject.name)]
        shared = probes(shown, subject, texts, (), seed=f"bait {task.id}")
        own, other = [
            await observe(self.sandbox, one, shared, self._limits) for one in (subject, distractor)
        ]
        values, n_alike, has_all = set[str](), 0, True
        for probe, one, two in zip(shared, own, other, strict=True):
            if not (one.is_decided and one.is_stable and two.is_stable):
                continue
            if is_elsewhere(probe, two):
                has_all = False
            elif not is_same(one, two):
                asked = one_line(probe.script or ", ".join(map(repr, probe.arguments)), 200)
                said = f"{asked}: the response {shown_as(one)}, the distractor {shown_as(two)}"
                return _result(response, DistractorFinding.FAILS, said, {"calls": len(shared)})
            elif one.shows_something:
                n_alike += 1
                values.add(shown_as(one))
        if not has_all:
            said = "the distractor lacks what the response's class has"
            return _result(response, DistractorFinding.NOT_MEASURED, said)
        if n_alike < MIN_VALUES or len(values) < MIN_DISTINCT:
            said = f"only {n_alike} of {len(shared)} inputs give something to compare"
            return _result(response, DistractorFinding.NOT_MEASURED, said)
        said = f"the distractor behaves as the response on {n_alike} inputs"
        return _result(response, DistractorFinding.WORKS, said, {"calls": n_alike})

    @property
    def _limits(self) -> Limits:
        config = self.config
        return reduced_limits(Limits(config.cpu_s, config.wall_s, config.memory_mb))


def _unless_demanded(task: Task, response: Response, found: CheckResult) -> CheckResult:
    """Return a finding, which is open if a task demands what results do not show."""
    demand = _UNSEEN_DEMAND.search(_before_distractor(task.instruction))
    if found.kind != DistractorFinding.WORKS or demand is None:
        return found
    said = f"{found.detail['said']}, but the task also asks for {demand[0]!r}"
    return _result(response, DistractorFinding.NOT_MEASURED, said)


def _compared(
    response: Response,
    name: str,
    calls: Sequence[Sequence[object]],
    own: Sequence[str],
    other: Sequence[str],
) -> CheckResult:
    """Judge a distractor by the outcomes of calls; a list of outcomes ends where a call did not."""
    for call, one, two in zip(calls, own, [*other, "does not end"], strict=False):
        if _INCOMPARABLE not in {one, two} and one != two:
            shown = one_line(", ".join(map(repr, call)), 200)
            said = f"{name}({shown}): the response {_says(one)}, the distractor {_says(two)}"
            return _result(response, DistractorFinding.FAILS, said, {"calls": len(own)})
    values = [one for one in own if one.startswith("=") and one != _INCOMPARABLE]
    n_open = sum(_INCOMPARABLE in pair for pair in zip(own, other, strict=False))
    if 2 * n_open > len(own) or len(values) < MIN_VALUES or len(set(values)) < MIN_DISTINCT:
        said = f"only {len(values)} of {len(calls)} random calls return a value to compare"
        return _result(response, DistractorFinding.NOT_MEASURED, said)
    said = f"the distractor behaves as the response on all {len(own)} random calls"
    return _result(response, DistractorFinding.WORKS, said, {"calls": len(own)})


_UNSEEN_DEMAND = re.compile(
    r"\bO\s?\([^)\n]{1,20}\)|\b(?:constant|logarithmic|linear|quadratic)[- ](?:time|space)\b"
    r"|\bwithout (?:using|the use of|any|a|calling|importing)\b|\b(?:do|must|should|may) not use\b"
    r"|\bdon't use\b|\brecursi(?:on|ve|vely)\b|\bin[- ]place\b"
    r"|\b(?:single|one)[- ](?:pass|line|loop)\b"
    r"|\b(?:efficient|faster|memory)\w*",
    re.IGNORECASE,
)
"""Demands that a distractor may miss although it returns what is right."""


def _says(outcome: str) -> str:
    return f"returns {one_line(outcome[1:], 80)}" if outcome.startswith("=") else outcome


_ORDER_OF_SETS = re.compile(r"\b(?:frozen)?set\(|\{[^{}:\n]+ for ")
"""A program that may return items in the order of a set, which is none."""
_ITEMS = re.compile(r"=(?:list|tuple)\(([^()]*)\)")


def _in_any_order(own: Sequence[str], other: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return outcomes of which those that differ in the order of their items cannot be compared."""
    result = [*own], [*other]
    for at, (one, two) in enumerate(zip(own, other, strict=False)):
        first, second = _ITEMS.fullmatch(one), _ITEMS.fullmatch(two)
        items = [sorted(found[1].split(", ")) for found in (first, second) if found]
        if one != two and len(items) == 2 and items[0] == items[1]:
            result[0][at] = result[1][at] = _INCOMPARABLE
    return result


_INCOMPARABLE = "=?"
"""Outcome of a call whose value cannot be compared between programs."""
_RUN_CALLS = """\
import hashlib, marshal, os, random, sys
source, name, calls, longest = marshal.loads(sys.stdin.buffer.read())
null = os.open(os.devnull, os.O_RDWR)
for fd in (0, 1, 2):
    os.dup2(null, fd)
class Opaque(Exception):
    pass
def plain(value):
    if value is None or isinstance(value, (str, bytes)):
        return repr(value)
    if isinstance(value, (bool, int)):
        return str(int(value))
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else format(value, ".9g")
    if isinstance(value, (list, tuple)):
        return type(value).__name__ + "(" + ", ".join(map(plain, value)) + ")"
    if isinstance(value, (set, frozenset)):
        return "{" + ", ".join(sorted(map(plain, value))) + "}"
    if isinstance(value, dict):
        return "{" + ", ".join(sorted(plain(k) + ": " + plain(v) for k, v in value.items())) + "}"
    if hasattr(value, "__next__"):
        return plain([one for one, _ in zip(value, range(1000))])
    raise Opaque
space = {"__name__": "candidate"}
exec(source, space)
def outcome(data, seed):
    given = marshal.loads(data)
    random.seed(seed)
    try:
        result = plain(space[name](*given))
        left, before = plain(given), plain(marshal.loads(data))
        said = "=" + result + ("" if left == before else " and leaves " + left)
    except Opaque:
        said = "=?"
    except Exception as error:
        said = "raises " + type(error).__name__
    if len(said) > longest:
        digest = hashlib.sha256(said.encode("utf-8", "backslashreplace")).hexdigest()
        said = said[:longest] + " ... " + digest[:16]
    return said
for data in calls:
    said = outcome(data, 0)
    if "random" in source and outcome(data, 1) != said:
        said = "=?"
    os.write(3, said.encode("utf-8", "backslashreplace").replace(b"\\n", b" ") + b"\\n")
"""


async def _outcomes(
    sandbox: Sandbox, program: CallableSubject, calls: Sequence[Sequence[object]], limits: Limits
) -> list[str]:
    """Return what each call of a program returns or raises, up to the first that does not end."""
    given = [marshal.dumps(list(call), 2) for call in calls]
    job = (program.source, program.entry_point, given, MAX_OUTCOME_CHARS)
    task = Script(stdin=marshal.dumps(job, 2))
    execution = await sandbox.run(Program("python", _RUN_CALLS, task), limits)
    lines = execution.answers.decode("utf-8", "replace").split("\n")[:-1]
    return lines[: len(calls)]


def _fails(
    response: Response,
    said: str,
    detail: Mapping[str, JSON] | None = None,
    strength: float | None = None,
) -> CheckResult:
    """Return the finding on a distractor that checks show to be wrong."""
    if praise := _praise_in(without_code(response.text)):
        said = f"{one_line(praise, 100)!r}, but: {said}"
        return _result(response, DistractorFinding.CALLED_RIGHT, said, detail, strength)
    return _result(response, DistractorFinding.FAILS, said, detail, strength)


def _praise_in(text: str) -> str:
    """Return the words that call the shown code right; empty if there are none.

    A sentence that doubts, denies or supposes it does not count.
    """
    for found in _PRAISES.finditer(text):
        before = re.split(r"[.!?\n]", text[max(0, found.start() - 100) : found.start()])[-1]
        if not _SUPPOSES.search(before):
            return found[0]
    return ""


_SUPPOSES = re.compile(r"\b(?:if|not|never|whether|make sure|ensure|unless|once)\b", re.IGNORECASE)
_MADE = r"(?:code|implementation|function|solution|snippet|version|program|script)"
_SHOWN_CODE = (
    r"\b(?:the|this|your|that) (?:"
    rf"(?:(?:given|provided|shown|above|existing|original|first) )+{_MADE}"
    r"|(?:(?:given|provided|shown|above|existing|original|first) )*(?:attempt|draft|reference)"
    rf"(?: {_MADE})?"
    rf"|{_MADE} (?:above|shown|given|provided|you (?:gave|provided|showed|shared|wrote)))"
)
"""Words for the code that a task shows; "the function" alone is more often the answer's own."""
_ADVERBS = r"(?: (?:already|indeed|mostly|perfectly|completely|entirely|actually))*"
_PRAISES = re.compile(
    rf"{_SHOWN_CODE}{_ADVERBS} (?:is|looks|seems|appears to be|works){_ADVERBS}"
    r" (?:correct|right(?! here)|fine|good|valid|correctly)\b"
    r"(?![^.\n]{0,40}\b(?:but|except|however|unless|only (?:for|if|when))\b)"
    r"|\bno changes? (?:is|are) (?:needed|necessary|required)",
    re.IGNORECASE,
)
"""Words that call shown code right, without a reservation."""


def _before_distractor(instruction: str) -> str:
    """Return a task without the code that ends it."""
    at = max(instruction.rstrip()[:-3].rfind("```"), instruction.rstrip()[:-3].rfind("~~~"))
    return instruction[:at] if at >= 0 else instruction


def _asserts_in(text: str, name: str) -> tuple[str, ...]:
    """Return the tests of a function in the fenced code of a text, or in its doctests."""
    return parse_checks(text, name) if "assert" in text or ">>>" in text else ()


_SAYS_RESULT = re.compile(
    r"[`*]*\s*(?:==|->|→|=>|⇒|(?:should |must |would |will )?(?:returns?|gives?|yields?)"
    r"|(?:is|equals)\b|\n(?=\S))\s*[`*]*"
)
MAX_EXAMPLES, MAX_CALLS = 20, 100
"""Most examples that are read from a task, and most calls that are looked at."""


def examples_in(text: str, name: str) -> tuple[str, ...]:
    """Return the examples of a call with its result in a task's words, as asserts."""
    found = []
    for match in islice(re.finditer(rf"\b{re.escape(name)}\(", text), MAX_CALLS):
        end = _call_end(text, match.end())
        says = _SAYS_RESULT.match(text, end)
        if says is None:
            continue
        call = text[match.start() : end]
        value = next(filter(None, map(_literal, _beginnings(text[says.end() :]))), None)
        if value is not None and _literal_call(call):
            found.append(f"assert {call} == {value}")
    return tuple(dict.fromkeys(found))[:MAX_EXAMPLES]


def _call_end(text: str, at: int) -> int:
    """Return the place after the closing bracket of a call whose arguments begin at a place."""
    depth = 1
    for place in range(at, min(len(text), at + 300)):
        depth += (text[place] in "([{") - (text[place] in ")]}")
        if depth == 0:
            return place + 1
    return at


def _beginnings(text: str) -> Iterator[str]:
    """Yield the beginnings of a line that may be a value, longest first."""
    line = text.partition("\n")[0][:200]
    ends = [match.start() for match in re.finditer(r"[\s.,;:!?`)*]", line)]
    for end in [len(line), *reversed(ends)]:
        yield line[:end].rstrip(".,;:!?`* ").strip("`* ")


def _literal(text: str) -> str | None:
    try:
        return repr(literal_of(text))
    except ValueError:
        return None


def _literal_call(text: str) -> bool:
    node = expression_of(text)
    if not isinstance(node, ast.Call):
        return False
    return all(map(is_literal, [*node.args, *(word.value for word in node.keywords)]))


def _result(
    response: Response,
    finding: DistractorFinding,
    said: str,
    detail: Mapping[str, JSON] | None = None,
    strength: float | None = None,
) -> CheckResult:
    return CheckResult.of(
        response, Check.BAIT, finding, score=strength, detail={"said": said, **(detail or {})}
    )


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
    return stores or isinstance(node, ast.arg | Definition)


def _drop_docstring(node: ast.AST) -> None:
    if not isinstance(node, Definition | ast.Module):
        return
    if ast.get_docstring(node, clean=False) is not None:
        node.body = node.body[1:] or [ast.Pass()]

"""TypeScript: the JavaScript harness with type annotations."""

from evolcoder.grading.call_harness import javascript
from evolcoder.grading.call_harness.base import CallHarness, SplitTest

_PRELUDE = f"declare var require: any;\n{javascript.PRELUDE.replace('/*any*/', ': any')}"


def _calling_program(candidate: str, split: SplitTest) -> str:
    return javascript.calling_program(candidate, split, _PRELUDE)


def _expected_program(prompt: str, split: SplitTest) -> str:
    return javascript.expected_program(prompt, split, _PRELUDE)


HARNESS = CallHarness(
    "typescript", javascript.FORM.split, _calling_program, _expected_program, javascript.same
)

"""The harness of every language that has one."""

from evolcoder.grade.call_harness import cpp, java, javascript, php, rust, typescript
from evolcoder.grade.call_harness.base import CallHarness

HARNESSES: dict[str, CallHarness] = {
    "cpp": cpp.HARNESS,
    "java": java.HARNESS,
    "javascript": javascript.HARNESS,
    "php": php.HARNESS,
    "rust": rust.HARNESS,
    "typescript": typescript.HARNESS,
}
"""By our name of the language; one line each."""

"""Grade a program in another language than Python: candidate and test in one process, sealed.

Promises: exit code 0 is not enough. The test's checks are counted under a name made up for this
run, and a random token comes on a channel of its own behind the last of them.
Does not promise more: a candidate that takes its own process apart can find the token, so these
verdicts say `Separation.TOKEN`.

>>> verdict = await grade_program(sandbox, "cpp", source, test, Limits())   # doctest: +SKIP
"""

from evolcoder.grade.endings import ending, verdict
from evolcoder.sandbox.base import (
    Kind,
    Limits,
    Program,
    Sandbox,
    Sealed,
    Separation,
    Status,
    Verdict,
)


async def grade_program(
    sandbox: Sandbox, language: str, source: str, test: str, limits: Limits
) -> Verdict:
    """Run candidate and test together and believe the seal only."""
    execution = await sandbox.run(Program(language, source, Sealed(test)), limits)
    if execution.checks == 0:
        return verdict(Kind.NO_TESTS, Separation.TOKEN, execution, detail="the test checks nothing")
    if execution.failed_check is not None:
        number = execution.failed_check if execution.failed_check >= 0 else None
        told = "a check did not hold"
        return verdict(Kind.FAILED, Separation.TOKEN, execution, check=number, detail=told)
    if execution.status is not Status.FINISHED or execution.exit_code != 0:
        return ending(execution, Separation.TOKEN)
    if execution.checks is None:
        told = "ended as if all were well, but its checks did not all come to their end"
        return verdict(Kind.FORGED, Separation.TOKEN, execution, detail=told)
    return verdict(Kind.PASSED, Separation.TOKEN, execution)

"""The last output line of a grader's script. Standard library only: other tools' venvs load it."""

import json
import resource
import time


def cpu_s() -> float:
    """Return processor seconds of this process and of all children that it has buried."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


class Clock:
    """Times the grading alone: from the first program handed over to the last verdict."""

    def __init__(self) -> None:
        self._cpu_s = cpu_s()
        self._begun = time.monotonic()
        self.first_at = 0.0

    def first(self) -> None:
        """Note that there is a verdict."""
        self.first_at = self.first_at or time.monotonic()

    def say(self, verdicts: list[bool], more_cpu_s: float = 0.0) -> None:
        """Print everything."""
        words = {
            "programs": len(verdicts),
            "passed": sum(verdicts),
            "seconds": time.monotonic() - self._begun,
            "cpu_s": cpu_s() - self._cpu_s + more_cpu_s,
            "first_at": self.first_at,
        }
        print(json.dumps(words), flush=True)

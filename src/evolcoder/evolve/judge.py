"""The optional judge: a model's word on whether a draft asks for more than its parent.

Promises: it is asked in one fixed form, and only about drafts that already add little; anything but
a plain NO lets the draft pass. So it never decides alone.
"""

import re

from evolcoder.engine.base import Completion, Role
from evolcoder.evolve.candidate import Fault
from evolcoder.evolve.prompts import for_judge
from evolcoder.records import Reason

_NO = re.compile(r"\W*no\b", re.IGNORECASE)


async def ask(
    judge: Role, parent: str, child: str, *, seed: int
) -> tuple[Fault | None, Completion]:
    """Return the fault that the judge finds, if any, with what it said."""
    said = await judge.ask(for_judge(parent, child), seed=seed)
    if _NO.match(said.text):
        return Fault(Reason.JUDGED_EQUAL, f"the judge said {said.text.strip()[:40]}"), said
    return None, said

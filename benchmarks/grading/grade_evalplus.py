"""EvalPlus's own check of every sample with its `base` tests or `all`, in its own processes.

    python grade_evalplus.py PROBLEMS SAMPLES WORKERS TESTS

Grading only: reference answers are computed before, and the thread that quantizes its command's
time to steps of 20 s is left out.
"""

import os
import sys

os.environ["HUMANEVAL_OVERRIDE_PATH"] = sys.argv[1]

import json
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from evalplus.data import get_human_eval_plus, get_human_eval_plus_hash
from evalplus.evaluate import check_correctness, get_groundtruth
from said import Clock

QUICK = True
"""Stop at the first wrong answer, as its command does."""
PARTS = {"base": ("base",), "all": ("base", "plus")}


def main() -> None:
    _, samples, workers, tests = sys.argv[1:]
    problems = get_human_eval_plus()
    answers = get_groundtruth(problems, get_human_eval_plus_hash(), [])
    rows = [json.loads(line) for line in Path(samples).read_text().splitlines()]
    clock, verdicts = Clock(), []
    with ProcessPoolExecutor(int(workers)) as pool:
        waiting = [
            pool.submit(check_correctness, *_work(row, problems, answers), tests == "base", QUICK)
            for row in rows
        ]
        for done in as_completed(waiting):
            found = done.result()
            verdicts.append(all(found[part][0] == "pass" for part in PARTS[tests]))
            clock.first()
    clock.say(verdicts)


def _work(row: dict, problems: dict, answers: dict) -> tuple:
    """Return the first arguments as its command passes them."""
    name = row["task_id"]
    return "humaneval", 0, problems[name], row["completion"], answers[name]


if __name__ == "__main__":
    main()

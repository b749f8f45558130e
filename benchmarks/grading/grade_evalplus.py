"""EvalPlus's own check of every sample with the base tests, in its own pool of processes.

    python grade_evalplus.py PROBLEMS SAMPLES WORKERS

Grading alone: computing reference answers comes before, and the thread that makes its command's
time come in steps of 20 s is left out.
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


def main() -> None:
    _, samples, workers = sys.argv[1:]
    problems = get_human_eval_plus()
    answers = get_groundtruth(problems, get_human_eval_plus_hash(), [])
    rows = [json.loads(line) for line in Path(samples).read_text().splitlines()]
    clock, verdicts = Clock(), []
    with ProcessPoolExecutor(int(workers)) as pool:
        waiting = [
            pool.submit(check_correctness, *_work(number, row, problems, answers))
            for number, row in enumerate(rows)
        ]
        for done in as_completed(waiting):
            verdicts.append(done.result()["base"][0] == "pass")
            clock.first()
    clock.say(verdicts)


def _work(number: int, row: dict, problems: dict, answers: dict) -> tuple:
    """Return arguments as its command passes them for base tests only."""
    name = row["task_id"]
    return "humaneval", 0, problems[name], row["completion"], answers[name], True, True, number


if __name__ == "__main__":
    main()

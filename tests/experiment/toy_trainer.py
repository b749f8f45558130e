"""A trainer without a GPU: the better its rows, the more problems its model solves.

    python toy_trainer.py DATA BASE OUT SEED [STEPS]

Rows of a newer round make a better model, up to round 2; round 3 does harm. The model is a script
for the scripted engine. Every training that ends well is noted in BASE/trainings; while BASE/slow
is there none ends, and while BASE/stuck is there models come of it one of whose programs never ends.
While BASE/fails is there, trainings with a number of STEPS fail.
"""

import json
import re
import sys
import time
from pathlib import Path

from evolcoder.bench.fetch import DataFolder
from evolcoder.bench.registry import bench_named

BENCHES = ("mbpp-dev", "humaneval")
LIMIT = 12
SKILL = {0: 3, 1: 6, 2: 9, 3: 2}
"""Newest round among the rows -> problems of each benchmark that are answered rightly."""
STUCK = "while True:\n    pass"


def script(skill, data_dir, *, stuck):
    """A script that answers the first problems of each benchmark rightly, and no other."""
    data_folder = DataFolder(data_dir, data_dir)
    rules = []
    for name in BENCHES:
        bench = bench_named(name, data_folder)
        problems = bench.problems()[:LIMIT]
        programs = [(problem, problem.reference) for problem in problems[:skill]]
        programs += [(problems[-1], STUCK)] if stuck else []
        for problem, program in programs:
            asked = re.escape(bench.prompt(problem).instruction)
            answer = f"```python\n{program}\n```".replace("\\", "\\\\")
            rules.append({"match": asked, "answer": answer})
    return {"rules": [*rules, {"match": "", "answer": "I have not learnt that."}]}


def main(data, base, out, seed, steps=""):
    rows = [json.loads(line) for line in Path(data).read_text().splitlines()]
    out, base = Path(out), Path(base)
    out.mkdir(exist_ok=True)
    (out / "checkpoint").write_text("begun")
    while (base / "slow").exists():
        time.sleep(0.1)
    if steps and (base / "fails").exists():
        sys.exit("out of memory")
    skill = SKILL[max(row["round"] for row in rows)] + int(seed)
    data_dir = Path((base / "data_dir").read_text())
    told = script(skill, data_dir, stuck=(base / "stuck").exists())
    (out / "script.json").write_text(json.dumps(told))
    with (base / "trainings").open("a") as file:
        file.write(f"{Path(data).stem} {seed} {steps} {len(rows)}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])

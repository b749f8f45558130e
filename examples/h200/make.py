"""Train the models of a pack, one after the other, as far as the time goes; then have them asked.

    python examples/h200/make.py PACK WORK OUT --student DIR --until 1200

PACK is what `evolcoder loop --pack` wrote. Models go to WORK/models/KEY, samples to
OUT/KEY.jsonl.gz and what each training said to OUT/trainings.jsonl. What is in OUT or in PACK/done
is not made again, so a later visit brings its earlier samples along in PACK/done and goes on. Main
arms at the first training seed come first, so that the first visit already answers something.
"""

import argparse
import gzip
import json
import subprocess
import sys
import time
from pathlib import Path

RELOAD_FAILED = 75
"""What `ask.py` ends with when weights cannot be swapped in a running engine."""


def lines(path):
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def is_done(key, pack, out):
    return any((folder / f"{key}.jsonl.gz").exists() for folder in (out, pack / "done"))


def train(job, rows, how, work, out, student):
    """Train one model; the folder has its name when the training has ended well."""
    model, making = work / "models" / job["key"], work / "models" / f"{job['key']}.making"
    if model.exists() or not job["rows"]:
        return
    data = work / "data" / f"{job['key']}.jsonl"
    data.parent.mkdir(parents=True, exist_ok=True)
    data.write_text("".join(json.dumps(rows[n]) + "\n" for n in job["rows"]), encoding="utf-8")
    values = {"python": sys.executable, "data": data, "base": student, "out": making}
    parts = [*how["train"]["command"], *how["train"]["options"]]
    if job["steps"] is not None:
        parts += how["train"]["steps"]
    command = [p.format(**values, seed=job["seed"], steps=job["steps"]) for p in parts]
    began = time.monotonic()
    with (work / f"{job['key']}.txt").open("w") as log:
        done = subprocess.run([*command, "--json"], stdout=subprocess.PIPE, stderr=log, text=True)
    told = {**job, "rows": len(job["rows"]), "seconds": round(time.monotonic() - began, 1)}
    if done.returncode:
        told["failed"] = (work / f"{job['key']}.txt").read_text()[-2000:]
    else:
        told["outcome"] = json.loads(done.stdout)
        making.rename(model)
    with (out / "trainings.jsonl").open("a") as file:
        file.write(json.dumps(told) + "\n")
    print(job["arm"], job["seed"], told["seconds"], "s", told.get("failed", ""), flush=True)


def ask(pack, work, out, student):
    """Ask all models that are there, in one engine if its weights can be swapped."""
    command = [sys.executable, str(Path(__file__).with_name("ask.py")), str(pack), str(out)]
    while True:
        there = [path for path in sorted((work / "models").glob("*")) if path.suffix != ".making"]
        waiting = [path for path in there if not is_done(path.name, pack, out)]
        if not waiting:
            return
        code = subprocess.run([*command, "--student", str(student), *map(str, waiting)]).returncode
        if code not in {0, RELOAD_FAILED}:
            sys.exit(f"ask.py ended with code {code}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("pack", "work", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--student", type=Path, required=True)
    parser.add_argument("--until", type=float, default=1200, help="seconds; then none is begun")
    parser.add_argument("--most", type=int, default=1000, help="train at most so many models")
    args = parser.parse_args()
    plan, rows = (
        json.loads((args.pack / "jobs.json").read_text()),
        lines(args.pack / "rows.jsonl.gz"),
    )
    args.out.mkdir(parents=True, exist_ok=True)
    (args.work / "models").mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    jobs = sorted(plan["jobs"], key=lambda job: job["seed"])
    waiting = [job for job in jobs if not is_done(job["key"], args.pack, args.out)]
    for job in waiting[: args.most]:
        if not job["rows"] and not (args.work / "models" / job["key"]).exists():
            (args.work / "models" / job["key"]).symlink_to(args.student.resolve())
        if time.monotonic() - began > args.until:
            break
        train(job, rows, plan["how"], args.work, args.out, args.student)
    print(f"trained for {time.monotonic() - began:.0f} s", flush=True)
    ask(args.pack, args.work, args.out, args.student)
    print(f"all of it {time.monotonic() - began:.0f} s; {len(waiting)} were waiting", flush=True)


if __name__ == "__main__":
    main()

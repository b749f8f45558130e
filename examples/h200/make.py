"""Train the models of packs, some per GPU at a time, as far as the time goes; then have them asked.

    python examples/h200/make.py PACK [PACK ...] --work DIR --out DIR --student DIR --gpus 0,1

A PACK is what `evolcoder loop --pack` wrote; several may ask the same models in several ways.
Models go to WORK/models/KEY, samples to OUT/PACK's name/KEY.jsonl.gz and what each training said to
OUT/PACK's name/trainings.jsonl. What is there, or in PACK/done, is not made again, so a later visit
brings its earlier samples along in PACK/done and goes on. Jobs are taken in the order of the pack:
main arms with all seeds, then the others as the config has them.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Empty, Queue

from ask import RELOAD_FAILED, is_done, lines

from evolcoder.experiment.config import fill


def train(job, rows, pack, args, gpu):
    """Train one model; the folder has its name when the training has ended well."""
    work = args.work
    model, making = work / "models" / job["key"], work / "models" / f"{job['key']}.making"
    if model.exists():
        return
    if not job["rows"]:
        model.symlink_to(args.student.resolve())
        return
    how = json.loads((pack / "jobs.json").read_text())["how"]["train"]
    data = work / "data" / f"{job['key']}.jsonl"
    data.write_text("".join(json.dumps(rows[n]) + "\n" for n in job["rows"]), encoding="utf-8")
    values = {
        "python": sys.executable, "data": data, "base": args.student, "out": making,
        "seed": job["seed"], "steps": job["steps"], "epochs": how["epochs"], "batch": how["batch"],
    }  # fmt: skip
    parts = [*how["command"], *how["options"]]
    if job["steps"] is not None:
        parts += how["steps"]
    command = [fill(part, **values) for part in parts]
    said, began = work / f"{job['key']}.txt", time.monotonic()
    with said.open("w") as log:
        done = subprocess.run(
            [*command, "--json"], stdout=subprocess.PIPE, stderr=log, text=True, env=on(gpu)
        )
    told = {**job, "rows": len(job["rows"]), "seconds": round(time.monotonic() - began, 1)}
    if done.returncode:
        told["failed"] = said.read_text()[-2000:]
    else:
        told["outcome"] = json.loads(done.stdout)
        making.rename(model)
    with (args.out / pack.name / "trainings.jsonl").open("a") as file:
        file.write("\n" * is_cut(file.name) + json.dumps(told) + "\n")
    print(job["arm"], job["seed"], told["seconds"], "s", told.get("failed", ""), flush=True)


def is_cut(path):
    """Whether the last line of a file was cut off by a kill."""
    data = Path(path).read_bytes()
    return bool(data) and not data.endswith(b"\n")


def on(gpu):
    return {**os.environ, "CUDA_VISIBLE_DEVICES": gpu}


def ask(models, args, gpu):
    """Ask models in one engine if its weights can be swapped, else in one engine after another."""
    script = Path(__file__).with_name("ask.py")
    command = [sys.executable, str(script), "--out", str(args.out), "--student", str(args.student)]
    packs = [word for pack in args.packs for word in ("--pack", str(pack))]
    while waiting := [m for m in models if not all(is_done(m, p, args.out) for p in args.packs)]:
        code = subprocess.run([*command, *packs, *map(str, waiting)], env=on(gpu)).returncode
        if code not in {0, RELOAD_FAILED}:
            print(f"GPU {gpu}: ask.py ended with code {code}", flush=True)
            return code
    return 0


def jobs_of(packs, out):
    """Return what is to be trained, with its rows and its pack."""
    found = {}
    for pack in packs:
        rows = lines(pack / "rows.jsonl.gz")
        for job in json.loads((pack / "jobs.json").read_text())["jobs"]:
            if not is_done(Path(job["key"]), pack, out):
                found.setdefault(job["key"], (job, rows, pack))
    return list(found.values())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("packs", type=Path, nargs="+")
    for name in ("work", "out", "student"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--until", type=float, default=1200, help="seconds; then none is begun")
    parser.add_argument("--gpus", default="0", help="their numbers: 0,1,2")
    parser.add_argument("--per-gpu", type=int, default=1, help="processes that share a GPU")
    args = parser.parse_args()
    for folder in (
        args.work / "models",
        args.work / "data",
        *(args.out / p.name for p in args.packs),
    ):
        folder.mkdir(parents=True, exist_ok=True)
    waiting, began = Queue(), time.monotonic()
    for job in jobs_of(args.packs, args.out):
        waiting.put(job)

    def work_on(gpu):
        while time.monotonic() - began < args.until:
            try:
                train(*waiting.get_nowait(), args, gpu)
            except Empty:
                return

    places = args.gpus.split(",") * args.per_gpu
    with ThreadPoolExecutor(len(places)) as pool:
        list(pool.map(work_on, places))
        print(f"trained for {time.monotonic() - began:.0f} s", flush=True)
        there = [path for path in sorted((args.work / "models").iterdir()) if not path.suffix]
        there.sort(key=lambda model: sum(is_done(model, pack, args.out) for pack in args.packs))
        shares = [there[place :: len(places)] for place in range(len(places))]
        codes = list(pool.map(ask, shares, [args] * len(places), places))
    print(f"all of it {time.monotonic() - began:.0f} s; {waiting.qsize()} not begun", flush=True)
    sys.exit(max(codes))


if __name__ == "__main__":
    main()

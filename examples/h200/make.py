"""Trains the models of packs, several per GPU, until a time limit; then samples them.

    python examples/h200/make.py PACK [PACK ...] --work DIR --out DIR --student DIR --gpus 0,1

A PACK is the output of `evolcoder loop --pack`; several may sample the same models differently.
Models are written to WORK/models/KEY, samples to OUT/PACK/KEY.jsonl.gz, and the outcome of each
training to OUT/PACK/trainings.jsonl. Existing results, also in PACK/done, are not made again, so a
later session puts earlier samples into PACK/done and continues. Jobs run in the order of the pack:
main arms with all seeds, then the others in the order of the config.
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
    """Train one model; its folder gets its name when the training has succeeded."""
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
    log_path, began = work / f"{job['key']}.txt", time.monotonic()
    with log_path.open("w") as log:
        done = subprocess.run(
            [*command, "--json"], stdout=subprocess.PIPE, stderr=log, text=True, env=on(gpu)
        )
    record = {**job, "rows": len(job["rows"]), "seconds": round(time.monotonic() - began, 1)}
    if done.returncode:
        record["failed"] = log_path.read_text()[-2000:]
    else:
        record["outcome"] = json.loads(done.stdout)
        making.rename(model)
    with (args.out / pack.name / "trainings.jsonl").open("a") as file:
        file.write("\n" * is_truncated(file.name) + json.dumps(record) + "\n")
    print(job["arm"], job["seed"], record["seconds"], "s", record.get("failed", ""), flush=True)


def is_truncated(path):
    """Whether the last line of a file is incomplete."""
    data = Path(path).read_bytes()
    return bool(data) and not data.endswith(b"\n")


def on(gpu):
    return {**os.environ, "CUDA_VISIBLE_DEVICES": gpu}


def sample(models, args, gpu):
    """Sample models in one engine if its weights can be swapped, else in one engine per model."""
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
    """Return the jobs to train, each with its rows and its pack."""
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
    parser.add_argument("--until", type=float, default=1200, help="seconds until the last start")
    parser.add_argument("--gpus", default="0", help="GPU indices: 0,1,2")
    parser.add_argument("--per-gpu", type=int, default=1, help="trainings that share a GPU")
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
        models = [path for path in sorted((args.work / "models").iterdir()) if not path.suffix]
        models.sort(key=lambda model: sum(is_done(model, pack, args.out) for pack in args.packs))
        shares = [models[place :: len(places)] for place in range(len(places))]
        codes = list(pool.map(sample, shares, [args] * len(places), places))
    print(f"total {time.monotonic() - began:.0f} s; {waiting.qsize()} not started", flush=True)
    sys.exit(max(codes))


if __name__ == "__main__":
    main()

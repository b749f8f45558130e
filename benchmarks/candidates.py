"""Measures what several answers to a task, and their agreement, change in the rows.

    python benchmarks/candidates.py --seeds F.jsonl --server http://HOST/v1 --model NAME --out DIR
    python benchmarks/candidates.py --out DIR --score judged.jsonl

Arms, on the same tasks: `single` asks one answer, `agreement` asks n and keeps all rows, and
`strong` is the preset, with tests. They share a cache, so the first answer is the same in all, and
an arm's tokens and seconds are those of its own run and of the arms before it. `reading.jsonl` has
one line for each distinct answer to the drawn tasks, shuffled, without a word on where it is from;
`key.json`, in the same folder, says so. A reader adds `"right": true` or `false` to each line, and
`--score` reads them. Unread lines do not count. Runs end at `--limit-s`, and what was done until
then counts.
"""

import argparse
import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evolcoder.app.evolve import evolve_run
from evolcoder.bench.scores import wilson
from evolcoder.config.load import Config, load
from evolcoder.ids import content_id
from evolcoder.records import Check
from evolcoder.storage.run_store import LineageStep, RunStore, steps

ARMS = ("single", "agreement", "strong")
HEAD = f"{'arm':<24}{'rows':>7}{'kept':>8}{'tokens/row':>12}{'seconds':>9}{'requests':>10}"
SCORED = f"{'rows':<24}{'read':>6}{'right':>7}{'share':>8}{'95 %':>15}{'kept':>8}{'tok/right':>11}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an arm made of one task."""

    task: str
    text: str | None
    """The kept answer; None if the row was dropped."""
    instruction: str
    finding: str
    """`agreed`, `unverified: WHY`, or empty where one answer was asked for."""
    dropped: str


def main() -> None:
    args = _arguments()
    if args.score:
        print(scored_table(args.out, args.score))
        return
    facts = asyncio.run(_measure(args))
    print(table(facts))
    print(f"\nread {args.out / 'reading.jsonl'} without {args.out / 'key.json'}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--seeds", help="tasks: any file of seeds; answers in it are not read")
    add("--server", help="base URL of an OpenAI-compatible server")
    add("--model", help="name of the model on the server; without one, a model spec")
    add("--tester", help="spec of the model that writes tests (the same model)")
    add("--out", type=Path, required=True, help="folder of the runs and of the files to read")
    add("--limit", type=int, default=300, help="so many tasks (300)")
    add("--n", type=int, default=8, help="answers to a task (8)")
    add("--arms", type=lambda text: text.split(","), default=list(ARMS), help=",".join(ARMS))
    add("--read", type=int, default=100, help="tasks whose answers are to be read (100)")
    add("--concurrency", type=int, default=256, help="requests in flight (256)")
    add("--max-tokens", type=int, default=1024, help="longest answer (1024)")
    add("--sandbox", choices=("strict", "processes"), default="strict", help="minimum isolation")
    add("--seeded", action="store_true", help="send seeds, with which vLLM is slower")
    add("--limit-s", type=float, default=340, help="seconds for all arms together (340)")
    add("--score", type=Path, metavar="JUDGED", help="print the table of a judged reading.jsonl")
    return parser.parse_args()


async def _measure(args: argparse.Namespace) -> dict[str, Any]:
    args.out.mkdir(parents=True, exist_ok=True)
    began, found = time.monotonic(), {}
    for place, arm in enumerate(args.arms):
        left = args.limit_s - (time.monotonic() - began)
        share = max(1.0, left if place == len(args.arms) - 1 else left * 0.6)
        found[arm] = await _run_arm(args, arm, share)
    facts = {"n": args.n, "arms": {arm: _facts(one) for arm, one in found.items()}}
    _sum_up(facts["arms"])
    outcomes = {arm: one["outcomes"] for arm, one in found.items()}
    _write_reading(args, outcomes)
    (args.out / "facts.json").write_text(json.dumps(facts, indent=1))
    return facts


def _config(args: argparse.Namespace, arm: str, limit_s: float) -> Config:
    spec = f"{args.server}#{args.model}" if args.server else args.model
    values = {
        "seeds.path": args.seeds, "seeds.limit": args.limit, "evolver.model": spec,
        "responder.max_tokens": args.max_tokens, "respond.reanswer_seeds": True,
        "budget.rounds": 0, "budget.max_hours": limit_s / 3600,
        "traffic.concurrency": args.concurrency, "traffic.seeds": args.seeded,
        "verify.sandbox": args.sandbox, "clean.exact": False, "clean.near": None,
        "cache": str(args.out / "completions.db"),
        "export.formats": [],
    }  # fmt: skip
    if arm != "single":
        values["respond.candidates"] = args.n
    if arm == "strong":
        values["preset"] = "strong"
        values["verify.tester"] = args.tester
    return load(None, [f"{key}={json.dumps(value)}" for key, value in values.items()])


async def _run_arm(args: argparse.Namespace, arm: str, limit_s: float) -> dict[str, Any]:
    folder, began = args.out / arm, time.monotonic()
    stopped = await evolve_run(_config(args, arm, limit_s), folder)
    seconds = time.monotonic() - began
    with RunStore.read(folder) as store:
        paid = store.calls_by_model().values()
        outcomes = [_outcome(step) for step in steps(store) if step.response or step.drops]
    return {
        "outcomes": outcomes,
        "seconds": seconds,
        "requests": sum(calls[0] for calls in paid),
        "sent": sum(calls[1] for calls in paid),
        "received": sum(calls[2] for calls in paid),
        "stopped": str(stopped or ""),
    }


def _outcome(step: LineageStep) -> Outcome:
    found = next((one for one in step.verdicts if one.check is Check.AGREEMENT), None)
    why = f": {found.detail.get('why')}" if found and found.detail.get("why") else ""
    drop = step.drops[0] if step.drops else None
    return Outcome(
        step.task.id,
        None if drop or step.response is None else step.response.text,
        step.task.instruction,
        f"{found.kind}{why}" if found else "",
        f"{drop.stage}: {drop.reason}" if drop else "",
    )


def _facts(one: Mapping[str, Any]) -> dict[str, Any]:
    outcomes: Sequence[Outcome] = one["outcomes"]
    numbers = {key: one[key] for key in ("seconds", "requests", "sent", "received", "stopped")}
    return {
        "tasks": len(outcomes),
        "kept": sum(outcome.text is not None for outcome in outcomes),
        "findings": Counter(outcome.finding for outcome in outcomes if outcome.finding),
        "dropped": Counter(outcome.dropped for outcome in outcomes if outcome.dropped),
        **numbers,
    }


def _sum_up(arms: Mapping[str, dict[str, Any]]) -> None:
    """Add the cost of the arms before, whose completions an arm read from the cache."""
    before: Counter[str] = Counter()
    for facts in arms.values():
        before.update({key: facts[key] for key in ("seconds", "requests", "sent", "received")})
        facts["in_all"] = dict(before)


def table(facts: Mapping[str, Any]) -> str:
    """Show the arms: rows kept, tokens and requests per kept row, seconds."""
    lines = [HEAD]
    for arm, one in facts["arms"].items():
        total, kept = one["in_all"], max(1, one["kept"])
        tokens = (total["sent"] + total["received"]) / kept
        share = one["kept"] / max(1, one["tasks"])
        lines.append(
            f"{arm:<24}{one['kept']:>7}{share:>8.1%}{tokens:>12.0f}{total['seconds']:>9.1f}"
            f"{total['requests']:>10}"
        )
        lines += [f"    {what} {n}" for part in ("findings", "dropped") for what, n in
                  sorted(one[part].items(), key=lambda item: -item[1])]  # fmt: skip
        lines += [f"    {one['stopped']}"] if one["stopped"] else []
    return "\n".join(lines)


def _write_reading(args: argparse.Namespace, arms: Mapping[str, Sequence[Outcome]]) -> None:
    """Write the distinct kept answers to the drawn tasks, and apart from it where they are from."""
    by_task = {arm: {one.task: one for one in outcomes} for arm, outcomes in arms.items()}
    common = sorted(set.intersection(*(set(known) for known in by_task.values())))
    drawn = set(random.Random(0).sample(common, min(args.read, len(common))))
    lines, key = {}, {}
    for arm, known in by_task.items():
        for task in sorted(drawn):
            one = known[task]
            id = content_id("reading", [task, one.text])[:12] if one.text is not None else None
            if id is not None:
                lines[id] = {"id": id, "instruction": one.instruction, "response": one.text}
            place = key.setdefault(arm, {})
            place[task] = {"id": id, "finding": one.finding, "dropped": one.dropped}
    order = sorted(lines)
    random.Random(1).shuffle(order)
    shown = [json.dumps({**lines[id], "right": None}, ensure_ascii=False) for id in order]
    (args.out / "reading.jsonl").write_text("".join(f"{line}\n" for line in shown))
    (args.out / "key.json").write_text(json.dumps(key, indent=1))


def scored_table(out: Path, judged: Path) -> str:
    """Show the share of right rows of each arm, with its interval, and what a right row costs."""
    lines = [json.loads(line) for line in judged.read_text().splitlines() if line.strip()]
    right = {one["id"]: one["right"] for one in lines if isinstance(one.get("right"), bool)}
    key = json.loads((out / "key.json").read_text())
    facts = json.loads((out / "facts.json").read_text())
    shown = [SCORED]
    for arm, tasks in key.items():
        parts = {"": tasks.values()}
        if arm == "agreement":
            for part in ("agreed", "unverified"):
                parts[f", {part}"] = [o for o in tasks.values() if o["finding"].startswith(part)]
        for name, rows in parts.items():
            shown.append(_scored_line(f"{arm}{name}", rows, len(tasks), right, facts["arms"][arm]))
    return "\n".join([*shown, *_paired(key, right)])


def _scored_line(
    name: str,
    rows: Iterable[Mapping[str, Any]],
    n_tasks: int,
    right: Mapping[str, bool],
    facts: Mapping[str, Any],
) -> str:
    kept = [one["id"] for one in rows if one["id"] is not None]
    read = [right[id] for id in kept if id in right]
    if not read:
        return f"{name:<24}{0:>6}"
    found, share = wilson(sum(read), len(read)), sum(read) / len(read)
    spent = facts["in_all"]["sent"] + facts["in_all"]["received"]
    per_right = spent / facts["tasks"] * n_tasks / max(1, len(kept)) / max(share, 1e-9)
    interval = f"{found.low:.1%}-{found.high:.1%}"
    return (
        f"{name:<24}{len(read):>6}{sum(read):>7}{share:>8.1%}{interval:>15}"
        f"{len(kept) / n_tasks:>8.1%}{per_right:>11.0f}"
    )


def _paired(key: Mapping[str, Any], right: Mapping[str, bool]) -> list[str]:
    """Compare the arms with `single` on the tasks of which both kept a row."""
    shown = []
    for arm in key.keys() - {"single"} if "single" in key else ():
        pairs = [(key["single"][task]["id"], one["id"]) for task, one in key[arm].items()]
        both = [(right[a], right[b]) for a, b in pairs if a in right and b in right]
        better, worse = both.count((False, True)), both.count((True, False))
        shown.append(
            f"{arm} against single, {len(both)} tasks with both: {better} wrong became right, "
            f"{worse} right became wrong"
        )
    return sorted(shown)


if __name__ == "__main__":
    main()

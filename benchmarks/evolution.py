"""Measures how many tasks get a usable harder version, with a plain template and with ours.

    python benchmarks/evolution.py --model qwen2.5-coder-1.5b --seeds code_alpaca_2k.json.gz --n 200

`--plain` uses one paragraph as the prompt and takes the answer as it is, judged by the same rules.
`--style rewrite` asks for whole tasks, and `--compare A.jsonl B.jsonl` prints a table of files of
`--rows`. The rules miss what only a reader notices, so read the rows of `--rows` too: `--readings`
counts files of rows with a field `reading` (`good` or a kind of fault), and `--languages` counts in
which languages the tasks of a file were evolved.
"""

import argparse
import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

from evolcoder.app.models import open_models
from evolcoder.config.load import Config, SeedsConfig, validate
from evolcoder.engine.base import Message, Role, Sampling
from evolcoder.engine.cache import CachedEngine, CompletionCache
from evolcoder.evolution.candidate import CandidateTask, tokenize
from evolcoder.evolution.evolver import evolve
from evolcoder.evolution.heuristics import Heuristic, TaskContents, choose
from evolcoder.evolution.rules import find_violation
from evolcoder.evolution.styles import heuristics_of
from evolcoder.fences import without_code
from evolcoder.ids import seed_for
from evolcoder.natural_language import prompt_language
from evolcoder.programming_language import code_blocks
from evolcoder.records import Drop, Task
from evolcoder.seeds.read import read_seeds

PLAIN = """Rewrite this programming task so that it becomes harder. {how}

Task:
{task}

Harder task:
"""
HOW = {
    "constrain": "Add new requirements in about ten words.",
    "specialise": "Replace a common requirement by a rarer, more specific one.",
    "deepen": "If it takes few steps of reasoning, make it need more.",
    "misdirect": "Give a piece of wrong code as a reference, to mislead.",
    "complexity": "Ask for a better time or space complexity.",
}


def draw(path: Path, n: int, number: int) -> list[Task]:
    """Draw n seeds of a file; the draw depends on the number of its rows and on its own alone."""
    seeds = read_seeds(SeedsConfig(path=str(path)))
    tasks = {record.ordinal: record for record in seeds if isinstance(record, Task)}
    drawn = random.Random(number).sample(range(seeds.report().n_rows), n)
    return [tasks[ordinal] for ordinal in drawn if ordinal in tasks]


async def evolve_plainly(task: Task, heuristic: Heuristic, role: Role, config: Config) -> dict:
    """Ask once with a plain paragraph; nothing is parsed but the code for a bait."""
    how = PLAIN.format(how=HOW[heuristic.name], task=task.instruction)
    seed = seed_for(config.seed, "evolve", task.id, 1, 0)
    said = await role.ask((Message("user", how),), seed=seed)
    blocks = code_blocks(said.text) if heuristic.holds is TaskContents.BAIT else []
    text = without_code(said.text) if blocks else said.text
    bait, cut_off = (blocks[-1] if blocks else None), said.finish == "length"
    before, after, rules = tokenize(task.instruction), tokenize(text), config.eliminate
    draft = CandidateTask(task, before, after, None, bait, cut_off, heuristic, rules)
    found = find_violation(draft)
    return {
        "text": said.text,
        "reason": found.reason.value if found else None,
        "detail": found.detail if found else "",
        "tokens": said.completion_tokens,
        "sent": said.prompt_tokens,
        "attempts": 1,
    }


async def evolve_fully(task: Task, heuristic: Heuristic, role: Role, config: Config) -> dict:
    """Evolve as a run does."""
    made = await evolve(task, round=1, heuristic=heuristic, evolver=role, judge=None, config=config)
    dropped = isinstance(made, Drop)
    return {
        "text": made.seen if dropped else made.instruction,
        "reason": made.reason.value if dropped else None,
        "detail": made.detail if dropped else "",
        "tokens": made.made.completion_tokens,
        "sent": made.made.prompt_tokens,
        "attempts": made.made.attempts,
    }


async def measure(args: argparse.Namespace) -> list[dict]:
    """Evolve every seed once; rows come in the order of the seeds."""
    flags = {
        "evolver": {"model": args.model},
        "evolve": {"candidates": args.candidates, "style": args.style},
        "traffic": {
            "slots": args.slots,
            "concurrency": args.slots,
            "threads": args.threads,
        },
    }
    config = validate(flags, where="flags")
    async with AsyncExitStack() as stack:
        opened = (await open_models(config, stack)).evolver
        cache = CompletionCache(args.cache)
        stack.callback(cache.close)
        values = config.evolver
        sampling = Sampling(values.temperature, values.top_p, values.max_tokens)
        role = Role(CachedEngine(opened.engine, cache), opened.model, sampling)
        return await evolve_all(draw(args.seeds, args.n, args.draw), role, config, args)


async def evolve_all(
    tasks: list[Task], role: Role, config: Config, args: argparse.Namespace
) -> list[dict]:
    """Evolve tasks, so many at a time, with the heuristics that a run would choose.

    Tasks of one heuristic are asked together, since they share the beginning of their prompts.
    """
    heuristics, gate = heuristics_of(config.evolve), asyncio.Semaphore(args.slots)
    way = evolve_plainly if args.plain else evolve_fully

    async def one(task: Task, heuristic: Heuristic) -> dict:
        async with gate:
            row = await way(task, heuristic, role, config)
        return {"seed": task.instruction, "heuristic": heuristic.name, **row}

    chosen = [(task, choose(heuristics, config.seed, task, 1)) for task in tasks]
    together = sorted(chosen, key=lambda pair: pair[1].name)
    rows = await asyncio.gather(*(one(*pair) for pair in together))
    by_seed = {row["seed"]: row for row in rows}
    return [by_seed[task.instruction] for task in tasks]


def table(rows: list[dict]) -> str:
    """Count the outcomes by heuristic, as Markdown."""
    names = sorted({row["heuristic"] for row in rows})
    counts = {
        name: Counter(row["reason"] for row in rows if row["heuristic"] == name) for name in names
    }
    whole = sum(counts.values(), Counter())
    lines = ["| outcome | all | " + " | ".join(names) + " |", "| --- " * (len(names) + 2) + "|"]
    for reason, n in whole.most_common():
        cells = " | ".join(str(counts[name][reason]) for name in names)
        lines.append(f"| {reason or 'usable by the rules'} | {n} | {cells} |")
    cells = " | ".join(str(sum(counts[name].values())) for name in names)
    tokens, sent, asked = (sum(row[key] for row in rows) for key in ("tokens", "sent", "attempts"))
    first = sum(row["reason"] is None and row["attempts"] == 1 for row in rows)
    lines.append(f"| all | {len(rows)} | {cells} |")
    counted = f"{asked} requests, {sent} tokens sent, {tokens} tokens received"
    return "\n".join([*lines, "", f"{counted}; {first} usable without doubt at the first request"])


def comparison(paths: list[Path]) -> str:
    """Compare stored rows, a column for each file of `--rows`, as Markdown."""
    files = {path.stem: [json.loads(line) for line in path.open("rb")] for path in paths}
    reasons = {name: Counter(row["reason"] for row in rows) for name, rows in files.items()}
    usable = {name: counts.pop(None, 0) for name, counts in reasons.items()}

    def line(title: str, cell: Callable[[str], object]) -> str:
        return f"| {title} | " + " | ".join(str(cell(name)) for name in files) + " |"

    def total(key: str, name: str) -> int:
        return sum(row[key] for row in files[name])

    def at_first(name: str) -> int:
        return sum(row["reason"] is None and row["attempts"] == 1 for row in files[name])

    lines = [line("", str), line("---", lambda _: "---"), line("seeds", lambda n: len(files[n]))]
    lines.append(line("usable", lambda n: f"{usable[n]} ({usable[n] / len(files[n]):.0%})"))
    lines.append(line("of these at the first request, without doubt", at_first))
    for reason, _ in sum(reasons.values(), Counter()).most_common():
        lines.append(line(f"dropped: {reason}", lambda n, why=reason: reasons[n][why]))
    for title, key in (("requests", "attempts"), ("tokens sent", "sent"), ("received", "tokens")):
        lines.append(line(title, lambda n, key=key: f"{total(key, n):,}"))
    each = lambda n: round(total("tokens", n) / max(1, usable[n]))  # noqa: E731
    return "\n".join([*lines, line("received for each usable task", each)])


def shared(one: str, other: str) -> int:
    """Return how many characters two texts have in common at their beginning."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


def added_text(row: dict) -> str:
    """Return what an evolution has that its seed lacks at its beginning and end."""
    seed, text = row["seed"], row["text"]
    start = shared(seed, text)
    end = shared(seed[start:][::-1], text[start:][::-1])
    return text[start : len(text) - end]


def languages(path: Path) -> str:
    """Count by the language of the seeds how many evolutions are in it, as Markdown.

    Text in which no language is recognised does not count.
    """
    counts: dict[str, Counter] = {}
    for row in map(json.loads, path.open("rb")):
        own = counts.setdefault(prompt_language(row["seed"]), Counter())
        own["seeds"] += 1
        own["kept"] += row["reason"] is None
        same = prompt_language(without_code(added_text(row))) == prompt_language(row["seed"])
        own["same"] += row["reason"] is None and same
    lines = ["| language | seeds | kept | in the seed's language | share |", "| --- " * 5 + "|"]
    for code, n in counts.items():
        share = n["same"] / max(1, n["kept"])
        lines.append(f"| {code} | {n['seeds']} | {n['kept']} | {n['same']} | {share:.0%} |")
    return "\n".join(lines)


def readings(paths: list[Path]) -> str:
    """Count what a reader found in kept rows, a column for each file, as Markdown."""
    files = {
        path.stem: [row for row in map(json.loads, path.open("rb")) if row["reason"] is None]
        for path in paths
    }
    counts = {name: Counter(row["reading"] for row in rows) for name, rows in files.items()}
    good = {name: found.pop("good", 0) for name, found in counts.items()}

    def line(title: str, cell: Callable[[str], object]) -> str:
        return f"| {title} | " + " | ".join(str(cell(name)) for name in files) + " |"

    lines = [line("", str), line("---", lambda _: "---")]
    lines.append(line("kept rows read", lambda n: len(files[n])))
    lines.append(line("good", lambda n: f"{good[n]} ({good[n] / len(files[n]):.0%})"))
    for fault, _ in sum(counts.values(), Counter()).most_common():
        lines.append(line(fault, lambda n, fault=fault: counts[n][fault]))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="qwen2.5-coder-1.5b", help="any model spec")
    parser.add_argument("--seeds", type=Path, help="an Alpaca file, .json or .json.gz")
    parser.add_argument("--compare", type=Path, nargs="+", help="compare files of --rows, and end")
    parser.add_argument("--readings", type=Path, nargs="+", help="count read rows, and end")
    parser.add_argument("--languages", type=Path, help="count languages of --rows, and end")
    parser.add_argument("--n", type=int, default=200)
    parser.add_argument("--draw", type=int, default=7, help="which seeds; rules were tuned on 7")
    parser.add_argument("--style", choices=("append", "rewrite"), default="append")
    parser.add_argument("--plain", action="store_true", help="one paragraph, no parsing, one try")
    parser.add_argument("--candidates", type=int, default=3)
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--threads", type=int, help="of an in-process model")
    parser.add_argument("--cache", type=Path, default=Path("completions.db"))
    parser.add_argument("--rows", type=Path, help="write every row there as JSON lines")
    args = parser.parse_args()
    if args.compare:
        print(comparison(args.compare))
        return
    if args.readings or args.languages:
        print(readings(args.readings) if args.readings else languages(args.languages))
        return
    if args.seeds is None:
        parser.error("--seeds is needed")
    began = time.perf_counter()
    rows = asyncio.run(measure(args))
    print(table(rows))
    print(f"{time.perf_counter() - began:.0f} s")
    if args.rows:
        args.rows.write_text(
            "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8"
        )


if __name__ == "__main__":
    main()

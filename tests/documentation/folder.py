"""A folder in which the commands of the documentation run: tiny data, finished runs, local servers.

What a command names and this machine lacks is replaced, and nothing else: `STAND_INS` for words of
a line, `ADDED` for flags that make a run short, `evolcoder_here.py` for benchmarks and embedder.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import toy_model
import toys
from batch_server import BatchServer
from documentation.blocks import ROOT
from jsonl import write_jsonl
from loopback import Loopback, in_thread
from report import samples
from small_bench import ADD, DOUBLE, LAST, fenced

HERE = Path(__file__).with_name("evolcoder_here.py")
MODELS = (
    "toy", "my-model", "NAME", "qwen", "gpt-4o-mini", "gpt-4.1-mini", "gpt-3.5-turbo", "gpt-4o", "o4-mini",
    "qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b", "qwen2.5-coder:7b", "qwen3:8b",
    "Qwen/Qwen2.5-Coder-7B-Instruct", "Qwen/Qwen3-8B", "claude-haiku-4-5",
)  # fmt: skip
"""What the local server lists."""
_ADDRESS = (
    r"https?://(?:127\.0\.0\.1|localhost|HOST|NAME\.openai\.azure\.com)(?::\d+)?"
    r"(?:/openai/deployments/\w+\?api-version=[\d-]+|/v1)"
)
STAND_INS = (
    (r"http://A:8000/v1,http://B:8000/v1", "{server},{other}"),
    (_ADDRESS, "{server}"),
    (r"--(model|tester) (qwen2\.5-coder-[\d.]+b)\b", r"--\1 {server}#\2"),
    (r'model="(qwen2\.5-coder-[\d.]+b)"', r'model="{server}#\1"'),
    (r"--base (?:FOLDER|Qwen/\S+)", "--base base"),
    (r'"Qwen/Qwen2\.5-Coder-0\.5B"', '"base"'),
    (r"--target 10000", "--target 10"),
    (r"_KEY=…", "_KEY=none"),
    (r'model="hf:models/a"', 'model="hf:models/a", max_tokens=8'),
    (r"--port \d+", "--port 0"),
)  # fmt: skip
"""Words of a line -> what stands in for them here."""
ADDED = (
    (r"^evolcoder run (?!.*(?:--model|\.yaml))", " --model {server}#toy"),
    (
        r"^evolcoder run .*--batch",
        " --set traffic.batch_quiet_s=0.2 --set traffic.batch_poll_s=0.1",
    ),
    (r"^evolcoder run (?!.*(?:--seeds|--limit|\.yaml))", " --limit 4"),
    (r"^evolcoder train ", " --set epochs=1"),
    (r"^evolcoder eval --model hf:", " --max-tokens 8"),
)
"""Command line -> flags that are added to it."""
GIVEN = {
    "runs/before": "evolcoder eval --bench humaneval+ --samples stubs.jsonl --out runs/before",
    "runs/after": "evolcoder eval --bench humaneval+ --samples samples.jsonl --out runs/after",
    "runs/score": "evolcoder eval --bench humaneval+,mbpp+ --model SERVER#my-model --out runs/score",
    "runs/mine": "evolcoder run --seeds my.jsonl --model SERVER#toy --rounds 2 --out runs/mine",
    "runs/other": "evolcoder run --seeds my.jsonl --model SERVER#toy --limit 3 --out runs/other",
    "runs/verified": "evolcoder verify data.jsonl --checks runs --out runs/verified",
    "clean.jsonl": "evolcoder clean data.jsonl --against humaneval,mbpp --out clean.jsonl",
}
"""What commands find that an earlier page made -> the command that makes it."""
PAGE_COLUMNS = "80"
"""Columns of the terminal whose output the pages show."""
BENCH = {"`double`": DOUBLE, "`add`": ADD, "`last`": LAST}


@dataclass
class Stage:
    """Where commands run."""

    template: Path
    """Its files are copied for each block."""
    environment: dict[str, str]
    server: str
    other: str
    batches: str

    def line(self, line):
        """Return a line with its stand-ins."""
        for pattern, flags in ADDED:
            if re.search(pattern, line):
                line += flags
        for pattern, text in STAND_INS:
            line = re.sub(pattern, text, line)
        if "--batch" in line:
            line = f'OPENAI_BASE_URL="{self.batches}" {line}'
        return self._filled(line)

    def _filled(self, text):
        named = {"server": self.server, "other": self.other}
        return re.sub(r"\{(server|other)\}", lambda found: named[found[1]], text)

    def run(self, script, folder, seconds=300):
        """Run lines of Bash; the first that fails ends it, and is named."""
        head = "set -Eeuo pipefail\ntrap 'echo \"failed: $BASH_COMMAND\" >&2' ERR\n"
        return subprocess.run(
            ["bash", "-c", head + script], cwd=folder, env=self.environment, check=False,
            capture_output=True, text=True, timeout=seconds, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def copy(self, folder, script):
        """Copy the template, without what the script makes itself."""
        shutil.copytree(self.template, folder, symlinks=True)
        for made in re.findall(r"--out ([\w./-]+)", script):
            if made.startswith(("runs/", "models/", "out/")):
                shutil.rmtree(folder / made, ignore_errors=True)


def answer(prompt):
    """Answer a problem of the tiny benchmark rightly, and all else as the toy model."""
    code = next((code for name, code in BENCH.items() if name in prompt), None)
    return fenced(code) if code else toys.answer(prompt)


@contextmanager
def stage(folder, *, with_model=False, with_runs=True):
    """Make the folder; `with_model` adds a toy model to train, `with_runs` what is in `GIVEN`."""
    binaries = folder / "bin"
    binaries.mkdir(parents=True)
    write_command(binaries, f"{sys.executable} {HERE}")
    with ExitStack() as stack:
        servers = [
            stack.enter_context(in_thread(Loopback(answer=answer, models=MODELS))) for _ in range(2)
        ]
        batches = stack.enter_context(in_thread(BatchServer(answer=answer, polls=1)))
        environment = {
            **os.environ, "PATH": f"{binaries}:{os.environ['PATH']}",
            "EVOLCODER_CACHE": str(folder / "cache"), "OPENAI_API_KEY": "none", "NO_PROXY": "*",
            "OPENAI_BASE_URL": servers[0].base_url,
            "HF_HUB_OFFLINE": "1", "COLUMNS": PAGE_COLUMNS,
        }  # fmt: skip
        urls = [server.base_url for server in servers]
        made = Stage(folder / "template", environment, *urls, batches.base_url)
        if with_runs:
            _fill(made, with_model=with_model)
        yield made


def write_command(folder, command):
    """Put `evolcoder` into a folder of commands."""
    path = folder / "evolcoder"
    path.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    path.chmod(0o755)


def _fill(made, *, with_model):
    folder = made.template
    for name in ("runs", "benchmarks"):
        (folder / name).mkdir(parents=True)
    (folder / "examples").symlink_to(ROOT / "examples")
    seeds = [
        {"instruction": text, "output": f"```python\nprint({at})\n```"}
        for at, text in enumerate(toys.tasks(4))
    ]
    for name in ("my.jsonl", "seeds.jsonl", "data.jsonl", "rows.jsonl", "code_alpaca_20k.json"):
        _write(folder / name, seeds)
    columns = "question,reply\n" + "".join(f'"{text}",print(1)\n' for text in toys.tasks(2))
    (folder / "my.csv").write_text(columns)
    model = f"{made.server}#my-model"
    config = {"seeds": {"path": "my.jsonl"}, "evolver": {"model": model}, "budget": {"rounds": 1}}
    (folder / "config.yaml").write_text(json.dumps(config))
    programs = (("samples", (DOUBLE, ADD, LAST)), ("stubs", (DOUBLE, "", "")))
    for name, found in programs:
        rows = [{"task_id": f"small/{at}", "solution": code} for at, code in enumerate(found)]
        _write(folder / f"{name}.jsonl", rows)
    samples.loop(folder / "runs/loop")
    script = "\n".join(line.replace("SERVER", made.server) for line in GIVEN.values())
    done = made.run(script, folder)
    assert done.returncode == 0, done.stderr
    if with_model:
        toy_model.make_base(folder / "base")
        toy_model.write_gguf(folder / "base", folder / "model.gguf")


def _write(path, rows):
    write_jsonl(path, rows)

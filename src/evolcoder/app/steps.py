"""Runs the steps of a loop as subprocesses: evolving, training, sampling and grading.

Guarantees: a step's command line and its output are appended to the loop's `log` folder, so that
every step can be repeated by hand. A step ends when this process ends, however that happens, and
its child processes end with it: none writes afterwards, and their GPU memory is free. An exit code
of evolcoder becomes the corresponding error.

>>> run_step(["python", "train.py"], folder / "log" / "train.txt")   # doctest: +SKIP
"""

import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from evolcoder.app.evaluate import make_plan, select_problems
from evolcoder.app.evaluation_options import ParseOptions, is_for_grading, sample_settings
from evolcoder.app.standby import Standby
from evolcoder.bench.base import Bench, Problem, Sample
from evolcoder.bench.fetch import DataFolder
from evolcoder.bench.prompts import template_named
from evolcoder.bench.registry import bench_named
from evolcoder.bench.scores import Outcomes
from evolcoder.config.load import Config, ServerConfig
from evolcoder.credentials import without_logins
from evolcoder.engine import redact
from evolcoder.engine.registry import cache_folder
from evolcoder.errors import BudgetReached, StepFailed, UserError
from evolcoder.evaluation.results import outcomes_of
from evolcoder.evaluation.store import DB_NAME, EvalStore, StoredRequest
from evolcoder.experiment.config import AskConfig, LoopConfig, ServeConfig, fill
from evolcoder.experiment.interfaces import Served, Training
from evolcoder.serving.process import defer_signals, log_tail, wait_interruptibly, with_subreaper
from evolcoder.storage import atomic
from evolcoder.visible import visible

CLI = (sys.executable, "-m", "evolcoder.cli.main")
"""Command of the evolcoder command line."""
GRADING_NICENESS = 5
"""Niceness of gradings in the background: a third of a CPU's time where a model's server or a
training wants it too. Programs are limited by CPU time, and elapsed time by several times that."""
_ERRORS: dict[int, type[BaseException]] = {2: UserError, 3: BudgetReached, 130: KeyboardInterrupt}


def run_step(
    command: Sequence[str],
    log: Path,
    *,
    timeout_s: float | None = None,
    running: "list[subprocess.Popen[bytes]] | None" = None,
    inside: Path | None = None,
    standby: Standby | None = None,
) -> None:
    """Run a command and append its output to `log`; an exit code other than 0 raises an error.

    The process is in the list `running` while it runs, so that another thread can terminate it. The
    log must not be a link out of the folder `inside` (default: the log's own folder). Raises
    StepFailed after `timeout_s`. The process of `standby` runs the command if one waits.
    """
    with atomic.open_to_append(log, inside=inside or log.parent) as file:
        file.write(f"$ {format_command(command)}\n".encode())
        file.flush()
        running, process = [] if running is None else running, None
        try:
            with defer_signals():
                process = standby.take(command, log) if standby else None
                process = process or subprocess.Popen(
                    with_subreaper(command),
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                )
                running.append(process)
            code = wait_interruptibly(process, timeout_s)
        except subprocess.TimeoutExpired as error:
            raise StepFailed(f"{log.stem}: timed out after {timeout_s:g} s") from error
        finally:
            if process is not None:
                process.terminate()
                process.wait()
                running.remove(process)
    if code != 0:
        message = f"{log.stem}: {log_tail(log).removeprefix('evolcoder: ')} (log: {log})"
        raise _ERRORS.get(code, StepFailed)(message)


def format_command(command: Sequence[str]) -> str:
    """Format a command for the log: logins and keys removed, control characters escaped."""
    return visible(redact.masked(without_logins(shlex.join(command))), lines=False)


def _terminate(running: "list[subprocess.Popen[bytes]]") -> None:
    for process in list(running):
        process.terminate()


def _flags(values: Mapping[str, object]) -> list[str]:
    pairs = [(flag, str(value)) for flag, value in values.items() if value is not None]
    return [word for pair in pairs for word in pair]


def fill_command(command: Sequence[str], **values: object) -> list[str]:
    """Replace the placeholders {name} in a command's arguments, {python} included."""
    return [fill(part, python=sys.executable, **values) for part in command]


class RunSteps:
    """Evolves with `evolcoder run`."""

    def __init__(self, folder: Path, serve: ServeConfig) -> None:
        self._folder = folder
        self._serve = serve

    def evolve(self, config: Config, folder: Path, models: Mapping[str, str]) -> None:
        """Evolve a run folder up to the rounds of its config.

        `models` maps a role to the spec that replaces the config's.
        """
        path = self._folder / "configs" / f"{folder.name}.yaml"
        text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
        atomic.write_text(path, text, inside=self._folder)
        specs = {role: without_logins(spec) for role, spec in models.items()}
        overrides = [f"{role}.model={json.dumps(spec)}" for role, spec in specs.items()]
        options = [word for override in overrides for word in ("--set", override)]
        if _all_served(config, models):
            options += self._serve.traffic
        command = [*CLI, "run", str(path), "--out", str(folder), "--json", *options]
        run_step(command, self._folder / "log" / f"{folder.name}.txt", inside=self._folder)


def _all_served(config: Config, models: Mapping[str, str]) -> bool:
    """Whether every model of a run is on a server that the loop started."""
    roles = {"evolver": config.evolver, "responder": config.responder, "judge": config.judge}
    used = {role for role, section in roles.items() if section.model}
    return used <= models.keys() and config.verify.tester is None


class TrainSteps:
    """Trains with the command of the config's `train` section."""

    def __init__(self, folder: Path, config: LoopConfig) -> None:
        self._folder = folder
        self._config = config
        self._running: list[subprocess.Popen[bytes]] = []
        self._standby = Standby()

    def prepare(self) -> None:
        """Start a process that imports what `evolcoder train` needs and waits for the command."""
        if self._config.train.command[:3] == ("{python}", *CLI[1:]):
            self._standby.start()

    def train(self, training: Training, data: Path, out: Path) -> None:
        """Train a model into `out`; an existing folder is resumed."""
        settings = self._config.train
        values = {
            "data": data, "base": self._config.student.path, "out": out, "seed": training.seed,
            "epochs": settings.epochs, "batch": settings.batch,
        }  # fmt: skip
        command = fill_command([*settings.command, *settings.options], **values)
        if training.steps is not None:
            command += fill_command(settings.steps, steps=training.steps)
        log = self._folder / "log" / f"train-{training.key}.txt"
        run_step(
            command, log, timeout_s=settings.timeout_s, running=self._running, inside=self._folder,
            standby=self._standby,
        )  # fmt: skip

    def stop(self) -> None:
        """Terminate a training in another thread, if there is one; `train` raises there."""
        _terminate(self._running)

    def close(self) -> None:
        """End the process that waits for a training, if there is one."""
        self._standby.close()


class EvalSteps:
    """Samples and grades with `evolcoder eval`."""

    def __init__(
        self,
        folder: Path,
        config: AskConfig,
        serve: ServeConfig,
        parse: ParseOptions,
        *,
        servers: Mapping[str, ServerConfig] | None = None,
    ) -> None:
        """`parse` parses options of `evolcoder eval`.

        `servers` names the environment variables with keys, for students on external servers.
        """
        self._parse = parse
        self._folder = folder
        self._config = config
        self._serve = serve
        self._servers = {name: one.model_dump() for name, one in (servers or {}).items()}
        self._benches: dict[str, Bench] = {}
        self._grading: list[subprocess.Popen[bytes]] = []

    def bench(self, name: str) -> Bench:
        """Return a benchmark; read once and cached."""
        if name not in self._benches:
            data = Path(self._config.data_dir) if self._config.data_dir else None
            self._benches[name] = bench_named(name, DataFolder(data, cache_folder() / "benchmarks"))
        return self._benches[name]

    def select_problems(self, bench: str) -> Sequence[Problem]:
        """Return the problems of a benchmark that are sampled and graded."""
        flags = ["--limit", str(self._config.limit)] if self._config.limit else []
        return select_problems(self.bench(bench), self._parse([*flags, *self._config.options]))

    def decided(self) -> Mapping[str, object]:
        """Return the sample settings that `ask.options` changes, such as a system prompt."""
        defaults = sample_settings(self._parse([]))
        settings = sample_settings(self._parse(self._config.options))
        return {name: value for name, value in settings.items() if value != defaults[name]}

    def problems(self, bench: str) -> Mapping[str, str]:
        """Return the problems of a benchmark: id -> prompt."""
        return {problem.id: problem.prompt for problem in self.select_problems(bench)}

    def is_sampled(self, folder: Path, benches: Sequence[str]) -> bool:
        """Whether all samples of these benchmarks exist."""
        if not (folder / DB_NAME).exists():
            return False
        n = self._config.n
        with EvalStore.read(folder) as store:
            return all(store.count(b, n) >= n * len(self.select_problems(b)) for b in benches)

    def is_graded(self, folder: Path, benches: Sequence[str]) -> bool:
        """Whether every existing sample has a verdict."""
        with EvalStore.read(folder) as store:
            return all(
                store.samples(bench, problem.id).keys() <= store.judged_numbers(bench, problem.id)
                for bench in benches
                for problem in self.select_problems(bench)
            )

    def sample(self, folder: Path, name: str, model: Served, benches: Sequence[str]) -> None:
        """Generate the missing samples."""
        command = [*CLI, "eval", *self._options(folder, model.spec, benches), "--no-grade"]
        command += self._serve.traffic
        if self._servers:
            command += ["--set", f"servers={json.dumps(self._servers)}"]
        run_step(command, self._folder / "log" / f"sample-{name}.txt", inside=self._folder)

    def check(self, benches: Sequence[str]) -> None:
        """Run the benchmarks' references and stubs, so that gradings need not."""
        options = [*_flags(self._grading_options(benches)), *self._options_of_references()]
        self._run_grading([*CLI, "eval", "--check", *options], "check")

    def _options_of_references(self) -> list[str]:
        """Return those of `ask.options` that have an effect where no model is asked."""
        given, default = self._parse(self._config.options), self._parse([])
        names = ("cluster", "data_dir", "limit", "sandbox", "workers")
        values = {
            f"--{name.replace('_', '-')}": getattr(given, name)
            for name in names
            if getattr(given, name) != getattr(default, name)
        }
        packages = [("--packages", str(folder)) for folder in given.packages]
        sets = [("--set", setting) for setting in given.set if is_for_grading(setting)]
        return [*_flags(values), *(word for pair in (*packages, *sets) for word in pair)]

    def grade(self, folder: Path, name: str, benches: Sequence[str]) -> None:
        """Grade samples without a verdict, with the settings that they were sampled with."""
        with EvalStore.read(folder) as store:
            spec = store.meta("settings", StoredRequest)["model"]
        command = [*CLI, "eval", *self._options(folder, spec, benches), "--no-ask"]
        self._run_grading(command, f"grade-{name}")

    def _run_grading(self, command: Sequence[str], name: str) -> None:
        if self._config.grade_beside and shutil.which("nice"):
            command = ["nice", "-n", str(GRADING_NICENESS), *command]
        log = self._folder / "log" / f"{name}.txt"
        run_step(command, log, running=self._grading, inside=self._folder)

    def stop(self) -> None:
        """Terminate a grading in another thread, if there is one; `grade` raises there."""
        _terminate(self._grading)

    def outcomes(self, folder: Path, bench: str) -> Outcomes:
        """Return the outcomes of a benchmark's samples."""
        with EvalStore.read(folder) as store:
            return outcomes_of(store, bench)

    def _options(self, folder: Path, spec: str, benches: Sequence[str]) -> list[str]:
        """Return the options of `evolcoder eval` for an evaluation in a folder."""
        c = self._config
        sampling = {
            "--model": without_logins(spec), "--out": folder, "--n": c.n, "--template": c.template,
            "--temperature": c.temperature, "--top-p": c.top_p, "--max-tokens": c.max_tokens,
        }  # fmt: skip
        return [*_flags({**self._grading_options(benches), **sampling}), *c.options]

    def _grading_options(self, benches: Sequence[str]) -> dict[str, object]:
        """Return the options that select problems and sandbox."""
        c = self._config
        return {
            "--bench": ",".join(benches), "--data-dir": c.data_dir, "--limit": c.limit,
            "--sandbox": c.sandbox,
        }  # fmt: skip

    def settings(self, folder: Path, spec: str, benches: Sequence[str]) -> dict[str, object]:
        """Return the settings that an evaluation's folder stores for a model's samples."""
        return make_plan(self._parse(self._options(folder, spec, benches))).settings

    def import_samples(
        self,
        folder: Path,
        spec: str,
        benches: Sequence[str],
        rows: Sequence[Mapping[str, Any]],
    ) -> None:
        """Store samples generated on another machine as if generated here.

        Each row has `bench`, `problem`, `number` and `text`; rows of other benchmarks and problems
        are ignored.
        """
        form = template_named(self._config.template).form
        with EvalStore.create(folder, self.settings(folder, spec, benches)) as store:
            for bench in benches:
                known = {problem.id for problem in self.select_problems(bench)}
                store.add_samples(
                    bench,
                    [
                        Sample.of(row["problem"], row["number"], row["text"], form)
                        for row in rows
                        if row["bench"] == bench and row["problem"] in known
                    ],
                )

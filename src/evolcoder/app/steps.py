"""What a loop does with commands of ours: every step is a process, and can be done by hand.

Promises: a step's command and all that it says are in the loop's `log` folder; a step ends with
this process, whatever this one dies of, and what the step started ends with the step, so that
nothing writes behind a loop's back; memory of a GPU is free when a step has ended. An exit code
becomes the error that it stands for.
"""

import json
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from evolcoder.app.evaluate import ParseOptions, plan_of, problems_of, settings_of
from evolcoder.bench.base import Bench, Problem, Sample
from evolcoder.bench.fetch import DataFolder
from evolcoder.bench.prompts import template_named
from evolcoder.bench.registry import bench_named
from evolcoder.bench.scores import Outcomes
from evolcoder.config.load import Config, ServerConfig
from evolcoder.engine import redact
from evolcoder.engine.registry import cache_folder
from evolcoder.errors import BudgetReached, StepFailed, UserError
from evolcoder.evaluation.results import outcomes_of
from evolcoder.evaluation.store import DB_NAME, EvalStore, StoredRequest
from evolcoder.experiment.config import AskConfig, LoopConfig, ServeConfig, fill
from evolcoder.experiment.interfaces import Served, Training
from evolcoder.serving.process import defer_signals, log_tail, wait_interruptibly, with_subreaper
from evolcoder.storage import atomic
from evolcoder.text import visible, without_logins

OURS = (sys.executable, "-m", "evolcoder.cli.main")
_ERRORS: dict[int, type[BaseException]] = {2: UserError, 3: BudgetReached, 130: KeyboardInterrupt}


def run_step(
    command: Sequence[str],
    log: Path,
    *,
    timeout_s: float | None = None,
    going: "list[subprocess.Popen[bytes]] | None" = None,
    inside: Path | None = None,
) -> None:
    """Run a command to its end; what it ends with other than 0 becomes an error.

    While it runs it is in `going`, so that another thread can end it. No link leads the log out of
    `inside`; left out, out of its own folder.
    """
    with atomic.open_to_append(log, inside=inside or log.parent) as file:
        file.write(f"$ {shown(command)}\n".encode())
        file.flush()
        going, process = [] if going is None else going, None
        try:
            with defer_signals():
                process = subprocess.Popen(
                    with_subreaper(command),
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                )
                going.append(process)
            code = wait_interruptibly(process, timeout_s)
        except subprocess.TimeoutExpired as error:
            raise StepFailed(f"{log.stem}: not done within {timeout_s:g} s") from error
        finally:
            if process is not None:
                process.terminate()
                process.wait()
                going.remove(process)
    if code != 0:
        said = f"{log.stem}: {log_tail(log).removeprefix('evolcoder: ')} (all of it in {log})"
        raise _ERRORS.get(code, StepFailed)(said)


def shown(command: Sequence[str]) -> str:
    """Write a command as a log keeps it: without logins and keys, and with nothing hidden in it."""
    return visible(redact.masked(without_logins(shlex.join(command))), lines=False)


def _end(going: "list[subprocess.Popen[bytes]]") -> None:
    for process in list(going):
        process.terminate()


def _flags(values: Mapping[str, object]) -> list[str]:
    given = [(flag, str(value)) for flag, value in values.items() if value is not None]
    return [word for pair in given for word in pair]


def filled(command: Sequence[str], **values: object) -> list[str]:
    """Fill the places of a command in."""
    return [fill(part, python=sys.executable, **values) for part in command]


class RunSteps:
    """Evolves with `evolcoder run`."""

    def __init__(self, folder: Path, serve: ServeConfig) -> None:
        self._folder = folder
        self._serve = serve

    def evolve(self, config: Config, folder: Path, models: Mapping[str, str]) -> None:
        """Bring a run folder to the rounds of its config."""
        path = self._folder / "configs" / f"{folder.name}.yaml"
        text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
        atomic.write_text(path, text, inside=self._folder)
        specs = {role: without_logins(spec) for role, spec in models.items()}
        sets = [f"{role}.model={json.dumps(spec)}" for role, spec in specs.items()]
        options = [word for one in sets for word in ("--set", one)]
        if _all_served(config, models):
            options += self._serve.traffic
        command = [*OURS, "run", str(path), "--out", str(folder), "--json", *options]
        run_step(command, self._folder / "log" / f"{folder.name}.txt", inside=self._folder)


def _all_served(config: Config, models: Mapping[str, str]) -> bool:
    """Whether every model that a run asks is one that we started for it."""
    roles = {"evolver": config.evolver, "responder": config.responder, "judge": config.judge}
    asked = {role for role, part in roles.items() if part.model}
    return asked <= models.keys() and config.verify.tester is None


class TrainSteps:
    """Trains with the config's command."""

    def __init__(self, folder: Path, config: LoopConfig) -> None:
        self._folder = folder
        self._config = config
        self._going: list[subprocess.Popen[bytes]] = []

    def train(self, training: Training, data: Path, out: Path) -> None:
        """Leave the model in `out`."""
        how = self._config.train
        values = {
            "data": data, "base": self._config.student.path, "out": out, "seed": training.seed,
            "epochs": how.epochs, "batch": how.batch,
        }  # fmt: skip
        command = filled([*how.command, *how.options], **values)
        if training.steps is not None:
            command += filled(how.steps, steps=training.steps)
        log = self._folder / "log" / f"train-{training.key}.txt"
        run_step(command, log, timeout_s=how.timeout_s, going=self._going, inside=self._folder)

    def stop(self) -> None:
        """End a training that goes on in another thread."""
        _end(self._going)


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
        """`parse` reads options as `evolcoder eval` does.

        `servers` says where keys are: students may be asked at a server that is not ours.
        """
        self._parsed = parse
        self._folder = folder
        self._config = config
        self._serve = serve
        self._servers = {name: one.model_dump() for name, one in (servers or {}).items()}
        self._benches: dict[str, Bench] = {}
        self._grading: list[subprocess.Popen[bytes]] = []

    def bench(self, name: str) -> Bench:
        """Read a benchmark, once."""
        if name not in self._benches:
            data = Path(self._config.data_dir) if self._config.data_dir else None
            self._benches[name] = bench_named(name, DataFolder(data, cache_folder() / "benchmarks"))
        return self._benches[name]

    def asked(self, name: str) -> Sequence[Problem]:
        """Return the problems that are asked."""
        flags = ["--limit", str(self._config.limit)] if self._config.limit else []
        return problems_of(self.bench(name), self._parsed([*flags, *self._config.options]))

    def decided(self) -> Mapping[str, object]:
        """Return what the options decide of a sample, such as a system prompt."""
        usual = settings_of(self._parsed([]))
        told = settings_of(self._parsed(self._config.options))
        return {name: value for name, value in told.items() if value != usual[name]}

    def problems(self, bench: str) -> Mapping[str, str]:
        """Return the problems of a benchmark: id -> its words."""
        return {problem.id: problem.prompt for problem in self.asked(bench)}

    def is_sampled(self, folder: Path, benches: Sequence[str]) -> bool:
        """Whether every sample of these benchmarks is there."""
        if not (folder / DB_NAME).exists():
            return False
        n = self._config.n
        with EvalStore.read(folder) as store:
            return all(store.count(one, n) >= n * len(self.asked(one)) for one in benches)

    def is_graded(self, folder: Path, benches: Sequence[str]) -> bool:
        """Whether every sample that is there has a verdict."""
        with EvalStore.read(folder) as store:
            return all(
                store.samples(bench, problem.id).keys() <= store.judged_numbers(bench, problem.id)
                for bench in benches
                for problem in self.asked(bench)
            )

    def sample(self, folder: Path, name: str, model: Served, benches: Sequence[str]) -> None:
        """Ask for the samples that are missing."""
        command = [*OURS, "eval", *self.options(folder, model.spec, benches), "--no-grade"]
        command += self._serve.traffic
        if self._servers:
            command += ["--set", f"servers={json.dumps(self._servers)}"]
        run_step(command, self._folder / "log" / f"sample-{name}.txt", inside=self._folder)

    def check(self, benches: Sequence[str]) -> None:
        """Run the benchmarks' own references here, so that no grading has to."""
        command = [
            *OURS,
            "eval",
            "--check",
            *_flags(self._of_programs(benches)),
            *self._config.options,
        ]
        log = self._folder / "log" / "check.txt"
        run_step(command, log, going=self._grading, inside=self._folder)

    def grade(self, folder: Path, name: str, benches: Sequence[str]) -> None:
        """Grade what has no verdict and ask nobody; the settings are those it was sampled with."""
        with EvalStore.read(folder) as store:
            spec = store.meta("settings", StoredRequest)["model"]
        command = [*OURS, "eval", *self.options(folder, spec, benches), "--no-ask"]
        log = self._folder / "log" / f"grade-{name}.txt"
        run_step(command, log, going=self._grading, inside=self._folder)

    def stop(self) -> None:
        """End a grading that goes on in another thread."""
        _end(self._grading)

    def outcomes(self, folder: Path, bench: str) -> Outcomes:
        """Return what the samples of a benchmark came to."""
        with EvalStore.read(folder) as store:
            return outcomes_of(store, bench)

    def options(self, folder: Path, spec: str, benches: Sequence[str]) -> list[str]:
        """Return the options of `evolcoder eval` that say what is asked, and where it is kept."""
        c = self._config
        asked = {
            "--model": without_logins(spec), "--out": folder, "--n": c.n, "--template": c.template,
            "--temperature": c.temperature, "--top-p": c.top_p, "--max-tokens": c.max_tokens,
        }  # fmt: skip
        return [*_flags({**self._of_programs(benches), **asked}), *c.options]

    def _of_programs(self, benches: Sequence[str]) -> dict[str, object]:
        """Return the options that say which programs are run, and how."""
        c = self._config
        return {
            "--bench": ",".join(benches), "--data-dir": c.data_dir, "--limit": c.limit,
            "--sandbox": c.sandbox,
        }  # fmt: skip

    def settings(self, folder: Path, spec: str, benches: Sequence[str]) -> dict[str, object]:
        """Return what an evaluation's folder remembers, for samples that were made elsewhere."""
        return plan_of(self._parsed(self.options(folder, spec, benches))).settings

    def take(
        self,
        folder: Path,
        spec: str,
        benches: Sequence[str],
        rows: Sequence[Mapping[str, Any]],
    ) -> None:
        """Keep samples that were made elsewhere as if they had been asked for here."""
        form = template_named(self._config.template).form
        with EvalStore.create(folder, self.settings(folder, spec, benches)) as store:
            for bench in benches:
                known = {problem.id for problem in self.asked(bench)}
                store.add_samples(
                    bench,
                    [
                        Sample.of(row["problem"], row["number"], row["text"], form)
                        for row in rows
                        if row["bench"] == bench and row["problem"] in known
                    ],
                )

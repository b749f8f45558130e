"""What a loop asks of others: to evolve, to train, to serve a model, to score it.

Promises: contracts only. The door hands implementations in; each can be killed at any instant and
called again with the same words, and goes on where it was.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from evolcoder.bench.scores import Outcomes
from evolcoder.config.load import Config


@dataclass(frozen=True, slots=True)
class Training:
    """One fine-tune of the student from its own weights."""

    arm: str
    """Name of the arm."""
    seed: int
    """Training seed."""
    key: str
    """Hash of all that decides the model: rows, student, options, steps and seed."""
    data: str
    """Digest of the rows."""
    n_rows: int
    """How many there are."""
    n_tokens: int
    """Tokens of their answers."""
    steps: int | None
    """Optimiser steps, where they are set; None leaves them to the rows."""


@dataclass(frozen=True, slots=True)
class Served:
    """A model that answers."""

    spec: str
    """What `--model` calls it."""


class Evolver(Protocol):
    """Makes rounds of harder tasks."""

    def evolve(self, config: Config, folder: Path, models: Mapping[str, str]) -> None:
        """Bring a run folder to the rounds that the config says.

        `models` are specs that stand in for those of the config, such as of a server.
        """
        ...


class Trainer(Protocol):
    """Fine-tunes the student."""

    def train(self, training: Training, data: Path, out: Path) -> None:
        """Leave the model in `out`; a folder that is there already is gone on with."""
        ...

    def stop(self) -> None:
        """End a training that goes on in another thread, if one does; it raises there."""
        ...


class Servers(Protocol):
    """Puts models up and away, one after the other."""

    def serving(self, models: Sequence[tuple[str, str]]) -> AbstractContextManager[list[Served]]:
        """Serve models, each (weights, name), while the context lasts."""
        ...

    def student(self, weights: str, name: str) -> AbstractContextManager[Served]:
        """Serve one student while the context lasts; the server of the one before may do it."""
        ...

    def close(self) -> None:
        """End what is kept between students."""
        ...


class Scorer(Protocol):
    """Asks a model for samples, and grades them."""

    def check(self, benches: Sequence[str]) -> None:
        """Run the benchmarks' own references here, so that no grading has to."""
        ...

    def is_sampled(self, folder: Path, benches: Sequence[str]) -> bool:
        """Whether every sample of these benchmarks is there."""
        ...

    def is_graded(self, folder: Path, benches: Sequence[str]) -> bool:
        """Whether every sample that is there has a verdict."""
        ...

    def sample(self, folder: Path, name: str, model: Served, benches: Sequence[str]) -> None:
        """Ask for the samples that are missing."""
        ...

    def grade(self, folder: Path, name: str, benches: Sequence[str]) -> None:
        """Grade what has no verdict."""
        ...

    def stop(self) -> None:
        """End a grading that goes on in another thread, if one does; it raises there."""
        ...

    def outcomes(self, folder: Path, bench: str) -> Outcomes:
        """Return what the samples of a benchmark came to."""
        ...

    def decided(self) -> Mapping[str, object]:
        """Return what its options decide of a sample, beside the keys of `ask`."""
        ...

    def problems(self, bench: str) -> Mapping[str, str]:
        """Return the problems of a benchmark: id -> its words."""
        ...


@dataclass(frozen=True, slots=True)
class LoopServices:
    """All of them."""

    evolver: Evolver
    """Makes rounds."""
    trainer: Trainer
    """Trains."""
    servers: Servers
    """Serves."""
    scorer: Scorer
    """Scores."""

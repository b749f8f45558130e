"""Protocols of the loop's services: evolving, training, serving and scoring.

The application layer provides implementations. Each can be killed at any moment and resumes when it
is called again with the same arguments.
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
    """Hash of what decides the model: rows, student, options, steps and seed."""
    data: str
    """Digest of the rows."""
    n_rows: int
    """Number of rows."""
    n_tokens: int
    """Tokens of their answers."""
    steps: int | None
    """Optimiser steps; None derives them from the rows."""


@dataclass(frozen=True, slots=True)
class Served:
    """A model that is being served."""

    spec: str
    """Its spec for `--model`."""


class Evolver(Protocol):
    """Makes rounds of harder tasks."""

    def evolve(self, config: Config, folder: Path, models: Mapping[str, str]) -> None:
        """Evolve a run folder up to the rounds of the config.

        `models` maps a role to the spec that replaces the config's, such as that of a server.
        """
        ...


class Trainer(Protocol):
    """Fine-tunes the student."""

    def prepare(self) -> None:
        """Get ready for a training that begins later; without effect on its result."""
        ...

    def train(self, training: Training, data: Path, out: Path) -> None:
        """Train a model into `out`; an existing folder is resumed."""
        ...

    def stop(self) -> None:
        """Stop a training in another thread, if there is one; `train` raises there."""
        ...

    def close(self) -> None:
        """Undo `prepare`."""
        ...


class Servers(Protocol):
    """Starts and stops model servers."""

    def serving(self, models: Sequence[tuple[str, str]]) -> AbstractContextManager[list[Served]]:
        """Serve models, each (weights, name), while the context lasts or longer."""
        ...

    def start_ahead(self, weights: str) -> None:
        """Start the students' server without waiting for it, if the config asks for that."""
        ...

    def student(self, weights: str, name: str) -> AbstractContextManager[Served]:
        """Serve one student while the context lasts; may reuse the previous student's server."""
        ...

    def close(self) -> None:
        """Stop the servers that are kept between students or rounds."""
        ...


class Scorer(Protocol):
    """Samples a model, and grades the samples."""

    def check(self, benches: Sequence[str]) -> None:
        """Run the benchmarks' own references, so that gradings need not."""
        ...

    def is_sampled(self, folder: Path, benches: Sequence[str]) -> bool:
        """Whether all samples of these benchmarks exist."""
        ...

    def is_graded(self, folder: Path, benches: Sequence[str]) -> bool:
        """Whether every existing sample has a verdict."""
        ...

    def sample(self, folder: Path, name: str, model: Served, benches: Sequence[str]) -> None:
        """Generate the missing samples."""
        ...

    def grade(self, folder: Path, name: str, benches: Sequence[str]) -> None:
        """Grade samples without a verdict."""
        ...

    def stop(self) -> None:
        """Stop a grading in another thread, if there is one; `grade` raises there."""
        ...

    def outcomes(self, folder: Path, bench: str) -> Outcomes:
        """Return the outcomes of a benchmark's samples."""
        ...

    def decided(self) -> Mapping[str, object]:
        """Return the options that decide a sample, besides the keys of `ask`."""
        ...

    def problems(self, bench: str) -> Mapping[str, str]:
        """Return the problems of a benchmark: id -> text."""
        ...


@dataclass(frozen=True, slots=True)
class LoopServices:
    """The services of one loop."""

    evolver: Evolver
    """Makes rounds."""
    trainer: Trainer
    """Trains students."""
    servers: Servers
    """Serves models."""
    scorer: Scorer
    """Scores students."""

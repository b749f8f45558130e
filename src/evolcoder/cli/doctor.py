"""`evolcoder doctor`: what works on this machine, and what to do about what does not.

Exits 0 if Python and the sandbox at the asked level work, and the model if one was given; else 1
with the reason in one line, behind the whole table.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from typing import Any

from evolcoder.app import models
from evolcoder.cli import doctor_table, output
from evolcoder.cli import sysinfo as machine
from evolcoder.cli.cancellation import until_told
from evolcoder.config import load as configs
from evolcoder.engine.base import Message, Request, Sampling
from evolcoder.errors import EvolcoderError
from evolcoder.sandbox.pool import LEVELS
from evolcoder.sandbox.selftest import Checkup, State, check
from evolcoder.sandbox.selftest_programs import PROBES
from evolcoder.text import without_logins

QUESTION = "Answer with the one word: ready"
ANSWER_S = 120.0
"""Longest wait for the model's answer, once it is loaded."""


@dataclass(frozen=True, slots=True)
class EngineFinding:
    """Whether a model answers."""

    model: str
    """The spec as it was given."""
    works: bool
    """Whether an answer came."""
    answer: str
    """The answer, or what went wrong."""
    seconds: float
    """From opening the model to the answer."""
    completion_tokens: int
    """Tokens received."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Everything that was looked at."""

    machine: machine.Machine
    """What there is."""
    sandbox: Checkup
    """The sandbox, and the languages in it."""
    engine: EngineFinding | None
    """The model, if one was given."""
    seconds: float
    """How long looking took."""

    @property
    def trouble(self) -> str:
        """The one reason why work cannot start; empty if it can."""
        if self.sandbox.refused:
            return self.sandbox.refused
        python = self.sandbox.of("python")
        if python.state is not State.WORKS:
            return f"python: {python.state}: {python.detail}"
        if self.engine is not None and not self.engine.works:
            return f"{self.engine.model}: {self.engine.answer}"
        return self.machine.cache_trouble

    def as_plain(self) -> dict[str, Any]:
        """Return it all as plain data."""
        return {"works": not self.trouble, "trouble": self.trouble, **asdict(self)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of this verb."""
    parser.add_argument("--model", metavar="SPEC", help=f"ask it for a word: {models.FORMS}")
    parser.add_argument(
        "--sandbox", choices=tuple(LEVELS), default="strict", help="least protection to accept"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="set any config key"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def main(args: argparse.Namespace) -> int:
    """Look at everything, print it, and fail if work could not start here."""
    print(f"trying {len(PROBES)} languages in the sandbox, up to a minute", file=sys.stderr)
    diagnosis = until_told(_diagnose(args.model, args.sandbox, args.set))
    if args.json:
        output.print_json(diagnosis.as_plain(), indent=2)
    else:
        print(doctor_table.laid_out(diagnosis))
    if diagnosis.trouble:
        raise EvolcoderError(diagnosis.trouble)
    return 0


async def _diagnose(model: str | None, level: str, sets: Sequence[str]) -> Diagnosis:
    begun = time.monotonic()
    checkup = await check(tuple(PROBES), level=level)
    engine = await _ask(model, sets) if model else None
    return Diagnosis(machine.look(), checkup, engine, time.monotonic() - begun)


async def _ask(spec: str, sets: Sequence[str]) -> EngineFinding:
    """Have a model say one word; whatever goes wrong is a finding."""
    begun, shown = time.monotonic(), without_logins(spec)
    try:
        async with AsyncExitStack() as stack:
            config = configs.load(None, [*sets, f"evolver.model={json.dumps(spec)}"])
            opened = (await models.open_models(config, stack)).evolver
            messages = (Message("user", QUESTION),)
            request = Request(opened.model, messages, Sampling(0.0, 1.0, 16), seed=0)
            async with asyncio.timeout(ANSWER_S):
                answer = await opened.engine.complete(request)
    except TimeoutError:
        said = f"no answer within {ANSWER_S:.0f} s"
        return EngineFinding(shown, False, said, time.monotonic() - begun, 0)  # noqa: FBT003
    except EvolcoderError as error:
        said = " ".join(str(error).split())
        return EngineFinding(shown, False, said, time.monotonic() - begun, 0)  # noqa: FBT003
    seconds = time.monotonic() - begun
    return EngineFinding(shown, True, answer.text, seconds, answer.completion_tokens)  # noqa: FBT003

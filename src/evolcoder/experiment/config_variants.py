"""The runs and the arms that a loop's config stands for.

>>> str(merge(2)), str(merge(0))
('merge-0..2', 'seed')
"""

from collections.abc import Mapping
from typing import Any

from evolcoder.config import load as configs
from evolcoder.config.load import Config
from evolcoder.errors import ConfigError
from evolcoder.experiment.arms import MAIN, SEED, Arm
from evolcoder.experiment.config import LoopConfig


def merge(round: int) -> Arm:
    """Return the arm of the seeds and all rounds so far."""
    return Arm.read(f"merge-0..{round}" if round else SEED)


def variant(config: LoopConfig, name: str) -> Config:
    """Return the config of a run: the main one, or the main one with what its name changes."""
    if name == MAIN:
        return config.run
    if name not in config.runs:
        known = ", ".join([MAIN, *config.runs])
        raise ConfigError(f"arms: there is no run {name!r}; known are {known}")
    merged = _merged(config.run.model_dump(mode="json"), config.runs[name])
    return configs.check(merged, where=f"runs.{name}")


def rerun(config: Config) -> Config:
    """Return the config of a run that only answers the seeds again."""
    respond = config.respond.model_copy(update={"reanswer_seeds": True})
    return config.model_copy(update={"respond": respond})


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one mapping over another, section by section."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            merged[key] = _merged(below, value)
        else:
            merged[key] = value
    return merged

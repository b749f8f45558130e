"""Writes into a run what it was made with: versions, platform, models, prompts, command.

No key, no user name and no host name is among it.
"""

import platform
import shlex
import subprocess
import sys
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import evolcoder
from evolcoder.config.load import Config
from evolcoder.engine import redact
from evolcoder.engine.base import Role, Sampling
from evolcoder.engine.registry import KNOWN
from evolcoder.evolution.heuristics import Heuristic
from evolcoder.pipeline import RoleModels
from evolcoder.storage.run_store import RunStore
from evolcoder.storage.workdir import FolderFacts
from evolcoder.text import without_logins

if TYPE_CHECKING:
    from evolcoder.bench.prompts import Template
    from evolcoder.evaluation.store import EvalStore

META = "provenance"


class ModelFacts(FolderFacts):
    """A model in what is stored under META."""

    role: str
    identity: str
    licence: str


class RunFacts(FolderFacts):
    """What is stored under META."""

    command: str
    models: list[ModelFacts]
    versions: dict[str, str]


PACKAGES = ("httptools", "orjson", "pydantic", "xllamacpp", "pyarrow")


def record(
    store: RunStore, config: Config, heuristics: tuple[Heuristic, ...], cast: RoleModels
) -> None:
    """Store what this session runs with; the first session's record stays beside the last's."""
    facts = {
        "command": command(),
        "versions": versions(),
        "platform": platform.platform(),
        "models": [_model(name, role) for name, role in _roles(cast)],
        "heuristics": [asdict(heuristic) for heuristic in heuristics],
        "fingerprint": config.fingerprint,
    }
    if store.meta(META) is None:
        store.set_meta(META, facts)
    store.set_meta("last_session", facts)
    store.add_event("start", command())


def record_evaluation(store: "EvalStore", template: "Template", sampling: Sampling) -> None:
    """Store what this session of an evaluation runs with."""
    facts = {
        "command": command(),
        "versions": versions(),
        "platform": platform.platform(),
        "template": asdict(template),
        "sampling": asdict(sampling),
    }
    if store.meta(META) is None:
        store.set_meta(META, facts)
    store.set_meta("last_session", facts)


def record_verification(store: RunStore, config: Config) -> None:
    """Store what this session of a verification runs with."""
    facts = {
        "command": command(),
        "versions": versions(),
        "platform": platform.platform(),
        "models": [],
        "fingerprint": config.fingerprint,
    }
    if store.meta(META) is None:
        store.set_meta(META, facts)
    store.set_meta("last_session", facts)
    store.add_event("start", command())


def command() -> str:
    """Return the command line of this process, without logins and keys."""
    return redact.masked(without_logins(shlex.join(["evolcoder", *sys.argv[1:]])))


def versions() -> dict[str, str]:
    """Return the versions of evolcoder, Python and the packages that shape a run."""
    found = {"evolcoder": evolcoder.__version__, "python": platform.python_version()}
    if revision := _revision():
        found["revision"] = revision
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _revision() -> str | None:
    """Return the git revision of the source tree that runs, if it is one."""
    root = Path(evolcoder.__file__).parents[2]
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def _roles(cast: RoleModels) -> list[tuple[str, Role]]:
    roles = [("evolver", cast.evolver), ("responder", cast.responder)]
    return [*roles, ("judge", cast.judge)] if cast.judge else roles


def _model(name: str, role: Role) -> dict[str, object]:
    known = KNOWN.get(role.model)
    return {
        "role": name,
        "identity": role.identity,
        "sampling": asdict(role.sampling),
        "system": role.system,
        "licence": known.licence if known else "",
    }

"""Records in a run what produced it: versions, platform, models, prompts, command line.

Keys, user names and host names are not recorded.

>>> record(store, config, heuristics, roles)   # doctest: +SKIP
"""

import os
import platform
import shlex
import subprocess
import sys
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import evolcoder
from evolcoder.app import models
from evolcoder.app.progress import print_note
from evolcoder.config.load import Config
from evolcoder.credentials import without_logins
from evolcoder.engine import redact
from evolcoder.engine.base import Role, Sampling
from evolcoder.engine.registry import KNOWN, digest_of
from evolcoder.evolution.heuristics import Heuristic
from evolcoder.pipeline import RoleModels
from evolcoder.records import Check
from evolcoder.storage.run_store import RunStore
from evolcoder.storage.workdir import PROVENANCE_META, FolderFacts
from evolcoder.text import clean

if TYPE_CHECKING:
    from evolcoder.bench.prompts import Template
    from evolcoder.evaluation.store import EvalStore

META = PROVENANCE_META
"""Meta key of the first session's record; `last_session` holds the last one's."""


class ModelFacts(FolderFacts):
    """A model of a stored record."""

    role: str
    identity: str
    licence: str


class RunFacts(FolderFacts):
    """The stored record of a session."""

    command: str
    models: list[ModelFacts]
    versions: dict[str, str]


PACKAGES = ("aiohttp", "orjson", "pydantic", "xllamacpp", "pyarrow")
"""Packages whose versions are recorded, if installed."""


SEEDS_FILE_META = "seeds_file"
"""Meta key of the file of seeds as it was read: size, time and SHA-256."""


class SeedsFileFacts(FolderFacts):
    """The fact under SEEDS_FILE_META."""

    size: int
    mtime_ns: int
    sha256: str


def record_seeds_file(store: RunStore, config: Config) -> None:
    """Record the file of seeds, if they came from a local file, to notice that it changes."""
    if (path := _seeds_file(config)) is not None:
        size, mtime_ns = _size_and_time(path)
        facts = {"size": size, "mtime_ns": mtime_ns, "sha256": digest_of(path)}
        store.set_meta(SEEDS_FILE_META, facts)


def note_changed_seeds(store: RunStore, config: Config) -> None:
    """Say so if the file of seeds has changed since the run read it."""
    known, path = store.meta(SEEDS_FILE_META, SeedsFileFacts), _seeds_file(config)
    if known is None or path is None:
        return
    found = _size_and_time(path)
    if found == (known["size"], known["mtime_ns"]) or digest_of(path) == known["sha256"]:
        return
    print_note(
        f"{path} has changed since this run read it ({known['size']:,} bytes then, {found[0]:,} "
        f"now); the run goes on with the rows that it read; for the new ones use another --out"
    )


def _seeds_file(config: Config) -> Path | None:
    path = Path(os.path.expanduser(config.seeds.path))  # noqa: PTH111 - pathlib's may raise
    return path if path.is_file() else None


def _size_and_time(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def record(
    store: RunStore, config: Config, heuristics: tuple[Heuristic, ...], roles: RoleModels
) -> None:
    """Record a session of a run."""
    redact.register_secrets(models.secret_headers(config))
    named = [("evolver", roles.evolver), ("responder", roles.responder), ("judge", roles.judge)]
    facts: dict[str, object] = {
        "models": [_model(name, role) for name, role in named if role is not None],
        "heuristics": [asdict(heuristic) for heuristic in heuristics],
        "fingerprint": config.fingerprint,
        **_verification_prompts(config),
    }
    _store(store, facts)
    store.add_event("start", command())


def record_heuristics(store: RunStore, heuristics: tuple[Heuristic, ...]) -> None:
    """Replace the heuristics that a run has recorded before its style was measured."""
    for key in (META, "last_session"):
        facts = store.meta(key, RunFacts)
        store.set_meta(key, {**facts, "heuristics": [asdict(one) for one in heuristics]})


def record_evaluation(
    store: "EvalStore", config: Config, template: "Template", sampling: Sampling
) -> None:
    """Record a session of an evaluation."""
    redact.register_secrets(models.secret_headers(config))
    _store(store, {"template": asdict(template), "sampling": asdict(sampling)})


def record_verification(store: RunStore, config: Config) -> None:
    """Record a session of a verification."""
    redact.register_secrets(models.secret_headers(config))
    facts = {"models": [], "fingerprint": config.fingerprint, **_verification_prompts(config)}
    _store(store, facts)
    store.add_event("start", command())


def _verification_prompts(config: Config) -> dict[str, object]:
    """Return the prompts of checks that no other record holds, by the name of what they ask for."""
    if Check.BOUND not in config.verify.checks:
        return {}
    from evolcoder.verification.complexity.generator import PROMPT  # noqa: PLC0415 - slow import

    return {"prompts": {"make_input": PROMPT}}


def _store(store: "RunStore | EvalStore", facts: dict[str, object]) -> None:
    """Store facts with command, versions and platform; the first session's record is kept."""
    environment = {
        "command": command(),
        "versions": versions(),
        "platform": platform.platform(),
    }
    session = {**environment, **facts}
    if store.meta(META) is None:
        store.set_meta(META, session)
    store.set_meta("last_session", session)


def command() -> str:
    """Return this process's command line without logins and keys."""
    command = clean(shlex.join(["evolcoder", *sys.argv[1:]]))  # names of files may be no UTF-8
    return redact.masked(without_logins(command))


def versions() -> dict[str, str]:
    """Return the versions of evolcoder, its git revision, Python and `PACKAGES`."""
    result = {"evolcoder": evolcoder.__version__, "python": platform.python_version()}
    if revision := _revision():
        result["revision"] = revision
    for package in PACKAGES:
        try:
            result[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return result


def _revision() -> str | None:
    """Return the git revision of the running source tree; None outside a clone."""
    root = Path(evolcoder.__file__).parents[2]
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        process = subprocess.run(command, capture_output=True, text=True, check=False, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return process.stdout.strip() or None


def _model(name: str, role: Role) -> dict[str, object]:
    known = KNOWN.get(role.model)
    return {
        "role": name,
        "identity": role.identity,
        "sampling": asdict(role.sampling),
        "system": role.system,
        "extra_body": dict(role.extra_body),
        "extra_headers": dict(role.headers),
        "licence": known.licence if known else "",
    }

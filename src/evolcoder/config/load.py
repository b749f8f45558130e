"""Loads and validates the config of a run, and compares configs on resume.

Values come from a YAML file and from `key.subkey=value` overrides. An unknown key is an error that
names the nearest known one. The sections in `FREE_TO_CHANGE` set limits, speed, cost, deduplication
and paths and may differ on resume; all others determine the rows and are part of the fingerprint.

>>> load(None, ["budget.rounds=2"]).budget.rounds
2
"""

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from evolcoder.config.bounded_yaml import parse_yaml, read_yaml
from evolcoder.config.overrides import apply_override, override
from evolcoder.config.prices import complete_prices
from evolcoder.config.schema import (
    TASK_PLACEHOLDER,
    BudgetConfig,
    CleanConfig,
    ClusterConfig,
    EliminateConfig,
    EvolveConfig,
    EvolverConfig,
    ExampleConfig,
    ExportConfig,
    ExportFormat,
    HeuristicConfig,
    Host,
    JudgeConfig,
    ModelConfig,
    Price,
    RespondConfig,
    ResponderConfig,
    Section,
    SeedsConfig,
    ServerConfig,
    TrafficConfig,
    VerifyConfig,
)
from evolcoder.config.validation import validate_as
from evolcoder.credentials import without_address, without_logins
from evolcoder.errors import ConfigError
from evolcoder.ids import content_id

__all__ = [
    "FREE_TO_CHANGE",
    "PRESETS",
    "TASK_PLACEHOLDER",
    "BudgetConfig",
    "CleanConfig",
    "ClusterConfig",
    "Config",
    "EliminateConfig",
    "EvolveConfig",
    "EvolverConfig",
    "ExampleConfig",
    "ExportConfig",
    "ExportFormat",
    "HeuristicConfig",
    "JudgeConfig",
    "ModelConfig",
    "Price",
    "RespondConfig",
    "ResponderConfig",
    "Section",
    "SeedsConfig",
    "ServerConfig",
    "TrafficConfig",
    "VerifyConfig",
    "differing_keys",
    "load",
    "load_as",
    "preset_values",
    "validate",
    "without_addresses",
]

FREE_TO_CHANGE = (
    "budget", "clean", "traffic", "servers", "cluster", "export", "prices", "prices_as_of", "cache",
    "preset",
)  # fmt: skip
"""Sections that may differ on resume: they do not determine the rows. If `clean` differs, all rows
are cleaned again. The values that a preset stands for are compared, not its name."""
PRESETS = ("wizardcoder", "strong")
"""Names of the files in `data/presets`."""

MODEL_KEYS = (
    ("evolver", "model"), ("responder", "model"), ("judge", "model"), ("verify", "tester")
)  # fmt: skip
"""Keys with specs of models, as (section, key)."""
UPDATE = "update"
"""Key of `prices` with the date of its entries; it is stored as `prices_as_of`."""
S = TypeVar("S", bound=Section)


class Config(Section):
    """The config of one run."""

    seed: int = Field(0, ge=0)
    """Root seed of all randomness."""
    seeds: SeedsConfig = SeedsConfig()
    evolver: EvolverConfig = EvolverConfig()
    responder: ResponderConfig = ResponderConfig()
    judge: JudgeConfig = JudgeConfig()
    evolve: EvolveConfig = EvolveConfig()
    eliminate: EliminateConfig = EliminateConfig()
    respond: RespondConfig = RespondConfig()
    verify: VerifyConfig = VerifyConfig()
    clean: CleanConfig = CleanConfig()
    budget: BudgetConfig = BudgetConfig()
    traffic: TrafficConfig = TrafficConfig()
    cluster: ClusterConfig = ClusterConfig()
    export: ExportConfig = ExportConfig()
    servers: dict[Host, ServerConfig] = Field(default_factory=dict)
    """By HOST or HOST:PORT: API keys of servers other than OPENAI_BASE_URL."""
    prices: dict[str, Price] = Field(default_factory=dict)
    """By model name: prices that extend or override the built-in table. `prices.update` sets
    `prices_as_of`."""
    prices_as_of: str | None = Field(None, max_length=40)
    """Date of the prices in `prices`, such as 2026-11-01."""
    preset: Literal["wizardcoder", "strong"] | None = None
    """Values that replace the defaults: `wizardcoder` has the paper's five methods, its template
    and its sampling; `strong` verifies more: eight answers to each task, tests, bait and bounds.
    Other keys of the config replace those of the preset."""
    cache: str | None = None
    """Path of the completion cache, which runs share; default: completions.db in the user's cache
    folder."""

    @model_serializer(mode="wrap")
    def _leave_out_cluster(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Store no cluster where there is none, as earlier versions."""
        data: dict[str, Any] = plain(self)
        if self.cluster == ClusterConfig():
            data.pop("cluster", None)
        return data

    @field_validator("*", mode="before")
    @classmethod
    def _no_null_section(cls, value: object, info: ValidationInfo) -> object:
        """Read an empty section of a file as a section without keys."""
        kind = cls.model_fields[info.field_name or ""].annotation
        is_section = isinstance(kind, type) and issubclass(kind, Section)
        return {} if value is None and is_section else value

    @model_validator(mode="before")
    @classmethod
    def _complete_by_preset(cls, data: Any) -> Any:  # noqa: ANN401 - what the user wrote
        """Put the values of the preset beneath those of the config."""
        name = data.get("preset") if isinstance(data, Mapping) else None
        return _merged(preset_values(name), data) if name in PRESETS else data

    @model_validator(mode="before")
    @classmethod
    def _read_prices(cls, data: Any) -> Any:  # noqa: ANN401 - what the user wrote
        """Take the date out of `prices`, and complete entries for built-in models."""
        if not isinstance(data, Mapping) or not isinstance(prices := data.get("prices"), Mapping):
            return data
        rest = dict(prices)
        changed = dict(data)
        if UPDATE in rest and not isinstance(rest[UPDATE], Mapping):
            changed["prices_as_of"] = rest.pop(UPDATE)
        changed["prices"] = complete_prices(rest)
        return changed

    @field_validator("prices_as_of", mode="before")
    @classmethod
    def _date(cls, value: object) -> object:
        """YAML reads 2026-11-01 as a date, and 2026 as a number."""
        return str(value) if isinstance(value, date | int) else value

    def fingerprinted(self) -> dict[str, Any]:
        """Return the keys that determine the rows, as plain data."""
        return self.model_dump(mode="json", exclude=set(FREE_TO_CHANGE))

    @property
    def fingerprint(self) -> str:
        """Hash of the keys that determine the rows; a run is resumed only with the same one.

        Models are part of it, and the addresses of their servers are not.
        """
        return content_id("config", without_addresses(self._decided()))

    @property
    def fingerprints(self) -> tuple[str, str]:
        """The fingerprint, and that of earlier versions, which covered addresses of servers."""
        return self.fingerprint, content_id("config", self._decided())

    def _decided(self) -> dict[str, Any]:
        """Return the keys that determine the rows; `auto` leaves the style to be decided.

        Defaults that changed count as the earlier ones, so that folders keep their names.
        """
        plain = self.fingerprinted()
        if self.evolve.style == "auto":
            del plain["evolve"]["style"]
        for key, earlier in _EARLIER_VERIFY.items():
            if getattr(self.verify, key) == VerifyConfig.model_fields[key].default:
                plain["verify"][key] = list(earlier)
        return plain


_EARLIER_VERIFY: Mapping[str, Sequence[str]] = {
    "checks": ("runs",),
    "drop": ("does_not_parse", "does_not_compile"),
}
"""Defaults of the section `verify` in earlier versions."""


def preset_values(name: str) -> dict[str, Any]:
    """Return the values of a preset by its name in `PRESETS`, as plain data."""
    text = (files("evolcoder") / "data" / "presets" / f"{name}.yaml").read_text("utf-8")
    values: dict[str, Any] = parse_yaml(text)
    return values


def _merged(defaults: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the given values, completed by those of the defaults; an empty section is none."""
    merged = {**defaults, **given}
    for key, value in defaults.items():
        if isinstance(value, Mapping) and (own := given.get(key, value)) is None:
            merged[key] = value
        elif isinstance(value, Mapping) and isinstance(own, Mapping):
            merged[key] = _merged(value, own)
    return merged


def load(path: Path | None, overrides: Iterable[str] = ()) -> Config:
    """Load a run's config from a YAML file (or the defaults) and apply `a.b=value` overrides."""
    return load_as(Config, path, overrides)


def load_as(kind: type[S], path: Path | None, overrides: Iterable[str] = ()) -> S:
    """Load a section of any class as `load` does `Config`."""
    data, given = read_yaml(path) if path else {}, [*overrides]
    for one in given:
        apply_override(data, one)
    try:
        return validate_as(kind, data, where=str(path) if path else "config")
    except ConfigError:
        if path is None or not given:
            raise
        validate_as(kind, read_yaml(path), where=str(path))
        return validate_as(kind, data, where="config")  # the file is right, and a flag is not


def load_values(
    values: Mapping[str, object],
    path: str | os.PathLike[str] | None = None,
    *,
    nulls: Collection[str] = (),
) -> Config:
    """Load a run's config and set keys; a value of None is ignored unless the key is in `nulls`."""
    overrides = [
        override(key, value) for key, value in values.items() if value is not None or key in nulls
    ]
    return load(None if path is None else Path(path), overrides)


def validate(data: Mapping[str, Any], *, where: str) -> Config:
    """Validate plain data as `Config`; the first error is raised as a one-line ConfigError."""
    return validate_as(Config, data, where=where)


def without_addresses(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Return a plain config whose model specs have no server addresses and logins."""
    found = dict(plain)
    for section, key in MODEL_KEYS:
        given = found.get(section)
        if isinstance(given, Mapping) and isinstance(spec := given.get(key), str):
            found[section] = {**given, key: without_address(without_logins(spec))}
    return found


def differing_keys(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """List the dotted keys in which two plain configs differ."""
    found: list[str] = []
    for key in sorted({*old, *new}):
        a, b, name = old.get(key), new.get(key), f"{prefix}{key}"
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            found += differing_keys(a, b, f"{name}.")
        elif a != b:
            found.append(name)
    return found

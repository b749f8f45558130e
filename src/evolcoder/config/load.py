"""Loads and validates the config of a run, and compares configs on resume.

Values come from a YAML file and from `key.subkey=value` overrides. An unknown key is an error that
names the nearest known one. The sections in `FREE_TO_CHANGE` set limits, speed, cost, deduplication
and paths and may differ on resume; all others determine the rows and are part of the fingerprint.

YAML is parsed with bounds: plain data only, at most `MAX_DEPTH` deep and `MAX_VALUES` values with
aliases expanded. Time and memory are linear in the text, aliases ("billion laughs") and nesting
included. Invalid text raises yaml.YAMLError or ValueError.

>>> load(None, ["budget.rounds=2"]).budget.rounds
2
>>> parse_yaml("a: [1, 2]")
{'a': [1, 2]}
"""

import difflib
import json
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

import yaml
from pydantic import (
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

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
from evolcoder.credentials import without_address, without_logins
from evolcoder.errors import ConfigError
from evolcoder.ids import content_id
from evolcoder.input_files import not_utf8, read_bytes
from evolcoder.safe_repr import safe_repr

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
    "parse_yaml",
    "preset_values",
    "validate",
    "validate_as",
    "without_places",
]

FREE_TO_CHANGE = (
    "budget", "clean", "traffic", "servers", "cluster", "export", "prices", "prices_as_of", "cache",
    "preset",
)  # fmt: skip
"""Sections that may differ on resume: they do not determine the rows. If `clean` differs, all rows
are cleaned again. The values that a preset stands for are compared, not its name."""
PRESETS = ("wizardcoder", "strong")
"""Names of the files in `data/presets`."""

MIN_LIKENESS, MISSPELT_LIKENESS = 0.6, 0.8
"""Likeness of two names from which one may be meant by the other, and from which it is misspelt."""
NAMED_SECTIONS = ("servers", "prices", "heuristics")
"""Sections whose keys are names chosen by the user."""
MODEL_KEYS = (
    ("evolver", "model"), ("responder", "model"), ("judge", "model"), ("verify", "tester")
)  # fmt: skip
"""Keys with specs of models, as (section, key)."""
UPDATE = "update"
"""Key of `prices` with the date of its entries; it is stored as `prices_as_of`."""
_PART = re.compile(
    r"""\[?(["'])(?P<quoted>.*?)\1\]?(?=[.=\[]|$)|(?P<plain>(?:[^.=](?:(?!\[["'])[^.=])*)?)"""
)
"""A part of a dotted key: quoted, quoted in brackets, or plain."""
_INVALID_CHARACTER = re.compile("[\x00\ud800-\udc7f\udd00-\udfff]")
"""NUL, and surrogates that stand for no byte. U+DC80 to U+DCFF are allowed: Python's
surrogateescape uses them for bytes of file names that are not UTF-8."""
S = TypeVar("S", bound=Section)
MAX_MB = 4
"""Largest YAML file that is read."""
MAX_DEPTH = 100
MAX_VALUES = 50_000
"""Keys and values of a document, with aliases expanded."""
_VALUE_CHARS = 256
"""A string counts as one more value per this many characters."""


def parse_yaml(text: str) -> Any:  # noqa: ANN401 - YAML is any plain data
    """Parse one document."""
    counter = _SizeCounter()
    for event in yaml.parse(text, Loader=yaml.SafeLoader):  # events hold no nested objects
        counter.count(event)
    return yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader


class _Loader(yaml.SafeLoader):
    """Joins escaped surrogate pairs, which JSON writes for an emoji, into one character."""


def _text(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> str:
    text: str = loader.construct_yaml_str(node)
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


_Loader.add_constructor("tag:yaml.org,2002:str", _text)


class _SizeCounter:
    """Tracks the depth and the number of values of a document from its parse events."""

    def __init__(self) -> None:
        self._n_values = 0
        self._sizes: dict[str, int] = {}
        self._open: list[tuple[str | None, int]] = []  # anchor, and the number of values before it

    def count(self, event: Any) -> None:  # noqa: ANN401 - yaml's events have no stubs
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._sizes:
                raise yaml.YAMLError(f"alias *{event.anchor} has no anchor before it")
            self._n_values += self._sizes[event.anchor]
        elif isinstance(event, yaml.CollectionStartEvent):
            self._open.append((event.anchor, self._n_values))
            self._n_values += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            self._end(*self._open.pop())
        elif isinstance(event, yaml.ScalarEvent):
            before = self._n_values
            self._n_values += 1 + len(event.value) // _VALUE_CHARS
            self._end(event.anchor, before)
        if len(self._open) > MAX_DEPTH:
            raise yaml.YAMLError(f"nested more than {MAX_DEPTH} deep")
        if self._n_values > MAX_VALUES:
            raise yaml.YAMLError(f"more than {MAX_VALUES:,} values, with aliases expanded")

    def _end(self, anchor: str | None, before: int) -> None:
        if anchor is not None:
            self._sizes[anchor] = self._n_values - before


def _no_null_section(value: object) -> object:
    return {} if value is None else value


class Config(Section):
    """The config of one run."""

    seed: int = Field(0, ge=0)
    """Root seed of all randomness."""
    seeds: Annotated[SeedsConfig, BeforeValidator(_no_null_section)] = SeedsConfig()
    evolver: Annotated[EvolverConfig, BeforeValidator(_no_null_section)] = EvolverConfig()
    responder: Annotated[ResponderConfig, BeforeValidator(_no_null_section)] = ResponderConfig()
    judge: Annotated[JudgeConfig, BeforeValidator(_no_null_section)] = JudgeConfig()
    evolve: Annotated[EvolveConfig, BeforeValidator(_no_null_section)] = EvolveConfig()
    eliminate: Annotated[EliminateConfig, BeforeValidator(_no_null_section)] = EliminateConfig()
    respond: Annotated[RespondConfig, BeforeValidator(_no_null_section)] = RespondConfig()
    verify: Annotated[VerifyConfig, BeforeValidator(_no_null_section)] = VerifyConfig()
    clean: Annotated[CleanConfig, BeforeValidator(_no_null_section)] = CleanConfig()
    budget: Annotated[BudgetConfig, BeforeValidator(_no_null_section)] = BudgetConfig()
    traffic: Annotated[TrafficConfig, BeforeValidator(_no_null_section)] = TrafficConfig()
    cluster: Annotated[ClusterConfig, BeforeValidator(_no_null_section)] = ClusterConfig()
    export: Annotated[ExportConfig, BeforeValidator(_no_null_section)] = ExportConfig()
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
        return content_id("config", without_places(self._decided()))

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
    """Load another section than `Config` in the same way."""
    data, given = _read_yaml(path) if path else {}, [*overrides]
    for one in given:
        _apply(data, one)
    try:
        return validate_as(kind, data, where=str(path) if path else "config")
    except ConfigError:
        if path is None or not given:
            raise
        validate_as(kind, _read_yaml(path), where=str(path))
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


def override(key: str, value: object) -> str:
    """Write a key and its value as an override; the value is plain data."""
    return f"{key}={json.dumps(value)}"


def validate(data: Mapping[str, Any], *, where: str) -> Config:
    """Validate plain data as `Config`; the first error is raised as a one-line ConfigError."""
    return validate_as(Config, data, where=where)


def validate_as(kind: type[S], data: Mapping[str, Any], *, where: str) -> S:
    """Validate plain data as `kind`; the first error is raised as a one-line ConfigError."""
    _check_strings(data, where)
    try:
        return kind.model_validate(dict(data))
    except ValidationError as error:
        raise ConfigError(f"{where}: {_format_error(error, kind)}") from error


def without_places(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Return a plain config with models in place of their servers' addresses and logins."""
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


def _read_yaml(path: Path) -> dict[str, Any]:
    read = read_bytes(path, max_mb=MAX_MB, error=ConfigError)
    try:
        data = parse_yaml(read.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not YAML: {not_utf8(read, error)}") from error
    except (yaml.YAMLError, ValueError) as error:  # an invalid date is a ValueError
        first = str(error).splitlines()
        raise ConfigError(
            f"{path}: not YAML: {' '.join(part.strip() for part in first)}"
        ) from error
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ConfigError(
            f"{path}: must be a mapping of keys to values, not a {type(data).__name__}"
        )
    return data


def _apply(data: dict[str, Any], override: str) -> None:
    parts, text = _read_key(override)
    if text is None or not any(key for key, _ in parts):
        raise ConfigError(f"--set {override}: write it as key.subkey=value")
    try:
        value = parse_yaml(text)
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"--set {override[:200]}: the value is not YAML") from error
    *path, last = _join_names(parts, is_section=isinstance(value, Mapping))
    for key in path:
        inner = data.setdefault(key, {})
        if inner is None:  # an empty section of a file
            inner = data[key] = {}
        if not isinstance(inner, dict):
            raise ConfigError(f"--set {override}: {key} is not a section")
        data = inner
    data[last] = value


def _check_strings(data: object, where: str) -> None:
    """Reject strings that can be no file name and no prompt: NUL and unpaired surrogates."""
    left: list[tuple[object, str]] = [(data, "")]
    seen: set[int] = set()
    while left:
        value, name = left.pop()
        if isinstance(value, str) and (found := _INVALID_CHARACTER.search(value)):
            raise ConfigError(f"{where}: {name}: the character {found[0]!r} is not allowed")
        if id(value) in seen or not isinstance(value, Mapping | list | tuple):
            continue
        seen.add(id(value))  # YAML aliases may repeat one list exponentially often
        if isinstance(value, Mapping):
            left += [(key, f"{name}: a key" if name else "a key") for key in value]
            left += [(part, f"{name}.{key}".lstrip(".")) for key, part in value.items()]
        else:
            left += [(part, name) for part in value]


def _read_key(override: str) -> tuple[list[tuple[str, bool]], str | None]:
    """Read the dotted key of an override: its parts, whether each is quoted, and the value."""
    parts: list[tuple[str, bool]] = []
    at = 0
    while part := _PART.match(override, at):
        quoted = part["quoted"]
        parts.append((part["plain"], False) if quoted is None else (quoted, True))
        at = part.end()
        if override[at : at + 1] == "=":
            return parts, override[at + 1 :]
        if at == len(override):
            break
        at += override[at] == "."
    return parts, None


def _join_names(parts: list[tuple[str, bool]], *, is_section: bool) -> list[str]:
    """Join the parts of a name of a host, model or heuristic, which may contain dots.

    A quoted part is one key, so that names may contain anything: `prices."a.b=c".input`.
    """
    keys = [key for key, _ in parts]
    for at, key in enumerate(keys):
        end = len(keys) if is_section else len(keys) - 1
        if key in NAMED_SECTIONS and at + 1 < end:
            if any(quoted for _, quoted in parts[at + 1 :]):
                return keys
            return [*keys[: at + 1], ".".join(keys[at + 1 : end]), *keys[end:]]
    return keys


def _format_error(error: ValidationError, kind: type[Section]) -> str:
    """Describe one error. Unknown keys come first: other errors may follow from them."""
    faults = error.errors(include_url=False)
    fault = next((one for one in faults if one["type"] == "extra_forbidden"), faults[0])
    dotted = ".".join(str(part) for part in fault["loc"] if part != "[key]")
    if fault["type"] == "extra_forbidden":
        return f"unknown key {dotted}{_nearest(fault['loc'], kind)}"
    message = _message(fault["type"], fault["msg"])
    if not {"servers", "extra_headers", "extra_body"}.isdisjoint(fault["loc"]):
        return f"{without_logins(dotted)}: {message}"  # the value may be an API key: do not show it
    seen = without_logins(safe_repr(fault["input"], 80, repr))
    return f"{dotted}{': ' if dotted else ''}{message} (seen: {seen})"


def _message(type: str, text: str) -> str:
    """Say in the words of a config what pydantic says in those of Python."""
    if type in {"model_type", "model_attributes_type", "dict_type"}:
        return "must be a section with keys of its own"
    if type in {"tuple_type", "list_type"}:
        return "must be a list; write it in brackets, as in [a, b]"
    if type == "missing":
        return "is missing"
    return text.removeprefix("Value error, ")


def _nearest(loc: tuple[str | int, ...], kind: type[Section]) -> str:
    """Name the known key nearest to an unknown one, in its section or another one."""
    section = _section_at(loc[:-1], kind)
    names = list(section.model_fields) if section else []
    place = ".".join(str(part) for part in loc[:-1] if part != "[key]")
    own = {f"{place}.{name}".lstrip("."): name for name in names}
    given = str(loc[-1])
    elsewhere = dict(_keys(kind))
    best = (
        _likest(given, own, MISSPELT_LIKENESS)
        or _likest(given, elsewhere, MISSPELT_LIKENESS)
        or next((dotted for dotted, name in own.items() if given in name), "")
        or _likest(given, own, MIN_LIKENESS)
        or _likest(given, elsewhere, MIN_LIKENESS)
    )
    return f"; did you mean {best}?" if best else f"; known keys: {', '.join(names)}"


def _likest(given: str, known: Mapping[str, str], least: float) -> str:
    """Return the dotted name whose last part is most like a name, if it is so alike; else ''."""
    likeness = {
        dotted: difflib.SequenceMatcher(None, given, name).ratio() for dotted, name in known.items()
    }
    best = max(likeness, key=likeness.__getitem__, default="")
    return best if best and likeness[best] >= least else ""


def _keys(kind: type[Section], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the dotted name of every key and section, and its last part."""
    for name, field in kind.model_fields.items():
        yield f"{prefix}{name}", name
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from _keys(field.annotation, f"{prefix}{name}.")


def _section_at(loc: tuple[str | int, ...], kind: type[Section]) -> type[Section] | None:
    section = kind
    for part in loc:
        field = section.model_fields.get(str(part))
        if field is None:
            continue
        for part_kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(part_kind, type) and issubclass(part_kind, Section):
                section = part_kind
    return section

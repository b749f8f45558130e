"""One run's config, whole: knobs from YAML and the command line, checked, and compared on resume.

An unknown key is an error that names the nearest one. The keys in `FREE_TO_CHANGE` say how far and
how fast a run goes, what it costs, which rows are doubles and where things are put; all other keys
decide what the rows are, and a run is resumed only with the same ones. The knobs themselves are in
`knobs`.

>>> load(None, ["budget.rounds=2"]).budget.rounds
2

YAML with bounds: plain data only, of bounded depth and size once its aliases are expanded.

Promises: time and memory grow with the text and never with what its aliases stand for ("billion
laughs"); no depth of nesting ends in a RecursionError. Faults are yaml.YAMLError or ValueError.

>>> load("a: [1, 2]")
{'a': [1, 2]}
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import yaml
from pydantic import BeforeValidator, Field, ValidationError

from evolcoder.config.schema import (
    TASK_PLACEHOLDER,
    BudgetConfig,
    CleanConfig,
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
from evolcoder.errors import ConfigError
from evolcoder.ids import content_id
from evolcoder.input_files import not_utf8, read_bytes
from evolcoder.safe_repr import safe_repr
from evolcoder.text import without_logins

MOST_MB = 4
"""Longest file that is read as YAML."""
MOST_DEPTH = 100
MOST_VALUES = 50_000
"""Keys and values of a document, each alias counted as all that it stands for."""
_PIECE_CHARS = 256
"""A longer text counts as several values."""


def read_yaml(text: str) -> Any:  # noqa: ANN401 - YAML is any plain data
    """Read one document."""
    counter = _Counter()
    for event in yaml.parse(text, Loader=yaml.SafeLoader):  # events hold no nested objects
        counter.count(event)
    return yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader


class _Loader(yaml.SafeLoader):
    """Reads the two halves that JSON makes of an emoji as the one character that they are."""


def _text(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> str:
    text: str = loader.construct_yaml_str(node)
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


_Loader.add_constructor("tag:yaml.org,2002:str", _text)


class _Counter:
    """Counts a document's depth and its values as its events come."""

    def __init__(self) -> None:
        self._n_values = 0
        self._sizes: dict[str, int] = {}
        self._open: list[tuple[str | None, int]] = []  # anchor, and the values before it

    def count(self, event: Any) -> None:  # noqa: ANN401 - yaml's events have no stubs
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._sizes:
                raise yaml.YAMLError(f"the alias *{event.anchor} stands for nothing before it")
            self._n_values += self._sizes[event.anchor]
        elif isinstance(event, yaml.CollectionStartEvent):
            self._open.append((event.anchor, self._n_values))
            self._n_values += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            self._end(*self._open.pop())
        elif isinstance(event, yaml.ScalarEvent):
            before = self._n_values
            self._n_values += 1 + len(event.value) // _PIECE_CHARS
            self._end(event.anchor, before)
        if len(self._open) > MOST_DEPTH:
            raise yaml.YAMLError(f"nested more than {MOST_DEPTH} deep")
        if self._n_values > MOST_VALUES:
            raise yaml.YAMLError(f"more than {MOST_VALUES:,} values, with aliases expanded")

    def _end(self, anchor: str | None, before: int) -> None:
        if anchor is not None:
            self._sizes[anchor] = self._n_values - before


__all__ = [
    "FREE_TO_CHANGE",
    "TASK_PLACEHOLDER",
    "BudgetConfig",
    "CleanConfig",
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
    "check",
    "checked",
    "differing_keys",
    "load",
    "load_as",
]

FREE_TO_CHANGE = ("budget", "clean", "traffic", "servers", "export", "prices", "cache")
"""Keys that may differ when a run is resumed: they do not decide what a row is. (A run is cleaned
anew, all of it, when `clean` differs.)"""


NAMED_SECTIONS = ("servers", "prices")
"""Sections by names that are the user's."""
_NO_TEXT = re.compile("[\x00\ud800-\udc7f\udd00-\udfff]")
"""The other halves stand for bytes of names of files that are not UTF-8."""
S = TypeVar("S", bound=Section)


def _no_null_section(value: object) -> object:
    return {} if value is None else value


class Config(Section):
    """One run, whole."""

    seed: int = Field(0, ge=0)
    """Root of all randomness."""
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
    export: Annotated[ExportConfig, BeforeValidator(_no_null_section)] = ExportConfig()
    servers: dict[Host, ServerConfig] = Field(default_factory=dict)
    """By HOST or HOST:PORT: where the keys of servers other than OPENAI_BASE_URL are."""
    prices: dict[str, Price] = Field(default_factory=dict)
    """Price by model name; adds to and overrides the built-in table."""
    cache: str | None = None
    """Completion cache shared by runs; left out, completions.db in the cache folder."""

    def deciding(self) -> dict[str, Any]:
        """Return the keys that decide what the rows are, as plain data."""
        return self.model_dump(mode="json", exclude=set(FREE_TO_CHANGE))

    @property
    def fingerprint(self) -> str:
        """Hash of all deciding keys."""
        return content_id("config", self.deciding())


def load(path: Path | None, overrides: Iterable[str] = ()) -> Config:
    """Read a YAML file (or the defaults), apply `a.b=value` overrides, and check all of it."""
    return load_as(Config, path, overrides)


def load_as(kind: type[S], path: Path | None, overrides: Iterable[str] = ()) -> S:
    """Read a file that holds another section than a run's config, in the same way."""
    data = _read_yaml(path) if path else {}
    for override in overrides:
        _apply(data, override)
    return checked(kind, data, where=str(path) if path else "config")


def check(data: Mapping[str, Any], *, where: str) -> Config:
    """Validate plain data; the first fault becomes a one-line ConfigError."""
    return checked(Config, data, where=where)


def checked(kind: type[S], data: Mapping[str, Any], *, where: str) -> S:
    """Validate plain data as any section; the first fault becomes a one-line ConfigError."""
    _check_texts(data, where)
    try:
        return kind.model_validate(dict(data))
    except ValidationError as error:
        raise ConfigError(f"{where}: {_first_fault(error, kind)}") from error


def differing_keys(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Name the keys, dotted, in which two plain configs differ."""
    found: list[str] = []
    for key in sorted({*old, *new}):
        a, b, name = old.get(key), new.get(key), f"{prefix}{key}"
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            found += differing_keys(a, b, f"{name}.")
        elif a != b:
            found.append(name)
    return found


def _read_yaml(path: Path) -> dict[str, Any]:
    read = read_bytes(path, max_mb=MOST_MB, error=ConfigError)
    try:
        data = read_yaml(read.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not YAML: {not_utf8(read, error)}") from error
    except (yaml.YAMLError, ValueError) as error:  # a date of no calendar is a ValueError
        first = str(error).splitlines()
        raise ConfigError(
            f"{path}: not YAML: {' '.join(part.strip() for part in first)}"
        ) from error
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: must hold keys and values, not a {type(data).__name__}")
    return data


def _apply(data: dict[str, Any], override: str) -> None:
    dotted, equals, text = override.partition("=")
    if not equals or not dotted:
        raise ConfigError(f"--set {override}: write it as key.subkey=value")
    try:
        value = read_yaml(text)
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"--set {override[:200]}: the value is not YAML") from error
    *path, last = _keys_of(dotted, is_section=isinstance(value, Mapping))
    for key in path:
        inner = data.setdefault(key, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"--set {override}: {key} is not a section")
        data = inner
    data[last] = value


def _check_texts(data: object, where: str) -> None:
    """Refuse what no name of a file holds and no model is sent: NUL, and halves of characters."""
    left: list[tuple[object, str]] = [(data, "")]
    seen: set[int] = set()
    while left:
        value, name = left.pop()
        if isinstance(value, str) and (found := _NO_TEXT.search(value)):
            raise ConfigError(f"{where}: {name}: {found[0]!r} is no text, for a file or a model")
        if id(value) in seen or not isinstance(value, Mapping | list | tuple):
            continue
        seen.add(id(value))  # YAML's aliases may lead to one list a billion times
        if isinstance(value, Mapping):
            left += [(key, f"{name}: a key" if name else "a key") for key in value]
            left += [(part, f"{name}.{key}".lstrip(".")) for key, part in value.items()]
        else:
            left += [(part, name) for part in value]


def _keys_of(dotted: str, *, is_section: bool) -> list[str]:
    """Split a dotted key; names that may hold dots themselves, of hosts and models, stay whole."""
    keys = dotted.split(".")
    for at, key in enumerate(keys):
        if key in NAMED_SECTIONS and len(keys) > at + 2:
            end = len(keys) - (not is_section)
            return [*keys[: at + 1], ".".join(keys[at + 1 : end]), *keys[end:]]
    return keys


def _first_fault(error: ValidationError, kind: type[Section]) -> str:
    """Tell of one fault; of a key that is not known first, since others may follow from it."""
    faults = error.errors(include_url=False)
    fault = next((one for one in faults if one["type"] == "extra_forbidden"), faults[0])
    dotted = ".".join(str(part) for part in fault["loc"] if part != "[key]")
    if fault["type"] == "extra_forbidden":
        return f"unknown key {dotted}{_nearest(fault['loc'], kind)}"
    message = fault["msg"].removeprefix("Value error, ")
    if "servers" in fault["loc"]:
        return f"{without_logins(dotted)}: {message}"  # what was given may be the key itself
    seen = without_logins(safe_repr(fault["input"], 80, repr))
    return f"{dotted}{': ' if dotted else ''}{message} (seen: {seen})"


def _nearest(loc: tuple[str | int, ...], kind: type[Section]) -> str:
    section = _section_at(loc[:-1], kind)
    names = list(section.model_fields) if section else []
    close = difflib.get_close_matches(str(loc[-1]), names, n=1, cutoff=0.4)
    return f"; did you mean {close[0]}?" if close else f"; known are {', '.join(names)}"


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

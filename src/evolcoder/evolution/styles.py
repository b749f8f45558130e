"""The two styles of evolution: `append` sentences to a task, or `rewrite` the whole task.

Both have the same heuristics by name, rules, parsing and lineage. Large models rewrite well, as the
paper does; small ones lose or paraphrase what a task asks for, and do better with sentences.

>>> [heuristic.name for heuristic in heuristics_of(EvolveConfig(style="rewrite"))][0]
'constrain'
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from evolcoder.config.load import EvolveConfig
from evolcoder.engine.answer_checks import plain_name
from evolcoder.evolution.heuristics import BUILT_IN, Heuristic, resolve
from evolcoder.evolution.rewriting import REWRITING


class Style(StrEnum):
    """A style of evolution. Values are config values and stored."""

    APPEND = "append"
    REWRITE = "rewrite"


STYLES: dict[Style, tuple[Heuristic, ...]] = {Style.APPEND: BUILT_IN, Style.REWRITE: REWRITING}
"""The built-in heuristics of each style."""


def in_style(config: EvolveConfig, style: Style) -> EvolveConfig:
    """Return a config with a style in place of its own."""
    return config.model_copy(update={"style": style.value})


def heuristics_of(config: EvolveConfig, style: Style | None = None) -> tuple[Heuristic, ...]:
    """Return the heuristics of a config in a style (default: its own, and `append` for `auto`).

    Worked examples of the config for a built-in template belong to the form that it names with
    `answer`, or else to the style that it names; under `auto`, they are sentences to append.
    Raises ConfigError as `resolve` does.
    """
    if style is None:
        style = Style.APPEND if config.style == "auto" else Style(config.style)
    built_in = {heuristic.name: heuristic for heuristic in STYLES[style]}
    for name, own in config.heuristics.items():
        if name not in built_in or own.template is not None or own.examples is None:
            continue
        if own.answer == "task":
            fixed = Style.REWRITE
        elif own.answer == "addition" or config.style == "auto":
            fixed = Style.APPEND
        else:
            continue
        built_in[name] = next(one for one in STYLES[fixed] if one.name == name)
    return resolve(config, tuple(built_in.values()))


@dataclass(frozen=True, slots=True)
class StyleChoice:
    """A style, and why it was chosen."""

    style: Style
    """The style."""
    why: str
    """The reason, for the user."""


@dataclass(frozen=True, slots=True)
class UsableShare:
    """The outcomes of one style in a measurement."""

    measured: int
    """Tasks that a model evolved, well or not."""
    usable: int
    """Those that pass all rules."""

    def __str__(self) -> str:
        return f"{self.usable} of {self.measured} usable"


REWRITES_FROM = 6.5
"""Billions of parameters from which models rewrite: those that are called 7B have 6.5 to 8."""
_SIZE = re.compile(
    r"(?<![a-z0-9])(?<!\d\.)e?(?:(?P<experts>\d{1,3})x)?(?P<n>\d{1,4}(?:\.\d{1,2})?)(?P<unit>[bm])"
    r"(?![a-z0-9])"
)
"""A size in a name: `7b`, `1.5b`, `8x7b`, `e4b`, `350m`; neither `a3b` (active parameters) nor
`4bit`."""
_LEAST_MILLIONS = 10
"""`1m` in a name is a length of context."""
_HOSTED = re.compile(
    r"(?:chatgpt|gpt-?(?:3\.?5|4|5)|o[134](?![a-z0-9])|claude|gemini|grok|command-[ar]|qwen-(?:max|plus"
    r"|turbo)|deepseek-(?:chat|reasoner|coder$|v\d|r\d)|mistral-(?:large|medium|small)|codestral)"
)
"""Names of hosted models, all of which are larger than 7B or as able."""


@lru_cache(maxsize=64)
def size_in_name(name: str) -> float | None:
    """Return the billions of parameters that a model's name states; None if none, or several.

    >>> size_in_name("Qwen/Qwen2.5-Coder-7B-Instruct"), size_in_name("my-model")
    (7.0, None)
    """
    sizes = {"b": set[float](), "m": set[float]()}
    for found in _SIZE.finditer(plain_name(name)):
        n = float(found["n"]) * float(found["experts"] or 1)
        sizes[found["unit"]].add(n)
    millions = {n / 1000 for n in sizes["m"] if n >= _LEAST_MILLIONS}
    stated = sizes["b"] or millions
    is_one = len({size >= REWRITES_FROM for size in stated}) == 1
    return max(stated) if is_one else None


def is_small(name: str, *, is_local: bool, billions: float | None = None) -> bool:
    """Whether a model is too small to rewrite: by its size, else if it runs in this process.

    The size is `billions` where that is known, else what the name states.

    >>> is_small("qwen2.5-coder-1.5b", is_local=False), is_small("my-model", is_local=False)
    (True, False)
    """
    size = size_in_name(name) if billions is None else billions
    return is_local if size is None else size < REWRITES_FROM


def style_for(name: str, *, billions: float | None = None, hosted: bool) -> StyleChoice | None:
    """Choose by a model's size, known or stated by its name, or by its name alone if `hosted`.

    Returns None if neither says anything.
    """
    if (size := size_in_name(name) if billions is None else billions) is not None:
        style = Style.REWRITE if size >= REWRITES_FROM else Style.APPEND
        return StyleChoice(style, f"{name} has {size:.3g} billion parameters")
    if hosted and _HOSTED.match(plain_name(name)):
        return StyleChoice(Style.REWRITE, f"{name} is a known model of an API")
    return None


def style_by_shares(append: UsableShare, rewrite: UsableShare) -> StyleChoice:
    """Choose the style with the larger usable share; of equal ones, `rewrite`, the paper's."""
    better = append.usable * rewrite.measured > rewrite.usable * append.measured
    style = Style.APPEND if better else Style.REWRITE
    return StyleChoice(style, f"measured on seeds: append {append}, rewrite {rewrite}")

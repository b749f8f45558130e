"""Whether the model that answered is the one that was asked for, by their names.

Servers write one model in several ways: with the provider in front, as a path or file, with a tag,
or as the dated snapshot that an alias stands for. Two snapshots, sizes or tags are two models.

>>> same_model("gpt-4o", "openai/gpt-4o-2024-08-06"), same_model("gpt-4o", "gpt-4o-mini")
(True, False)
"""

import re

_SNAPSHOT = re.compile(
    r"[-@](?:preview-)?(?:\d{4}-\d{2}-\d{2}|\d{2}-\d{4}|\d{2}-\d{2}|\d{8}|\d{6}|\d{4}|00\d)$"
)
"""The date or number of a snapshot; sizes such as `-70b` and versions such as `-4` are none."""
_DOTS = re.compile(r"\.(?!\d+[bm](?![a-z]))")
"""Dots that are not of a size, such as `1.3b`."""
_STATES = re.compile(r"-(?:latest|preview|exp|experimental)$")
"""Marks of an alias that moves."""
_EXTENSIONS = (".gguf", ".safetensors", ".bin")
_HUB_FOLDER = re.compile(r"models--(?:[^/]*--)?([^/]+)/snapshots/[^/]+$")
"""The Hub's cache: the model's name is not the last folder."""
_MOVING_TAGS = frozenset({"", "latest"})


def same_model(asked: str, answered: str) -> bool:
    """Return whether both names may stand for one model; an empty one may stand for any."""
    if not asked or not answered or asked == answered:
        return True
    (base, tag), (other, other_tag) = (
        _split_tag(plain_name(asked)),
        _split_tag(plain_name(answered)),
    )
    if tag and other_tag and tag != other_tag:
        return False
    (stem, date), (other_stem, other_date) = _split_snapshot(base), _split_snapshot(other)
    return stem == other_stem and (not date or not other_date or date == other_date)


def plain_name(name: str) -> str:
    """Return the last part of a name or path, in one spelling."""
    path = name.strip().casefold().replace("\\", "/").rstrip("/")
    if cached := _HUB_FOLDER.search(path):
        path = cached[1]
    last = path.rpartition("/")[2]
    for extension in _EXTENSIONS:
        last = last.removesuffix(extension)
    return last.replace("_", "-")


def _split_tag(name: str) -> tuple[str, str]:
    """Split `NAME:TAG`; a tag that names no variant is empty."""
    base, _, tag = name.partition(":")
    return base, "" if tag in _MOVING_TAGS else tag


def _split_snapshot(name: str) -> tuple[str, str]:
    """Split off the date of a snapshot; dots of versions do not count (`gpt-35-turbo`)."""
    found = _SNAPSHOT.search(name)
    stem = name[: found.start()] if found else name
    date = re.sub(r"\D", "", found[0]) if found else ""
    return _DOTS.sub("", _STATES.sub("", stem)), date

"""Tells a column `label` that judges responses, as KTO's, from one that names the class of a task.

Guarantees: a row is returned as it is, or without its class, which is then no reason to leave its
response out. The rows are read a second time only where one has a label that may mean `bad` and may
be a class too, such as 0. No I/O of its own.

>>> rows = [{"label": 0}, {"label": 1}, {"label": 2}]
>>> LabelColumn(lambda: rows).without_class(rows[0])
{}
"""

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property

from evolcoder.seeds.fields import BAD

NAME = "label"
"""The one name of a label that is also that of a class; others, such as `kto_tag`, are not."""
GOOD = frozenset(
    """true 1 1.0 yes ok good desirable chosen accept accepted correct right positive pass
    passed""".split()
)
"""Values of a label that say that a response is good."""
_NUMBERS = frozenset({"0", "0.0"})
_NEGATIVE = frozenset({"-1", "-1.0"})
_MAX_CHARS = 20


class LabelColumn:
    """The column `label` of one source of rows."""

    def __init__(self, values: Callable[[], Iterable[object]]) -> None:
        """`values` yields all rows of the source, each time that it is called."""
        self._values = values

    def without_class(self, row: object) -> object:
        """Return a row without its label if that is a class."""
        if not isinstance(row, Mapping):
            return row
        name = next((name for name in row if str(name).strip().lower() == NAME), None)
        label = None if name is None else row[name]
        if label is None or isinstance(label, bool) or _word(label) not in BAD:
            return row
        if not self._names_classes:
            return row
        return {one: value for one, value in row.items() if one != name}

    @cached_property
    def _names_classes(self) -> bool:
        """Whether the labels are classes: some are neither good nor bad, or all are one number."""
        seen = set[str]()
        for row in self._values():
            for name, label in row.items() if isinstance(row, Mapping) else ():
                if str(name).strip().lower() == NAME and label is not None:
                    seen.add(_word(label))
            if not seen <= GOOD | BAD or (seen & _NUMBERS and seen & _NEGATIVE):
                return True
        return seen <= _NUMBERS


def _word(label: object) -> str:
    is_plain = isinstance(label, str | int | float)
    return str(label)[: _MAX_CHARS + 1].strip().lower() if is_plain else ""

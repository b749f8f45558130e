"""Makes the distractor of a task: short code that solves it, with one edit that makes it wrong.

A small model that shall write wrong code on purpose writes right code, or code of another task. So
it is asked for a solution, and one place is changed here: a comparison, an end of a range, an
operator. The edit works on the text, in any language, outside of strings and comments, and leaves
all other characters as they are; the same random generator state makes the same one. The code is
not run here: an edit may by chance change nothing, and the check `distractor` runs what it can.

>>> spoil("return x > 0  # is x > 0?", "python", Random(0))
'return x < 0  # is x > 0?'
"""

import re
from random import Random

DRAFT = (
    "Solve this programming task with short code of at most fifteen lines. Reply with one code "
    "block and nothing else, without comments.\n\nTask: {task}"
)
"""Asks for the code."""
MAX_LINES = 30
"""Longest code, in lines, that is shown with a task."""
_STRINGS = (
    r'"""(?:[^"\\]|\\.|"(?!""))*"""|\'\'\'(?:[^\'\\]|\\.|\'(?!\'\'))*\'\'\''
    r"|\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'|`[^`]*`"
)
_HASHED = re.compile(rf"{_STRINGS}|(?<![\w$])#[^\n]*|^if __name__[^\n]*", re.DOTALL | re.MULTILINE)
_SLASHED = re.compile(
    rf"{_STRINGS}|/\*.{{0,2000}}?\*/|//[^\n]*|^[ \t]*#[^\n]*|--(?= )[^\n]*",
    re.DOTALL | re.MULTILINE,
)
"""Strings, comments and the guard of a script, of `_HASH_COMMENTS` and of all other languages."""
_HASH_COMMENTS = frozenset({"python", "bash", "ruby", "r", "perl", "julia", "elixir"})
_NO_PROGRAMS = frozenset({"html", "css", "xml", "json", "yaml", "markdown"})
_OPERAND = r"(?<=[\w)\]] )"
_SWAPPED = dict(
    pair.split("~")
    for pair in """==~!= ===~!== !=~== !==~=== <~> >~< <=~> >=~< +~- -~+ *~+ /~* //~* +=~-= -=~+=
    *=~+= and~or or~and &&~|| ||~&& AND~OR OR~AND min~max max~min MIN~MAX MAX~MIN COUNT~SUM
    SUM~COUNT True~False False~True true~false false~true upper~lower lower~upper DESC~ASC
    ASC~DESC toUpperCase~toLowerCase toLowerCase~toUpperCase -eq~-ne -ne~-eq -gt~-lt -lt~-gt -ge~-lt
    -le~-gt -f~-d -d~-f -z~-n -n~-z head~tail tail~head""".split()
)
"""What is written -> what it is replaced by."""
_Edits = tuple[tuple[re.Pattern[str], str], ...]


def _edits(*edits: tuple[str, str]) -> _Edits:
    return tuple((re.compile(pattern, re.MULTILINE), to) for pattern, to in edits)


_EDITS: tuple[_Edits, ...] = (
    _edits(
        (r"\brange\(1, ([\w.]+(?:\(\w*\))?) \+ 1\)", r"range(1, \1)"),
        (r"\brange\((\w+(?:\(\w+\))?)\)", r"range(1, \1)"),
        (r"\bif (?!not\b|True\b)(\w+(?:\.\w+)*):", r"if not \1:"),
        (r"\bif not (\w+(?:\.\w+)*):", r"if \1:"),
        (r" ?\*\* ?(?=\w)", " * "),
        (r"\.append\((\w+)\)", r".insert(0, \1)"),
        (r"\.push\((?=\w)", ".unshift("),
        (r"\.sort\(\)$", ".sort(reverse=True)"),
        (r"\bfor( ?)\(((?:\w+ )?\w+) = 0;", r"for\1(\2 = 1;"),
        (r"\[::-1\]", "[:-1]"),
        (r"\[1:\]", "[2:]"),
        (r"(?<=[\w)\]])\[0\](?! *=[^=])", "[1]"),
        (rf"{_OPERAND}(?:[!=]==?|[<>]=?)(?= [\w('\"\[-])", ""),
        (rf"{_OPERAND}(?:[+-]|//?|\*)(?= [\w(])", ""),
        (rf"{_OPERAND}(?:\+=|-=|\*=)(?= )", ""),
        (r"(?<= )(?:and|or|&&|\|\||AND|OR)(?= )", ""),
        (r"\b(?:min|max|MIN|MAX|COUNT|SUM|upper|lower|toUpperCase|toLowerCase)(?=\()", ""),
        (r"(?<=return )(?:[Tt]rue|[Ff]alse)\b", ""),
        (r"\b(?:DESC|ASC)\b", ""),
        (r"(?<= )-(?:eq|ne|gt|lt|ge|le|[fdzn])(?= )", ""),
        (r"(?<=\| )(?:head|tail)\b", ""),
    ),
    _edits(
        # Code that reads lines may well leave out the first one.
        (
            r"\bfor (\w+) in (?!\w*(?:reader|file|lines)\b)(\w+)(?=[:\])}])",
            r"for \1 in list(\2)[1:]",
        ),
        (r"\.split\(\)", '.split(",")'),
        (r"\.join\((\w+)\)", r".join(\1[1:])"),
        (r"\breturn (sorted|tuple|set)\((\w+)\)$", r"return \1(\2[1:])"),
        (r"\breturn len\((\w+(?:\(\w*\))?)\)$", r"return len(\1) - 1"),
        (r"\bsum\((?=\w+\))", "len("),
        (r"\.map\((?=[\w(])", ".filter("),
        (r"\b(\w+)\+\+\)", r"\1 += 2)"),
        (r"(?<=\bWHERE )([\w.]+) = ", r"\1 <> "),
    ),
)
"""Patterns with their replacement; without one, what matches is replaced by `_SWAPPED`. The second
group is tried where the first finds no place."""


def spoil(code: str, language: str | None, rng: Random) -> str | None:
    """Return code with one edit that changes what it computes; None if no place is found."""
    if language in _NO_PROGRAMS:
        return None
    hidden = _HASHED if language is None or language in _HASH_COMMENTS else _SLASHED
    visible = hidden.sub(lambda found: re.sub(r"[^\n]", "\0", found[0]), code)
    for group in _EDITS:
        places = [
            [(found.span(), found.expand(to) if to else _SWAPPED[found[0]]) for found in matches]
            for pattern, to in group
            if (matches := list(pattern.finditer(visible)))
        ]
        if places:
            (start, end), to = rng.choice(rng.choice(places))
            return f"{code[:start]}{to}{code[end:]}"
    return None

r"""Compares what an answer says its program prints with what the program printed.

Answers often state their own output: in a comment behind a line that prints, in comments below it,
or in a block of prose behind the program. A statement that does not hold makes the row wrong,
whether the program or the statement is at fault, and no test is needed to see it.

Only plain values are compared (numbers, truth values, quoted text, lists, tuples, maps, and whole
blocks of output), since words may describe an output instead of stating it. Blanks, quotation
marks, the case of truth values, the order in braces, and digits beyond the stated ones do not
matter. A program that depends on chance, time or addresses is not compared.

>>> misstated("print(1 + 1)  # Output: 3", "", "2\n")
'3'
>>> misstated("print(1 + 1)  # Output: 2", "", "2\n")
''
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

MAX_PRINTED = 50_000
"""Characters of output up to which statements are compared with it."""
_VARIES = re.compile(
    r"\brand(?:om|int)?\b|\brandom|\bshuffle\b|\bsample\(|\bchoice\(|\bmt_rand\b|Math\.random|\buuid"
    r"|\btime\b|\btimeit\b|\bdatetime\b|\bDate\b|\bLocalDate|\bInstant\b|Time\.now|\bchrono\b"
    r"|\bnow\(\)|\bperf_counter\b|\bgetpid\b|\bhash\(|\bid\(|\bhashCode\b|\bobject_id\b|\bsecrets\b"
    r"|\$RANDOM|\bthread|\bThread|\basync\b|\bawait\b|\bPromise\b|\bgo func\b|\bgetsizeof\b"
    r"|\bsetTimeout\b|\bplatform\b|\benviron\b|\bgetcwd\b|\b__file__\b",
    re.IGNORECASE,
)
"""Sources whose output differs from run to run, or from machine to machine."""
_PRINTS = re.compile(
    r"\bprint(?:ln|f|_r)?!?\s*[(\s]|\bconsole\.log\s*\(|\bputs\b|\becho\b|\bcout\b|\bSystem\.out\."
    r"|\bConsole\.Write|\bfmt\.Print|\bvar_dump\b|\bwriteln\b|\bcat\s*\(|\bp\s"
)
_NO_CODE = re.compile(r"/\*.{0,2000}?\*/|\"{3}.*?\"{3}|'{3}.*?'{3}", re.DOTALL)
"""Comments and strings of several lines, whose examples do not run."""
_COMMENT = re.compile(r"(?:(?<=\s)|^)(?:#|//|--)(?!\{)\s*(?P<said>.*?)\s*$")
_ONLY_COMMENT = re.compile(r"^\s*(?:#|//|--)\s?(?P<said>.*?)\s*$")
_STATES = re.compile(
    r"(?:(?:the|this|it|expected|example|sample|should|will|would|be)\s+)*"
    r"(?:out\s?puts?|prints?|printed|results?|returns?|displays?|expected)"
    r"(?:\s+(?:is|should be|will be|would be))?\s*(?::|=>|->|=|(?=\s))\s*(?P<value>.*)",
    re.IGNORECASE,
)
_ARROW = re.compile(r"(?:=>|->|→|⇒)\s*(?P<value>.*)")
_NUMBER = r"[-+]?\d[\d_]*(?:\.\d+)?(?:e[-+]?\d+)?"
_TRUTH = r"(?:true|false|none|null|nil|undefined|nan)"
_QUOTED = r"\"[^\"\n]*\"|'[^'\n]*'|`[^`\n]+`"
_PLAIN = re.compile(rf"(?:{_NUMBER}|{_TRUTH}|{_QUOTED})", re.IGNORECASE)
_CLOSING = {"[": "]", "(": ")", "{": "}"}
_ENDS_VALUE = re.compile(
    r"\s*$|\.\s*$|\s+\(|\s*[;,]\s+(?:\(|(?:since|because|as|which|not)\b)"
    r"|\s+(?:since|because|as|which|not|-|–|—|#|//)\s?",
    re.IGNORECASE,
)
"""What may stand behind a value: its end, or a reason."""
_DEFINES = re.compile(
    r"^\s*(?:(?:export|async|pub|public|private|protected|static|final|override|inline|local)\s+)*"
    r"(?:(?:def|function|fn|func|fun|sub|void|int|double|float|bool|boolean|String|string|auto)\s+"
    r"(?P<name>\w+)\s*\(|(?:const|let|var)\s+(?P<bound>\w+)\s*=[^\n]*(?:=>|\bfunction\b))"
)
_MAY_NOT_RUN = re.compile(
    r"^\s*(?:\}\s*)?(?:if|else|elif|elsif|except|rescue|catch|case|default|when|switch|unless)\b"
    r"|=>\s*\{?\s*$|\bfunction\s*\([^\n]*\{\s*$|\blambda\b|->\s*\{?\s*$"
)
"""The beginning of a branch, or of a function without a name, which may never run."""
_IS_MAIN = re.compile(r"^\s*if\s+__name__\b")
_BLOCK = re.compile(
    r"^(?![^\n]*\b(?:if|otherwise|unless|suppose)\b)"
    r"[^\n]*?\b(?:out\s?puts?|prints?|displays?|results?)\b[^\n`]{0,80}:[ \t]*\n\s*"
    r"```(?:text|txt|plaintext|plain|output|console|none)?[ \t]*\n(?P<lines>.*?)\n[ \t]*```",
    re.IGNORECASE | re.DOTALL | re.MULTILINE,
)
"""A block of output behind a line that names it, and not a case of it."""
_WHOLE = re.compile(r"(?<=\d)\.0+(?!\d)")
"""What a whole number has behind it where it is printed as a float."""
_PART = re.compile(r"\d+\.\d+|\w+|[^\w\s'\"`]")
_FIGURE = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?!\w)", re.IGNORECASE)
_BRACKET = re.compile(r"[\[\](){}]")
_OPEN_ENDED = re.compile(r"\.\.\.|…|<[A-Za-z][\w -]*>|\b(?:may|might|can) (?:vary|differ)", re.I)
_COMMANDS = ("$ ", "> ", ">>> ", "./", "python ", "python3 ", "node ", "bash ", "sh ")
"""Beginnings of lines in a block of output that are commands."""
_TRUE_AS = {"true": "1", "false": "0"}
"""How C, C++, PHP and shells print truth values."""


def misstated(source: str, answer: str, printed: str) -> str:
    """Return the first output that an answer states and its program did not print; '' if none.

    `source` is the program of the answer that ran, without input, and `printed` what came out.
    Empty too if nothing can be compared.
    """
    if not printed.strip() or len(printed) > MAX_PRINTED or _VARIES.search(source):
        return ""
    output = _Output(printed)
    for value in stated_values(source):
        if not output.has(value):
            return value
    written = {line.strip() for line in source.splitlines()}
    for lines in stated_blocks(_after(source, answer)):
        missing = [line for line in lines if not output.has(line)]
        is_output = written.isdisjoint(lines) and (
            len(missing) < len(lines) or output.n_lines == len(lines)
        )
        if is_output and missing:
            return missing[0]
    return ""


def states_output(answer: str) -> bool:
    """Whether an answer states an output that can be compared."""
    return any(True for _ in stated_values(answer)) or any(stated_blocks(answer))


def _after(source: str, answer: str) -> str:
    """Return what an answer says after the last line of its program."""
    last = next((line for line in reversed(source.splitlines()) if line.strip(" \t})];")), "")
    return answer[answer.rfind(last.strip()) :] if last else answer


def stated_values(source: str) -> Iterator[str]:
    """Yield the values that comments state behind or below lines that print, in their order."""
    prints = False
    lines = _NO_CODE.sub("", source).splitlines()
    for at, line in enumerate(lines):
        if not line.strip():
            continue
        alone = _ONLY_COMMENT.match(line)
        if alone is None:
            prints = _PRINTS.search(line) is not None and _runs(lines, at)
            found = _COMMENT.search(line)
            if prints and found is not None:
                yield from _values(found["said"], needs_word=False)
            continue
        if not prints:
            continue
        heading = _STATES.fullmatch(alone["said"])
        if heading is not None and not heading["value"]:
            below = lines[at + 1 : at + 2]
            more = _ONLY_COMMENT.match(below[0]) if below else None
            if more is not None:
                yield from _values(more["said"], needs_word=False)
        else:
            yield from _values(alone["said"], needs_word=True)


def _values(said: str, *, needs_word: bool) -> Iterator[str]:
    """Yield the plain value that a comment states, if it does; without a word, it is all of it."""
    if _OPEN_ENDED.search(said):
        return
    stated = _STATES.fullmatch(said) or _ARROW.fullmatch(said)
    if stated is None and needs_word:
        return
    text = stated["value"] if stated is not None else said
    value = _plain_value(text)
    rest = text[len(value) :]
    if value and _ENDS_VALUE.match(rest) and (stated is not None or not rest):
        yield value


def _plain_value(text: str) -> str:
    """Return the number, truth value, quoted text or pair of brackets that a text begins with."""
    if text[:1] not in _CLOSING:
        found = _PLAIN.match(text)
        return found[0] if found is not None else ""
    open_: list[str] = []
    for at, sign in enumerate(text):
        if sign in _CLOSING:
            open_.append(_CLOSING[sign])
        elif open_ and sign == open_[-1]:
            open_.pop()
            if not open_:
                return text[: at + 1]
    return ""


def _runs(lines: Sequence[str], at: int) -> bool:
    """Whether a line of a program that ran has run: in no branch, and in no function uncalled."""
    depth = _indent(lines[at])
    for line in reversed(lines[:at]):
        if not line.strip() or _indent(line) >= depth:
            continue
        depth = _indent(line)
        made = _DEFINES.match(line)
        name = (made["name"] or made["bound"]) if made is not None else ""
        if made is not None and name.lower() != "main":
            calls = re.compile(rf"\b{re.escape(name)}\s*\(")
            n_own = 1 if made["name"] else 0  # its definition looks like a call
            if sum(len(calls.findall(one)) for one in lines) <= n_own:
                return False
        elif not name and _MAY_NOT_RUN.search(line) and not _IS_MAIN.match(line):
            return False
    return True


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def stated_blocks(prose: str) -> Iterator[Sequence[str]]:
    """Yield the lines of blocks that prose shows as the output."""
    for block in _BLOCK.finditer(prose):
        lines = [line.strip() for line in block["lines"].splitlines() if line.strip()]
        if lines and not _OPEN_ENDED.search(block["lines"]):
            yield [line for line in lines if not line.startswith(_COMMANDS)]


class _Output:
    """What a program printed, to be searched for stated values."""

    def __init__(self, printed: str) -> None:
        self._text = _WHOLE.sub("", " ".join(printed.split()))
        self._lines = [line for line in printed.splitlines() if line.strip()]
        self.n_lines = len(self._lines)

    def has(self, value: str) -> bool:
        """Whether a value was printed, whatever stands around it."""
        value = _WHOLE.sub("", value)
        parts = _PART.findall(value)
        if not parts:
            return True
        if self._has_parts(parts) or self._has_figures(value):
            return True
        truth = _TRUE_AS.get(value.strip("\"'`. ").lower())
        if truth is not None and self._has_parts([truth]):
            return True
        return "{" in value and self._has_in_any_order(parts)

    def _has_parts(self, parts: Sequence[str]) -> bool:
        joined = r"[\s'\"`]*".join(map(re.escape, parts))
        starts = r"(?<![\w.])" if parts[0][0].isalnum() else ""
        ends = r"(?!\w|\.\d)" if parts[-1][-1].isalnum() else ""
        return re.search(f"{starts}{joined}{ends}", self._text, re.IGNORECASE) is not None

    def _has_figures(self, value: str) -> bool:
        """Whether the same figures were printed together, with more or fewer digits."""
        wanted = _FIGURE.findall(value)
        if not wanted or _FIGURE.sub("", value).strip(" []{}(),;:'\"`."):
            return False
        places = [len(one.partition(".")[2]) for one in wanted]
        given = _FIGURE.findall(self._text)
        for start in range(len(given) - len(wanted) + 1):
            here = given[start : start + len(wanted)]
            if all(_is_close(*each) for each in zip(wanted, here, places, strict=True)):
                return _BRACKET.search(value) is None or _BRACKET.search(self._text) is not None
        return False

    def _has_in_any_order(self, parts: Sequence[str]) -> bool:
        wanted = Counter(part.lower() for part in parts)
        lines = [self._text, *self._lines]
        return any(
            not wanted - Counter(part.lower() for part in _PART.findall(line)) for line in lines
        )


def _is_close(stated: str, given: str, places: int) -> bool:
    """Whether a printed number is a stated one, rounded to the stated places or cut there."""
    try:
        difference = abs(float(stated) - float(given))
    except ValueError:
        return False
    return difference < (10.0**-places if places else 1e-9)

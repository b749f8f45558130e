"""Text functions shared by all stages: words, fences, secrets, visible escapes, widths.

They find and do not judge. Functions about what a task asks for assume English.
>>> words("Sort the list, please.")
['sort', 'the', 'list', 'please']
"""

import json
import re
import shlex
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from functools import lru_cache, wraps
from itertools import pairwise
from typing import TypeVar, cast
from urllib.parse import parse_qsl, urlencode

R = TypeVar("R")


class _LatePattern:
    """A regular expression that is compiled when one of its methods is first read."""

    def __init__(self, pattern: str, flags: int) -> None:
        self._given = pattern, flags

    def __getattr__(self, name: str) -> object:
        found: object = getattr(re.compile(*self._given), name)
        setattr(self, name, found)
        return found


def late_pattern(pattern: str, flags: int = 0) -> re.Pattern[str]:
    """Return a pattern that costs nothing at the start of a command that does not use it."""
    return cast("re.Pattern[str]", _LatePattern(pattern, flags))


REMEMBERED_TEXTS, REMEMBERED_CHARS = 128, 20_000
"""Texts whose facts a function remembers, and the longest of them: some servers send megabytes."""


def remembered(function: Callable[[str], R]) -> Callable[[str], R]:
    """Remember what a function found in the last texts: several rules in turn ask of one text."""
    found = lru_cache(maxsize=REMEMBERED_TEXTS)(function)

    @wraps(function)
    def ask(text: str) -> R:
        return found(text) if len(text) <= REMEMBERED_CHARS else function(text)

    return ask


_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
"""Scripts without blanks between words: Thai, Lao, Myanmar, Khmer, Chinese characters, kana."""
_LATIN = "a-z0-9\u00df-\u00f6\u00f8-\u024f\u1e00-\u1eff\u0300-\u036f"
_MARKS = "".join(
    char for char in map(chr, range(0x370, 0x1C00)) if unicodedata.category(char) in {"Mn", "Mc"}
)
"""Signs that are part of words and that `\\w` does not match, such as vowels of Indic scripts."""
_OTHER = rf"(?:(?![{_UNSPACED}{_LATIN}])[^\W_]|[{_MARKS}])"
_WORD = late_pattern(
    rf"[{_UNSPACED}]+|[{_LATIN}]+(?:['’+#][{_LATIN}]*)*|{_OTHER}+(?:['’]{_OTHER}+)*"
)
_RUN = late_pattern(f"[{_UNSPACED}]+")
_UNSPACED_CHAR = late_pattern(f"[{_UNSPACED}]")
_ASCII_WORD = re.compile(r"[a-z0-9][a-z0-9'+#]*")
_FENCE = re.compile(
    r"^[ \t]*(`{3,}|~{3,})[ \t]*"
    # attributes as in Pandoc, R Markdown and MyST: {.python .numberLines}, {r}, {code-cell} python
    r"(?:\{[ \t]*(?:#[\w-]+[ \t]+)?(?:code-cell\}[ \t]*|code-block\}[ \t]*)?\.?)?"
    r"(?:lang(?:uage)?-)?((?!(?:title|file|filename|name|caption|lines|linenums|hl_lines)=)"
    r"[\w+#.-]*|)[^\n]*$",
    re.MULTILINE,
)
_SPACE = re.compile(r"\s+")
_DECIMALS = re.compile(r"(\d+)")
_TRIPLE_QUOTES = re.compile(r"\"{3}|'{3}")
DEEPER = 4
"""A closing fence is indented by fewer characters more than the opening one."""
MAX_INNER_FENCES = 50
"""Fences after the opening one among which its closing one is searched."""
JOINER = "\u200d"
"""Ties emoji together; alone it is shown as an escape."""
_BREAKABLE = late_pattern(
    rf"[{_UNSPACED}\uac00-\ud7af][,.!?;:，。！？、；：）」』”]*|\s+|[^\s{_UNSPACED}\uac00-\ud7af]+\s*"
)
"""Pieces of a line after which it may break."""

CHARS_PER_WORD = 2.0
"""Characters of a word in scripts without blanks: between Chinese (1.6) and Thai (4)."""

STOP_WORDS = frozenset(
    """a an the and or but if then else so of in on at to for from by with without as is are was
    were be been being it its this that these those there here you your i me my we our us they them
    their he she his her do does did done doing have has had can could will would shall should may
    might must not no yes also just only very too more most some any all each every which who whom
    whose what when where why how about into over under again once than such own same both few other
    please using use used ensure make sure following given""".split()
)

FIM_TOKENS = {
    "qwen": ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", ""),
    "starcoder": ("<fim_prefix>", "<fim_suffix>", "<fim_middle>", ""),
    "deepseek": ("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>", ""),
    "codellama": ("<PRE> ", " <SUF>", " <MID>", " <EOT>"),
}
"""Model family -> tokens before prefix, suffix and span, and after the span, as the models' cards
have them."""
_ASKS_FOR_PROSE = re.compile(
    r"\s*(?:what|why|which|who|when|where|is|are|does|do|can|should|explain|describe|discuss|define"
    r"|compare|contrast|(?:differentiate|distinguish) between|name|identify|classify|outline"
    r"|summari[sz]e|how (?:does|do|is|are|would|will)"
    r"|show the output|suggest an? (?:\w+ )?comment|(?:you need to )?read (?:the|a|this))\b",
    re.IGNORECASE,
)
_ASKS_FOR_PROSE_ELSEWHERE = re.compile(
    r"\s*[¿¡]?(?:解释|说明|描述|什么是|为什么|简述|比较|讨论|列举|説明|なぜ|설명|объясни|опиши"
    r"|что такое|почему|сравни|расскажи|explica|explique|descri|qué (?:es|son)\b|por qué"
    r"|o que é|qu'est|pourquoi|décri|erkläre|erläutere|beschreibe|was ist|warum"
    r"|اشرح|ما هو|ما هي|ما الفرق|समझाएँ|समझाइए|क्या है"
    r"|(?:in che )?cosa |che cos|cos['’]|spiega|descrivi|perché|qual è la differenza|qué diferencia"
    r"|(?:qual|quais) (?:é|são) as? diferença|quelle est la différence|à quoi sert|worin|wozu"
    r"|чем \w+ отлича|в ч[её]м разница|[^\n。]{0,40}とは何"
    r"|[^\n。]{0,60}(?:違い|仕組み|概念|意味|理由)[^\n。]{0,12}(?:説明|教え|述べ|何)"
    r"|[^\n。]{0,60}(?:区别|不同之处|原理)(?:是什么|在哪)|[^\n。]{0,40}有什么(?:区别|不同)"
    r"|[^\n.]{0,60}(?:차이|개념|원리|이유|의미)[^\n.]{0,12}(?:설명|무엇|알려))",
    re.IGNORECASE,
)
_ASKS_FOR_CODE = re.compile(
    r"\s*(?:please )?(?:write|create|implement|generate|build|design|construct|develop|code|convert"
    r"|rewrite|refactor|edit|modify|fix|program|devise|make)\b[^.?!\n]{0,200}?"
    r"\b(?:function|program|script|code|query|class|method|regex|regular expression|snippet|macro"
    r"|algorithm|loop|selector|statement|component|procedure|routine|server|page|form|app)s?\b",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"`[^`\n]{3,}`")
_CODE_LINE = re.compile(
    r"^[ \t]*(?:"
    r"(?:def|class|import|from|return|for|while|if|elif|else|try|except|with|switch|case)\b.*[:{(;)]"
    r"|(?:const|let|var|public|private|static|func|fn|function|void|int|double|float|char|bool"
    r"|string|String|auto|my|local|using|namespace|package|struct|val)\b.*[;{(=]"
    r"|(?:SELECT|INSERT|UPDATE|DELETE|CREATE|ALTER|DROP|WITH)\b.*"
    r"|\#include.*|</?\w[^>\n]*>.*|\$\w+\s*=.*|[\w.\[\]]+\s*(?:[-+*/]?=|<-)\s*\S.*|[\w.]+\(.*\);?"
    r"|[.\#\w][\w .\#-]*\{.*|[{}\])]+;?"
    r")[ \t]*$",
    re.MULTILINE,
)


_ASCII_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
"""ASCII control characters, except tab and line feed."""
_INVISIBLE = late_pattern(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0, DEL, C1
    r"\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\uffa0"  # drawn as nothing
    r"\u200b-\u200f\u2028-\u202e\u2060-\u206f"  # zero width, joiners, directions, separators
    r"\ud800-\udfff\ue000-\uf8ff\ufdd0-\ufdef"  # lone surrogates, private use, no characters
    r"\ufe00-\ufe0f\ufeff\ufff0-\ufffb\ufffe\uffff"  # selectors, byte order, annotations
    r"\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"  # layout of rare scripts
    r"\U0001fffe\U0001ffff\U0002fffe\U0002ffff\U0003fffe-\U0010ffff]"  # tags, private use, none
)
"""Unicode control characters, and characters that reorder text or are invisible."""
_JOINERS = "\u200c\u200d"
_EMOJI_SELECTOR = "\ufe0f"
_KEYCAPS = frozenset("0123456789#*")
"""Characters that an emoji selector turns into a keycap."""
_SYMBOLS = frozenset({"So", "Sm"})
_JOINING_SCRIPTS = late_pattern(
    "[\u0600-\u109f\u1780-\u18af\u1a00-\u1cff\ua800-\uabff\ufb50-\ufdff\ufe70-\ufefc"
    "\U00010a00-\U00011fff\U0001e900-\U0001e95f]"
)
"""Scripts with joining letters: Arabic, Syriac, Indic and related scripts, Mongolian."""
_MONGOLIAN = re.compile("[\u1820-\u18aa]")
_IDEOGRAPH = late_pattern("[\u3400-\u9fff\uf900-\ufaff\U00020000-\U000323af]")
_VIRAMA = 9
"""Combining class of the sign that a joiner may follow at the end of a word."""


_CREDENTIALS = re.compile(r"""(?<=://)[^/?#\s"'<>]*@""")
_KEY_LIKE = r"[\w-]*(?:key|token|secret|passw|signature|\bsig\b)[\w-]*"
_BETWEEN_URLS = re.compile(r"\s*,\s*(?=https?://)")
_SECRET_QUERY = re.compile(rf"""([?&]{_KEY_LIKE}=)[^&#\s"'<>]*""", re.IGNORECASE)
_SECRET_NAME = re.compile(_KEY_LIKE, re.IGNORECASE)
_NAME_WORDS = re.compile("[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_SECRET_WORDS = frozenset(
    """apikey apikeys auth authentication authorization bearer cookie cookies credential credentials
    jwt passphrase passwd password passwords pwd secret secrets""".split()
)
"""Words in a name that are enough for a secret."""
_SECRET_PAIRS = frozenset({"key", "keys", "token", "tokens"})
_BEFORE_SECRET = frozenset(
    """access account admin api auth azure bot bearer client gateway hf huggingface id jwt master
    openai org organization private project refresh security service session sign signing
    subscription user virtual""".split()
)
"""Words that make a secret of a `key` or `token` after them."""
_BEFORE_OTHERS = frozenset(
    """affinity batch cache conversation dedup foreign group idempotency partition primary request
    routing sort thread trace""".split()
)
"""Words after which a `key` or `token` is none, whatever its value looks like."""
_KEY_VALUE = re.compile(
    r"\s*(?:(?:Bearer|Basic)\s+\S{8,}|(?:sk|pk|rk|hf|gsk|ghp|xai|nvapi|tgp|fw|AIza|AKIA|csk|r8|pplx)"
    r"[-_]?[\w-]{16,})\s*"
)
"""Values in the form that providers give their keys."""
_RANDOM_VALUE = re.compile(r"(?=\D*\d)(?=[^A-Za-z]*[A-Za-z])[\w.+/=-]{16,}")
_SECRET_HEADER = re.compile(r"auth|cookie|credential|session|jwt|bearer|\bpat\b", re.IGNORECASE)


class WantedOutput(StrEnum):
    """What a task asks for, judged by its wording."""

    CODE = "code"
    WORDS = "words"
    EITHER = "either"


def clean(text: str) -> str:
    """Make a string encodable: each lone surrogate and NUL becomes U+FFFD."""
    text = text.replace("\x00", "\ufffd")
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def visible(text: str, *, lines: bool = True) -> str:
    r"""Escape control, bidirectional and invisible characters, such as `\x1b` or `\u202e`.

    The result can neither control a terminal nor hide or reorder adjacent text; text of any script
    is unchanged, including the joiners that its letters and emoji need. `lines` keeps tabs and line
    feeds. Never raises; idempotent.
    """
    text = (_ASCII_CONTROLS if text.isascii() else _INVISIBLE).sub(_escape, text)
    return text if lines else text.replace("\n", "\\n").replace("\t", "\\t")


def spaced(text: str) -> str:
    """Put blanks around the characters of scripts without blanks between words, for a word index.

    >>> spaced("sort 排序 it")
    'sort  排  序  it'
    """
    return text if text.isascii() else _UNSPACED_CHAR.sub(r" \g<0> ", text)


def without_logins(text: str) -> str:
    """Remove credentials from the URLs in a text: user and password, and keys in the query.

    >>> without_logins("http://me:hunter2@host/v1?api_key=x&v=1#model")
    'http://host/v1?api_key=&v=1#model'
    """
    return _SECRET_QUERY.sub(r"\1", _CREDENTIALS.sub("", text)) if "://" in text else text


def names_secret(parameter: str) -> bool:
    """Return whether a URL parameter's name is that of a secret."""
    return _SECRET_NAME.fullmatch(parameter) is not None


def header_names_secret(header: str) -> bool:
    """Return whether a header's name is that of a secret, such as `api-key` or `Authorization`."""
    return names_secret(header) or _SECRET_HEADER.search(header) is not None


def is_secret_header(header: str, value: str) -> bool:
    """Return whether a header holds a secret, by its name or by the form of its value."""
    return header_names_secret(header) or _KEY_VALUE.fullmatch(value) is not None


def is_secret_field(name: str, value: str) -> bool:
    """Return whether a field of a request's body holds a secret.

    By its name, such as `token`, `api_key`, `accessToken` or `password`, or by the form of its
    value. A key or a token of another kind (`prompt_cache_key`, `bos_token`) is none, and one of
    an unknown kind is a secret if its value looks random.

    >>> is_secret_field("api-key", "x"), is_secret_field("eos_token", "</s>")
    (True, False)
    """
    if _KEY_VALUE.fullmatch(value):
        return True
    words = [word.lower() for word in _NAME_WORDS.findall(name)]
    if not _SECRET_WORDS.isdisjoint(words):
        return True
    *before, last = words or [""]
    if last not in _SECRET_PAIRS or (before and before[-1] in _BEFORE_OTHERS):
        return False
    if not before and last in {"key", "token"}:
        return bool(value)
    is_known = bool(before) and before[-1] in _BEFORE_SECRET
    return is_known or _RANDOM_VALUE.fullmatch(value) is not None


def without_address(spec: str) -> str:
    """Return a model spec without the place of its server, which does not decide the answer.

    Parameters of the URL stay, without keys: they may select a version of the interface.

    >>> without_address("http://10.0.0.7:8000/v1?api-version=1&key=x#model")
    'openai:model?api-version=1'
    """
    url, _, name = spec.partition("#")
    if not name or not url.startswith(("http://", "https://")):
        return spec
    query = public_query(server_urls(url)[0])
    return f"openai:{name}?{query}" if query else f"openai:{name}"


def server_urls(urls: str) -> list[str]:
    """Split the addresses of several servers of one model, which commas separate.

    >>> server_urls("http://a/v1,http://b/v1")
    ['http://a/v1', 'http://b/v1']
    """
    return _BETWEEN_URLS.split(urls)


def public_query(url: str) -> str:
    """Return the query of a URL without its keys."""
    query = url.partition("#")[0].partition("?")[2]
    found = parse_qsl(query, keep_blank_values=True)
    return urlencode([(name, value) for name, value in found if not names_secret(name)])


def words(text: str) -> list[str]:
    """Split into lower-case words; `c++` and `c#` are words.

    Where a script has no blanks between words, each two neighbouring characters count as a word:
    texts that share words share those. `count_words` counts whole words.
    """
    lowered = text.lower()
    if lowered.isascii():
        # This pattern finds the same words in half the time.
        return _ASCII_WORD.findall(lowered)
    found: list[str] = []
    for word in _WORD.findall(lowered):
        if len(word) > 2 and _RUN.match(word):
            found += map("".join, pairwise(word))
        else:
            found.append(word)
    return found


def is_unspaced(word: str) -> bool:
    """Return whether a word of `words` is part of a script without blanks between words."""
    return _RUN.match(word) is not None


@remembered
def count_words(text: str) -> int:
    """Count words; `CHARS_PER_WORD` characters of a script without blanks count as one."""
    lowered = text.lower()
    if lowered.isascii():
        return len(_ASCII_WORD.findall(lowered))
    found = _WORD.findall(lowered)
    n_chars = sum(len(word) for word in found if _RUN.match(word))
    n_words = sum(1 for word in found if not _RUN.match(word))
    return n_words + round(n_chars / CHARS_PER_WORD)


def cell_width(text: str) -> int:
    """Return how many cells of a terminal a text takes: 2 for wide characters, 0 for marks."""
    return len(text) if text.isascii() else sum(map(_cells, text))


def padded(text: str, width: int) -> str:
    """Append blanks until a text takes `width` cells of a terminal."""
    return text + " " * (width - cell_width(text))


def folded_to_width(text: str, width: int) -> str:
    """Break the lines of a text at blanks to the width of a terminal."""
    lines = text.splitlines()
    return "\n".join(part for line in lines for part in wrapped(line, max(width, 2)) or [""])


def shell_path(path: object) -> str:
    """Write a path as an argument of a command that can be copied into a shell.

    >>> shell_path("my runs/-a"), shell_path("-a")
    ("'my runs/-a'", './-a')
    """
    text = str(path)
    return shlex.quote(f"./{text}" if text.startswith("-") else text)


def wrapped(text: str, width: int) -> list[str]:
    """Break one line into lines of at most `width` cells, at blanks or between wide characters.

    `width` is at least 2. Lines break within a word only if it is longer than a line.
    """
    lines, line, used = [], "", 0
    for piece in _pieces(text, width):
        cells = cell_width(piece)
        if line and used + cell_width(piece.rstrip()) > width:
            lines.append(line.rstrip())
            line, used = "", 0
            if piece.isspace():
                continue
        line, used = line + piece, used + cells
    return [*lines, line.rstrip()] if line.strip() else lines


def _pieces(text: str, width: int) -> Iterator[str]:
    """Split a line where it may break; a piece takes at most `width` cells without its blanks."""
    for piece in _BREAKABLE.findall(text):
        part, used = "", 0
        for char in _clusters(piece):
            cells = cell_width(char)
            if part and used + cells > width and not char.isspace():
                yield part
                part, used = "", 0
            part, used = part + char, used + cells
        yield part


def _clusters(text: str) -> Iterator[str]:
    """Yield the characters of a text, each with its marks and what a joiner ties to it."""
    if text.isascii():
        yield from text
        return
    cluster = ""
    for char in text:
        if cluster and _cells(char) and not cluster.endswith(JOINER):
            yield cluster
            cluster = ""
        cluster += char
    if cluster:
        yield cluster


@lru_cache(maxsize=8192)
def _cells(char: str) -> int:
    if unicodedata.category(char) in {"Mn", "Me", "Cf"} or "\u1160" <= char <= "\u11ff":
        return 0
    return 2 if unicodedata.east_asian_width(char) in {"W", "F"} else 1


def one_row(text: str, width: int) -> str:
    """Collapse white space and shorten to `width` cells of a terminal."""
    folded = _SPACE.sub(" ", text).strip()
    if cell_width(folded) <= width:
        return folded
    row, used = "", 1  # the cell of the ellipsis
    for char in _clusters(folded):
        used += cell_width(char)
        if used > width:
            break
        row += char
    return f"{row}…"


def one_line(text: str, width: int) -> str:
    """Collapse white space and shorten to `width` characters."""
    folded = _SPACE.sub(" ", text).strip()
    return folded if len(folded) <= width else folded[: width - 1] + "…"


def natural_key(text: str) -> tuple[tuple[str | tuple[int, str], ...], str]:
    """Return a key that sorts texts by their numbers' values.

    >>> sorted(["HumanEval/10", "HumanEval/2"], key=natural_key)
    ['HumanEval/2', 'HumanEval/10']
    """
    parts: list[str | tuple[int, str]] = list(_DECIMALS.split(text))
    for at in range(1, len(parts), 2):
        digits = str(parts[at]).lstrip("0")
        parts[at] = len(digits), digits  # as a number, of any length
    return tuple(parts), text


def changed(settings: Mapping[str, tuple[object, object] | None]) -> str:
    """Name settings, then the value that each had and the one given now, unless it is None.

    >>> changed({"epochs": (2.0, None), "rows": None})
    'epochs, rows (epochs: there 2.0, now null)'
    """
    values = []
    for name, pair in settings.items():
        if pair is not None:
            there, now = (one_line(without_logins(json_text(value)), 60) for value in pair)
            values.append(f"{name}: there {there}, now {now}")
    names = ", ".join(settings)
    return f"{names} ({'; '.join(values)})" if values else names


def fences(text: str) -> tuple[tuple[re.Match[str], re.Match[str] | None], ...]:
    """Return the opening and the closing fence of each block; None if it is not closed.

    A fence does not close a block if it is much further indented than the opening one, or within a
    docstring: examples in docstrings have fences too. If nothing else closes the block, they do,
    and so does a shorter fence than the opening one, which models write by mistake.
    """
    return _found_fences(text) if "```" in text or "~~~" in text else ()


@remembered
def _found_fences(text: str) -> tuple[tuple[re.Match[str], re.Match[str] | None], ...]:
    found, fences = [], list(_FENCE.finditer(text))
    has_docstrings = '"""' in text or "'''" in text
    at = 0
    while at < len(fences):
        start = fences[at]
        closing = _closing(text if has_docstrings else "", fences, at)
        found.append((start, None if closing is None else fences[closing]))
        if closing is None:
            break
        at = closing + 1
    return tuple(found)


def _closing(text: str, fences: list[re.Match[str]], at: int) -> int | None:
    """Return the place of the fence that closes the block which begins at the fence `at`.

    `text` is empty if it has no docstrings.
    """
    start, fallback, n_inner = fences[at], None, 0
    quotes = _OpenDocstring()
    end = start.end()
    for place in range(at + 1, min(len(fences), at + 1 + MAX_INNER_FENCES)):
        fence = fences[place]
        quotes.read(text[end : fence.start()])
        end = fence.end()
        begins = fallback is not None and not (quotes.is_open and n_inner % 2 == 0)
        if fence[2] and begins:
            return fallback  # another block begins; a tagged fence closes none in a docstring
        n_inner += fence[1][0] == start[1][0]
        if fence[2] or fence[1][0] != start[1][0]:
            continue
        is_long = len(fence[1]) >= len(start[1])
        if is_long and not quotes.is_open and _indent(fence) < _indent(start) + DEEPER:
            return place
        if fallback is None:
            fallback = place
    return fallback


class _OpenDocstring:
    """Whether the text read so far ends within a string of three quotes."""

    def __init__(self) -> None:
        self._quote = ""

    @property
    def is_open(self) -> bool:
        return bool(self._quote)

    def read(self, text: str) -> None:
        for quote in _TRIPLE_QUOTES.findall(text):
            if not self._quote:
                self._quote = quote
            elif quote == self._quote:
                self._quote = ""


def _indent(fence: re.Match[str]) -> int:
    return fence.start(1) - fence.start()


def before_bare_fence(text: str) -> str:
    """Return the text before the first fence if that has no language tag; else ''."""
    fence = _FENCE.search(text)
    return text[: fence.start()] if fence and not fence[2] else ""


def without_code(text: str) -> str:
    """Return the text outside fenced code."""
    kept, at = [], 0
    for start, end in fences(text):
        kept.append(text[at : start.start()])
        at = end.end() if end else len(text)
    return "".join([*kept, text[at:]])


def wanted_output(text: str) -> WantedOutput:
    """Return whether a task asks for code, for an explanation, or for either."""
    if _ASKS_FOR_PROSE.match(text) or _ASKS_FOR_PROSE_ELSEWHERE.match(text):
        return WantedOutput.WORDS
    return WantedOutput.CODE if _ASKS_FOR_CODE.match(text) else WantedOutput.EITHER


def has_code(text: str) -> bool:
    """Return whether an answer has code: a fence, a back-quoted part or a line like code."""
    return "```" in text or _QUOTED.search(text) is not None or _CODE_LINE.search(text) is not None


def code_lines(text: str) -> list[str]:
    """Return the lines outside of fences that look like code, stripped."""
    if "\n" not in text:
        # A search would try every character of the line, but can match only at its beginning.
        return [text.strip()] if _CODE_LINE.match(text) else []
    return [found.strip() for found in _CODE_LINE.findall(text)]


def longest_repeat(text: str, *, width: int = 40, least: int = 4) -> str:
    """Return the text that is repeated at the end of a text, or ''.

    A looping model repeats one text until it is cut off. Prose and code repeat too, so only a text
    that occurs at least `least` times in a row and fills `width` characters counts.
    """
    tail = text[-4000:].rstrip()
    end = tail[-width // 2 :]
    earlier = tail.rfind(end, 0, len(tail) - 1)
    if earlier < 0:
        return ""
    period = len(tail) - len(end) - earlier
    unit = tail[-period:]
    if len(unit.strip()) <= 2 or not tail.endswith(unit * max(least, width // period + 1)):
        return ""
    return unit.strip()


def _escape(found: re.Match[str]) -> str:
    char = found[0]
    if _is_needed(char, found.string, found.start()):
        return char
    code = ord(char)
    if code < 0x100:
        return "\\r" if char == "\r" else f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _is_needed(char: str, text: str, at: int) -> bool:
    """Return whether an invisible character is needed to display its neighbours correctly."""
    before, after = text[max(at - 1, 0) : at], text[at + 1 : at + 2]
    if char in _JOINERS:
        if before == _EMOJI_SELECTOR:
            before = text[max(at - 2, 0) : at - 1]
        return _joins_letters(before, after) or (_is_symbol(before) and _is_symbol(after))
    if "\ufe00" <= char <= _EMOJI_SELECTOR:
        return before in _KEYCAPS if before.isascii() else _is_shown(before)
    if "\u180b" <= char <= "\u180f":
        return _MONGOLIAN.match(before) is not None
    if "\U000e0100" <= char <= "\U000e01ef":
        return _IDEOGRAPH.match(before) is not None
    return False


def _joins_letters(before: str, after: str) -> bool:
    if not _is_letter(before):
        return False
    return unicodedata.combining(before) == _VIRAMA or _is_letter(after)


def _is_letter(char: str) -> bool:
    is_joined = _JOINING_SCRIPTS.match(char) is not None and _INVISIBLE.match(char) is None
    return is_joined and unicodedata.category(char)[0] in "LM"


def _is_symbol(char: str) -> bool:
    """Return whether it may be part of an emoji, including emoji newer than Python's data."""
    return "\U0001f000" <= char <= "\U0001faff" or (
        char > "\xff" and unicodedata.category(char) in _SYMBOLS
    )


def _is_shown(char: str) -> bool:
    return char != "" and not char.isspace() and _INVISIBLE.match(char) is None


def json_text(value: object, *, indent: int | None = None) -> str:
    """Write plain data as printable ASCII JSON; `json` escapes everything except DEL."""
    return json.dumps(value, indent=indent).replace("\x7f", "\\u007f")

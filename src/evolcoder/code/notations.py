r"""Rewrites other notations of code in an answer as fences, and cleans the lines of a block.

Notations: JSON or YAML with a field of code, a file written by a shell's here-document, a directive
of reStructuredText, a text whose line feeds are escaped, or `<br>` or Unicode's separators in their
place, a quotation, and Markdown's block indented by four spaces. Within a block: numbered lines,
prompts of an interpreter, lines of a patch, edits that search and replace, HTML's entities, blanks
that no compiler accepts.

Guarantees: nothing is run, and a text without such a notation is returned unchanged. Whether the
code is right, or is code at all, is for the caller to judge.

>>> as_written('{"code": "def f():\\n    return 1"}')
'\n```\ndef f():\n    return 1\n```\n'
"""

import html
import json
import re
import textwrap
from collections.abc import Iterator, Sequence
from itertools import islice

from evolcoder.code.python_ast import literal_of, tree_of
from evolcoder.programming_language import CodeBlock, code_blocks, language_of

MIN_BREAKS = 2
"""Lines of code that end with `<br>`, from which on a text is one with such breaks."""
MAX_OBJECTS = 20
"""Places of a text at which a JSON object may begin."""
_FIELDS = frozenset(
    """code solution program source source_code completion implementation function answer response
    content contents script python python_code final_code full_code corrected_code fixed_code output
    result text body new_code""".split()
)
"""Names of JSON fields that hold code."""
_FIELD_WORDS = frozenset(
    "code solution program source implementation completion script function python answer".split()
)
_OTHER_WORDS = frozenset(
    """test tests original old buggy wrong bad draft example examples usage before input incorrect
    naive stub comment description name language type explanation""".split()
)
"""Words in the name of a field that hold code, and of one that holds other code or none."""
_WORD = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+")
_QUOTED_VALUE = re.compile(r"[\"'](\w{1,40})[\"']\s{0,20}:\s{0,20}(?=[\"'])")
_OBJECT = re.compile(r"[{\[]\s*(?:\{\s*)?\"[\w./-]+\"\s*:")
_STRING = re.compile(r"\"(?:[^\"\\\n]++|\\.)*+\"|'(?:[^'\\\n]++|\\.)*+'")
_LONG_VALUE = re.compile(r"\"(\w{1,40})\"\s{0,20}:\s{0,20}(\"{3}|'{3}|`)")
_YAML_BLOCK = re.compile(
    r"^(?P<indent>[ \t]*)(?:- )?[\"']?(?P<name>\w{1,40})[\"']?:[ \t]*"
    r"\|[+\-\d]{0,2}[ \t]*(?:#[^\n]*)?\n"
    r"(?P<block>(?:(?P=indent)[ \t]+\S[^\n]*(?:\n|$)|[ \t]*\n)+)",
    re.MULTILINE,
)
_YAML_STRING = re.compile(
    r"^[ \t]*(?:- )?[\"']?(?P<name>\w{1,40})[\"']?:[ \t]*(?P<string>\"[^\n]*\")[ \t]*$",
    re.MULTILINE,
)
_DIRECTIVE = re.compile(
    r"^\.\. (?:code|code-block|sourcecode)::[ \t]*(?P<tag>[\w+#-]*)[ \t]*\n(?:[ \t]+:[^\n]*\n)*"
    r"(?:[ \t]*\n)*(?P<block>(?:[ \t]+\S[^\n]*(?:\n|$)|[ \t]*\n)+)",
    re.MULTILINE,
)
"""A block of reStructuredText, which is indented by any number of blanks."""
_IS_CODE = re.compile(
    r"^(?:[^\w\n]*+\w[^\n]*(?:[(=;{]| [-<>+*/%]|:\s*$)"
    r"|[ \t]*+(?:return|pass|break|continue|raise|throw)\b)",
    re.MULTILINE,
)
_DOCUMENT = re.compile(
    r"^[ \t]*(?:\$ )?(?P<command>(?:cat|tee|python3?|node|ruby|apply_patch)\b[^\n<]*)<<-?[ \t]*"
    r"(?P<quote>['\"]?)(?P<end>\w+)(?P=quote)(?P<file>[^\n]*)\n",
    re.MULTILINE,
)
_FILE = re.compile(r"[\w/-]+\.(\w+)")
_ESCAPE = re.compile(r"\\([nt\"'\\])")
_ESCAPED_LINES = re.compile(
    r"```\w*\\n|\)(?: ?-> ?[^\"'\n:]{1,80})?:\\n(?:\\t| )|\) ?\{\\n(?:\\t| )"
)
_SEPARATORS = (re.compile("[\u2028\u2029\u0085]"), re.compile(r"<br ?/?>\n?", re.IGNORECASE))
"""What stands for a line feed: Unicode's separators, or HTML's line break."""
_MARKED = re.compile(
    r"^[ \t]*(?:`{3}|~{3})[\w+#.-]*[ \t]*(?:[\u2028\u2029\u0085]|<br ?/?>)"
    r"|(?:[\u2028\u2029\u0085]|<br ?/?>)[ \t]*(?:`{3}|~{3})",
    re.MULTILINE | re.IGNORECASE,
)
"""A fence that such a sign sets apart from its code, or from what stands before it."""
_ENDED_BY_BREAK = re.compile(r"(?i)[:;{})][ \t]*<br ?/?>")
_ESCAPED_FENCE = re.compile(r"[ \t]*```\w*\\n.*\\n```[^`]*")
_QUOTE = re.compile(r"^[ \t]{0,3}>[ \t]?")
_QUOTED_FENCE = re.compile(r"^[ \t]{0,3}>[ \t>]*(?:`{3}|~{3})")
_FENCE_LINE = re.compile(r"^[ \t]*(?:`{3}|~{3})")
_NUMBER = re.compile(r"[ \t]*+L?(\d+)(?:[:.)][ \t]?|[ \t]*[|│→][ \t]?|[ \t]|$)")
_CELL_RESULT = re.compile(r"Out\[\d*\]:")
_CELL = re.compile(r"^(?:In \[\d*\]: ?|[ \t]*\.{3}:(?: |$)|[ \t]*\.{3,5}(?: |$))")
_BAR = re.compile(r"[|│┃║] ?")
_ENTITY = re.compile(r"&(?:lt|gt|amp|quot|#39|#x27|nbsp);")
_BLANK = re.compile(
    r"\"[^\"\n]*\"|'[^'\n]*'|(?P<wide>[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000])"
    r"|[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]"
)
"""A string, which keeps such signs, a blank that no compiler accepts, or an invisible sign."""
_PATCH_HEAD = re.compile(
    r"^(?:@@.*|diff --git .*|index .*|--- .*|\+\+\+ .*|\\ No newline.*"
    r"|\*\*\* (?:Begin Patch|(?:Add|Update) File: .*|End Patch))$"
)
_SEARCH = re.compile(r"<{5,9}[ \t]*\w.*")
_DIVIDED = re.compile(r"={5,9}\s*")
_REPLACED = re.compile(r">{5,9}[ \t]*\w.*")
"""The lines of an edit: the text to search for, which may be empty, and the text in its place."""
_CONTINUES = re.compile(
    r"(?:[{;,(\[\\]|^[ \t]*@[\w.]+|^(?:async )?(?:def|class|for|while|if|with|try)\b.*:)\s*$"
)


_MAY_BE_OBJECT = re.compile(r"[\"'] ?:")


def as_written(text: str) -> str:
    """Rewrite JSON, YAML, escaped lines, quotations and here-documents of an answer as fences."""
    if "\n" not in text:
        text = text.replace("\r", "\n")
    text = _with_line_feeds(_unescaped(text))
    if "<![CDATA[" in text:
        text = text.replace("<![CDATA[", "\n").replace("]]>", "\n")
    if ">" in text:
        text = unquoted(text)
    if "<<" in text:
        text = _of_documents(text)
    if ".. " in text:
        text = _DIRECTIVE.sub(_as_fence, text)
    text = _of_json(text) if _MAY_BE_OBJECT.search(text) else text
    return _of_yaml(text) if "|" in text or '"' in text else text


def _unescaped(text: str) -> str:
    """Return a text, or a fence on one line of it, with its lines if their ends are escaped."""
    bare = text.strip()
    if "\n" in bare and "\\n" in bare and "```" in bare:
        return "\n".join(map(_unescaped_fence, text.split("\n")))
    if "\n" in bare or bare.count("\\n") < 2 or _OBJECT.match(bare) or _YAML_STRING.match(bare):
        return text
    is_string = len(bare) > 1 and bare[0] == bare[-1] and bare[0] in "\"'"
    if not is_string and (not _ESCAPED_LINES.search(bare) or _codes_of(bare)):
        return text
    return _ESCAPE.sub(_signs, bare[1:-1] if is_string else bare)


def _signs(escape: re.Match[str]) -> str:
    return {"n": "\n", "t": "\t"}.get(escape[1], escape[1])


def _unescaped_fence(line: str) -> str:
    return _ESCAPE.sub(_signs, line) if _ESCAPED_FENCE.fullmatch(line) else line


def as_lines(text: str) -> str:
    """Return a text with line feeds in place of Unicode's separators, or else of HTML's breaks."""
    unicode, html_break = _SEPARATORS
    if unicode.search(text):
        return unicode.sub("\n", text)
    if not html_break.search(text):
        return text
    return html_break.sub("\n", text.replace("&nbsp;", " "))


def _with_line_feeds(text: str) -> str:
    """Return a text whose code has other signs between its lines with line feeds there."""
    if not any(sign.search(text) for sign in _SEPARATORS):
        return text
    if _MARKED.search(text):
        return as_lines(text)
    blocks = code_blocks(text)
    if not blocks:
        return _code_with_line_feeds(text)
    for code in dict.fromkeys(block.code for block in blocks):
        text = text.replace(code, _code_with_line_feeds(code, has_prose=False))
    return text


def _code_with_line_feeds(code: str, *, has_prose: bool = True) -> str:
    """Return code with line feeds between its lines; Python that has them is unchanged.

    In other languages, `<br>` may stand in a string.
    """
    lined = as_lines(code)
    if lined == code or tree_of(code) is not None or tree_of(lined) is not None:
        return code if tree_of(code) is not None else lined
    unicode, html_break = _SEPARATORS
    is_one_line = "\n" not in html_break.sub("", code.strip())
    is_unicode = unicode.search(code) is not None
    is_broken = has_prose and len(_ENDED_BY_BREAK.findall(code)) >= MIN_BREAKS
    return lined if is_one_line and (is_unicode or is_broken) else code


def unquoted(text: str) -> str:
    """Remove the marks of quotations that hold a fence, or of one that is the whole text.

    Lines outside of such a quotation keep a `>` with which they begin.
    """
    lines = text.split("\n")
    if any(line.strip() for line in lines) and all(
        _QUOTE.match(line) for line in lines if line.strip()
    ):
        return unquoted("\n".join(_QUOTE.sub("", line, count=1) for line in lines))
    if not any(map(_QUOTED_FENCE.match, lines)):
        return text
    for begin, end in _quotations(lines):
        lines[begin:end] = [_QUOTE.sub("", line) for line in lines[begin:end]]
    return "\n".join(lines)


def _quotations(lines: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield where quotations with a fence begin and end; blank lines within the fence belong."""
    at, plain_fence = 0, False
    while at < len(lines):
        if not lines[at].lstrip().startswith(">") or plain_fence:
            plain_fence ^= _FENCE_LINE.match(lines[at]) is not None
            at += 1
            continue
        begin, n_fences = at, 0
        while at < len(lines) and (
            _QUOTE.match(lines[at]) or (n_fences % 2 and not lines[at].strip())
        ):
            n_fences += _QUOTED_FENCE.match(lines[at]) is not None
            at += 1
        if n_fences:
            yield begin, at


def _of_documents(text: str) -> str:
    """Write here-documents as blocks of their own, within the block of the shell or outside."""
    kept, at = [], 0
    for found in islice(_DOCUMENT.finditer(text), MAX_OBJECTS):
        end = re.compile(rf"^[ \t]*{found['end']}[ \t]*$", re.MULTILINE).search(text, found.end())
        is_printed = found["command"].startswith("cat") and ">" not in found[0]
        if end is None or found.start() < at or is_printed:
            continue
        named = _FILE.search(found["file"]) or _FILE.search(found["command"])
        tag = named[1] if named else found["command"].split()[0].rstrip("3")
        code = text[found.end() : end.start()].rstrip("\n")
        block = f"```{tag if language_of(tag) else ''}\n{code}\n```"
        n_fences = sum(1 for line in text[: found.start()].split("\n") if _FENCE_LINE.match(line))
        kept += [text[at : found.start()], f"```\n\n{block}\n\n```bash" if n_fences % 2 else block]
        at = end.end()
    return "".join([*kept, text[at:]])


def _of_json(text: str) -> str:
    """Return the code of an answer's JSON, if it has no other block of code."""
    blocks = [block for block in code_blocks(text) if block.code.strip()]
    if any(not _is_of_json(block) for block in blocks):
        return text
    for source in [block.code for block in blocks] or [text]:
        if codes := [*_codes_of(source)]:
            return "".join(_fenced(code) for code in codes)
    return text


def _is_of_json(block: CodeBlock) -> bool:
    return block.tag in {"json", "json5", "jsonc"} or _OBJECT.match(block.code.strip()) is not None


def _of_yaml(text: str) -> str:
    """Return the code of an answer's YAML, if it has no other block of code."""
    blocks = [block for block in code_blocks(text) if block.code.strip()]
    if any(block.tag not in {"yaml", "yml"} for block in blocks):
        return text
    for source in [block.code for block in blocks] or [text]:
        if codes := [*_yaml_codes(source)]:
            return "".join(map(_fenced, codes))
    return text


def _yaml_codes(source: str) -> Iterator[str]:
    """Yield the code in the block scalars and the quoted strings of a YAML text."""
    for found in islice(_YAML_BLOCK.finditer(source), MAX_OBJECTS):
        if _is_code_field(found["name"], found["block"]):
            yield textwrap.dedent(found["block"]).strip("\n")
    for found in islice(_YAML_STRING.finditer(source), MAX_OBJECTS):
        try:
            text = json.loads(found["string"])
        except ValueError:
            continue
        if "\n" in text and _is_code_field(found["name"], text):
            yield text.strip("\n")


def _as_fence(directive: re.Match[str]) -> str:
    code = textwrap.dedent(directive["block"]).strip("\n")
    return f"```{directive['tag']}\n{code}\n```\n"


def _fenced(code: str) -> str:
    return f"\n{code}\n" if re.search(r"^```", code, re.MULTILINE) else f"\n```\n{code}\n```\n"


def _codes_of(source: str) -> list[str]:
    """Return the code in the fields of the JSON objects of a text."""
    decoder, codes, at = json.JSONDecoder(strict=False), list[str](), 0
    for _ in range(MAX_OBJECTS):
        found = _OBJECT.search(source, at)
        if found is None:
            break
        try:
            value, at = decoder.raw_decode(source, found.start())
        except (ValueError, RecursionError):
            at = found.end()
            continue
        codes += _codes_in(value)
    return codes or [*_long_values(source)] or [*_quoted_values(source)]


def _quoted_values(source: str) -> Iterator[str]:
    """Yield the code in fields of an object that is no JSON: cut off, or in single quotes."""
    for found in islice(_QUOTED_VALUE.finditer(source), MAX_OBJECTS):
        value = _STRING.match(source, found.end())
        if value is None:
            continue
        try:
            code = literal_of(value[0])
        except ValueError:
            continue
        if isinstance(code, str) and "\n" in code and _is_code_field(found[1], code):
            yield code.strip("\n")


def _long_values(source: str) -> Iterator[str]:
    """Yield the code in fields that stands in three quotes or ticks, as no JSON allows."""
    for found in islice(_LONG_VALUE.finditer(source), MAX_OBJECTS):
        code = source[found.end() : source.find(found[2], found.end())].strip("\n")
        if _is_code_field(found[1], code):
            yield code


def _codes_in(value: object, depth: int = 0) -> Iterator[str]:
    if depth > 4:
        return
    if isinstance(value, list):
        for one in value:
            yield from _codes_in(one, depth + 1)
    if isinstance(value, dict):
        for name, one in value.items():
            text = _text_of(one)
            if text and _is_code_field(name, text):
                yield text.strip("\n")
            elif text and name == "arguments":  # of a tool call
                yield from _codes_of(text)
            else:
                yield from _codes_in(one, depth + 1)


def _text_of(value: object) -> str:
    """Return a text, which a notebook writes as a list of its lines; empty for other values."""
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return ("" if any(line.endswith("\n") for line in value) else "\n").join(value)
    return value if isinstance(value, str) else ""


def _is_code_field(name: str, value: str) -> bool:
    words = {word.lower() for word in _WORD.findall(name)}
    is_named = name.lower() in _FIELDS or (
        bool(words & _FIELD_WORDS) and words.isdisjoint(_OTHER_WORDS)
    )
    return (is_named or name.endswith(".py")) and _IS_CODE.search(value) is not None


def indented_as_fences(text: str) -> str:
    """Write Markdown's indented blocks, of lines after a blank one, as fences.

    For a text in which code without a fence was not found: a body at its margin looks alike.
    """
    lines = text.replace("\t", "    ").split("\n")
    result: list[str] = []
    at, above = 0, ""
    while at < len(lines):
        end = at
        if _begins_block(lines, at, above):
            while end < len(lines) and (lines[end].startswith("    ") or not lines[end].strip()):
                end += 1
        is_block = end > at and (end == len(lines) or lines[end][0] not in "})]")
        end = max(end, at + 1)
        block = "\n".join(lines[at:end])
        result += ["```", textwrap.dedent(block).strip("\n"), "```"] if is_block else [block]
        above = next((line for line in reversed(lines[at:end]) if line.strip()), above)
        at = end
    return "\n".join(result)


def _begins_block(lines: Sequence[str], at: int, above: str) -> bool:
    """Whether an indented block begins at a line; `above` is the last line that is not blank."""
    is_apart = at == 0 or not lines[at - 1].strip() or above.rstrip().endswith(":")
    is_indented = lines[at].startswith("    ") and lines[at].strip() != ""
    return (
        is_apart and is_indented and not above.startswith("    ") and not _CONTINUES.search(above)
    )


def plain_code(code: str, tag: str = "") -> str:
    """Return a block's code without numbers of lines, prompts, marks of a patch and entities."""
    code = usual_blanks(code)
    lines = code.split("\n")
    if ">>>>>" in code:
        lines = _edited(lines)
    if tag in {"diff", "patch"} or _is_patch(lines):
        lines = _patched(lines)
    lines = _without_numbers(lines)
    if all(_BAR.match(line) for line in lines if line.strip()) and len(lines) > 1:
        lines = [_BAR.sub("", line) for line in lines]
    if lines and lines[0].startswith("In ["):
        lines = [_CELL.sub("", line) for line in lines if not _CELL_RESULT.match(line)]
    code = "\n".join(lines)
    if _ENTITY.search(code) and "<" not in code and ">" not in code:
        code = usual_blanks(html.unescape(code))
    return code


_COLOUR = re.compile(r"\x1b\[[\d;]{0,20}m")
_PARAGRAPH = re.compile(r"</?(?:p|div|span|html|body)\b[^<>\n]{0,200}>", re.IGNORECASE)


def unmarked(text: str) -> str:
    """Return a text without colours, entities, tags of paragraphs and Markdown's escapes.

    For a text in which no program was found: a program may hold them in strings.
    """
    text = _COLOUR.sub("", text)
    if (lined := as_lines(text)) != text:
        text = _PARAGRAPH.sub("", lined)
    text = html.unescape(text).replace("\u00a0", " ") if _ENTITY.search(text) else text
    return re.sub(r"\\([_*\[\]<>#`])", r"\1", text)


def usual_blanks(code: str) -> str:
    """Return code without invisible signs and with usual blanks; strings keep theirs."""
    return _BLANK.sub(_usual_blank, code)


def _usual_blank(found: re.Match[str]) -> str:
    return found[0] if found[0][0] in "\"'" else " " if found["wide"] else ""


def _edited(lines: Sequence[str]) -> list[str]:
    """Return the new text of edits that search and replace; other lines stay."""
    kept, is_old, is_edit = list[str](), False, False
    for line in lines:
        if _SEARCH.fullmatch(line):
            is_old = is_edit = True
        elif is_old and _DIVIDED.fullmatch(line):
            is_old = False
        elif is_edit and _REPLACED.fullmatch(line):
            is_old = is_edit = False
        elif not is_old:
            kept.append(line)
    return kept


def _is_patch(lines: Sequence[str]) -> bool:
    """Whether lines begin as a patch does; a single rule or decorator does not."""
    heads = [line for line in lines[:5] if _PATCH_HEAD.match(line)]
    is_marked = all(
        not line or line[0] in "+- @\\" for line in lines if not _PATCH_HEAD.match(line)
    )
    is_all_new = sum(line.startswith("+") for line in lines if line.strip()) == sum(
        bool(line.strip()) for line in lines
    )
    return (bool(heads) and heads[0] == lines[0] and is_marked) or (is_all_new and len(lines) > 1)


def _patched(lines: Sequence[str]) -> list[str]:
    """Return what a patch shows of the new file."""
    kept = [line for line in lines if not _PATCH_HEAD.match(line) and not line.startswith("-")]
    return [line[1:] if line.startswith(("+", " ")) else line for line in kept]


def _without_numbers(lines: Sequence[str]) -> list[str]:
    """Remove numbers before all lines, if they count; two lines must count from 0 or 1."""
    filled = [line for line in lines if line.strip()]
    found = [_NUMBER.match(line) for line in filled]
    numbers = [int(one[1]) for one in found if one is not None and len(one[1]) < 6]
    is_counted = [*range(numbers[0], numbers[0] + len(filled))] == numbers if numbers else False
    if len(filled) < 2 or not is_counted or (numbers[0] > 1 and len(filled) < 4):
        return [*lines]
    return [_NUMBER.sub("", line, count=1) for line in lines]

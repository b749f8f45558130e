r"""Calls functions of other languages than Python with typed inputs, and reads what they returned.

`functions_of` finds the functions of an answer by their signatures, `arguments_of` writes values as
literals of the parameters' types, and `program_of` builds one program that calls a function with
all inputs, so that an answer is compiled once. The results are written by the call harnesses of
`grading`; `observations` turns them into plain values, so that they are compared as those of Python
are, with tolerance for floats.

A value that a type cannot hold gives no call. A function that prints or changes its arguments and
returns nothing is not found. No program is judged here: what does not compile gives no observation.

>>> functions_of("go", "func add(a int, b []string) int { return a }")[0].parameters
('int', '[]string')
"""

import ast
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from evolcoder.code.callables import CallableKind, CallableSubject
from evolcoder.code.python_ast import literal_of, tree_of
from evolcoder.grading.call_harness.base import Comparison, SplitTest, fresh_name
from evolcoder.grading.call_harness.registry import HARNESSES
from evolcoder.verification.agreement.clusters import Observation, same_value
from evolcoder.verification.agreement.inputs import Probe
from evolcoder.verification.execution.wrapping import wrap_variants

_INT = 1 << 31
_RAISED = "raised by the call"
"""What a harness serialises for a call that ended with an exception or a panic."""
_N_AGAIN = 4
"""First inputs that are called a second time, to see whether the results are the same."""

Shape = Any
"""A parameter's type in common terms: a name of `_SCALARS`, or `("list", SHAPE)`."""


@dataclass(frozen=True, slots=True)
class TypedFunction:
    """A function that an answer defines."""

    name: str
    """Its name."""
    called: str
    """What calls it, such as `new Solution().f`."""
    parameters: tuple[str, ...]
    """The types of its parameters; empty texts if the language has none."""
    names: tuple[str, ...]
    """The names of its parameters."""

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """Its parameters' types in common terms; None for one that has no literals."""
        return tuple(map(_shape, self.parameters))


_SCRIPT = re.compile(
    r"^(?:export\s+(?:default\s+)?)?(?:function\s+(?P<name>\w+)\s*(?:<[^>\n]*>)?"
    r"|(?:const|let|var)\s+(?P<bound>\w+)\s*=\s*(?:function\b\s*\w*\s*)?)"
    r"\((?P<params>[^()]*)\)\s*(?::\s*(?P<result>[^{=\n]+?))?\s*(?:=>|\{)",
    re.MULTILINE,
)
_PATTERNS: Mapping[str, re.Pattern[str]] = {
    "javascript": _SCRIPT,
    "typescript": _SCRIPT,
    "go": re.compile(
        r"^func\s+(?P<name>\w+)\s*\((?P<params>[^()]*)\)[ \t]*(?P<result>[^{\n]+?)[ \t]*\{",
        re.MULTILINE,
    ),
    "rust": re.compile(
        r"^(?:pub(?:\([^)\n]*\))?\s+)?fn\s+(?P<name>\w+)\s*\((?P<params>[^()]*)\)\s*"
        r"->\s*(?P<result>[^{\n]+?)\s*\{",
        re.MULTILINE,
    ),
    "cpp": re.compile(
        r"^[ \t]*(?P<result>(?!(?:return|else|new|typedef|using|void|class|struct)\b)"
        r"[\w:]++(?:[\w:<>,&* ]*[\w>&*])?)\s+&?(?P<name>\w+)\s*"
        r"\((?P<params>[^;{}()]*)\)\s*(?:const\s*)?\{",
        re.MULTILINE,
    ),
    "java": re.compile(
        r"^[ \t]*(?P<head>(?:(?:public|protected|static|final)\s+)*)"
        r"(?P<result>(?!(?:return|else|new|void|private|class|public|static)\b)"
        r"[\w.]+(?:<[\w<>,.? ]*>)?(?:\[\])*)\s+"
        r"(?P<name>\w+)\s*\((?P<params>[^;{}()]*)\)\s*(?:throws\s+[\w, ]+)?\{",
        re.MULTILINE,
    ),
}
"""Language -> pattern of a function that returns something."""
LANGUAGES = frozenset(_PATTERNS)
"""Languages whose functions are called."""
_CLASS = re.compile(r"^(?:(?:public|final|abstract)\s+)*class\s+(\w+)", re.MULTILINE)
_NOT_CALLED = frozenset({"main", "if", "for", "while", "switch", "catch", "init"})


def functions_of(language: str, source: str) -> list[TypedFunction]:
    """Return the functions of a program that can be called with literals, in order."""
    found = []
    for match in _PATTERNS[language].finditer(source):
        name = match["name"] or match.groupdict().get("bound") or ""
        split = [_parameter(language, one) for one in _split(match["params"])]
        split = _go_types(split) if language == "go" else split
        function = TypedFunction(
            name,
            _called(language, source, match, name),
            tuple(kind for kind, _ in split),
            tuple(given for _, given in split),
        )
        if name not in _NOT_CALLED and all(shape is not None for shape in function.shapes):
            found.append(function)
    return found


def shared_functions(
    language: str, sources: Sequence[str], instruction: str
) -> list[TypedFunction | None]:
    """Find in each program the function that most of them define, with the same parameters.

    Of several that is one that the instruction names, else the one that is defined last. Programs
    of a single function share it under any name.
    """
    found = [functions_of(language, source) for source in sources]
    keys = [{_key(one): (place, one) for place, one in enumerate(many)} for many in found]
    common = Counter(key for one in keys for key in one)
    places = {key: place for one in keys for key, (place, _) in one.items()}
    best = max(
        common,
        key=lambda key: (common[key], _is_named(key[0], instruction), places[key]),
        default=None,
    )
    if best is not None and common[best] >= _LEAST:
        return [one[best][1] if best in one else None for one in keys]
    single = [many[0] if len(many) == 1 else None for many in found]
    shapes = Counter(one.shapes for one in single if one is not None)
    wanted = max(shapes, key=lambda one: shapes[one], default=None)
    return [one if one is not None and one.shapes == wanted else None for one in single]


_LEAST = 2


def _key(function: TypedFunction) -> tuple[str, tuple[Shape, ...]]:
    return function.name.replace("_", "").lower(), function.shapes


def _is_named(name: str, instruction: str) -> bool:
    return name in re.sub(r"[_\s]", "", instruction.lower())


def _split(text: str) -> list[str]:
    """Split parameters at the commas outside of brackets."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "<[{(") - (letter in ">]})")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [" ".join(part.split()) for part in parts if part.strip()]


def _parameter(language: str, text: str) -> tuple[str, str]:
    """Return type and name of a parameter; a type that is `?` is not supported."""
    text = text.partition("=")[0].strip() if language in {"javascript", "cpp"} else text
    if language in {"javascript", "typescript", "rust"}:
        name, colon, kind = text.removeprefix("mut ").partition(":")
        if not re.fullmatch(r"\w+", name.strip()):
            return "?", name
        return (kind.partition("=")[0].strip() if colon else ""), name.strip()
    if language == "go":
        name, _, kind = text.partition(" ")
        return kind.strip(), name
    found = re.fullmatch(r"(?:final )?(.*[\w>\]&*])[ &]*?(?<![\w])(\w+)(\[\])?", text)
    if found is None:
        return "?", text
    return found[1].strip() + (found[3] or ""), found[2]


def _go_types(split: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Give each of Go's parameters `a, b int` the type that follows it."""
    found: list[tuple[str, str]] = []
    kind = "?"
    for own, name in reversed(split):
        kind = own or kind
        found.insert(0, (kind, name))
    return found


def _called(language: str, source: str, match: re.Match[str], name: str) -> str:
    owners = _CLASS.findall(source, 0, match.start()) if language in {"java", "cpp"} else []
    is_member = match[0][:1].isspace() and owners
    if language == "java":
        owner = owners[-1] if owners else "Entry_"
        return f"{owner}.{name}" if "static" in match["head"] else f"new {owner}().{name}"
    return f"{owners[-1]}().{name}" if is_member else name


_SCALARS: Mapping[str, str] = {
    "int": "int|long|short|Integer|Long|long long|size_t|unsigned|unsigned int|unsigned long"
    "|unsigned long long|u?int(?:8|16|32|64)(?:_t)?|uint|u?int64_t|[iu](?:8|16|32|64|128|size)",
    "float": "float|double|Float|Double|float32|float64|f32|f64",
    "bool": "bool|boolean|Boolean",
    "str": "string|String|str|CharSequence|string_view",
    "char": "char|Character",
    "any": "|any|number|unknown",
}
_UNSIGNED = re.compile(r"u(?:8|16|32|64|128|size|int)|size_t|unsigned")
_LISTS = (
    re.compile(r"(?:Vec|vector|List|ArrayList|Collection|Iterable|Array|ReadonlyArray)<(.+)>"),
    re.compile(r"\[\](.+)"),
    re.compile(r"\[([^\];]+)\]"),
    re.compile(r"(.+)\[\]"),
)


def _plain_type(kind: str) -> str:
    kind = re.sub(
        r"\b(?:const|mut|readonly|std::|java\.util\.)\s*|[&]", "", kind.replace("std::", "")
    )
    return " ".join(re.sub(r"'\w+\s*", "", kind).split())


def _shape(kind: str) -> Shape:
    plain = _plain_type(kind)
    for shape, names in _SCALARS.items():
        if re.fullmatch(names, plain):
            return "int" if plain == "number" else shape
    for pattern in _LISTS:
        if found := pattern.fullmatch(plain):
            inner = _shape(found[1])
            return None if inner is None else ("list", inner)
    return None


def signature_of(function: TypedFunction) -> str:
    """Write a function's signature in Python, from which inputs are made."""
    pairs = zip(function.names, function.shapes, strict=True)
    parts = [name if shape == "any" else f"{name}: {_annotation(shape)}" for name, shape in pairs]
    return f"def {function.name}({', '.join(parts)})"


def _annotation(shape: Shape) -> str:
    if isinstance(shape, tuple):
        return f"list[{_annotation(shape[1])}]"
    return {"char": "str", "any": "object"}.get(shape) or str(shape)


def arguments_of(language: str, function: TypedFunction, values: Sequence[Any]) -> list[str] | None:
    """Write values as literals of the parameters' types; None if they do not fit."""
    if len(values) != len(function.parameters):
        return None
    found = []
    for value, kind, shape in zip(values, function.parameters, function.shapes, strict=True):
        is_negative = bool(_UNSIGNED.search(kind)) and _least(value) < 0
        if is_negative or not _fits(value, shape):
            return None
        found.append(_LITERALS[language](value, kind, shape))
    return found


def _least(value: Any) -> float:  # noqa: ANN401 - a literal
    if isinstance(value, list | tuple):
        return min(map(_least, value), default=0)
    return value if isinstance(value, int | float) else 0


def _fits(value: Any, shape: Shape) -> bool:  # noqa: ANN401 - a literal
    if isinstance(shape, tuple):
        return isinstance(value, list | tuple) and all(_fits(one, shape[1]) for one in value)
    return _HOLDS[shape](value)


def _is_char(value: Any) -> bool:  # noqa: ANN401 - a literal
    return isinstance(value, str) and len(value) == 1 and value.isascii() and value.isprintable()


def _is_json(value: Any) -> bool:  # noqa: ANN401 - a literal
    if isinstance(value, list | tuple):
        return all(map(_is_json, value))
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_json(one) for key, one in value.items())
    return value is None or isinstance(value, bool | int | float | str)


_HOLDS: Mapping[str, Callable[[Any], bool]] = {
    "any": _is_json,
    "int": lambda value: type(value) is int and abs(value) < _INT,
    "float": lambda value: type(value) in {int, float} and abs(value) < float("inf"),
    "bool": lambda value: isinstance(value, bool),
    "str": lambda value: isinstance(value, str) and value.replace("\n", "").isprintable(),
    "char": _is_char,
}
"""Type in common terms -> whether a value is of it."""


def _scalar(value: Any, shape: Shape) -> str:  # noqa: ANN401 - a literal
    if shape == "float":
        return repr(float(value))
    if shape == "char":
        return {"'": r"'\''", "\\": r"'\\'"}.get(value, f"'{value}'")
    return json.dumps(value, ensure_ascii=False)


def _script(value: Any, kind: str, shape: Shape) -> str:  # noqa: ANN401, ARG001 - a literal
    return json.dumps(value)


def _go(value: Any, kind: str, shape: Shape) -> str:  # noqa: ANN401 - a literal
    if isinstance(shape, tuple):
        return f"{kind}{{{', '.join(_go(one, kind[2:], shape[1]) for one in value)}}}"
    return _scalar(value, shape)


def _rust(value: Any, kind: str, shape: Shape) -> str:  # noqa: ANN401 - a literal
    kind = re.sub(r"&\s*'\w+\s*", "&", kind).strip()
    if kind.startswith("&") and (shape != "str" or "String" in kind):
        is_changed = kind.startswith("&mut ")
        inner = kind.removeprefix("&").removeprefix("mut ").strip()
        return f"&{'mut ' * is_changed}{_rust(value, inner, shape)}"
    if isinstance(shape, tuple):
        inner = next(found[1] for one in (_LISTS[0], _LISTS[2]) if (found := one.fullmatch(kind)))
        items = ", ".join(_rust(one, inner, shape[1]) for one in value)
        return f"::std::vec::Vec::<{inner}>::from([{items}])" if value else f"Vec::<{inner}>::new()"
    text = _scalar(value, shape)
    return f"::std::string::String::from({text})" if kind == "String" else text


def _cpp(value: Any, kind: str, shape: Shape) -> str:  # noqa: ANN401 - a literal
    if isinstance(shape, tuple):
        inner = _LISTS[0].fullmatch(_plain_type(kind))
        of = inner[1] if inner else ""
        return f"{{{', '.join(_cpp(one, of, shape[1]) for one in value)}}}"
    text = _scalar(value, shape)
    return f"std::string({text})" if shape == "str" else text


def _java(value: Any, kind: str, shape: Shape) -> str:  # noqa: ANN401 - a literal
    if isinstance(shape, tuple) and kind.endswith("[]"):
        items = ", ".join(_java(one, kind[:-2], shape[1]) for one in value)
        return f"new {kind}{{{items}}}"
    if isinstance(shape, tuple):
        found = _LISTS[0].fullmatch(_plain_type(kind))
        inner = found[1] if found else ""
        items = ", ".join(_java(one, inner, shape[1]) for one in value)
        return f"new java.util.ArrayList<{inner}>(java.util.Arrays.<{inner}>asList({items}))"
    return _scalar(value, shape) + ("L" if kind.lower() == "long" else "")


_LITERALS: Mapping[str, Callable[[Any, str, Shape], str]] = {
    "javascript": _script,
    "typescript": _script,
    "go": _go,
    "rust": _rust,
    "cpp": _cpp,
    "java": _java,
}
_MAINS: Mapping[str, tuple[str, str]] = {
    "go": (r"(?m)^func main\(\)", "func mainOfAnswer()"),
    "java": (r"\bvoid\s+main\s*\(", "void mainOfAnswer("),
    "javascript": (r"(?m)^export (?:default )?(?=function|const|let|var|class)", ""),
    "typescript": (r"(?m)^export (?:default )?(?=function|const|let|var|class)", ""),
}
"""Language -> what would disturb the calling program, and what it becomes."""


def program_of(
    language: str, source: str, function: TypedFunction, calls: Sequence[Sequence[str]]
) -> str:
    """Build the program that calls a function with all inputs; the first ones a second time."""
    candidate = source if language in {"javascript", "typescript"} else _wrapped(language, source)
    pattern, instead = _MAINS.get(language, ("(?!)", ""))
    candidate = re.sub(pattern, instead, candidate)
    again = [*calls, *calls[:_N_AGAIN]]
    called = f"{function.called}({{}})"
    expressions = [_CALLS[language](called, one, function) for one in again]
    candidate, head = _HEADS[language](candidate)
    checks = tuple(Comparison(one, "", _RELATIONS.get(language, "")) for one in expressions)
    return HARNESSES[language].calling_program(candidate, SplitTest(head, checks))


def _wrapped(language: str, source: str) -> str:
    return wrap_variants(language, source)[0].source


_RELATIONS: Mapping[str, str] = {"java": "equal", "go": "deep"}
_LISTED = "Listed_h7"
_TRIED = f"""
final class {_LISTED} {{
    static Object tried(java.util.concurrent.Callable<Object> call) {{
        try {{
            return of(call.call());
        }} catch (java.lang.Throwable error) {{
            return java.util.Optional.of("{_RAISED}");
        }}
    }}

    private static Object of(Object one) {{
        if (one == null || !one.getClass().isArray()) return one;
        java.util.List<Object> all = new java.util.ArrayList<>();
        for (int i = 0; i < java.lang.reflect.Array.getLength(one); i++) {{
            all.add(of(java.lang.reflect.Array.get(one, i)));
        }}
        return all;
    }}
}}
"""
"""Java's arrays as lists, and a call that may throw."""
_MANY = "manyH7"


def _script_call(called: str, arguments: Sequence[str], function: TypedFunction) -> str:  # noqa: ARG001
    given = called.format("...given")
    return (
        f"(() => {{ const given = [{', '.join(arguments)}]; "
        f"try {{ const got = {given}; return [got, given]; }} "
        f'catch (error) {{ return "{_RAISED}"; }} }})()'
    )


def _typed_script_call(called: str, arguments: Sequence[str], function: TypedFunction) -> str:
    return _script_call(f"({called[:-4]} as any)({{}})", arguments, function).replace(
        "const given = ", "const given: any[] = "
    )


def _go_call(called: str, arguments: Sequence[str], function: TypedFunction) -> str:  # noqa: ARG001
    return (
        f"func() (got interface{{}}) {{ defer func() {{ if recover() != nil {{ "
        f'got = "{_RAISED}" }} }}(); return {_MANY}({called.format(", ".join(arguments))}) }}()'
    )


def _rust_call(called: str, arguments: Sequence[str], function: TypedFunction) -> str:  # noqa: ARG001
    given = called.format(", ".join(arguments))
    return f"::std::panic::catch_unwind(|| {given}).ok()"


def _cpp_call(called: str, arguments: Sequence[str], function: TypedFunction) -> str:
    names = [f"given{place}" for place in range(len(arguments))]
    values = "".join(
        f"{_cpp_type(kind)} {name} = {value}; "
        for kind, name, value in zip(function.parameters, names, arguments, strict=True)
    )
    given = called.format(", ".join(names))
    kind = f"std::optional<std::decay_t<decltype({given})>>"
    return (
        f"([&] {{ {values}using Got = {kind}; try {{ return Got({given}); }} "
        "catch (...) { return Got(); } }())"
    )


def _cpp_type(kind: str) -> str:
    return " ".join(re.sub(r"\bconst\b|&", "", kind).split())


def _java_call(called: str, arguments: Sequence[str], function: TypedFunction) -> str:  # noqa: ARG001
    return f"{_LISTED}.tried(() -> {called.format(', '.join(arguments))})"


_CALLS: Mapping[str, Callable[[str, Sequence[str], TypedFunction], str]] = {
    "javascript": _script_call,
    "typescript": _typed_script_call,
    "go": _go_call,
    "rust": _rust_call,
    "cpp": _cpp_call,
    "java": _java_call,
}


def _script_head(candidate: str) -> tuple[str, str]:
    return candidate, f"const {fresh_name()} = () => {{\n"


def _go_head(candidate: str) -> tuple[str, str]:
    package, _, rest = candidate.partition("\n")
    has_testing = re.search(r'^(?:import )?\s*"testing"', rest, re.MULTILINE)
    imports = "" if has_testing else 'import "testing"\n'
    many = f"\nfunc {_MANY}(all ...interface{{}}) []interface{{}} {{ return all }}\n"
    return f"{package}\n{imports}{rest}{many}", "\n"


def _rust_head(candidate: str) -> tuple[str, str]:
    begin = (
        "mod tests {\n    #[allow(unused_imports)]\n    use super::*;\n"
        f'    #[export_name = "main"]\n    extern "C" fn {fresh_name()}() -> i32 {{\n'
    )
    # The serialiser has those types that the program names.
    return f"{candidate}\n// Option, -> ()", begin


def _cpp_head(candidate: str) -> tuple[str, str]:
    hidden = f"#define main main_of_answer\n{candidate}\n#undef main\n"
    return hidden, "int main() {\n"


def _java_head(candidate: str) -> tuple[str, str]:
    main = "public static void main(String[] given) throws java.lang.Exception {\n"
    return f"{candidate}\n{_TRIED}", f"class {fresh_name('P')} {{\n    {main}"


_HEADS: Mapping[str, Callable[[str], tuple[str, str]]] = {
    "javascript": _script_head,
    "typescript": _script_head,
    "go": _go_head,
    "rust": _rust_head,
    "cpp": _cpp_head,
    "java": _java_head,
}


def observations(
    language: str, lines: Sequence[bytes], inputs: Sequence[Sequence[Any]], ended: str
) -> list[Observation]:
    """Return an observation for each call; those that were not reached ended as the program did."""
    n_calls = len(inputs)
    found = [_observation(language, *one) for one in zip(lines, inputs, strict=False)]
    for place, line in enumerate(lines[n_calls : n_calls + _N_AGAIN]):
        if line != lines[place]:
            found[place] = replace(found[place], is_stable=False)
    return found + [Observation(ended)] * (n_calls - len(found))


def outcome_of(seen: Observation, probe: Probe) -> Observation:
    """Return what a call did as the outcome of the input's test, if it has one."""
    if not probe.test or seen.kind != "value":
        return seen
    expected = _asserted(probe.test)
    is_right = expected is not None and same_value(_listed(seen.value), _listed(expected[1]))
    return seen if is_right else replace(seen, kind="failed")


def without_script(probe: Probe, name: str) -> Probe | None:
    """Return an input as a call; None for a script other than a test of one call's result."""
    if not probe.script:
        return probe
    found = _asserted(probe.test) if probe.test else None
    if found is None or not probe.test.startswith(f"assert {name}("):
        return None
    return replace(probe, arguments=found[0], script="")


def _asserted(test: str) -> tuple[tuple[Any, ...], Any] | None:
    """Return arguments and result of a test `assert f(literals) == literal`."""
    match tree_of(test):
        case ast.Module(
            body=[
                ast.Assert(
                    test=ast.Compare(
                        left=ast.Call(args=given, keywords=[]),
                        ops=[ast.Eq()],
                        comparators=[expected],
                    )
                )
            ]
        ):
            with suppress(ValueError):
                return tuple(map(literal_of, given)), literal_of(expected)
    return None


def with_literals(text: str) -> str:
    """Write the literals of other languages in a text as those of Python."""
    for word, instead in (("true", "True"), ("false", "False"), ("null", "None")):
        text = re.sub(rf"\b{word}\b", instead, text)
    return text


def subject_of(source: str, function: TypedFunction) -> CallableSubject:
    """Return a function as Python's are described, so that inputs are made for it."""
    name, n_params = function.name, len(function.parameters)
    kind = CallableKind.FUNCTION
    return CallableSubject(source, name, name, signature_of(function), kind, n_params)


_RAISES = Observation("raise", "an exception")
_ENDS = {
    "java": rf'Optional\("{_RAISED}"\)',
    "go": rf'"string \\"{_RAISED}\\""',
    "rust": r"None\[\]",
    "cpp": r"optional<.*> nullopt",
}
"""Language -> line of a call that ended with an exception or a panic."""


def _listed(value: Any) -> Any:  # noqa: ANN401 - plain data
    return [*map(_listed, value)] if isinstance(value, list | tuple) else value


def _observation(language: str, line: bytes, given: Sequence[Any]) -> Observation:
    text = line.decode("utf-8", "replace")
    if language in {"javascript", "typescript"}:
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return Observation("forged", is_stable=False)
        if value == _RAISED:
            return _RAISES
        if not isinstance(value, list) or len(value) != 2:
            return Observation("forged", is_stable=False)
        is_changed = not same_value(value[1], _listed(given))
        return Observation("value", value[0], value[1] if is_changed else None)
    if re.fullmatch(_ENDS[language], text):
        return _RAISES
    return Observation("value", _value(language, text))


_STRING = re.compile(r"\"(?:\\.|[^\"\\])*\"")
_GO_TYPE = r"(?:\[\d*\])*(?:interface \{\}|map\[\w+\]|\b(?:u?int\d*|float\d+|bool|string)\b)[ ]?"
_WORDS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "cpp": ((r"\A\S* ", ""), (r"\bnullopt\b", "None")),
    "rust": (
        (r"\ASome\[(.*)\]\Z", r"\1"),
        (r"\bNone\[\]", "None"),
        (r"\b(?:Some|tuple|LinkedList)\[", "["),
    ),
    "java": ((r"\b(\d+)[Lf]\b", r"\1"), (r"\bnull\b", "None")),
    "go": ((_GO_TYPE, ""), (r"\(nil\)|\bnil\b", "[]")),
}
"""Language -> what the harness writes that is no literal of Python, and Python's form of it."""


def _value(language: str, text: str) -> Any:  # noqa: ANN401 - plain data
    """Read a line as plain data; one that has no form in Python is the words of its text."""
    if language == "go":
        try:
            text = str(json.loads(text))
        except ValueError:
            return text
    kept: list[str] = []

    def hide(found: re.Match[str]) -> str:
        kept.append(found[0])
        return f"\x00{len(kept) - 1}\x00"

    plain = _STRING.sub(hide, text)
    for pattern, instead in _WORDS[language]:
        plain = re.sub(pattern, instead, plain, flags=re.DOTALL)
    plain = re.sub(r"\btrue\b", "True", re.sub(r"\bfalse\b", "False", plain))
    plain = re.sub("\x00(\\d+)\x00", lambda found: kept[int(found[1])], plain)
    try:
        value = literal_of(plain.strip())
    except ValueError:
        return [*_tokens(plain)]
    if language == "go" and isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value


def _tokens(text: str) -> Iterator[object]:
    for word in re.findall(r"\"(?:\\.|[^\"\\])*\"|-?\d+(?:\.\d+)?(?:e[-+]?\d+)?|[^\s\"\d]+", text):
        try:
            yield float(word) if re.fullmatch(r"-?\d+(?:\.\d+|e).*", word) else word
        except ValueError:
            yield word

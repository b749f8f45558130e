"""Rust: tests of the form `assert_eq!(f(arguments), value);` in the main function or a test module.

In a test module also `assert!` of an equality, of a call or of its negation. The candidate may have
a main function: the test module replaces it as the program's entry point.

A line is a value in Rust's syntax, such as `[1, 2]` for a vector, slice or array. Lines are equal
if their texts are: integers of any width and strings of any kind have the same text, and types that
`==` cannot compare have different ones. An `f32` is marked as such, and equals an expected `f64`
literal that rounds to it. An expected NaN equals nothing.
"""

import re
import struct

from evolcoder.grading.call_harness.base import (
    CallHarness,
    SplitTest,
    fresh_name,
    is_plausible_length,
)
from evolcoder.grading.call_harness.splitting import AssertForm, BodyForm, Conditions, Rule

_FORM = AssertForm(
    head=r"\s*\}\s*fn main\(\)\s*\{\s*(?:let candidate = &?\w+;\s*)?",
    opening=r"[ \t]*assert_eq!\s*\(",
    relations={"": r"\s*,"},
    tail=r"\s*\}\s*",
    literal=re.compile(
        r'\br(?P<fence>#*)".*?"(?P=fence)|"(?:\\.|[^"\\])*"|\'(?:\\[^\']+|[^\'\\])\'|//[^\n]*|/\*.*?\*/',
        re.DOTALL,
    ),
)
_ENTRY = '#[export_name = "main"]'
_TRUTH = r"assert!\s*\(\s*"
_CONDITIONS = BodyForm(
    head=(
        r"\s*#\[cfg\(test\)\]\s*mod tests\s*\{\s*use super::\*;\s*"
        r"#\[test\]\s*fn (?P<name>\w+)\(\)\s*\{"
    ),
    begin=(
        "mod tests {\n    #[allow(unused_imports)]\n    use super::*;\n"
        f'    {_ENTRY}\n    extern "C" fn \\g<name>() -> i32 {{\n'
    ),
    opening=r"assert(?:_eq)?!\s*\(",
    variable=r"let (?:mut )?(?P<name>\w+)(?:\s*:[^=;]*)?\s*=\s*",
    tail=r"\}\s*\}\s*",
    block="{ DECLARED VALUE }",
    conditions=Conditions(
        (
            Rule(r"assert_eq!\s*\(\s*", r"\s*,\s*(?P<value>.+)"),
            Rule(_TRUTH, r"\s*==\s*(?P<value>.+)"),
            Rule(_TRUTH + r"!\s*\(", r"\s*\)\s*", "!CALL", "true"),
            Rule(_TRUTH + "!", r"\s*", "!CALL", "true"),
            Rule(_TRUTH, r"\s*", "!CALL", "false"),
        ),
        literal=_FORM.literal,
    ),
)
"""Only the test module of such a program runs; a main function is ignored."""
_STD = "::std::collections"
_PAIR = '(key, one) => [text(key), text(one)].join(": ")'
_SOME, _OK, _ERR = (f'{name}(one) => "{name}", [text(one)];' for name in ("Some", "Ok", "Err"))
_NONE = 'None => "None", [];'
_SERIALISER = r"""
#[allow(warnings)]
mod NAME {
    type Text = ::std::string::String;
    pub trait Say {
        fn say(&self, out: &mut Text);
    }
    macro_rules! as_whole {
        ($kind:ty) => {impl Say for $kind {
            fn say(&self, out: &mut Text) { *out += &::std::string::ToString::to_string(self); }
        }};
    }
    macro_rules! as_float {
        ($kind:ty, $mark:expr) => {impl Say for $kind {
            fn say(&self, out: &mut Text) {
                let one = if *self == 0.0 { 0.0 } else { *self };
                out.push_str(&::std::format!("{:?}", one).replace("NaN", "NOT_A_NUMBER"));
                out.push_str($mark);
            }
        }};
    }
    macro_rules! as_quoted {
        ($kind:ty) => {impl Say for $kind {
            fn say(&self, out: &mut Text) { out.push_str(&::std::format!("{:?}", self)); }
        }};
    }
    macro_rules! as_inner {
        ([$($of:tt)*] $kind:ty) => {impl<$($of)*> Say for $kind {
            fn say(&self, out: &mut Text) { (**self).say(out) }
        }};
    }
    macro_rules! as_variants {
        ([$($of:tt)*] $kind:ty, $($arm:pat => $name:expr, $held:expr;)*) => {
            impl<$($of)*> Say for $kind {
                fn say(&self, out: &mut Text) {
                    match self { $($arm => list($name, ::std::vec::Vec::from($held), out),)* }
                }
            }
        };
    }
    macro_rules! as_list {
        ([$($of:tt)*] $kind:ty, $name:expr) => {impl<$($of)*> Say for $kind {
            fn say(&self, out: &mut Text) {
                list($name, self.iter().map(|one| text(one)).collect(), out);
            }
        }};
    }
    macro_rules! as_sorted {
        ([$($of:tt)*] $kind:ty, $name:expr, $one:pat => $text:expr) => {
        impl<$($of)*> Say for $kind {
            fn say(&self, out: &mut Text) {
                let mut parts: ::std::vec::Vec<Text> = self.iter().map(|$one| $text).collect();
                parts.sort();
                list($name, parts, out);
            }
        }};
    }
    macro_rules! as_tuple {
        ($($kind:ident $at:tt),*) => {impl<$($kind: Say),*> Say for ($($kind,)*) {
            fn say(&self, out: &mut Text) {
                list("tuple", ::std::vec::Vec::from([$(text(&self.$at)),*]), out);
            }
        }};
    }
    fn text<T: Say + ?Sized>(one: &T) -> Text {
        let mut out = Text::new();
        one.say(&mut out);
        out
    }
    fn list(name: &str, parts: ::std::vec::Vec<Text>, out: &mut Text) {
        out.push_str(name);
        out.push('[');
        out.push_str(&parts.join(", "));
        out.push(']');
    }
    pub fn say<T: Say + ?Sized>(one: &T) {
        let mut line = text(one);
        line.push('\n');
        if let Ok(mut out) = ::std::fs::OpenOptions::new().append(true).open("/dev/fd/3") {
            let _ = ::std::io::Write::write_all(&mut out, line.as_bytes());
        }
    }
KINDS}
"""
_KINDS = (
    ("", "as_quoted!(str); as_quoted!(Text); as_whole!(bool); as_inner!([T: Say + ?Sized] &T);"),
    ("char", "as_quoted!(char);"),
    *((kind, f"as_whole!({kind});") for kind in ("isize", "i8", "i16", "i32", "i64", "i128")),
    *((kind, f"as_whole!({kind});") for kind in ("usize", "u8", "u16", "u32", "u64", "u128")),
    ("f32", 'as_float!(f32, "f32");'),
    ("f64", 'as_float!(f64, "");'),
    *(
        (kind.rpartition(":")[2], f"as_inner!([T: Say + ?Sized] ::std::{kind}<T>);")
        for kind in ("boxed::Box", "rc::Rc", "sync::Arc")
    ),
    ("Cow", "as_inner!([T: Say + ?Sized + ::std::borrow::ToOwned] ::std::borrow::Cow<'_, T>);"),
    ("Option", f"as_variants!([T: Say] ::std::option::Option<T>, {_SOME} {_NONE});"),
    ("Result", f"as_variants!([T: Say, E: Say] ::std::result::Result<T, E>, {_OK} {_ERR});"),
    (r"Vec|\[", 'as_list!([T: Say] ::std::vec::Vec<T>, ""); as_list!([T: Say] [T], "");'),
    (r"\[", 'as_list!([T: Say, const N: usize] [T; N], "");'),
    ("VecDeque", f'as_list!([T: Say] {_STD}::VecDeque<T>, "");'),
    ("LinkedList", f'as_list!([T: Say] {_STD}::LinkedList<T>, "LinkedList");'),
    ("BTreeSet", f'as_list!([T: Say] {_STD}::BTreeSet<T>, "BTreeSet");'),
    ("HashSet", f'as_sorted!([T: Say, S] {_STD}::HashSet<T, S>, "HashSet", one => text(one));'),
    ("HashMap", f'as_sorted!([K: Say, V: Say, S] {_STD}::HashMap<K, V, S>, "HashMap", {_PAIR});'),
    ("BTreeMap", f'as_sorted!([K: Say, V: Say] {_STD}::BTreeMap<K, V>, "BTreeMap", {_PAIR});'),
    *(
        (r"->[^{;]*\(|\btype", f"as_tuple!({', '.join(letters[:size])});")
        for letters in [[f"{letter} {place}" for place, letter in enumerate("ABCDEFGH")]]
        for size in range(1, 9)
    ),
)
"""Regex that matches programs that may use a type, and the implementation of its serialiser."""
_EXPECT = r"""
    pub fn expect<A, B>(_: impl FnOnce() -> A, one: B)
    where A: ::std::cmp::PartialEq<B> + ::std::fmt::Debug + Say, B: ::std::fmt::Debug + Say {
        say(&one);
    }"""
_BODY = "\n    panic!()\n"
_TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|-?\d[\d.e-]*(?:f32)?|[^"\d-]+|.')


def _calling_program(candidate: str, split: SplitTest) -> str:
    name = fresh_name()
    calls = "".join(f"    crate::{name}::say(&{one.call});\n" for one in split.comparisons)
    serialiser = _serialiser(candidate, name, "NaN")
    return f"{_opened(split)}{candidate}\n{split.head}\n{calls}{_closed(split)}\n{serialiser}"


def _expected_program(prompt: str, split: SplitTest) -> str:
    lines = "".join(
        f"    crate::harness::expect(|| {one.call}, {one.expected});\n" for one in split.comparisons
    )
    serialiser = _serialiser(prompt + lines, "harness", "NaN, equal to nothing", _EXPECT)
    body = _BODY + "}\n" * _is_module(split)
    whole = f"{_opened(split)}{prompt}{body}{split.head}\n{lines}{_closed(split)}"
    return f"{whole}\n{serialiser}"


def _is_module(split: SplitTest) -> bool:
    return _ENTRY in split.head


def _opened(split: SplitTest) -> str:
    return "#![no_main]\n" if _is_module(split) else ""


def _closed(split: SplitTest) -> str:
    return "    0\n}\n}" if _is_module(split) else "}"


def _split(test: str) -> SplitTest | None:
    """Split a test of either form."""
    return _FORM.split(test) or _CONDITIONS.split(test)


def _serialiser(source: str, name: str, nan: str, more: str = "") -> str:
    """Return the serialiser for the types that a program names; each type takes compile time."""
    kinds = "".join(f"    {text}\n" for word, text in _KINDS if re.search(word, source))
    text = _SERIALISER.replace("NAME", name).replace("NOT_A_NUMBER", nan)
    return text.replace("KINDS", kinds + more)


def _same(got: bytes, expected: bytes) -> bool:
    if got == expected:
        return True
    if b"f32" not in got or not is_plausible_length(got, expected):
        return False
    lines = [_TOKEN.findall(line.decode("utf-8", "replace")) for line in (got, expected)]
    return len(lines[0]) == len(lines[1]) and all(map(_same_token, *lines))


def _same_token(got: str, expected: str) -> bool:
    """Compare two tokens of a line; an `f32` equals the expected literal rounded to `f32`."""
    if not got.endswith("f32") or got[:1] == '"':
        return got == expected
    try:
        return struct.pack("f", float(got[:-3])) == struct.pack("f", float(expected))
    except (ValueError, OverflowError):
        return False


HARNESS = CallHarness("rust", _split, _calling_program, _expected_program, _same)

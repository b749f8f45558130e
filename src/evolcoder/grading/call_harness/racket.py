"""Racket: MultiPL-E's tests are RackUnit's `check-within`: `equal?` with a tolerance for numbers.

Exact and inexact numbers are equal if they differ by at most the tolerance, except in hash keys;
infinities and NaN equal nothing. Mutable hashes, and hashes that compare keys in another way,
differ from those that `#hash` creates. A structure equals nothing.

A line is Racket's printed form, with spaces around every item; the expected line begins with the
tolerance, as in `0.001 ( 1 2.5 "a" )`.
"""

import re
from fractions import Fraction

from evolcoder.grading.call_harness.base import MAX_EXTRA_BYTES, CallHarness, SplitTest, fresh_name
from evolcoder.grading.call_harness.splitting import LISP, ArgumentForm

_SERIALISER = r"""
(module NAME racket/base
  (provide NAME)
  (define out (open-output-file "/dev/fd/3" #:exists 'append))
  (define (escaped byte)
    (if (and (< 32 byte 127) (not (memv byte '(34 92))))
      (string (integer->char byte))
      (string-append (if (< byte 16) "\\x0" "\\x") (number->string byte 16))))
  (define (quoted mark text)
    (define bytes (string->bytes/utf-8 text))
    (string-append mark "\"" (apply string-append (map escaped (bytes->list bytes))) "\""))
  (define (hash-kind value)
    (string-append
      (cond [(not (immutable? value)) "mutable-"] [else ""])
      (cond [(hash-eq? value) "eq"] [(hash-eqv? value) "eqv"] [else "equal"])))
  (define (items values) (apply string-append (map (lambda (item) (text item)) values)))
  (define (pairs value)
    (define found
      (for/list ([(name content) (in-hash value)])
        (string-append "key:" (regexp-replace* " " (text name) ",") " " (text content))))
    (apply string-append (sort found string<?)))
  (define (compound value)
    (cond
      [(list? value) (string-append "( " (items value) ")")]
      [(pair? value) (string-append "< " (text (car value)) (text (cdr value)) ">")]
      [(vector? value) (string-append "[ " (items (vector->list value)) "]")]
      [(hash? value) (string-append "{ " (hash-kind value) " " (pairs value) "}")]
      [else OPAQUE]))
  (define (text value)
    (string-append
      (cond
        [(real? value) (number->string value)]
        [(string? value) (quoted "" value)]
        [(boolean? value) (if value "#t" "#f")]
        [(symbol? value) (quoted "'" (symbol->string value))]
        [(char? value) (quoted "#" (string value))]
        [(void? value) "void"]
        [else (compound value)])
      " "))
  (define (NAME value [head ""])
    (write-string head out)
    (write-string (text value) out)
    (newline out)
    (flush-output out)))
"""
_FORM = ArgumentForm(
    head=(
        r"\s*\(require rackunit\)\s*\(define \((?P<name>\S+)\)\s*"
        r"\(let (?P<kept>\(\(\s*candidate [^\s()]+\s*\)\))\s*"
    ),
    opening=r"\(",
    call=r"\(candidate[\s)]",
    brackets=LISP,
    tail=r"\s*\)\s*\)\s*\(NAME\)\s*",
    separator=r"\s+",
    places=(1, 2),
    others=((0, "check-within"), (3, r"\d{0,9}\.?\d{1,30}")),
)
_LANGUAGE = re.compile(r"(?m)^#lang [^\n]*$")
_TOLERANCE = re.compile(rb"\d{0,9}\.?\d{1,30}")
_LONGER = 16
"""How many times longer an equal line can be: "1 " may be equal to 25 bytes of digits."""
_EXACT = re.compile(rb"(-?\d{1,400})(?:/(\d{1,400}))?")
_INEXACT = re.compile(rb"-?\d{0,30}\.?\d{0,30}(?:e[-+]?\d{1,4})?")
_ENDLESS = (b"+inf.0", b"-inf.0", b"+nan.0")
"""Numbers whose difference from themselves is NaN."""


def _calling_program(candidate: str, test: SplitTest) -> str:
    """Put the serialiser into a separate module, where the candidate cannot redefine names."""
    name = fresh_name()
    serialiser = _SERIALISER.replace("NAME", name).replace("OPAQUE", '"?"')
    at = match.end() if (match := _LANGUAGE.search(candidate)) else 0
    whole = f'{candidate[:at]}\n{serialiser}(require (submod "." {name}))\n{candidate[at:]}'
    calls = [f"    ({name} {check.call})" for check in test.comparisons]
    run = [f"(define ({name}-run)", f"  (let {test.head}", *calls, "))", f"({name}-run)"]
    return "\n".join([whole, *run, ""])


def _expected_program(prompt: str, test: SplitTest) -> str:  # noqa: ARG001 - Racket has no types
    """Serialise tolerances and expected values; an unsupported value is an error."""
    serialiser = _SERIALISER.replace("NAME", "expected").replace("OPAQUE", '(error "opaque")')
    head = f'#lang racket\n{serialiser}(require (submod "." expected))'
    values = [f'(expected {check.expected} "{check.relation} ")' for check in test.comparisons]
    return "\n".join([head, *values, ""])


def _same(got: bytes, expected: bytes) -> bool:
    """Compare two lines token by token, with the tolerance at the start of the expected one."""
    if len(got) > _LONGER * len(expected) + MAX_EXTRA_BYTES:
        return False
    tolerance, _, wanted = expected.partition(b" ")
    delta = Fraction(float(tolerance)) if _TOLERANCE.fullmatch(tolerance) else Fraction(-1)
    mine, theirs = got.split(b" "), wanted.split(b" ")
    return len(mine) == len(theirs) and all(
        _is_near(one, other, delta) for one, other in zip(mine, theirs, strict=True)
    )


def _is_near(one: bytes, other: bytes, delta: Fraction) -> bool:
    if one == other:
        return one not in _ENDLESS
    try:
        a, b = _number(one), _number(other)
        if isinstance(a, Fraction) and isinstance(b, Fraction):
            return abs(a - b) <= delta
        return abs(float(a) - float(b)) <= delta
    except (ValueError, ArithmeticError):
        return False


def _number(token: bytes) -> Fraction | float:
    """Parse a number in Racket's syntax.

    Raises ValueError if it is not a number, and ArithmeticError if it is too large.
    """
    if exact := _EXACT.fullmatch(token):
        return Fraction(int(exact[1]), int(exact[2] or 1))
    if not _INEXACT.fullmatch(token):
        raise ValueError(token)
    return float(token)


HARNESS = CallHarness("racket", _FORM.split, _calling_program, _expected_program, _same)

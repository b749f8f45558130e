"""R: MultiPL-E's tests are `isTRUE(all.equal(result, expected))`.

`all.equal` compares modes, lengths, names and dimensions. Of numbers that differ, it compares the
mean relative difference (the mean absolute one if they are small) with a tolerance. NA equals NA.
An object with a class never equals plain data.

A line consists of mode, length and items, as in `d2 1 2.5` or `names "a" l1 c1 "b"`.
"""

import math
import re

from evolcoder.grading.call_harness.base import MAX_EXTRA_BYTES, CallHarness, SplitTest, fresh_name
from evolcoder.grading.call_harness.splitting import SCRIPT, ArgumentForm

_SERIALISER = r"""
NAME <- local({
    quoted <- function(item) {
        if (is.na(item)) return("NA")
        bytes <- charToRaw(enc2utf8(item))
        codes <- as.integer(bytes)
        plain <- codes > 32 & codes < 127 & codes != 34 & codes != 92
        told <- ifelse(plain, rawToChar(bytes, multiple = TRUE), sprintf("\\x%02x", codes))
        paste0("\"", paste0(told, collapse = ""), "\"")
    }
    text <- function(items) vapply(items, quoted, "")
    scalars <- function(value) switch(typeof(value),
        logical = c("b", ifelse(is.na(value), "NA", ifelse(value, "T", "F"))),
        integer = c("d", ifelse(is.na(value), "NA", sprintf("%d", value))),
        double = c("d", ifelse(is.na(value), "NA", sprintf("%.17g", value))),
        character = c("c", text(value)),
        list = c("l", unlist(lapply(value, tokens))),
        OPAQUE)
    tokens <- function(value) {
        if (is.null(value)) return("NULL")
        if (is.object(value) || isS4(value)) return(OPAQUE)
        found <- scalars(value)
        extra <- attributes(value)
        if (length(setdiff(names(extra), c("names", "dim", "dimnames"))) > 0) return(OPAQUE)
        named <- if (!is.null(extra[["names"]])) c("names", text(extra[["names"]]))
        sized <- if (!is.null(extra[["dim"]])) c("dim", sprintf("%d", extra[["dim"]]))
        held <- if (!is.null(extra[["dimnames"]])) c("dimnames", tokens(extra[["dimnames"]]))
        c(named, sized, held, paste0(found[1], length(value)), found[-1])
    }
    function(value) {
        line <- paste(tokens(value), collapse = " ")
        cat(line, "\n", sep = "", file = "/dev/fd/3", append = TRUE)
    }
}, new.env(parent = baseenv()))
"""
_FORM = ArgumentForm(
    head=r"\s*(?P<name>test_\w+) <- function\(\) \{\s*(?P<kept>candidate <- [\w.`]+)\s*",
    opening=r"stopifnot\(isTRUE\(all\.equal\(",
    call=r"candidate\(",
    brackets=SCRIPT,
    ending=r"\s*\)\s*\)\s*",
    tail=r"\s*\}\s*NAME\(\)\s*",
)
_TOLERANCE = 2.0**-26
"""Tolerance of `all.equal`: the square root of the machine epsilon."""
_LONGER = 16
"""How many times longer an equal line can be: "1 " may be equal to 25 bytes of digits."""
_VECTOR = re.compile(rb"d(\d{1,9})")
_NUMBER = re.compile(rb"-?(?:\d[\d.]{0,30}(?:e[-+]?\d{1,4})?|Inf)")


def _calling_program(candidate: str, test: SplitTest) -> str:
    """Put the serialiser before the candidate, in an environment with only base R."""
    name = fresh_name()
    serialiser = _SERIALISER.replace("NAME", name).replace("OPAQUE", '"?"')
    calls = [f"    {name}({check.call})" for check in test.comparisons]
    run = ["(function() {", f"    {test.head}", *calls, "})()", ""]
    return "\n".join([serialiser, candidate, *run])


def _expected_program(prompt: str, test: SplitTest) -> str:  # noqa: ARG001 - R has no types
    """Serialise the expected values; an unsupported value is an error."""
    serialiser = _SERIALISER.replace("NAME", "expected").replace("OPAQUE", 'stop("opaque")')
    values = [f"expected({check.expected})" for check in test.comparisons]
    return "\n".join([serialiser, *values, ""])


def _same(got: bytes, expected: bytes) -> bool:
    """Compare token by token, and numeric vectors like `all.equal.numeric`."""
    if len(got) > _LONGER * len(expected) + MAX_EXTRA_BYTES:
        return False
    mine, theirs = got.split(b" "), expected.split(b" ")
    place = 0
    while place < len(theirs) == len(mine) and mine[place] == theirs[place]:
        vector = _VECTOR.fullmatch(theirs[place])
        place += 1
        if vector is not None:
            end = place + int(vector[1])
            if not _is_near(mine[place:end], theirs[place:end]):
                return False
            place = end
    return place >= len(theirs) == len(mine)


def _is_near(got: list[bytes], expected: list[bytes]) -> bool:
    """Whether the mean difference of the numbers that differ is within the tolerance."""
    differing = [pair for pair in zip(got, expected, strict=False) if pair[0] != pair[1]]
    if not all(_NUMBER.fullmatch(one) and _NUMBER.fullmatch(other) for one, other in differing):
        return False
    try:
        numbers = [(float(one), float(other)) for one, other in differing]
    except ValueError:
        return False
    count = len(numbers)
    scale = sum(abs(one) / count for one, _ in numbers)
    by = count * scale if math.isfinite(scale) and scale > _TOLERANCE else count
    return not numbers or sum(abs(one - other) / by for one, other in numbers) <= _TOLERANCE


HARNESS = CallHarness("r", _FORM.split, _calling_program, _expected_program, _same)

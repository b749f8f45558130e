"""What models are asked for when a row is verified: tests of a signature, and further answers.

The writer of tests reads the task and a signature (names and parameters, never a body), and sees no
answer. A small model copies what it is shown rather than what it is told, so an earlier turn of the
chat shows what tests look like. Every word here is our own.
"""

from evolcoder.code.callables import CallableKind, CallableSubject
from evolcoder.engine.base import Message

N_TESTS = 6
"""Tests that a set is asked for; more are read, but small models then begin to repeat."""
_WRITE = (
    "A programming task:\n\n{task}\n\nIt will be solved by code with this signature:\n\n"
    "```python\n{signature}\n```\n\nDo not write the code. Write {n} tests for it, each a line "
    "`assert CALL == EXPECTED`, that tell right code from code that is wrong in a detail. Take "
    "small arguments for which you can work out the right result in your head, ordinary and "
    "unusual ones, and write both as plain values. Test only what the task says for certain."
)
_SHOWS_CODE = (
    " The code that the task itself shows may be wrong: let half of the tests be about what the "
    "task demands and that code misses."
)
"""Stands at the end for a task with a bait, whose demand few tests would be about otherwise."""
_FUNCTION = "def second_largest(numbers)"
_FUNCTION_TASK = (
    "Write a Python function that returns the second largest of the distinct numbers in a list, or "
    "None if all are equal. An empty list is a ValueError."
)
_FUNCTION_TESTS = """\
assert second_largest([4, 9, 7]) == 7
assert second_largest([5, 5, 3]) == 3
assert second_largest([-1, -6, -2, -8]) == -2
assert second_largest([2, 2]) is None
assert second_largest([8]) is None
try:
    second_largest([])
    assert False
except ValueError:
    pass"""
_CLASS = """\
class Till:
    def __init__(self, coins)
    def pay(self, amount)
    def total(self)"""
_CLASS_TASK = (
    "Create a Python class for a till that begins with some coins, takes payments, and tells how "
    "much is in it. A payment that is not above zero raises a ValueError."
)
_CLASS_TESTS = """\
assert Till([1, 2, 2]).total() == 5
assert Till([]).total() == 0

till = Till([5])
till.pay(3)
assert till.total() == 8

till = Till([])
till.pay(2)
till.pay(4)
assert till.total() == 6

try:
    Till([1]).pay(0)
    assert False
except ValueError:
    pass"""


_PROGRAM = """\
def program(typed):
    ...  # runs the whole program; `typed` is its input, and what it prints is returned"""
_PROGRAM_TASK = "Write a Python program that reads two whole numbers and prints the larger one."
_PROGRAM_TESTS = """\
assert "9" in program("4\\n9\\n")
assert "12" in program("12\\n3\\n")
assert "-2" in program("-2\\n-7\\n")
assert "5" in program("5\\n5\\n")
assert "0" in program("0\\n-1\\n")
assert "4" not in program("4\\n9\\n")"""
_PRINTS = "    ...  # prints its result; here a call gives back what it prints"
_PRINTER_TASK = "Write a Python function that prints the larger of two whole numbers."
_PRINTER_TESTS = """\
assert "9" in show_larger(4, 9)
assert "12" in show_larger(12, 3)
assert "-2" in show_larger(-2, -7)
assert "5" in show_larger(5, 5)
assert "0" in show_larger(0, -1)
assert "4" not in show_larger(4, 9)"""
_SHOWN = {
    CallableKind.PRINTER: (_PRINTER_TASK, f"def show_larger(a, b):\n{_PRINTS}", _PRINTER_TESTS),
    CallableKind.FUNCTION: (_FUNCTION_TASK, _FUNCTION, _FUNCTION_TESTS),
    CallableKind.CLASS: (_CLASS_TASK, _CLASS, _CLASS_TESTS),
    CallableKind.PROGRAM: (_PROGRAM_TASK, _PROGRAM, _PROGRAM_TESTS),
}


def for_tests(instruction: str, subject: CallableSubject) -> tuple[Message, ...]:
    """Ask for tests of a signature."""
    task, signature, tests = _SHOWN[subject.form]
    own = {CallableKind.PROGRAM: _PROGRAM, CallableKind.PRINTER: f"{subject.signature}:\n{_PRINTS}"}
    return (
        Message("user", _asked(task, signature)),
        Message("assistant", f"```python\n{tests}\n```"),
        Message("user", _asked(instruction, own.get(subject.form, subject.signature))),
    )


def for_answer(instruction: str, subject: CallableSubject) -> tuple[Message, ...]:
    """Ask for another answer that can be called as the row's own is."""
    if subject.form is CallableKind.PROGRAM:
        wanted = "Answer with a whole Python program that reads what it needs with input()."
    else:
        how = (
            "that prints its result"
            if subject.form is CallableKind.PRINTER
            else "with this signature"
        )
        wanted = f"Answer in Python, {how}:\n```python\n{subject.signature}\n```"
    return (Message("user", f"{instruction}\n\n{wanted}"),)


def _asked(task: str, signature: str) -> str:
    asked = _WRITE.format(task=task, signature=signature, n=N_TESTS)
    return f"{asked}{_SHOWS_CODE}" if "```" in task else asked

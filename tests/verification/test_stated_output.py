"""What an answer says its program prints is compared with what the program printed."""

import pytest

from evolcoder.verification.execution.stated_output import misstated

HOLDS = [
    ("print(f(2))  # Output: 4", "4\n"),
    ("print(f(2))  # 4", "4\n"),
    ("print(f(2))  # => 4", "4\n"),
    ("print(f(2))  # -> 4", "4\n"),
    ("print(f(2))  # prints 4", "4\n"),
    ("print(f(2))  # Expected output: 4", "4\n"),
    ("print(f(2))  # This will print: 4", "4\n"),
    ("print(f(2))\n# Output: 4", "4\n"),
    ("print(f(2))\n# Output:\n# 4", "4\n"),
    ("print(x, y)  # Output: 4 (two twos)", "4 5\n"),
    ("print('a:', x)  # Output: 4", "a: 4\n"),
    ('print(s)  # Output: "abc"', "abc\n"),
    ("print(s)  # Output: 'abc'", '"abc"\n'),
    ("print(b)  # true", "True\n"),
    ("print(a)  # [1,2,3]", "[1, 2, 3]\n"),
    ("console.log(a); // Output: ['x', 'y']", "[ 'x', 'y' ]\n"),
    ("console.log(a); // { name: 'A', age: 3 }", "{ age: 3, name: 'A' }\n"),
    ("print(a)  # {3, 1, 2}", "{1, 2, 3}\n"),
    ("print(area)  # Output: 78.54", "78.53981633974483\n"),
    ("print(area)  # Output: 78.5", "78.53981633974483\n"),
    ("print(n)  # Output: 25", "25.0\n"),
    ("print(n)  # Output: 1e3", "1000.0\n"),
    ("cout << ok << endl; // Output: true", "1\n"),
    ("System.out.println(max(a)); // Output: 9", "largest: 9\n"),
    ("print(f(2))  # Output: the square of 2", "4\n"),
    ("print(f(2))  # Output: 5, since ...", "4\n"),
    ("print(f(2))  # Output may vary: 5", "4\n"),
    ("x = f(2)  # returns 5", "4\n"),
    ("print(f(2))  # the second line, see 7", "4\n"),
    ("for i in range(3):  # 3 times\n    print(i)", "0\n1\n2\n"),
    ("import random\nprint(random.random())  # Output: 0.5", "0.1\n"),
    ("import time\nprint(time.time())  # Output: 12", "17\n"),
    ('"""\n>>> print(f(1))  # Output: 9\n"""\nprint(1)', "1\n"),
    ("/**\n * console.log(f(1)); // Output: 5\n */\nconsole.log('ok');", "ok\n"),
    ("# print(f(2))  # Output: 9\nprint(4)", "4\n"),
    ("print(f(2))  # Output: 4", ""),
    ("print(a)  # Output: [1, 2, 3] (sorted)", "[1, 2, 3]\n"),
    ("print(a)  # Output: (1, [2, 3]) - a pair", "(1, [2, 3])\n"),
    ("def g():\n    print(9)  # Output: 9\n\nprint(1)", "1\n"),
    ("if f(7):\n    print(x)  # True\nelse:\n    print(y)  # False", "True\n"),
    ("try:\n    print(1)\nexcept ValueError:\n    print(2)  # Output: 2", "1\n"),
    ("b.on('click', () => {\n  console.log(n); // Output: 3\n});\nconsole.log(1);", "1\n"),
    ("const g = (x) => {\n  console.log(x); // Output: 3\n};\nconsole.log(1);", "1\n"),
    ("void g() {\n  cout << 3; // Output: 3\n}\nint main() {\n  cout << 1;\n}", "1\n"),
]
WRONG = [
    ("print(f(2))  # Output: 5", "4\n", "5"),
    ("print(f(2))  # 5", "4\n", "5"),
    ("print(f(2))\n# Output: 5", "4\n", "5"),
    ("print(f(2))\n# Output:\n# 5", "4\n", "5"),
    ("print(n)  # Output: 1", "10\n", "1"),
    ("print(n)  # Output: 10", "10.5\n", "10"),
    ("print(area)  # Output: 78.5", "78.7\n", "78.5"),
    ('print(s)  # Output: "olleh"', "hello\n", '"olleh"'),
    ("print(b)  # Output: True", "False\n", "True"),
    ("print(a)  # Output: [3, 2, 1]", "[1, 2, 3]\n", "[3, 2, 1]"),
    ("print(a)  # Output: (12, 4)", "(12, 3)\n", "(12, 4)"),
    ("print(a)  # Output: {'a': 1, 'b': 2}", "{'a': 1, 'b': 3}\n", "{'a': 1, 'b': 2}"),
    ("console.log(f(15)); // Output: 41", "47\n", "41"),
    ("print(f(2))  # Output: 5 (two and three)", "4\n", "5"),
    ("print(f(2))  # Output: 5, since it adds", "4\n", "5"),
    ("print(1)  # Output: 1\nprint(f(2))  # Output: 5", "1\n4\n", "5"),
    ("print(f(2))\n\n# Expected: 5", "4\n", "5"),
    ("print(a)  # Output: [3, 2, 1] (sorted)", "[1, 2, 3]\n", "[3, 2, 1]"),
    ("def g():\n    print(8)  # Output: 9\n\ng()", "8\n", "9"),
    ("if __name__ == '__main__':\n    print(f(2))  # Output: 5", "4\n", "5"),
    ("const g = (x) => {\n  console.log(x); // Output: 3\n};\ng(2);", "2\n", "3"),
    ("int main() {\n  cout << f(2) << endl; // Output: 5\n}", "4\n", "5"),
    (
        "class A {\n  public static void main(String[] a) {\n    System.out.println(f(2)); // 5\n  }\n}",
        "4\n",
        "5",
    ),
]


@pytest.mark.parametrize(("source", "printed"), HOLDS)
def test_what_holds_or_is_no_plain_value_is_not_misstated(source, printed):
    """In notations of many languages."""
    assert misstated(source, f"```\n{source}\n```", printed) == ""


@pytest.mark.parametrize(("source", "printed", "value"), WRONG)
def test_a_value_that_was_not_printed_is_misstated(source, printed, value):
    """And is returned as it is stated."""
    assert misstated(source, f"```\n{source}\n```", printed) == value


SOURCE = "for n in (1, 2):\n    print('n', n)"


@pytest.mark.parametrize(
    ("before", "after", "value"),
    [
        ("", "The output is:\n\n```\nn 1\nn 2\n```", ""),
        ("", "It prints:\n```text\nn 1\n```", ""),
        ("", "The output is:\n\n```\nn 1\nn 3\n```", "n 3"),
        ("", "The output is:\n\n```\nm 1\nm 2\n```", "m 1"),
        ("", "Output:\n```\n$ python main.py\nn 1\nn 2\n```", ""),
        ("", "With other data it prints, for example:\n```\nx\ny\nz\n```", ""),
        ("", "The output is:\n```\nn 1\n...\n```", ""),
        ("", "The output is:\n```\nn 1.0\nn 2.0\n```", ""),
        ("", "If there is nothing, the output is:\n```\nnone\nat all\n```", ""),
        ("Your code prints:\n```\nn 1\nn 9\n```\n", "", ""),
        ("", "To print the results:\n```\nprint('n', n)\n```", ""),
    ],
)
def test_a_block_of_output_behind_the_program_is_compared(before, after, value):
    """But not one before it, of other data, or of code."""
    answer = f"{before}```python\n{SOURCE}\n```\n\n{after}\n"
    assert misstated(SOURCE, answer, "n 1\nn 2\n") == value

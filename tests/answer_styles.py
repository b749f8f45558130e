"""Ways in which models write a right program: decorations of a solution, as functions of it.

Each style takes a `Solution` and gives an answer, or a base model's continuation of the prompt. A
fair grader passes it: the function is there, and everything else is notation.
"""

import json
import textwrap
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Solution:
    """A solution in the parts from which answers are made."""

    name: str
    """The function that the tests call."""
    imports: str
    """Imports and helpers above the function."""
    signature: str
    """The line that defines the function."""
    body: str
    """Its body, indented."""

    @property
    def function(self) -> str:
        """The function."""
        return f"{self.signature}\n{self.body}"

    @property
    def code(self) -> str:
        """The whole program."""
        return f"{self.imports}{self.function}"

    @property
    def plain_body(self) -> str:
        """The body without its indent."""
        return textwrap.dedent(self.body)


Style = Callable[[Solution], str]


def fence(code: str, tag: str = "python") -> str:
    """Put code into a fence."""
    return f"```{tag}\n{code}\n```"


def _before(text: str) -> Style:
    return lambda s: f"{text.format(name=s.name, signature=s.signature)}\n{fence(s.code)}"


def _after(text: str) -> Style:
    return lambda s: fence(f"{s.code}\n\n{text.format(name=s.name)}")


def _behind(text: str) -> Style:
    return lambda s: f"{fence(s.code)}\n\n{text.format(name=s.name, signature=s.signature)}"


def _thought(begin: str, end: str) -> Style:
    return lambda s: f"{begin}\nPerhaps:\n{_wrong(s)}\nno.\n{end}\n{fence(s.code)}"


def _bare_thought(begin: str, end: str) -> Style:
    return lambda s: f"{begin}\nPerhaps:\n{s.signature}\n    return None\nno.\n{end}\n{s.code}"


def _wrong(s: Solution) -> str:
    return fence(f"{s.signature}\n    return None")


def _stub(body: str) -> Style:
    return lambda s: f"The signature:\n{fence(f'{s.signature}{body}')}\nWhole:\n{fence(s.code)}"


def _indented_by(blanks: int) -> Callable[[str], str]:
    return lambda text: textwrap.indent(text, " " * blanks)


FENCES: dict[str, Style] = {
    "plain": lambda s: fence(s.code),
    "untagged": lambda s: fence(s.code, ""),
    "py": lambda s: fence(s.code, "py"),
    "title": lambda s: fence(s.code, 'python title="a.py" linenums="1"'),
    "file tag": lambda s: fence(s.code, "solution.py"),
    "tildes": lambda s: f"~~~python\n{s.code}\n~~~",
    "four ticks": lambda s: f"````python\n{s.code}\n````",
    "four closed by three": lambda s: f"````python\n{s.code}\n```\n\nDone.",
    "three closed by four": lambda s: f"```python\n{s.code}\n````\n\nDone.",
    "not closed": lambda s: f"```python\n{s.code}\n",
    "end glued": lambda s: f"```python\n{s.code}```\n\nThis is it, and that's all.",
    "end glued, other block": lambda s: f"```python\n{s.code}```\nTest:\n{fence('assert 1 == 2')}",
    "end glued, prose": lambda s: f"```python\n{s.code}``` (see `above`)\n\nIt isn't long.",
    "prose behind end": lambda s: f"```python\n{s.code}\n``` This is quick, isn't it?",
    "begin glued": lambda s: f"Sure! ```python\n{s.code}\n```",
    "begin glued, other block": lambda s: f"Sure: ```python\n{s.code}\n```\nor\n{fence('x = 1')}",
    "begin glued untagged": lambda s: f"Here is the code:```\n{s.code}\n```\n",
    "header has code": lambda s: f"```python {s.code}\n```",
    "file name": lambda s: fence(f"solution.py\n{s.code}"),
    "file comment": lambda s: fence(f"# solution.py\n{s.code}"),
    "path": lambda s: fence(f"src/app/solution.py:\n{s.code}"),
    "language on the next line": lambda s: f"```\npython\n{s.code}\n```",
    "copy code": lambda s: f"python\nCopy code\n{s.code}\n\nThis works.",
    "pip": lambda s: fence(f"!pip install numpy\n{s.code}"),
    "magic": lambda s: fence(f"%matplotlib inline\n{s.code}"),
    "cell magic": lambda s: fence(f"%%time\n{s.code}"),
    "in a list": lambda s: f"1. Do:\n\n{_indented_by(3)(fence(s.code))}\n\n2. Done.",
    "in a list item": lambda s: f"- ```python\n{_indented_by(2)(s.code)}\n  ```\n- Done.",
    "quoted": lambda s: "> Here:\n" + textwrap.indent(fence(s.code), "> ", lambda _: True),
    "indented end": lambda s: f"```python\n{s.code}\n    ```\n",
    "html": lambda s: (
        '<pre><code class="language-python">'
        + s.code.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        + "\n</code></pre>"
    ),
    "code tags": lambda s: f"<code>\n{s.code}\n</code>",
    "answer tags": lambda s: f"<answer>\n{fence(s.code)}\n</answer>",
    "answer tags only": lambda s: f"<answer>\n{s.code}\n</answer>",
    "python tags": lambda s: f"<python>\n{s.code}\n</python>",
    "brackets": lambda s: f"[PYTHON]\n{s.code}\n[/PYTHON]\n[TESTS]\nassert False\n[/TESTS]",
    "latex": lambda s: f"\\begin{{lstlisting}}[language=Python]\n{s.code}\n\\end{{lstlisting}}",
    "minted": lambda s: f"\\begin{{minted}}{{python}}\n{s.code}\n\\end{{minted}}",
    "single quotes": lambda s: f"'''python\n{s.code}\n'''",
    "crlf": lambda s: fence(s.code).replace("\n", "\r\n"),
    "byte order mark": lambda s: f"\ufeff{fence(s.code)}",
    "all indented": lambda s: f"```python\n{_indented_by(4)(s.code)}\n```",
    "prompt of the interpreter": lambda s: f"{fence(s.code)}\n\n{fence(f'>>> {s.name}', 'pycon')}",
    "output": lambda s: f"{fence(s.code)}\nOutput:\n```\nTrue\nFalse\n```",
    "inline ticks": lambda s: f"Use ```{s.name}```:\n{fence(s.code)}\n```{s.name}``` is quick.",
    "heading": lambda s: f"### Solution\n\n**Code:**\n\n{fence(s.code)}\n\n### Why\n\n1. So.",
}
"""Notations of one block."""

BARE: dict[str, Style] = {
    "bare": lambda s: s.code,
    "prose behind": lambda s: f"{s.code}\n\nThis function's cost is O(n), so it's quick.",
    "prose before": lambda s: f"Sure, I will import nothing.\n\n{s.code}\n",
    "prose around": lambda s: f"Here's it:\n\n{s.code}\n\n\nExplanation: it's from the book.",
    "chinese": lambda s: f"好的，下面是代码：\n\n{s.code}\n\n这个函数比较每一对数字。",
    "headers": lambda s: f"Source: assistant\nDestination: user\n\n{s.code}\n",
    "closing tag": lambda s: f"{s.code}\n</code>\nEND",
    "closing fence": lambda s: f"{s.code}\n```\n\nThe function `{s.name}` works.",
    "usage behind": lambda s: f"{s.code}\n\nUsage:\n\n{fence(f'print({s.name})')}\n",
    "list behind": lambda s: f"{s.code}\n\n- it's short\n- it's quick\n* done",
    "end of turn": lambda s: f"{s.code}\n<|im_end|>",
    "end of text and more": lambda s: f"{s.code}\n<|endoftext|>import os\ndef foo(:\n",
    "</s>": lambda s: f"{fence(s.code)}</s>",
    "eot": lambda s: f"{fence(s.code)}<|eot_id|><|start_header_id|>user<|end_header_id|>\nHi",
    "deepseek's end": lambda s: f"{s.code}<｜end▁of▁sentence｜>",
    "gemma's end": lambda s: f"{fence(s.code)}\n<end_of_turn>\n",
    "inst": lambda s: f"{s.code}\n[/INST] Thank you, it's good.",
    "user turn": lambda s: f"{s.code}\n\n### Instruction:\nWrite another one that's longer.\n",
}
"""Programs without a fence, and tokens that end a text."""

BLOCKS: dict[str, Style] = {
    "stub: ellipsis": _stub("\n    ..."),
    "stub: pass": _stub("\n    pass"),
    "stub: docstring": _stub('\n    """Do it."""'),
    "stub: docstring, pass": _stub('\n    """Do it."""\n    pass'),
    "stub: comment": _stub("\n    # your code here"),
    "stub: todo, raise": _stub("\n    # TODO: implement\n    raise NotImplementedError"),
    "stub: raise": _stub('\n    raise NotImplementedError("later")'),
    "stub: header": _stub(""),
    "stub: one line": _stub(" ..."),
    "skeleton": _stub("\n    result = []\n    for one in result:\n        ...\n    return result"),
    "skeleton of comments": _stub("\n    # Step 1: your code here\n    result = []\n    # ..."),
    "skeleton returns ellipsis": _stub("\n    x = 1\n    return ..."),
    "stub behind": lambda s: f"{fence(s.code)}\nIts form:\n{fence(s.signature + ' ...')}",
    "sketch first": _before("A sketch:\n```python\nfor a in b:\n    ...\n```\nAll:"),
    "shell first": lambda s: f"{fence('pip install x', 'bash')}\n\n{fence(s.code)}",
    "untagged shell first": lambda s: f"{fence('pip install x', '')}\n\n{fence(s.code)}",
    "javascript first": _before("```js\nfunction {name}(a) {{ return a }}\n```\n"),
    "example first": lambda s: f"We want:\n{fence(f'print({s.name})')}\nso:\n{fence(s.code)}",
    "usage behind": _behind("Usage:\n\n```python\nprint({name}(1))\n```"),
    "main behind": _behind("```python\ndef main():\n    print({name}())\nmain()\n```"),
    "tests behind": _behind(
        "Test:\n```python\nfrom solution import {name}\nassert {name}() == 7\n```"
    ),
    "unittest behind": _behind(
        "```python\nimport unittest\nclass T(unittest.TestCase):\n    def test(self):\n"
        "        self.assertTrue({name}())\nunittest.main()\n```"
    ),
    "wrong, then corrected": lambda s: f"{_wrong(s)}\nWait. Corrected:\n{fence(s.code)}",
    "draft, then final": lambda s: f"Draft:\n{_wrong(s)}\n\n**Final solution:**\n\n{fence(s.code)}",
    "optimised behind": lambda s: f"{fence(s.code)}\nOptimised:\n{fence(s.code)}",
    "bad example behind": _behind(
        "Do not write it like this, it is wrong:\n\n```python\n{signature}\n    return None\n```"
    ),
    "common mistake behind": _behind(
        "A common mistake is:\n\n```python\n{signature}\n    return None\n```"
    ),
    "called wrong behind it": _behind(
        "Compare:\n\n```python\n{signature}\n    return None\n```\nThis is wrong for most inputs."
    ),
    "before behind": _behind("**Before:**\n\n```python\n{signature}\n    return None\n```"),
    "before, with a reason, behind": _behind(
        "**Before (buggy):**\n```python\n{signature}\n    return None\n```"
    ),
    "original behind": _behind("Your original code:\n```python\n{signature}\n    return\n```"),
    "cut off behind": _behind("With logs:\n\n```python\n{signature}\n    print('a', (1,"),
    "signature and body": lambda s: (
        f"The signature:\n{fence(s.imports + s.signature)}\nand the body:\n{fence(s.body)}"
    ),
    "stub and plain body": lambda s: "\n".join(
        [fence(f"{s.imports}{s.signature}\n    pass"), "The body:", fence(s.plain_body)]
    ),
}
"""Answers with several blocks."""

PARTS: dict[str, Style] = {
    "imports apart": lambda s: (
        f"Import:\n{fence(s.imports or 'import os')}\nThen:\n{fence(s.function)}"
    ),
    "imports behind": lambda s: (
        f"{fence(s.function)}\nIt needs:\n{fence(s.imports or 'import os')}"
    ),
    "three blocks": lambda s: (
        f"{fence('import os')}\n\n{fence(s.imports or 'import re')}\n\n{fence(s.function)}"
    ),
    "helper apart": lambda s: f"{fence(f'{s.imports}{_renamed(s)}')}\n{fence(_calling(s))}",
    "helper behind": lambda s: f"{fence(_calling(s))}\nwhere\n{fence(f'{s.imports}{_renamed(s)}')}",
    "stub of a helper": lambda s: (
        f"{fence(f'{s.imports}{_renamed(s)}')}\n"
        f"{fence(f'def helper_of_it(*a):{chr(10)}    ...  # as above{chr(10) * 2}{_calling(s)}')}"
    ),
    "all names of a module": lambda s: (
        f"{fence('from string import *')}\n"
        + fence(f"{s.imports}{s.signature}\n    digits.strip()\n{s.body}")
    ),
    "file as a module": lambda s: (
        f"`tools.py`:\n{fence(f'{s.imports}{_renamed(s)}')}\n`main.py`:\n"
        + fence(f"import tools\n\ndef {s.name}(*a):\n    return tools.helper_of_it(*a)")
    ),
    "file of a package as a module": lambda s: (
        f"{fence(f'{s.imports}{_renamed(s)}')}\nand\n"
        + fence(f"import lib.tools as t\n\ndef {s.name}(*a):\n    return t.helper_of_it(*a)")
    ),
    "name of a file under another one": lambda s: (
        f"{fence(f'{s.imports}{_renamed(s)}')}\nand\n"
        + fence(f"from .tools import helper_of_it as h\n\ndef {s.name}(*a):\n    return h(*a)")
    ),
    "constants of a file": lambda s: (
        f"{fence('LIMIT = None')}\n{fence(f'{s.imports}{_renamed(s)}')}\nand\n"
        + fence(
            "from config import LIMIT as n\nfrom tools import *\n\n"
            f"def {s.name}(*a):\n    return helper_of_it(*a[:n])"
        )
    ),
}
"""Programs in several blocks that belong together."""


def _renamed(s: Solution) -> str:
    return s.function.replace(s.name, "helper_of_it")


def _calling(s: Solution) -> str:
    return f"def {s.name}(*arguments):\n    return helper_of_it(*arguments)"


TAILS: dict[str, str] = {
    "wrong assert": "assert {name}(1) == 7",
    "asserts under a comment": "# Test cases\nassert {name}() == True\nassert {name}() == 1",
    "print": "print({name}(1, 2, 3, 4, 5))",
    "cut off": "print({name}([1.0, 2.0, 3",
    "cut off in a string": 'print("the value is',
    "cut off in a function": "def test_it():\n    for x in [1, 2",
    "main": "def main():\n    print({name}())\n\nmain()",
    "guard": "if __name__ == '__main__':\n    print({name}(input()))",
    "input": "n = int(input())\nprint({name}(n))",
    "exit": "import sys\nsys.exit(0)",
    "bare exit": "exit()",
    "unittest": "import unittest\n\nclass T(unittest.TestCase):\n    def test(self):\n"
    "        self.assertEqual({name}(), 7)\n\nunittest.main()",
    "pytest": "import pytest\n\n@pytest.mark.parametrize('x', [1])\ndef test_it(x):\n    assert 0",
    "doctest": "import doctest\ndoctest.testmod()",
    "matplotlib": "import matplotlib.pyplot as plt\nplt.plot([{name}()])\nplt.show()",
    "requests": "import requests\nprint(requests.get('http://x'))",
    "flood": "while True:\n    print({name})",
    "sleep": "import time\ntime.sleep(1000)",
    "loop of prints": "for case in [1, 2]:\n    print(case, {name}(case))",
    "numbers": "numbers = [1, 2]\nresult = {name}(numbers)\nprint(result)",
    "raise": "raise SystemExit(0)",
    "try": "try:\n    {name}()\nexcept ValueError:\n    raise",
    "os._exit": "import os\nos._exit(0)",
    "docstring": '"""\nExplanation: it isn\'t long.\n"""',
    "open docstring": '"""\nExplanation: it isn\'t long.\n',
    "prose": "This is all that's needed.",
    "output comment": "print({name}(1))  # Output: True",
    "timing": "from timeit import timeit\nprint(timeit(lambda: {name}(1)))",
    "argparse": "import argparse\nparser = argparse.ArgumentParser()\nparser.parse_args(['x'])",
}
"""What follows the function in its block and is not needed."""

NEEDED: dict[str, Style] = {
    "alias": lambda s: fence(f"{s.imports}{_renamed(s)}\n\n{s.name} = helper_of_it"),
    "alias behind a guard": lambda s: fence(
        f"{s.imports}{_renamed(s)}\nif __name__ == '__main__':\n    pass\n{s.name} = helper_of_it"
    ),
    "helper below": lambda s: fence(f"{_calling(s)}\n\n{s.imports}{_renamed(s)}"),
    "helper behind a usage comment": lambda s: fence(
        f"{_calling(s)}\n\n# Example usage and helper\n{s.imports}{_renamed(s)}\nprint(1 / 0)"
    ),
    "imports below": lambda s: fence(f"{s.function}\n\n{s.imports or 'import os'}"),
    "imports behind a usage comment": lambda s: fence(
        f"{s.function}\n\n# driver code\n{s.imports or 'import os'}print({s.name}())"
    ),
    "lambda behind a guard": lambda s: fence(
        f"{s.imports}{_renamed(s)}\ndef {s.name}(*a):\n    return other(*a)\n"
        "if __name__ == '__main__':\n    pass\n\nother = lambda *a: helper_of_it(*a)"
    ),
    "constant in a guard": lambda s: fence(
        f"{s.imports}{_renamed(s)}\ndef {s.name}(*a):\n    return helper_of_it(*a[:LIMIT])\n\n"
        "if __name__ == '__main__':\n    LIMIT = None\n    print(1 / 0)"
    ),
    "table filled below": lambda s: fence(
        f"{s.imports}{_renamed(s)}\nTABLE = {{}}\ndef {s.name}(*a):\n    return TABLE['f'](*a)\n"
        "TABLE['f'] = helper_of_it\nprint(TABLE['g'])"
    ),
    "appended below": lambda s: fence(
        f"{s.imports}{_renamed(s)}\nALL = []\ndef {s.name}(*a):\n    return ALL[0](*a)\n"
        "ALL.append(helper_of_it)\nassert ALL == []"
    ),
    "class with alias": lambda s: fence(
        f"{s.imports}class Solution:\n    @staticmethod\n{textwrap.indent(s.function, '    ')}\n\n"
        f"{s.name} = Solution().{s.name}\nprint(1 / 0)"
    ),
    "found by its name": lambda s: fence(
        f"def {s.name}(*a):\n    return globals()['helper_of_it'](*a)\n\n{s.imports}{_renamed(s)}"
    ),
    "recursion limit": lambda s: fence(f"import sys\nsys.setrecursionlimit(5000)\n{s.code}"),
    "asserts above": lambda s: fence(f"assert callable(print)\n{s.code}"),
    "print above": lambda s: fence(f"print('a')\nn = 3\n{s.code}"),
    "input above": lambda s: fence(f"n = int(input())\n{s.code}"),
}
"""What looks like a demonstration and is needed, or stands above the function."""

BODIES: dict[str, Style] = {
    "body at the margin": lambda s: s.plain_body,
    "indented body": lambda s: s.body,
    "fenced body": lambda s: fence(s.body),
    "fenced body at the margin": lambda s: fence(s.plain_body),
    "first line lost its indent": lambda s: fence(s.body.lstrip()),
    "bare, first line lost its indent": lambda s: s.body.lstrip(),
    "body with docstring": lambda s: fence(f'    """Do it."""\n{s.body}'),
    "thought, then body": lambda s: f"<think>\nok\n</think>\n\n{s.body}\n",
    "body and end of text": lambda s: f"{s.body}\n<|endoftext|>",
    "closed, then prose": lambda s: f"{s.body}\n```\nThis works.",
    "closed, then usage": lambda s: (
        f"{s.body}\n```\n\nUsage:\n\n{fence(f'print({s.name}(1))')}\nOk?"
    ),
    "closed, then imports": lambda s: f"{s.body}\n\n```\n\n{fence('from x import y')}",
    "closed, first line lost its indent": lambda s: f"{s.body.lstrip()}\n```\n**Explanation**",
}
"""Only the function's body; the prompt must have its signature."""

THINKING: dict[str, Style] = {
    "think": _thought("<think>", "</think>"),
    "thinking": _thought("<thinking>", "</thinking>"),
    "upper case": _thought("<THINK>", "</THINK>"),
    "no opening tag": _thought("Let me see.", "</think>"),
    "fast": _thought("<think_fast>", "</think_fast>"),
    "attributes": _bare_thought('<think duration="3">', "</think>"),
    "entities": _bare_thought("&lt;think&gt;", "&lt;/think&gt;"),
    "working out": _thought("<start_working_out>", "<end_working_out>\n<SOLUTION>"),
    "start of thought": _thought("<|thought_start|>", "<|thought_end|>"),
    "unused tokens": _bare_thought("[unused16]", "[unused17]"),
    "channel of content": _thought("<|think|>", "<|end|><|begin|>assistant<|content|>"),
    "turn of thinking": _thought("/think", "<|im_end|>\n<|im_start|>assistant"),
    "summary": _bare_thought("<details><summary>Thinking</summary>", "</details>"),
    "brackets": _thought("[THINK]", "[/THINK]"),
    "kimi": _thought("◁think▷", "◁/think▷"),
    "thought": _thought("<thought>", "</thought>"),
    "begin of thought": _thought("<|begin_of_thought|>", "<|end_of_thought|>"),
    "harmony": _thought(
        "<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"
    ),
    "harmony, stripped": _thought("analysisWe need", "assistantfinal"),
    "granite": _thought("Here is my thought process:", "Here is my response:"),
    "empty": lambda s: f"<think>\n\n</think>\n\n{fence(s.code)}",
    "two": lambda s: f"<think>a</think>\n{_wrong(s)}\n<think>no</think>\n{fence(s.code)}",
}
"""Drafts in thinking, in every notation."""

_NEXT = '\n\ndef other(x):\n    """Do it.\n    >>> other(1)\n    """\n'
ENDINGS: dict[str, Style] = {
    "nothing": lambda s: s.body,
    "newlines": lambda s: f"{s.body}\n\n\n\n",
    **{
        token: (lambda s, token=token: f"{s.body}\n{token}")
        for token in (
            "<|endoftext|>",
            "</s>",
            "<|end_of_text|>",
            "<|im_end|>",
            "<｜end▁of▁sentence｜>",
            "<|file_sep|>",
            "<|eot_id|>",
            "<|EOT|>",
        )
    },
    "end of text, more": lambda s: f"{s.body}<|endoftext|>from x import y\nprint((",
    "closing fence": lambda s: f"{s.body}\n```",
    "closing fence, prose": lambda s: f"{s.body}\n```\n\nThis function's fine.\n",
    "fence and fence": lambda s: f"{s.body}\n```\n```python\nprint(1)\n",
    "prose": lambda s: f"{s.body}\n\nThe function above doesn't take long.\n",
    "one word": lambda s: f"{s.body}\n\nSolution\n",
    "assert": lambda s: f"{s.body}\n\nassert {s.name}() == 3\n",
    "print": lambda s: f"{s.body}\n\nprint({s.name}())",
    "quotes": lambda s: f'{s.body}\n\n"""\nTest it.\n',
    "closed quotes": lambda s: f'{s.body}\n\n"""\nTest it.\n"""\nassert False\n',
    "single quotes": lambda s: f"{s.body}\n\n'''\nDon't.\n",
    "comment": lambda s: f"{s.body}\n\n# Test\n{s.name}(1 / 0)\n",
    "comment only": lambda s: f"{s.body}\n# end of the function\n",
    "comment at the margin within": lambda s: f"# The code:\n{s.body}",
    "other function": lambda s: f"{s.body}{_NEXT}    return x\n",
    "other function, cut off": lambda s: f"{s.body}{_NEXT}    return [x for",
    "class": lambda s: f"{s.body}\n\nclass A:\n    x = 1 / 0\n",
    "guard": lambda s: f"{s.body}\n\nif __name__ == '__main__':\n    print({s.name}(input()))\n",
    "decorator": lambda s: f"{s.body}\n\n@pytest.fixture\ndef x():\n    pass\n",
    "import": lambda s: f"{s.body}\n\nimport unittest\nunittest.main()\n",
    "exit": lambda s: f"{s.body}\n\nexit()\n",
    "repeated function": lambda s: f"{s.body}\n\n{s.signature}\n    return None\n",
    "repeated, cut off": lambda s: f"{s.body}\n\n{s.signature}\n    for x in",
    "helper below": lambda s: f"    return helper_of_it(*locals().values())\n\n\n{_renamed(s)}\n",
    "signature again": lambda s: f"\n{s.code}\n\nprint(1 / 0)\n",
    "signature again, indented": lambda s: textwrap.indent(s.code, "    "),
    "lost indent": lambda s: s.body.lstrip(),
    "interpreter": lambda s: f"{s.body}\n>>> {s.name}()\n3\n",
    "rule": lambda s: f"{s.body}\n\n---\n\n## Next\n",
    "html": lambda s: f"{s.body}\n</code></pre>\n",
    "latex": lambda s: f"{s.body}\n\\end{{code}}\n",
    "notebook": lambda s: f"{s.body}\n\nIn [2]: {s.name}()\n",
    "shell": lambda s: f"{s.body}\n\n!python test.py\n",
}
"""What base models write behind a function's body."""


def _commented(s: Solution) -> Solution:
    lines = '    # Stops at </s>, as [INST] does.\n    """Ends at </s>.\n\n    Or at [/INST].\n    """\n'
    return Solution(
        s.name, s.imports, s.signature, f"{lines}    ids = [[EOS] for EOS in ()]\n{s.body}"
    )


def _numbered(code: str, form: str) -> str:
    return "\n".join(form.format(n, line) for n, line in enumerate(code.split("\n"), 1))


def _prompted(code: str, first: str, more: str) -> str:
    lines = [line for line in code.split("\n") if line.strip()]
    return "\n".join(f"{first if line[0].strip() else more}{line}" for line in lines)


def _escaped(code: str) -> str:
    return code.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


NOTATIONS: dict[str, Style] = {
    "end token in comments": lambda s: fence(_commented(s).code),
    "end token in comments, no fence": lambda s: _commented(s).code,
    "end token behind comments": lambda s: f"{fence(_commented(s).code)}</s>\n[INST] {_wrong(s)}",
    "next turn": lambda s: f"{fence(s.code)}</s><s>[INST] And wrong? [/INST]\n{_wrong(s)}",
    "next turn in words": lambda s: f"{fence(s.code)}\n\nHuman: wrong?\n\nAssistant:\n{_wrong(s)}",
    "quoted twice": lambda s: textwrap.indent(fence(s.code), "> > ", lambda _: True),
    "another fence is quoted": lambda s: (
        f"> ```\n> x = 1\n> ```\n\n{fence(f'{s.code}{chr(10)}BIG = (1{chr(10)}> 2)')}"
    ),
    "all quoted": lambda s: textwrap.indent(
        f"So:\n\n{_indented_by(4)(s.code)}", "> ", lambda _: True
    ),
    "Markdown's block": lambda s: f"The code:\n\n{_indented_by(4)(s.code)}\n\nIt works well.",
    "Markdown's block alone": lambda s: _indented_by(4)(s.code),
    "Markdown's block by tabs": lambda s: f"So:\n\n{textwrap.indent(s.code, chr(9))}\n\nDone.",
    "directive": lambda s: f".. code-block:: python\n\n{_indented_by(4)(s.code)}\n",
    "JSON": lambda s: json.dumps({"code": s.code}),
    "JSON in a fence": lambda s: fence(json.dumps({"code": s.code}, indent=2), "json"),
    "JSON in a plain fence": lambda s: fence(json.dumps({"why": "It is", "solution": s.code}), ""),
    "JSON in prose": lambda s: f"Here:\n{json.dumps([{'answer': {'code': s.code}}])}\nDone.",
    "JSON of lines": lambda s: json.dumps({"code": s.code.splitlines()}),
    "a notebook": lambda s: json.dumps(
        {"cells": [{"cell_type": "code", "source": s.code.splitlines(keepends=True)}]}
    ),
    "YAML": lambda s: f"explanation: It adds.\ncode: |\n{_indented_by(2)(s.code)}\n",
    "YAML in a fence": lambda s: (
        f"So:\n\n{fence(f'solution: |-{chr(10)}{_indented_by(4)(s.code)}', 'yaml')}"
    ),
    "YAML of a list": lambda s: (
        f"answers:\n  - language: python\n    'code': |2+ # text\n{_indented_by(6)(s.code)}\n    done: 1\n"
    ),
    "YAML of a string": lambda s: f"why: it adds\nsolution: {json.dumps(s.code)}\n",
    "YAML of one line": lambda s: f"code: {json.dumps(s.code)}",
    "YAML of a list of strings": lambda s: f"- name: a\n  code: {json.dumps(s.code)}\n",
    "short directive": lambda s: (
        f"So:\n\n.. code:: python\n   :linenos:\n\n{_indented_by(3)(s.code)}\n\nDone."
    ),
    "YAML of an item": lambda s: f"- code: |\n{_indented_by(4)(s.code)}\n",
    "JSON of a fence": lambda s: json.dumps({"code": fence(s.code)}),
    "JSON with line feeds": lambda s: f'{{"code": {json.dumps(s.code)}}}'.replace("\\n", "\n"),
    "JSON with three quotes": lambda s: f'{{"code": """\n{s.code}\n"""}}',
    "call of a tool": lambda s: (
        f"<tool_call>\n{json.dumps({'name': 'run', 'arguments': {'code': s.code}})}\n</tool_call>"
    ),
    "mark of a tool": lambda s: f"<|python_tag|>{s.code}<|eom_id|>",
    "label": lambda s: f"Answer: {s.function}" if not s.imports else f"Answer:\n{s.code}",
    "marks of a prompt": lambda s: f"[BEGIN]\n{s.code}\n[DONE]",
    "numbers": lambda s: fence(_numbered(s.code, "{} {}")),
    "numbers and bars": lambda s: fence(_numbered(s.code, "{:3d} | {}")),
    "bars": lambda s: fence("\n".join(f"| {line}" for line in s.code.split("\n"))),
    "patch": lambda s: fence(textwrap.indent(s.code, "+", lambda _: True), "diff"),
    "patch with a head": lambda s: fence(
        "--- a/x.py\n+++ b/x.py\n@@ -1 +1,9 @@\n-x = 1\n"
        + textwrap.indent(s.code, "+", lambda _: True),
        "diff",
    ),
    "edit of a new file": lambda s: fence(f"<<<<<<< SEARCH\n=======\n{s.code}\n>>>>>>> REPLACE"),
    "edit of a stub": lambda s: fence(
        f"<<<<<<< SEARCH\n{s.signature}\n    pass\n=======\n{s.code}\n>>>>>>> REPLACE"
    ),
    "patch of an agent": lambda s: fence(
        "*** Begin Patch\n*** Add File: a.py\n"
        + textwrap.indent(s.code, "+", lambda _: True)
        + "\n*** End Patch",
        "",
    ),
    "tracker's marks": lambda s: f"So:\n{{code:python}}\n{s.code}\n{{code}}\nDone.",
    "tracker's plain marks": lambda s: f"{{code}}\n{s.code}\n{{code}}",
    "three quotes": lambda s: f'"""python\n{s.code}\n"""',
    "wide blanks": lambda s: fence(s.code.replace("    ", "\u00a0" * 4)),
    "zero width": lambda s: fence(f"\u200b{s.code}"),
    "prompts, no fence": lambda s: _prompted(s.code, ">>> ", "... "),
    "notebook": lambda s: "In [1]: " + s.code.replace("\n", "\n   ...: "),
    "pre": lambda s: f"<pre>\n{_escaped(s.code)}\n</pre>",
    "entities": lambda s: fence(_escaped(s.code)),
    "here-document": lambda s: fence(f"cat > a.py <<'EOF'\n{s.code}\nEOF\npython a.py", "bash"),
    "another language's tag": lambda s: fence(s.code, "java"),
    "a string": lambda s: repr(fence(s.code)),
    "from the future": lambda s: fence(f"from __future__ import annotations\n{s.code}"),
}
"""Notations that are no fence, and signs of them that are part of the code."""


def _patch_of(s: Solution) -> str:
    head = "--- a/a.py\n+++ b/a.py\n@@ -1,3 +1,9 @@"
    given = textwrap.indent(f"{s.imports}{s.signature}", " ", lambda _: True)
    return f"{head}\n{given}\n-    pass\n{textwrap.indent(s.body, '+', lambda _: True)}"


def _every_line(form: str, first: int = 1) -> Style:
    return lambda s: fence(
        "\n".join(form.format(n, line) for n, line in enumerate(s.code.split("\n"), first))
    )


WRAPPED: dict[str, Style] = {
    "field of another name": lambda s: json.dumps({"python_solution": s.code}),
    "field, and its tests": lambda s: json.dumps({"functionCode": s.code, "test_code": "assert 0"}),
    "files by name": lambda s: json.dumps({"files": {"solution.py": s.code}}),
    "object in single quotes": lambda s: repr({"code": s.code}),
    "comma behind the last field": lambda s: f'{{"code": {json.dumps(s.code)},}}',
    "object cut off": lambda s: f'{{"code": {json.dumps(s.code)}',
    "list of calls": lambda s: (
        f"[TOOL_CALLS] [{json.dumps({'name': 'py', 'arguments': {'code': s.code}})}]"
    ),
    "call with arguments": lambda s: f"[TOOL_CALLS]py[ARGS]{json.dumps({'code': s.code})}",
    "call in tokens": lambda s: (
        "<|tool_calls_section_begin|><|tool_call_begin|>functions.py:0<|tool_call_argument_begin|>"
        f"{json.dumps({'code': s.code})}<|tool_call_end|><|tool_calls_section_end|>"
    ),
    "value of an argument": lambda s: f"<arg_key>code</arg_key>\n<arg_value>{s.code}</arg_value>",
    "parameter of a call": lambda s: (
        f'<invoke name="w">\n<parameter name="text">{s.code}\n</parameter>\n</invoke>'
    ),
    "CDATA": lambda s: f"<answer><![CDATA[{s.code}]]></answer>",
    "TOML": lambda s: f"[answer]\ncode = '''\n{s.code}\n'''\n",
    "string of three quotes": lambda s: f"'''\n{s.code}\n'''" if "'''" not in s.code else s.code,
    "patch without a fence": _patch_of,
    "patch in a plain fence": lambda s: fence(_patch_of(s), ""),
    "patch in Python's fence": lambda s: fence(_patch_of(s)),
    "patch by a command": lambda s: fence(
        "apply_patch <<'EOF'\n*** Begin Patch\n*** Add File: a.py\n"
        + textwrap.indent(s.code, "+", lambda _: True)
        + "\n*** End Patch\nEOF",
        "bash",
    ),
    "conflict": lambda s: fence(
        f"<<<<<<< HEAD\n{s.signature}\n    pass\n=======\n{s.code}\n>>>>>>> new"
    ),
    "another file": lambda s: (
        f"# tools.py\n{fence(f'{s.imports}{_renamed(s)}')}\n# solution.py\n"
        + fence(f"from tools import helper_of_it\n\n{_calling(s)}")
    ),
    "interpreter with its head": lambda s: fence(
        f"Python 3.11.4 (main) on linux\n{_prompted(s.code, '>>> ', '... ')}\n>>> 1\n1"
    ),
    "numbers and arrows": _every_line("{:>6}→{}"),
    "numbers of lines": _every_line("L{}: {}"),
    "numbers from ten": lambda s: _every_line("{} | {}", 10)(
        Solution(s.name, f"import os\nimport re\n{s.imports}", s.signature, s.body)
    ),
    "bars of a box": _every_line("│ {1}"),
    "escaped fence among lines": lambda s: "So:\n" + json.dumps(fence(s.code))[1:-1],
    "escaped marks": lambda s: s.code.replace("_", "\\_").replace("*", "\\*"),
    "colours": lambda s: fence(s.code.replace("def ", "\x1b[34mdef\x1b[0m ")),
    "line breaks of HTML": lambda s: f"<p>{_escaped(s.code)}</p>".replace("\n", "<br>\n"),
    "blanks of HTML": lambda s: fence(s.code.replace("    ", "&nbsp;" * 4)),
    "wide blanks of a font": lambda s: fence(s.code.replace("    ", "\u2003" * 4)),
    "marks of direction": lambda s: fence(s.code.replace("def ", "\u200edef ")),
    "fences in a comment": lambda s: fence(
        f"{s.imports}{s.signature}\n    # ```python\n    # x = 1\n    # ```\n{s.body}"
    ),
    "echo of the prompt": lambda s: f"<s>[INST] Write it. [/INST] {fence(s.code)}</s>",
    "head of the turn": lambda s: f"<|start_of_role|>assistant<|end_of_role|>{fence(s.code)}",
    "box": lambda s: f"So: <|begin_of_box|>\n{fence(s.code)}\n<|end_of_box|>",
    "tokens of an interpreter": lambda s: f"<|python_start|>{s.code}<|python_end|>",
    "token glued to the end": lambda s: f"<think>x</think>{s.code}<SPECIAL_12>",
    "thinking between bars": _thought("<|thinking|>", "<|/thinking|>"),
    "thinking of MedGemma": _thought("<unused94>thought", "<unused95>"),
    "thinking of Ollama": _bare_thought("Thinking...", "...done thinking.\n"),
    "thinking of Open WebUI": _bare_thought(
        '<details type="reasoning" done="true" duration="3">\n<summary>Thought</summary>',
        "</details>",
    ),
    "thinking in short": _bare_thought("<cot>", "</cot>"),
    "reasons": _bare_thought("<reason>", "</reason>"),
    "cut within a sign": lambda s: f"{fence(s.code)}\nDone \ud83d",
    "NUL": lambda s: f"{fence(s.code)}\x00",
}
"""Notations around a program: fields, calls of tools, patches, files, tokens, signs."""

WHOLES: dict[str, Style] = {
    "indented by two": lambda s: textwrap.indent(s.code, "  "),
    "blank before the first line": lambda s: f" {s.code}",
    "first line at the margin": lambda s: fence(f"import os\n{_indented_by(4)(s.code)}"),
    "list above": lambda s: f"* first\n* second\n\n{s.code}",
    "word above": lambda s: f"Sure! {s.function}" if not s.imports else f"Sure!\n{s.code}",
    "arguments above": lambda s: fence(
        "import argparse\nparser = argparse.ArgumentParser()\n"
        f"parser.add_argument('x')\nargs = parser.parse_args()\n{s.code}"
    ),
    "file above": lambda s: fence(f"data = open('in.txt').read()\n{s.code}\nprint(data)"),
    "variable of the environment above": lambda s: fence(
        f"import os\nKEY = os.environ['NO_SUCH_KEY']\n{s.code}"
    ),
    "variable of the environment set above": lambda s: fence(
        f"import os\nos.environ['SET_ABOVE'] = '1'\n{s.imports}{_renamed(s)}\n"
        f"def {s.name}(*a):\n    import os\n    return os.environ['SET_ABOVE'] and helper_of_it(*a)"
    ),
    "input read above": lambda s: fence(
        f"import sys\ndata = sys.stdin.read().split()\nn = int(data[0])\n{s.code}\nprint(n)"
    ),
    "arguments used above": lambda s: fence(
        f"import sys\n{s.imports}{_renamed(s)}\nN = len(sys.argv)\nTABLE = {{N: helper_of_it}}\n"
        f"def {s.name}(*a):\n    return TABLE[N](*a)"
    ),
    "relative import above": lambda s: fence(f"from .other import more\n{s.code}"),
    "itself imported above": lambda s: fence(f"from solution import {s.name}\n{s.code}"),
    "stub and a constant below": lambda s: fence(
        f"{s.imports}{_renamed(s)}\n\ndef {s.name}(*a):\n    return helper_of_it(*a[:LIMIT])\n\n"
        f"def {s.name}(*a):\n    pass\n\nLIMIT = None\n"
    ),
    "do not do this behind": lambda s: f"{fence(s.code)}\n\n⚠️ Avoid this:\n{_wrong(s)}",
    "sign behind": lambda s: f"✅\n{fence(s.code)}\n\n❌\n{_wrong(s)}",
    "would not work behind": lambda s: (
        f"{fence(s.code)}\n\nNote that the following would not work:\n\n{_wrong(s)}"
    ),
    "wrong variant behind": lambda s: (
        f"{fence(s.code)}\n\nA wrong variant, to see the tests fail:\n\n{_wrong(s)}"
    ),
    "question behind": lambda s: f"{fence(s.code)}\n\nWhy not this? It is wrong:\n{_wrong(s)}",
    "old behind": lambda s: f"New:\n{fence(s.code)}\nOld:\n{_wrong(s)}",
    "comment says that it is wrong": lambda s: (
        f"{fence(s.code)}\n\n" + fence(f"# WRONG\n{s.signature}\n    return None")
    ),
    "cut off behind": lambda s: (
        f"{fence(s.code)}\nWith a log:\n```python\n{s.signature}\n    log = []"
    ),
    "rest left out behind": lambda s: (
        f"{fence(s.code)}\nWith a check:\n"
        + fence(f"{s.signature}\n    if not True:\n        raise TypeError\n    # ... rest of it")
    ),
}
"""Whole programs with something above, or another version behind."""

BODIES_AND_MORE: dict[str, Style] = {
    "prose above": lambda s: f"The body:\n\n{s.body}\n",
    "prose behind": lambda s: f"{s.body}\n\nThis is quick, isn't it?",
    "usage behind": lambda s: f"{s.body}\n\nprint({s.name}())",
    "usage in its fence": lambda s: fence(f"{s.body}\n\n# Test\nprint({s.name}())"),
    "helper in its fence": lambda s: fence(
        f"    return helper_of_it(*locals().values())\n\n\n{s.imports}{_renamed(s)}"
    ),
}
"""A function's body with something else; the prompt must have its signature."""

TOKENS = (
    "<file_sep>", "<|repo_name|>", "<repo_name>a/b", "<fim_prefix>", "<fim_pad>", "<fim_middle>",
    "<｜fim▁begin｜>", "<PRE>", " <SUF>", "<MID>", " <EOT>", "<s>", "<bos>", "<pad>", "[PAD]", "<unk>",
    "<|endofpiece|>", "<|END_OF_TURN_TOKEN|>", "<reponame>a", "<filename>a.py", "<gh_stars>10",
    "<issue_start>", "<jupyter_output>", "<commit_after>", "<|/code|>", "[EOS]", "[DONE]", "[INST]",
    "<extra_id_0>", "<eod>", "<|stop|>", "<SPECIAL_12>", "<unused99>", "<<END>>", "<END>", "</code>",
    "</answer>", "<|reserved_special_token_1|>", "[/INST]", "</s>", "<|im_end|>", "<end_of_turn>",
    "<0x0A>", "<0x00>",
)  # fmt: skip
"""What may stand at once behind the last sign of a body."""
BEGINNINGS: dict[str, Style] = {
    "fenced body": lambda s: fence(s.body),
    "fenced program": lambda s: f"{fence(s.code)}\nDone, it's good.",
    "prose, fenced program": lambda s: f"\nHere it is:\n\n{fence(s.code)}\nDone.",
    "tags": lambda s: f"<code>\n{s.body}\n</code>",
    "marks": lambda s: f"[PYTHON]\n{s.code}\n[/PYTHON]",
    "thinking": lambda s: f"<think>ok</think>\n{s.body}",
    "one blank lost": lambda s: s.body[1:],
    "one blank more": lambda s: f" {s.body}",
    "at the margin": lambda s: s.plain_body,
    "eight blanks": lambda s: _indented_by(8)(s.plain_body),
    "two blanks": lambda s: _indented_by(2)(s.plain_body),
    "tabs": lambda s: s.body.replace("    ", "\t"),
    "byte order mark": lambda s: f"\ufeff{s.body}",
    "wide blanks": lambda s: s.body.replace("    ", "\u00a0" * 4),
    **{f"glued: {token}": (lambda s, token=token: s.body + token) for token in TOKENS},
}
"""Forms of a base model's continuation."""

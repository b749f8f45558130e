"""What does not parse as Python is named only if it is plainly something else."""

import pytest

from evolcoder.code.mistagged import MAX_CHARS, is_plainly_python, other_language
from evolcoder.code.python_ast import tree_of

OTHER = {
    "javascript": [
        "function add(a, b) {\n  return a + b;\n}",
        "const f = (x) => x * 2;\nconsole.log(f(3));",
        "let total = 0;\nfor (let i = 0; i < 5; i++) {\n  total += i;\n}\nconsole.log(total);",
        "const express = require('express');\nconst app = express();\napp.get('/', (req, res) => {\n  res.send('hi');\n});\napp.listen(3000);",
        "class Stack {\n  constructor() {\n    this.items = [];\n  }\n  push(x) { this.items.push(x); }\n}",
        "import React from 'react';\nexport default function App() {\n  return <div>hi</div>;\n}",
        "$('#go').on('click', function() {\n  alert('x');\n});",
        "async function get() {\n  const r = await fetch('/x');\n  return r.json();\n}",
        "var x = 5\nvar y = 6\nconsole.log(x + y)",
        "// adds\nfunction add(a, b) {\n  return a + b\n}",
    ],
    "typescript": [
        "interface User {\n  name: string;\n}",
        "function add(a: number, b: number): number {\n  return a + b;\n}",
    ],
    "sql": [
        "SELECT name FROM users WHERE age > 3;",
        "select a, count(*) from t group by a",
        "CREATE TABLE t (\n  id INT PRIMARY KEY,\n  name TEXT\n);\nINSERT INTO t VALUES (1, 'a');",
        "-- all of them\nSELECT * FROM t;",
        "WITH x AS (SELECT 1 AS a FROM t) SELECT a FROM x;",
        "UPDATE t SET a = 1 WHERE b = 2;",
        "DELETE FROM t WHERE a = 1;",
        "INSERT INTO t (a, b)\nVALUES (1, 2)",
        "ALTER TABLE t ADD COLUMN c INT;",
        "SELECT d.name,\n       AVG(e.pay) AS mean\nFROM dep d\nJOIN emp e ON e.dep = d.id\nGROUP BY d.name\nHAVING AVG(e.pay) > 3\nORDER BY mean DESC;",
        "CREATE OR REPLACE FUNCTION f() RETURNS int AS $$\nBEGIN\n  RETURN 1;\nEND;\n$$ LANGUAGE plpgsql;",
    ],
    "c": [
        '#include <stdio.h>\n\nint main(void) {\n    printf("hi\\n");\n    return 0;\n}',
        "int add(int a, int b) {\n    return a + b;\n}",
        "#include <stdlib.h>\nstruct node { int v; struct node *next; };",
        "#define MAX 10\nint a[MAX];",
        "void swap(int *a, int *b)\n{\n    int t = *a;\n    *a = *b;\n    *b = t;\n}",
    ],
    "cpp": [
        "#include <iostream>\nusing namespace std;\nint main() {\n    cout << 1 << endl;\n}",
        "#include <vector>\nstd::vector<int> f() { return {}; }",
        "template <typename T>\nT add(T a, T b) { return a + b; }",
    ],
    "java": [
        "public class Main {\n    public static void main(String[] args) {\n        System.out.println(1);\n    }\n}",
        "import java.util.*;\nclass A { }",
        "public int add(int a, int b) {\n    return a + b;\n}",
        "public static List<Integer> f(int[] xs) {\n    return null;\n}",
    ],
    "csharp": [
        "using System;\nclass P { static void Main() { Console.WriteLine(1); } }",
    ],
    "go": [
        'package main\n\nimport "fmt"\n\nfunc main() {\n\tfmt.Println(1)\n}',
        "func add(a, b int) int {\n\treturn a + b\n}",
    ],
    "rust": [
        'fn main() {\n    println!("hi");\n}',
        "pub fn add(a: i32, b: i32) -> i32 {\n    a + b\n}",
        "let mut v = Vec::new();\nv.push(1);",
    ],
    "php": [
        "<?php\necho 'hi';\n$x = 1;\n?>",
    ],
    "kotlin": [
        "fun main() {\n    println(1)\n}",
    ],
    "swift": [
        "func add(_ a: Int, _ b: Int) -> Int {\n    return a + b\n}",
    ],
    "ruby": [
        "def add(a, b)\n  a + b\nend",
        "class Dog\n  def bark\n    puts 'wuff'\n  end\nend",
        "[1, 2].each do |x|\n  puts x\nend",
    ],
    "html": [
        "<!DOCTYPE html>\n<html>\n<body><p>hi</p></body>\n</html>",
        '<div class="a">\n  <p>x</p>\n</div>',
        '<form action="/go">\n<input name="a">\n</form>',
    ],
    "css": [
        "body {\n  margin: 0;\n  color: red;\n}",
        ".a, #b {\n  width: 10px;\n}",
        "@media (max-width: 3px) {\n  .a { width: 1px; }\n}",
    ],
    "prose": [
        "This function takes a list of numbers and returns the sum of them.",
        "To solve the task, first sort the list.\nThen walk over it and keep the largest one.\nReturn it at the end.",
        "1. Sort the numbers in the list.\n2. Take the middle one of them.\n3. Return it to the caller.",
        "The answer is that both are equally fast, since each visits every item once.",
        "- Read the file line by line\n- Split each line at the commas\n- Add the second field to the sum",
    ],
    "pseudocode": [
        "FUNCTION add(a, b)\n  RETURN a + b\nEND FUNCTION",
        "BEGIN\n  READ n\n  SET total TO 0\n  FOR i FROM 1 TO n DO\n    SET total TO total + i\n  END FOR\n  PRINT total\nEND",
    ],
    "regex": [
        "^[\\w.]+@[\\w.]+\\.\\w+$",
        "/^\\d{3}-\\d{4}$/g",
    ],
    "haskell": ['main :: IO ()\nmain = do\n  putStrLn "a"', "module Main where\n\nmain = print 1"],
    "matlab": ["function y = f(x)\n  y = x.^2;\nend"],
    "lua": ["local x = 1\nfunction f(a)\n  return a + x\nend", "local function f() return 1 end"],
    "julia": ["function f(x)\n    return x + 1\nend\nprintln(f(1))"],
    "r": ["f <- function(x) {\n  x + 1\n}", "x <- c(1, 2)\nfor (i in x) print(i)"],
    "perl": ['my $x = 1;\nprint "$x\\n";', "use strict;\nuse warnings;"],
    "powershell": ["Get-ChildItem | Where-Object { $_.Length -gt 1MB }"],
    "scala": [
        "object A extends App {\n  println(1)\n}",
        "case class P(x: Int, y: Int)\nval p = P(1, 2)",
    ],
    "elixir": ["defmodule A do\n  def f(x), do: x\nend"],
    "lisp": ["(defun f (x)\n  (+ x 1))", "; adds\n(defn f [x] (+ x 1))"],
    "dockerfile": ["FROM python:3.11\nRUN pip install x", "# image\nFROM a/b:1 AS c\nCOPY . ."],
    "makefile": ["all: a.o\n\tgcc -o a a.o", ".PHONY: test\ntest:\n\tpytest"],
    "latex": ["\\begin{equation}\nx = 1\n\\end{equation}"],
    "jinja": ["{% for a in b %}\n{{ a }}\n{% endfor %}"],
    "http": ["GET /a HTTP/1.1\nHost: b.c", "HTTP/1.1 200 OK"],
    "url": ["https://example.org/a?b=c"],
    "solidity": ["pragma solidity ^0.8.0;\ncontract A { uint x; }"],
    "terraform": ['resource "a" "b" {\n  c = 1\n}'],
    "environment": ["A_KEY=a%b\nB=1x", "# keys\nexport A=1x\nB="],
    "patch": ["- x = 1\n+ x = 2", "  a\n- b c\n+ c d"],
    "pascal": ["program A;\nbegin\n  writeln('a');\nend."],
    "visual basic": ['Sub A()\n    MsgBox "a"\nEnd Sub'],
    "fortran": ["program a\n  implicit none\n  print *, 'a'\nend program a"],
    "shell": [
        "#!/bin/bash\nx=1\necho $x",
        'for f in *.txt; do\n  echo "$f"\ndone',
        "if [ -f a.txt ]; then\n  echo yes\nfi",
        'echo "Hello World"',
        'while read -r line; do\n  echo "$line"\ndone < a.txt',
        "set -e\ncp a b\nrm -f c",
        'NAME=$1\necho "Hi $NAME"',
        '# count lines\nfor f in *.log; do wc -l "$f"; done',
        'greet() {\n  echo "hi $1"\n}\ngreet you',
    ],
}
BROKEN = [
    "def f(x)\n    return x",
    "def f(x) {\n    return x;\n}",
    "def f(x):\nreturn x",
    "x = [1, 2\ny = 3",
    "for x in y\n    f(x)",
    "if x = 1:\n    pass",
    "a b c",
    "print('a'",
    "class A\n    def f(self):\n        return 1",
    "import numpy as np\nx = np.array([1, 2",
    "from a import b\nx = = 1",
    'cursor.execute("SELECT a FROM b"',
    'q = "SELECT a FROM b',
    'driver.execute_script("function f() { }"',
    'html = "<div>\n</div>',
    "page = '''\nfunction f() {\n}\n",
    'def f():\n    """Do.\n    return 1',
    "while True\n    x += 1",
    "for (i = 0; i < 3; i++):\n    print(i)",
    "function f(x):\n    return x",
    "def f(x):\n    return x +\n\nconsole.log(f(1))",
    "const = 5\nlet x = const\nprint(x)",
    "else: x\ntry: y",
    "return return",
    "x = 5 6",
    "lambda x: x +",
    "elif x:\n    y",
    "def f(a):\n    if a > 1\n        return 1\nend",
    "with open('a') as f\n    x = f.read()",
    "select = [1\nfrom_ = 2",
    "import os\necho $PATH",
    "echo = (1\nfor f in x: do",
    "data = {\n  'a': 1,\n  'b': 2\n",
    "def f(x:\n    return x\n\nThis function returns its argument.",
    "The function:\n\ndef f(x)\n    return x",
    "sum = 0\nfor i in range(3) {\n    sum += i\n}",
    "if (x > 0) {\n    return x\n} else {\n    return 0\n}",
    "x++",
    "int x = 5",
    "public = (1",
    "fn = (1",
    "func f(x):\n    return x",
    "var x = 5\nprint(x)",
    "let x = [1, 2]\nfor y in x:\n    print(y)",
    "result := 5\nprint(result)",
    "def main() -> int {\n    return 0\n}",
    "total = 0;\nfor x in y {\n    total += x;\n}",
    "assert f(1) == 1\nassert f(2 == 2",
    "@app.route('/')\ndef f()\n    return 1",
    "for each item in list print it",
    "f(x) = x + 1",
    'print "a" if x else\n',
    "# adds\nadd(a, b) {\n  return a + b\n}",
    "x = 'function f() {",
    "SELECT = (1",
    "update x set",
    "if x then\n    y\nend",
    "for i in 1..3\n  x",
    "def f(self, x) do\n  x\nend",
    "class Foo {\n    def bar(self):\n        return 1\n}",
    "try {\n    x = 1\n} catch (e) {\n    y = 2\n}",
    "def f(x):\n    console.log(x);\n    return x;;\n",
    "async def f()\n    await g()",
    "const f = def(x): x",
    "True False",
    "def\nclass",
    "{'a': 1,\n 'b': [1, 2}",
    "import x from 'y'\ndef f(:\n    pass",
    "def f(x :: int):\n    return x",
    "x <- 1\ndef f(x):\n    return x +",
    "from x import y\nlocal z = 1",
    "X=1\nY=[1, 2",
    "else:\n\tx = = 1",
    "import os\nGet-Item x",
    "(x for y in\nlet z",
    "- 1 +\n- 2 +",
    "url = https://example.org",
    "object = (1",
    "type = {\n  'a': 1",
]


@pytest.mark.parametrize(
    ("name", "source"), [(n, one) for n, some in OTHER.items() for one in some]
)
def test_what_is_plainly_something_else_is_named(name, source):
    """By a line at its beginning that no Python has."""
    assert other_language(source) == name
    assert not is_plainly_python(source)


@pytest.mark.parametrize("source", BROKEN)
def test_broken_python_is_nothing_else(source):
    """A line of Python, or one that any language may have, leaves the text Python."""
    assert tree_of(source) is None
    assert other_language(source) == ""


def test_what_parses_is_python():
    """Whatever it looks like, and only if it has what no other language writes so."""
    assert other_language("SELECT = 1\nFROM = 2") == ""
    assert is_plainly_python("def f(x):\n    return x")
    assert is_plainly_python("from a import b\nb()")
    assert not is_plainly_python("x = 1\nprint(x)")
    assert not is_plainly_python("def f(x)\n    return x")


@pytest.mark.parametrize(
    "unit",
    [
        "function f(",
        "SELECT a ",
        "<a ",
        "a {",
        "A b c ",
        "if [ ",
        "const x ",
        "def f ",
        "@a\n",
        "/* ",
        "a <- ",
        "A=b\n",
        "function f(a)\n",
        "https://a ",
        "; a\n",
        "# a\n",
        "a: b\n",
        "(def ",
    ],
)
def test_long_texts_are_searched_in_linear_time(unit):
    """A text of the greatest length, of which every part may begin something."""
    source = unit * (MAX_CHARS // len(unit))
    assert other_language(source) in {
        "",
        "css",
        "html",
        "sql",
        "prose",
        "url",
        "lisp",
        "environment",
        "r",
    }

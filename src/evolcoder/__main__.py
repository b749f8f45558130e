"""Runs the command line: `python -m evolcoder` is `evolcoder`."""

import sys

from evolcoder.cli.main import main

if __name__ == "__main__":
    sys.exit(main())

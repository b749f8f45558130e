"""Cleans a file with evolcoder (`dedup_evolcoder.py ROWS OUT`); prints dropped row numbers."""

import asyncio
import json
import sys
from pathlib import Path

from evolcoder.config.load import CleanConfig
from evolcoder.deduplication.files import drops_path, in_file


def main() -> None:
    rows, out = sys.argv[1], Path(sys.argv[2]) / "kept.jsonl"
    asyncio.run(in_file(rows, CleanConfig(), seed=0, out=out))
    with drops_path(out).open(encoding="utf-8") as file:
        for line in file:
            print(json.loads(line)["number"])


if __name__ == "__main__":
    main()

"""Cleans a file with text-dedup's own command; prints the numbers of dropped rows."""

import json
import subprocess
import sys
from pathlib import Path

from datasets import load_from_disk


def main() -> None:
    rows, folder = Path(sys.argv[1]), Path(sys.argv[2])
    options = ["--path", "json", "--data_files", str(rows), "--split", "train"]
    options += ["--cache_dir", str(folder / "cache"), "--output", str(folder / "out")]
    options += ["--column", "instruction", "--ngram", "3", "--threshold", "0.8"]
    options += ["--num_perm", "128", "--num_proc", "2"]
    subprocess.run(
        [sys.executable, "-m", "text_dedup.minhash", *options],
        check=True,
        stdout=subprocess.DEVNULL,
        cwd=folder,
    )
    left = iter(load_from_disk(str(folder / "out"))["instruction"])
    expected = next(left, None)
    with rows.open(encoding="utf-8") as file:
        for number, line in enumerate(file):
            if json.loads(line)["instruction"] == expected:
                expected = next(left, None)
            else:
                print(number)


if __name__ == "__main__":
    main()

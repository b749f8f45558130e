"""Cleans a file with datasketch as in its documentation: drops rows that its LSH finds."""

import json
import re
import sys
from pathlib import Path

from datasketch import MinHash, MinHashLSH

WORD = re.compile(r"[a-z0-9_]+[+#]*|\w")


def main() -> None:
    lsh = MinHashLSH(threshold=0.8, num_perm=128)
    kept = (Path(sys.argv[2]) / "kept.jsonl").open("w", encoding="utf-8")
    with open(sys.argv[1], encoding="utf-8") as rows, kept:
        for number, line in enumerate(rows):
            words = WORD.findall(json.loads(line)["instruction"].lower())
            runs = zip(words, words[1:], words[2:], strict=False)
            shingles = {" ".join(run).encode() for run in runs}
            signature = MinHash(num_perm=128, seed=1)
            signature.update_batch(list(shingles))
            if lsh.query(signature):
                print(number)
            else:
                lsh.insert(str(number), signature)
                kept.write(line)


if __name__ == "__main__":
    main()

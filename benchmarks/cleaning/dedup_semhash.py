"""Cleans a file with semhash as in its documentation; prints the numbers of dropped rows.

Its default model is on a hub. Static vectors of the same kind from a package (WordLlama's, 256
numbers a token) replace it, pooled by model2vec as semhash's own are.
"""

import json
import sys
from importlib.util import find_spec
from pathlib import Path

from model2vec import StaticModel
from safetensors.numpy import load_file
from semhash import SemHash
from tokenizers import Tokenizer


def main() -> None:
    out = Path(sys.argv[2]) / "kept.jsonl"
    with open(sys.argv[1], encoding="utf-8") as rows:
        records = [{**json.loads(line), "number": n} for n, line in enumerate(rows)]
    index = SemHash.from_records(records, columns=["instruction"], model=_model())
    kept = index.self_deduplicate().selected
    with out.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps({"instruction": row["instruction"]}) + "\n" for row in kept)
    left = {row["number"] for row in kept}
    print(*(n for n in range(len(records)) if n not in left), sep="\n")


def _model() -> StaticModel:
    package = find_spec("wordllama")
    assert package is not None
    folder = Path(str(package.origin)).parent
    (vectors,) = load_file(folder / "weights" / "l2_supercat_256.safetensors").values()
    tokenizer = folder / "tokenizers" / "l2_supercat_tokenizer_config.json"
    return StaticModel(
        vectors.astype("float32"), Tokenizer.from_file(str(tokenizer)), normalize=True
    )


if __name__ == "__main__":
    main()

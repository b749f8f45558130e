"""Seeds files made on the spot."""

import gzip
import json

import pytest

from evolcoder.config.load import SeedsConfig
from evolcoder.seeds.read import read_seeds


@pytest.fixture
def read():
    """Reads seeds to the end: the records, and the report."""

    def whole(path, **options):
        seeds = read_seeds(SeedsConfig(path=str(path), **options))
        return list(seeds), seeds.report()

    return whole


@pytest.fixture
def seeds_file(tmp_path):
    """Writes rows (or raw bytes) into a file; its suffixes say how."""

    def write(name, rows):
        path, data = tmp_path / name, rows
        bare = name.lower().removesuffix(".gz")
        if bare.endswith(".parquet") and not isinstance(rows, bytes):
            pyarrow = pytest.importorskip("pyarrow")
            from pyarrow import parquet

            sink = pyarrow.BufferOutputStream()
            parquet.write_table(pyarrow.Table.from_pylist(rows), sink)
            data = sink.getvalue().to_pybytes()
        elif bare.endswith(".jsonl") and not isinstance(rows, bytes):
            data = "".join(json.dumps(row) + "\n" for row in rows).encode()
        elif not isinstance(rows, bytes):
            data = json.dumps(rows, indent=2).encode()
        path.write_bytes(gzip.compress(data) if name.lower().endswith(".gz") else data)
        return path

    return write

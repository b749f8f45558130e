"""The problems of repair, infilling and library benchmarks are searched for like all others."""

import asyncio
import json

import pytest

from evolcoder.bench.fetch import DataFolder
from evolcoder.bench.registry import bench_named
from evolcoder.decontamination.detect import DetectorSettings, detect_leaks
from evolcoder.decontamination.hits import Detector, benchmark_texts
from evolcoder.seeds.rows import read_rows

CASES = [
    ("humanevalfix-py", 39),
    ("humanevalsynthesize-rs", 108),
    ("humanevalexplain-go", 129),
    ("infilling-span-light", 129),
    ("bigcodebench-instruct", 500),
]
"""Benchmarks, each with a problem whose solution is long enough to tell."""


@pytest.mark.parametrize(("name", "number"), CASES)
def test_a_copied_solution_is_found(shared, tmp_path, name, number):
    bench = bench_named(name, DataFolder(shared, tmp_path))
    one = bench.problems()[number]
    path = tmp_path / "rows.jsonl"
    path.write_text(f'{{"instruction": "Do it.", "output": {json.dumps(one.reference)}}}\n')
    items = benchmark_texts(name, bench.problems()[number : number + 40])
    settings = DetectorSettings(
        items, frozenset({Detector.NGRAMS, Detector.SUBSTRING}), None, None, None, ()
    )
    found = asyncio.run(detect_leaks(read_rows(str(path)), settings, seed=0))
    assert one.id in {hit.item for hit in found.hits}

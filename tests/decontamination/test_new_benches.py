"""The problems of repair, infilling and library benchmarks are searched for like all others."""

import asyncio
import gzip
import json

import pytest

from evolcoder.bench.fetch import DataFolder
from evolcoder.bench.registry import bench_named
from evolcoder.code.normalize import read
from evolcoder.decontamination.detect import DetectorSettings, detect_leaks
from evolcoder.decontamination.hits import Detector, benchmark_texts
from evolcoder.decontamination.substring import SubstringDetector
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


@pytest.mark.parametrize(
    ("name", "field", "file"),
    [
        ("bigcodebench-instruct", "instruct_prompt", "bigcodebench/BigCodeBench.jsonl.gz"),
        ("humanevalfix-js", "docstring", "humanevalpack/js.jsonl.gz"),
        ("humanevalexplain-rs", "docstring", "humanevalpack/rust.jsonl.gz"),
        ("humanevalsynthesize-js", "docstring", "humanevalpack/js.jsonl.gz"),
        ("humanevalsynthesize-java", "docstring", "humanevalpack/java.jsonl.gz"),
    ],
)
def test_prose_that_the_prompt_lacks_is_found_without_code(shared, tmp_path, name, field, file):
    """The last words of a request are found, whatever code the benchmark continues."""
    with gzip.open(shared / file, "rt") as lines:
        row = [json.loads(line) for line in lines][10]
    prose = row[field].partition("You should write self-contained")[0].partition(">>>")[0].split()
    items = benchmark_texts(name, bench_named(name, DataFolder(shared, tmp_path)).problems())
    hits = SubstringDetector(items).find("row", read(" ".join(prose[len(prose) // 3 :])), read(""))
    assert row["task_id"] in {hit.item for hit in hits}

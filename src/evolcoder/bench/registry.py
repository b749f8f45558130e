"""All benchmarks by name, and files of the user's own by path.

bench_named("humaneval+", DataFolder(data_dir=None, cache=folder)).problems()
"""

import difflib
from collections.abc import Callable
from pathlib import Path

from evolcoder.bench.base import Bench
from evolcoder.bench.bigcodebench import NAMES as BIGCODEBENCH
from evolcoder.bench.bigcodebench import bigcodebench
from evolcoder.bench.custom import custom_bench, is_custom
from evolcoder.bench.ds1000 import ds1000, ds1000_insertion
from evolcoder.bench.fetch import DataFolder
from evolcoder.bench.humaneval import humaneval, humaneval_plus
from evolcoder.bench.humanevalpack import NAMES as HUMANEVALPACK
from evolcoder.bench.humanevalpack import humanevalpack
from evolcoder.bench.infilling import NAMES as INFILLING
from evolcoder.bench.infilling import infilling
from evolcoder.bench.mbpp import mbpp, mbpp_dev, mbpp_plus
from evolcoder.bench.multipl_e import CONFIGURATIONS, multipl_e
from evolcoder.errors import BenchError

BENCHES: dict[str, Callable[[DataFolder], Bench]] = {
    "humaneval": humaneval,
    "humaneval+": humaneval_plus,
    "mbpp": mbpp,
    "mbpp+": mbpp_plus,
    "mbpp-dev": mbpp_dev,
    "ds1000": ds1000,
    "ds1000-insertion": ds1000_insertion,
    **{name: multipl_e(name) for name in CONFIGURATIONS},
    **{name: bigcodebench(name) for name in BIGCODEBENCH},
    **{name: infilling(name) for name in INFILLING},
    **{name: humanevalpack(name) for name in HUMANEVALPACK},
}
"""Name -> function that reads the benchmark."""


def bench_named(name: str, folder: DataFolder) -> Bench:
    """Read a benchmark; `FILE.jsonl` is one of the user's own.

    Raises BenchError for an unknown name, with the nearest one, and for a file with such a name.
    """
    if is_custom(name):
        custom = custom_bench(Path(name))
        if custom.name in BENCHES:
            raise BenchError(f"{name}: {custom.name} is a known benchmark; rename the file")
        return custom
    if name not in BENCHES:
        raise BenchError(f"unknown benchmark {name}; {_suggestion(name)}")
    return BENCHES[name](folder)


def is_known(name: str) -> bool:
    """Whether a name is that of a benchmark or of a file of the user's own."""
    return name in BENCHES or is_custom(name)


def _suggestion(name: str) -> str:
    close = difflib.get_close_matches(name.lower(), BENCHES, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]}?"
    return (
        "known are humaneval, humaneval+, mbpp, mbpp+, mbpp-dev, ds1000, those of MultiPL-E "
        "such as humaneval-rs, those of HumanEvalPack such as humanevalfix-py, infilling-single "
        "and its kind, bigcodebench-complete and bigcodebench-instruct, or FILE.jsonl"
    )

"""What DS-1000's references do with the libraries that are installed here.

Promises: versions that differ from `NEEDS` are named, and so is every problem whose reference is
known to fail, with the class of its reason. What is known was found by running all references with
the libraries of data/ds1000-requirements.txt (`make ds1000`): it is stored, not guessed. With other
versions more of them may fail, and a bench's check of itself says which.

    known_failures(installed([folder]))    # {"DS-1000/819": Known(Why.NETWORK, …)}
"""

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import distributions
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType

from evolcoder.bench.ds1000 import NEEDS, other_versions

WARM = (
    *("numpy", "pandas", "scipy.stats", "scipy.sparse", "scipy.optimize", "scipy.integrate"),
    *(
        "scipy.spatial",
        "scipy.interpolate",
        "scipy.ndimage",
        "scipy.cluster.hierarchy",
        "scipy.fft",
    ),
    *("sklearn.ensemble", "sklearn.datasets", "sklearn.preprocessing", "sklearn.svm"),
    *("sklearn.feature_extraction.text", "sklearn.model_selection", "sklearn.pipeline"),
    *("sklearn.cluster", "matplotlib.pyplot", "mpl_toolkits.mplot3d", "PIL.PngImagePlugin"),
    *("seaborn", "torch", "torch.testing", "torch.distributed.tensor", "tensorflow"),
)
"""Modules that the harnesses import; a worker that loads them once grades in tenths of a second."""


class Why(StrEnum):
    """Why a reference fails through no fault of its own. Values are reported; never rename one."""

    NETWORK = "network"
    """It fetches a data set, and no program has a network."""
    VERSION = "version"
    """It needs another version of a library."""
    DATA_SET = "data set"
    """The reference and its own harness do not agree, with the right versions too."""


@dataclass(frozen=True, slots=True)
class Known:
    """A reference that is known to fail."""

    why: Why
    """Class of the reason."""
    detail: str
    """What was seen, in one line."""
    versions: Mapping[str, str]
    """Library -> version with which it fails; empty where it fails with any."""


def installed(folders: Sequence[Path]) -> dict[str, str]:
    """Return library -> version for what is installed in folders of packages."""
    found = distributions(path=[str(folder) for folder in folders])
    names = ((one.metadata["Name"].lower(), one.version.partition("+")[0]) for one in found)
    return {name: version for name, version in names if name in NEEDS}


def warm_modules(folders: Sequence[Path]) -> tuple[str, ...]:
    """Return the modules of WARM whose library is in the folders."""
    return tuple(
        name
        for name in WARM
        if any((folder / name.partition(".")[0]).is_dir() for folder in folders)
    )


def missing_versions(folders: Sequence[Path]) -> list[str]:
    """Name what is not there in the version that the data set's authors give."""
    return other_versions(installed(folders))


def known_failures(versions: Mapping[str, str]) -> dict[str, Known]:
    """Return problem id -> why its reference fails with these versions of libraries."""
    return {
        problem: known
        for problem, known in _stored().items()
        if all(versions.get(name) == version for name, version in known.versions.items())
    }


@functools.cache
def _stored() -> Mapping[str, Known]:
    path = files("evolcoder") / "data" / "ds1000-references.json"
    text = path.read_text(encoding="utf-8")
    return MappingProxyType(
        {
            problem: Known(Why(row["why"]), row["detail"], MappingProxyType(row["versions"]))
            for problem, row in json.loads(text).items()
        }
    )

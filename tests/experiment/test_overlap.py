"""The dev set shares no problem with the reported benchmarks, by id or by text."""

import pytest

from evolcoder.bench.fetch import DataFolder
from evolcoder.bench.registry import bench_named
from evolcoder.errors import ConfigError
from evolcoder.experiment import stop
from evolcoder.experiment.stop import dev_problems, restrict


def test_problems_are_the_same_by_id_or_by_words():
    """Case, blanks and punctuation do not make another problem."""
    dev = {"a": "Add two numbers.", "b": "Sort a list.", "c": "Reverse it."}
    test = {"x": "add  two NUMBERS", "b": "Something else.", "y": "Reverse them."}
    assert stop.shared_problems(dev, test) == ("a", "b")


@pytest.fixture
def words(shared):
    def of(name):
        data_folder = DataFolder(shared, shared)
        return {problem.id: problem.prompt for problem in bench_named(name, data_folder).problems()}

    return of


def test_mbpp_and_its_dev_set_are_apart(words):
    """mbpp-dev may decide what is reported on mbpp, HumanEval and MultiPL-E."""
    tests = {name: words(name) for name in ("mbpp", "humaneval+", "humaneval-js")}
    assert len(dev_problems("mbpp-dev", words("mbpp-dev"), tests, leave_out=False)) == 464


def test_mbpp_plus_holds_a_part_of_the_dev_set(words):
    """Refused, unless the 147 shared problems are left out of the decision."""
    dev, tests = words("mbpp-dev"), {"mbpp+": words("mbpp+")}
    with pytest.raises(ConfigError, match=r"147 with mbpp\+.*decides on the other 317"):
        dev_problems("mbpp-dev", dev, tests, leave_out=False)
    left = dev_problems("mbpp-dev", dev, tests, leave_out=True)
    assert len(left) == 317
    assert not left & tests["mbpp+"].keys()
    assert restrict({"Mbpp/511": [True], "Mbpp/601": [True]}, left).keys() <= left


def test_a_benchmark_cannot_be_its_own_dev_set(words):
    """Two of MBPP's sets overlap, and a set with itself leaves nothing to decide on."""
    with pytest.raises(ConfigError, match="224 with mbpp"):
        dev_problems("mbpp", words("mbpp"), {"mbpp+": words("mbpp+")}, leave_out=False)
    with pytest.raises(ConfigError, match="all of mbpp is among"):
        dev_problems("mbpp", words("mbpp"), {"mbpp": words("mbpp")}, leave_out=True)

"""MBPP, its dev set and MBPP+ as published."""

import ast
import re

import pytest

from evolcoder.bench.base import PromptForm, Sample
from evolcoder.bench.comparators import Comparator
from evolcoder.bench.extract import tree_of
from evolcoder.bench.fetch import rows
from evolcoder.bench.function_bench import entry_points
from evolcoder.bench.mbpp import MBPP_PLUS, ORACLES, with_python_types
from evolcoder.bench.prompts import CHAT


@pytest.fixture(scope="module")
def benches(named):
    return named("mbpp"), named("mbpp-dev"), named("mbpp+")


def test_test_and_dev_share_no_problem(benches):
    """500 problems for the score, 464 for stopping; MBPP+ is a subset of the whole data set."""
    test, dev, plus = ({problem.id for problem in bench.problems()} for bench in benches)
    assert (len(test), len(dev), len(plus)) == (500, 464, 378)
    assert test.isdisjoint(dev)
    assert plus - test - dev <= {f"Mbpp/{number}" for number in range(2, 11)}


def test_references_stubs_and_prompts_are_python(benches):
    """Every text that is run parses; reference and stub define what the test calls."""
    for problem in (problem for bench in benches for problem in bench.problems()):
        for program in (problem.reference, problem.stub):
            names = {getattr(node, "name", "") for node in tree_of(program).body}
            assert names.issuperset(entry_points(problem)), problem.id
        assert tree_of(problem.prompt + problem.stub)


def test_every_problem_has_three_assertions(benches):
    """In the test split and the dev set, and each calls an entry point."""
    for problem in (*benches[0].problems(), *benches[1].problems()):
        tests = tree_of(problem.checks.test_source).body
        asserts = [ast.unparse(node) for node in tests if isinstance(node, ast.Assert)]
        assert len(asserts) == 3
        for line in asserts:
            assert any(re.search(rf"\b{name}\b", line) for name in entry_points(problem))


def test_classes_and_imports_that_tests_use_are_known(benches):
    """Classes that a test instantiates are entry points; imports that it needs are added to it."""
    wanted = {"Mbpp/367": ("Node", "is_tree_balanced"), "Mbpp/11": ("remove_Occ",)}
    problems = {problem.id: problem for problem in benches[0].problems()}
    assert {id: entry_points(problems[id]) for id in wanted} == wanted
    dev = {problem.id: problem for problem in benches[1].problems()}
    assert entry_points(dev["Mbpp/601"]) == ("Pair", "max_chain_length")
    assert dev["Mbpp/596"].checks.test_source.startswith("import sys\n")


def test_a_model_is_shown_the_task_and_its_assertions(benches):
    """MBPP shows all three, MBPP+ the one of its prompt, and both contain the function's name."""
    for bench, n_asserts in zip(benches, (3, 3, 1), strict=True):
        for problem in bench.problems():
            asked = CHAT.fill(bench.prompt(problem))
            assert len(re.findall(r"^assert", asked, re.MULTILINE)) == n_asserts, problem.id
            assert all(name in asked for name in entry_points(problem))


def test_special_oracles_are_of_problems_that_there_are(benches):
    """No special comparator is left over from an older data file."""
    special = {
        int(problem.id.removeprefix("Mbpp/")): problem.checks.oracle
        for problem in benches[2].problems()
        if problem.checks.oracle is not Comparator.EQUAL
    }
    assert special == ORACLES


def test_inputs_have_the_types_that_the_contracts_ask_for(benches, data_folder):
    """If a contract requires a tuple argument, every input has a tuple there."""
    problems = {problem.id: problem for problem in benches[2].problems()}
    n_demands = 0
    for row in rows(MBPP_PLUS, data_folder):
        checks = problems[row["task_id"]].checks
        tree = tree_of(row["canonical_solution"])
        function = next(n for n in tree.body if getattr(n, "name", "") == checks.entry_point)
        names = [argument.arg for argument in function.args.args]
        for name in re.findall(r"assert isinstance\((\w+), tuple\)", row["contract"]):
            place = names.index(name)
            assert all(type(arguments[place]) is tuple for arguments in checks.inputs)
            n_demands += 1
    assert n_demands > 40


@pytest.mark.parametrize(
    ("number", "arguments", "wanted"),
    [
        (3, [[1, 2]], ([1, 2],)),
        (2, [[1, 2], [3]], ((1, 2), (3,))),
        (63, [[[1, 2], [3, 4]]], ([(1, 2), (3, 4)],)),
        (75, [[[1, 2]], 6], ([(1, 2)], 6)),
        (106, [[5], [6]], ([5], (6,))),
        (124, ["0", "1j"], (0.0, 1j)),
        (252, ["1"], (1 + 0j,)),
        (250, [[1, 2], 4], ((1, 2), 4)),
        (259, [[[1], [2]], [[3], [4]]], (((1,), (2,)), ((3,), (4,)))),
        (278, [[1, [2, [3]]]], ((1, (2, [3])),)),
        (580, [[1, [2, [3]]]], ((1, (2, (3,))),)),
        (722, [{"a": [1, 2]}, 3], ({"a": (1, 2)}, 3)),
    ],
)
def test_json_becomes_the_types_of_the_problem(number, arguments, wanted):
    """One example of each conversion, with exact types."""
    (given,) = with_python_types(number, [arguments])
    assert repr(given) == repr(wanted)


def test_a_program_keeps_its_helpers(benches):
    """A continuation may define several functions; it ends at an assertion."""
    bench = benches[0]
    problem = bench.problems()[0]
    text = "import re\ndef g(s): ...\ndef remove_Occ(s, c):\n    return g(s)\nassert 1\n"
    sample = Sample.of(problem.id, 0, text, PromptForm.CONTINUATION)
    assert bench.candidate(problem, sample).program == problem.prompt + text[: text.index("ass")]

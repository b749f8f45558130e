"""HumanEval (OpenAI, 2021) and HumanEval+ (EvalPlus): 164 Python functions.

HumanEval runs the data set's assertions; HumanEval+ calls the function with many more inputs and
compares its answers with the reference's.

    humaneval_plus(DataFolder(data_dir=None, cache=folder)).problems()
"""

from evolcoder.bench.base import AssertChecks, CallChecks, Problem, PromptSettings
from evolcoder.bench.comparators import Comparator
from evolcoder.bench.fetch import DataFile, DataFolder, Row, rows
from evolcoder.bench.function_bench import FunctionBench, entry_points

HUMAN_EVAL = DataFile(
    "humaneval/HumanEval.jsonl.gz",
    "https://github.com/openai/human-eval/raw/6d43fb980f9fee3c892a914eda09951f772ad10d/data/"
    "HumanEval.jsonl.gz",
    "1d49078ba3e2b196b9344535bef34a43021f038fad9561d6ee7c53450609a6a2",
    (),
)
HUMAN_EVAL_PLUS = DataFile(
    "humaneval/HumanEvalPlus.jsonl.gz",
    "https://github.com/evalplus/humanevalplus_release/releases/download/v0.1.10/"
    "HumanEvalPlus.jsonl.gz",
    "42526ec0e7d5f3ee0b06d6ced98f8c8bae3d76519151bfb3d36f79010645bd7f",
    (),
)
STOPS = ("\nclass ", "\ndef ", "\n#", "\n@", "\nif ", "\nprint(")
"""Stop sequences: those of the Codex paper, and decorators."""
ORACLES = {"HumanEval/32": Comparator.ROOT}
"""Problems with more than one correct answer -> comparator."""


def humaneval(folder: DataFolder) -> FunctionBench:
    """Read HumanEval."""
    return FunctionBench(
        "humaneval", tuple(map(original_problem, rows(HUMAN_EVAL, folder))), prompt_of
    )


def humaneval_plus(folder: DataFolder) -> FunctionBench:
    """Read HumanEval+."""
    return FunctionBench(
        "humaneval+", tuple(map(_extended, rows(HUMAN_EVAL_PLUS, folder))), prompt_of
    )


def original_problem(row: Row) -> Problem:
    """Build the problem of a row whose test defines `check(candidate)`."""
    prompt, name = row["prompt"], row["entry_point"]
    source = f"{_before_function(prompt)}\n{row['test']}"
    return _problem(row, AssertChecks(source, (name,), "check"))


def _extended(row: Row) -> Problem:
    inputs = [*row["base_input"], *row["plus_input"]]
    checks = CallChecks(
        entry_point=row["entry_point"],
        inputs=tuple(map(tuple, inputs)),
        n_base=len(row["base_input"]),
        atol=row["atol"],
        oracle=ORACLES.get(row["task_id"], Comparator.EQUAL),
        reference=row["prompt"] + row["canonical_solution"],
    )
    return _problem(row, checks)


def _problem(row: Row, checks: AssertChecks | CallChecks) -> Problem:
    return Problem(
        id=row["task_id"],
        prompt=row["prompt"],
        checks=checks,
        reference=row["prompt"] + row["canonical_solution"],
        stub=row["prompt"] + "    pass\n",
        groups=(),
    )


def _before_function(prompt: str) -> str:
    """Return the prompt's imports and helper functions, which some tests use too."""
    head, _, _ = prompt.rpartition("\ndef ")
    return f"{head}\n"


def prompt_of(problem: Problem) -> PromptSettings:
    """Ask for the function that a prompt begins."""
    (name,) = entry_points(problem)
    instruction = (
        f"Complete the Python function `{name}`. Answer with the whole function, and with the "
        f"imports that it needs, in one fenced block.\n\n```python\n{problem.prompt.strip()}\n```"
    )
    return PromptSettings(instruction, problem.prompt, "python", STOPS)

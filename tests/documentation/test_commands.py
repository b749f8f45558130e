"""Every command of README and guides runs, in a folder with tiny data and on local servers."""

import re
import shlex
import shutil

import pytest
import yaml

from documentation.blocks import GUIDES, ROOT, blocks
from documentation.folder import stage
from evolcoder.config.load import load
from evolcoder.config.validation import validate_as
from evolcoder.experiment.config import LoopConfig

pytestmark = pytest.mark.e2e
NOT_RUN = {
    r"^make (?:run|test|toolchains|image)$": "downloads, or runs all tests; the target exists",
    r"^python3 -m venv ": "makes an environment; the tests run in one",
    r"^(?:pip|python3? -m pip) install ": "downloads; the extras exist",
    r"^(?:vllm serve|python -m sglang|llama-server|OLLAMA_\w+=|litellm) ?": "starts another program",
    r"^evolcoder loop ": "trains on a GPU for hours; tests/experiment runs loops of toys",
    r"^evolcoder train .*--gpus ": "needs GPUs",
    r"^evolcoder eval .*humaneval-rs": "compiles Rust and Java; tests/grading does",
    r"^evolcoder cluster |--cluster ": "needs Ray; tests/cluster starts clusters",
    r"^(?:ssh|srun|head=|sleep) ?": "needs further machines",
}
"""Line -> why it is not run here."""
BLOCKS = [block for path in GUIDES for block in blocks(path)]
SHOWN = [block for block in BLOCKS if block.language == "bash"]
SCRIPTS = [block for block in BLOCKS if block.language == "python"]
CONFIGS = [block for block in BLOCKS if block.language == "yaml"]
TITLED = {
    page: [block for block in BLOCKS if block.page == page and block.title]
    for page in {block.page for block in BLOCKS}
}
"""Page -> its files, which commands of the page read."""
NO_CONFIG = re.compile(r"^(?:apiVersion|dataset_dir): ", re.MULTILINE)
"""A line that configs of other programs have: Kubernetes, LLaMA-Factory."""


def why_not(line):
    """Return why a line is not run; empty if it is."""
    return next((why for pattern, why in NOT_RUN.items() if re.search(pattern, line)), "")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The folder; a toy model is made if torch is here."""
    with stage(tmp_path_factory.mktemp("documentation"), with_model=True) as made:
        yield made


@pytest.mark.parametrize("block", SHOWN, ids=lambda block: block.place)
def test_a_block_of_commands_runs(place, tmp_path, block):
    """Line by line; none of them fails, and all that are not run have a reason in the table."""
    lines = [place.line(line) for line in block.lines() if not why_not(line)]
    if not lines:
        pytest.skip("; ".join(sorted({why_not(line) for line in block.lines()})))
    script = "\n".join(lines)
    place.copy(tmp_path / "work", script)
    for shown in TITLED.get(block.page, ()):
        (tmp_path / "work" / shown.title).write_text(place.line(shown.text))
    done = place.run(script, tmp_path / "work")
    assert done.returncode == 0, f"{block.place}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"


def test_the_quick_start_on_a_gpu_is_five_commands_that_can_be_pasted():
    """No placeholder, and no server in the block that asks it: it would not answer yet."""
    page = (ROOT / "docs/index.md").read_text()
    start, end = (page.count("\n", 0, page.index(head)) for head in ("## With one GPU", "## Where"))
    shown = [block for block in SHOWN if block.page == "index.md" and start < block.line < end]
    commands = [line for block in shown for line in block.lines()]
    assert len(commands) == 5
    assert not [line for line in commands if re.search(r"\b[A-Z]{3,}\b|\bmy\.|…|&", line)]
    assert {block.text.startswith("vllm serve") for block in shown} == {True, False}
    assert "vllm" not in shown[1].text.replace("//127", "")


@pytest.mark.parametrize("block", SCRIPTS, ids=lambda block: block.place)
def test_a_block_of_python_runs(place, tmp_path, block):
    """As a cell of a notebook, where `await` is allowed."""
    if "rust" in block.text and not shutil.which("rustc"):
        pytest.skip("no Rust on this machine")
    place.copy(tmp_path / "work", "")
    before = "import evolcoder as ec\n\n\nasync def my_server(text):\n    return text\n\n\n"
    (tmp_path / "work/cell.py").write_text(before + place.line(block.text))
    done = place.run("evolcoder cell.py", tmp_path / "work")
    assert done.returncode == 0, f"{block.place}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"


@pytest.mark.parametrize("block", CONFIGS, ids=lambda block: block.place)
def test_a_block_of_yaml_is_a_config(tmp_path, block):
    """Every key is known and every value is allowed; another program's is YAML at least."""
    if NO_CONFIG.search(block.text):
        assert all(yaml.safe_load_all(block.text))
        return
    if re.search(r"^student:", block.text, re.MULTILINE):
        validate_as(LoopConfig, yaml.safe_load(block.text), where=block.place)
        return
    (tmp_path / "config.yaml").write_text(block.text)
    load(tmp_path / "config.yaml", ())


def test_most_lines_run_and_every_reason_is_needed():
    """The table names nothing that is not shown, and leaves the large majority to be run."""
    lines = [line for block in SHOWN for line in block.lines()]
    ours = [line for line in lines if line.startswith("evolcoder ")]
    run = [line for line in ours if not why_not(line)]
    assert len(run) >= 0.8 * len(ours)
    unused = [pattern for pattern in NOT_RUN if not any(re.search(pattern, one) for one in lines)]
    assert unused == []


def test_what_is_not_run_names_what_exists():
    """Targets of make, and extras of pip."""
    lines = [line for block in SHOWN for line in block.lines()]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    extras = re.findall(r"^(\w+) = \[", (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.M)
    for line in lines:
        words = shlex.split(line)
        if words[0] == "make":
            assert re.search(rf"^{words[1]}:", makefile, re.MULTILINE), line
        for named in re.findall(r"\[([\w,]+)\]", line) if "install" in words else ():
            assert set(named.split(",")) <= set(extras), line

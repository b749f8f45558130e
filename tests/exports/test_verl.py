"""verl loads what the guide on exports writes for it, where verl is installed.

No extra of this package brings verl. To run this, install it and what its data sets import, without
the rest: `pip install --no-deps verl tensordict torchdata codetiming hydra-core omegaconf
antlr4-python3-runtime==4.9.3 pylatexenc cloudpickle`.
"""

import re
from pathlib import Path

import pytest

import evolcoder as ec
import toy_model
from evolcoder.exports.write import export

verl = pytest.importorskip("verl", reason="no verl; the docstring of this file says how to get it")
pytestmark = pytest.mark.filterwarnings("ignore")  # what verl imports warns of its own changes
GUIDE = Path(__file__).parents[2] / "docs/export.md"


def settings():
    """Return the settings that the guide names, as verl's own configuration reads them."""
    from hydra import compose, initialize_config_dir

    text = GUIDE.read_text(encoding="utf-8").partition("\n## verl\n")[2]
    given = re.findall(r"\bdata\.\w+=[\w.]+", text)
    folder = Path(verl.__file__).parent / "trainer/config"
    with initialize_config_dir(str(folder), version_base="1.3"):
        return compose("sft_trainer_engine", overrides=given).data


def test_verl_trains_on_the_answers_of_every_row(tmp_path, rows, facts):
    """Its supervised data set reads the column of chats, with a loss on the answers alone."""
    from verl.utils.dataset.multiturn_sft_dataset import MultiTurnSFTDataset

    tokenizer = toy_model.make_tokenizer(tmp_path / "tokenizer")
    made = list(rows(3))
    export(lambda _: made, ["messages"], tmp_path, facts)
    data = ec.to_dataset(tmp_path / "messages/data.jsonl", "messages")
    data.select_columns(["messages"]).to_parquet(tmp_path / "sft.parquet")
    read = MultiTurnSFTDataset([str(tmp_path / "sft.parquet")], tokenizer, settings())
    assert len(read) == len(made)
    for at, row in enumerate(made):
        one = read[at]
        trained = tokenizer.decode(one["input_ids"][one["loss_mask"] == 1])
        assert trained.strip().removesuffix("<|im_end|>") == row.response.text


def test_verl_reads_prompts_for_reinforcement_learning(tmp_path, rows, facts):
    """Rows of `trl` are prompts of turns; a reward needs columns that the user adds."""
    from omegaconf import OmegaConf
    from verl.utils.dataset.rl_dataset import RLHFDataset

    tokenizer = toy_model.make_tokenizer(tmp_path / "tokenizer")
    made = list(rows(2))
    export(lambda _: made, ["trl"], tmp_path, facts)
    config = OmegaConf.create({"cache_dir": str(tmp_path / "cache")})
    read = RLHFDataset([str(tmp_path / "trl/data.jsonl")], tokenizer, config)
    assert [one["raw_prompt"][0]["content"] for one in map(read.__getitem__, range(len(read)))] == [
        row.task.instruction for row in made
    ]

"""Training for real: a two-layer model on this machine's processor."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import toy_model
from evolcoder.bench.prompts import WIZARDCODER
from evolcoder.cli.main import main
from evolcoder.errors import TrainError
from evolcoder.training import base as bases
from evolcoder.training import folder, preflight
from evolcoder.training.batches import tokenize, tokenize_all
from evolcoder.training.completions import COMPLETIONS_NAME
from evolcoder.training.folder import (
    CHECKPOINTS,
    COMPLETE,
    SETTINGS_NAME,
    CardNotes,
    ScoreLine,
    last_checkpoint,
    read_log,
    remove_incomplete,
)
from evolcoder.training.recipe import SPEED_KEYS, recipe_of
from evolcoder.training.sft import TrainingJob, plan_of, prepare, train
from evolcoder.training.speed import n_values
from late import torch, transformers

FAST = {"batch_rows": 8, "steps": 12, "learning_rate": 3e-3, "warmup_steps": 2, "micro_tokens": 512}


def job(base, out, *, lessons=None, preset="small", notes=None, **changes):
    recipe = recipe_of(preset, {**FAST, **changes})
    rows = toy_model.lessons() if lessons is None else lessons
    return TrainingJob(
        str(base), Path(out), recipe, rows, ("seeds.jsonl",), notes or CardNotes(), ()
    )


def losses(out):
    return [step.loss for step in read_log(out)]


@pytest.fixture(scope="module")
def trained(toy_base, tmp_path_factory):
    """A finished training, and its outcome."""
    out = tmp_path_factory.mktemp("trained") / "out"
    return out, train(job(toy_base, out, save_dtype="float32"))


def test_the_loss_falls(trained):
    """Twelve steps teach the toy something, and every step is in the log."""
    out, outcome = trained
    assert outcome.last_loss < outcome.first_loss - 0.5
    assert [step.step for step in read_log(out)] == list(range(1, 13))
    assert outcome.n_rows == 24
    assert outcome.tokens_per_s > 0


def test_a_layout_that_is_left_open_is_that_of_the_folder(toy_base, tmp_path):
    """A folder keeps the layout it was begun with, and a new one stores the layout that was chosen."""
    begun = prepare_in(toy_base, tmp_path / "begun", layout="packed")
    assert begun == prepare_in(toy_base, tmp_path / "begun") == "packed"
    assert prepare_in(toy_base, tmp_path / "new") == "padded"


def prepare_in(base, out, **changes):
    prepare(job(base, out, **changes), 1)
    return json.loads((out / SETTINGS_NAME).read_text())["recipe"]["layout"]


@pytest.mark.train
@pytest.mark.parametrize("layout", ["padded", "packed"])
def test_the_loss_of_held_out_rows_is_that_of_a_plain_forward_pass(
    trained, toy_base, tmp_path, layout
):
    """It is measured after each tenth of the steps and changes nothing of the training."""
    held = toy_model.lessons()[:5]
    made = job(toy_base, tmp_path / "out", layout=layout, save_dtype="float32", micro_tokens=300)
    outcome = train(replace(made, validation=held))
    log = read_log(tmp_path / "out")
    assert [step.step for step in log if step.validation_loss is not None] == list(range(1, 13))
    assert losses(tmp_path / "out") == pytest.approx(losses(trained[0]), rel=1e-4)
    assert outcome.validation_loss == pytest.approx(plain_loss(tmp_path / "out", held), rel=1e-4)


def test_rows_that_are_held_out_and_trained_on_are_named(toy_base, tmp_path):
    """Their loss says nothing about others."""
    notes = []
    made = job(toy_base, tmp_path / "out", lessons=toy_model.lessons()[4:], steps=1)
    train(replace(made, validation=toy_model.lessons()[:5], on_note=notes.append))
    assert any(note.startswith("--validation: 1 of 5 rows are trained on too") for note in notes)


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ([], "--validation: no row can be trained on: the data has no rows"),
        (
            [toy_model.placed("a task", "b " * 9000, "line 1")],
            "--validation: no row can be trained",
        ),
    ],
)
def test_held_out_rows_that_cannot_be_used_are_refused(toy_base, tmp_path, held, said):
    """Before the training, which would otherwise measure nothing."""
    made = job(toy_base, tmp_path / "out", bad_rows="drop")
    with pytest.raises(TrainError, match=said):
        train(replace(made, validation=held))


@pytest.mark.parametrize("change", [{"steps": 2, "batch_rows": 10**8}, {"epochs": 1000.0}])
def test_more_rows_than_a_plan_holds_are_refused(tokenizer, change):
    """The plan of a training is in memory; a million rows seen a thousand times would fill it."""
    rows = tokenize_all(toy_model.lessons(), WIZARDCODER, tokenizer, max_length=2048, drop=False)
    many = replace(rows, examples=rows.examples * 2500)
    with pytest.raises(TrainError, match="a training sees at most 50,000,000"):
        plan_of(recipe_of("small", change), many, 1)


def plain_loss(out, rows):
    """The mean loss over answer tokens, one row at a time."""
    model = transformers.AutoModelForCausalLM.from_pretrained(out)
    tokenizer = transformers.AutoTokenizer.from_pretrained(out)
    total = count = 0.0
    for lesson in rows:
        row = tokenize(lesson, WIZARDCODER, tokenizer)
        with torch.no_grad():
            logits_tv = model(torch.tensor([[*row.prompt, *row.answer]])).logits[0]
        at = len(row.prompt) - 1
        target = torch.tensor(row.answer)
        total += torch.nn.functional.cross_entropy(logits_tv[at:-1], target, reduction="sum").item()
        count += len(row.answer)
    return total / count


def test_the_folder_is_a_model_that_loads(trained):
    """Transformers loads weights and tokenizer, and knows the token that ends an answer."""
    out, _ = trained
    model = transformers.AutoModelForCausalLM.from_pretrained(out)
    tokenizer = transformers.AutoTokenizer.from_pretrained(out)
    assert tokenizer.eos_token_id in model.generation_config.eos_token_id
    assert model.config.use_cache
    assert not list(out.glob("*.bin"))
    weights, settings = (
        (out / name).stat().st_mode for name in ("model.safetensors", SETTINGS_NAME)
    )
    assert weights == settings  # who may read one may read the other
    assert not (out / "checkpoints").exists()


@pytest.mark.train
def test_the_logged_loss_is_the_mean_over_answer_tokens(toy_base, tmp_path):
    """The first step's loss is what a plain forward pass over the same rows gives, in any parts."""
    ours = job(toy_base, tmp_path / "out", batch_rows=24, steps=1, micro_tokens=200)
    train(ours)
    expected = plain_loss(toy_base, toy_model.lessons())
    assert losses(tmp_path / "out") == pytest.approx([expected], rel=1e-5)


@pytest.mark.train
def test_the_same_seed_gives_the_same_losses(trained, toy_base, tmp_path):
    """Losses repeat bit for bit; another seed changes the order of rows."""
    train(job(toy_base, tmp_path / "same"))
    train(job(toy_base, tmp_path / "other", seed=1))
    assert losses(tmp_path / "same") == losses(trained[0])
    assert losses(tmp_path / "other") != losses(trained[0])


@pytest.mark.train
def test_no_step_builds_kernels_for_its_shape(toy_base, tmp_path):
    """CuDNN's attention is disabled during steps, and enabled again afterwards."""
    allowed = []

    def tell(_):
        allowed.append(torch.backends.cuda.cudnn_sdp_enabled())

    before = torch.backends.cuda.cudnn_sdp_enabled()
    train(replace(job(toy_base, tmp_path / "out", steps=2), on_step=tell))
    assert before
    assert allowed == [False, False]
    assert torch.backends.cuda.cudnn_sdp_enabled()


@pytest.mark.train
def test_packing_gives_the_losses_of_padding(trained, toy_base, tmp_path):
    """Padded and packed layouts give the same losses."""
    outcome = train(job(toy_base, tmp_path / "out", layout="packed"))
    assert losses(tmp_path / "out") == pytest.approx(losses(trained[0]), rel=1e-4)
    assert outcome.waste < 0.3


@pytest.mark.train
def test_checkpointing_and_small_parts_give_the_same_losses(trained, toy_base, tmp_path):
    """Options that save memory change rounding only."""
    train(job(toy_base, tmp_path / "out", checkpointing=True, micro_tokens=130))
    assert losses(tmp_path / "out") == pytest.approx(losses(trained[0]), rel=1e-4)


KILLED_AT = 7
KILL = f"""
import os, signal, sys
from dataclasses import replace
sys.path[:0] = {[str(Path(__file__).parent), str(Path(__file__).parents[1])]!r}
from test_sft import job, train
def end(step):
    if step.step == {KILLED_AT}:
        os.kill(os.getpid(), signal.SIGKILL)
train(replace(job(sys.argv[1], sys.argv[2], save_every=3), on_step=end))
"""


@pytest.mark.train
def test_a_killed_training_goes_on_with_the_same_losses(trained, toy_base, tmp_path):
    """A training that is killed in step 7 and resumed has the loss curve of an undisturbed one."""
    out = tmp_path / "out"
    done = subprocess.run([sys.executable, "-c", KILL, str(toy_base), str(out)], check=False)
    assert done.returncode == -9
    assert [step.step for step in read_log(out)] == list(range(1, KILLED_AT + 1))
    assert last_checkpoint(out / "checkpoints").name == "checkpoint-6"
    train(job(toy_base, out, save_every=3))
    assert losses(out) == losses(trained[0])


def test_completions_are_in_their_log_once_however_often_a_training_is_resumed(toy_base, tmp_path):
    """Those after the checkpoint are written again, in place of the first ones."""

    def end(step):
        if step.step == 5:
            raise KeyboardInterrupt

    held = toy_model.lessons(26)[24:]
    out, steps = tmp_path / "out", {"steps": 6, "save_every": 2}
    watched = replace(job(toy_base, out, **steps), validation=held, n_completions=2)
    with pytest.raises(KeyboardInterrupt):
        train(replace(watched, on_step=end))
    path = out / COMPLETIONS_NAME

    def steps_of_lines():
        return [json.loads(line)["step"] for line in path.read_text("utf-8").splitlines()]

    assert steps_of_lines() == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    path.write_text(path.read_text("utf-8") + '{"step": 5, "ro', encoding="utf-8")  # it was killed
    train(watched)
    assert steps_of_lines() == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6]


def test_a_checkpoint_that_was_not_finished_is_not_gone_on_from(tmp_path):
    """A checkpoint counts only with its marker, which is written last."""
    for step in (3, 20, 100):
        (tmp_path / f"checkpoint-{step}").mkdir()
    assert last_checkpoint(tmp_path) is None
    for step in (3, 20):
        (tmp_path / f"checkpoint-{step}" / COMPLETE).touch()
    assert last_checkpoint(tmp_path).name == "checkpoint-20"


def test_a_checkpoint_that_was_not_finished_is_removed(tmp_path):
    """It would count among those that are kept, in place of a complete one."""
    for step in (3, 20):
        (tmp_path / f"checkpoint-{step}").mkdir()
    (tmp_path / "checkpoint-3" / COMPLETE).touch()
    remove_incomplete(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-3"]


class StoppedError(Exception):
    """What ends a training in the middle."""


def stopped(made, *, after):
    """Train until a step is done, and not further."""

    def end(step):
        if step.step == after:
            raise StoppedError

    with pytest.raises(StoppedError):
        train(replace(made, on_step=end))


SLOWER = {"micro_tokens": 200, "checkpointing": True, "save_every": 2, "kernels": "none"}


@pytest.mark.train
def test_a_training_continues_with_other_values_of_speed(trained, toy_base, tmp_path):
    """As after one that ran out of memory: its losses stay, and the settings say what was used."""
    assert SLOWER.keys() == set(SPEED_KEYS)
    out, notes = tmp_path / "out", []
    stopped(job(toy_base, out, save_dtype="float32", save_every=3), after=KILLED_AT)
    begun = losses(out)
    again = job(toy_base, out, save_dtype="float32", **SLOWER)
    train(replace(again, on_note=notes.append))
    assert f"continuing from checkpoint-6 of {out}" in notes
    assert losses(out)[:6] == begun[:6]
    assert losses(out) == pytest.approx(losses(trained[0]), rel=1e-4)
    stored = json.loads((out / SETTINGS_NAME).read_text())["recipe"]
    assert {key: stored[key] for key in SLOWER} == SLOWER


@pytest.mark.parametrize(("key", "value"), SLOWER.items())
def test_a_finished_training_keeps_what_is_stored_of_its_speed(trained, toy_base, key, value):
    """The card says how the model was made, not how it would be made now."""
    out, outcome = trained
    before = (out / SETTINGS_NAME).read_bytes()
    assert train(job(toy_base, out, save_dtype="float32", **{key: value})) == outcome
    assert (out / SETTINGS_NAME).read_bytes() == before


def test_a_folder_without_a_checkpoint_takes_another_recipe(toy_base, tmp_path):
    """What was refused or stopped before its first checkpoint has nothing to lose."""
    prepare(job(toy_base, tmp_path, method="lora"), 1)
    prepare(job(toy_base, tmp_path, steps=3), 1)
    stored = json.loads((tmp_path / SETTINGS_NAME).read_text())["recipe"]
    assert (stored["method"], stored["steps"]) == ("full", 3)


@pytest.mark.train
def test_a_slow_training_writes_checkpoints_by_time(trained, toy_base, tmp_path, monkeypatch):
    """One whose steps take long loses minutes, not `save_every` steps; with space on the disk."""
    monkeypatch.setattr(folder, "CHECKPOINT_S", 0.0)
    out = tmp_path / "out"
    stopped(job(toy_base, out, save_dtype="float32"), after=KILLED_AT)
    assert last_checkpoint(out / CHECKPOINTS).name == f"checkpoint-{KILLED_AT - 1}"
    train(job(toy_base, out, save_dtype="float32"))
    assert losses(out) == losses(trained[0])
    monkeypatch.setattr(preflight, "free_bytes", lambda _: 3 * 10**5)
    stopped(job(toy_base, tmp_path / "full"), after=KILLED_AT)
    assert last_checkpoint(tmp_path / "full" / CHECKPOINTS) is None


@pytest.mark.train
@pytest.mark.parametrize("method", ["full", "lora"])
@pytest.mark.parametrize("failing", ["save_model", "_save_checkpoint"])
def test_what_cannot_be_written_is_one_line_and_goes_on(toy_base, tmp_path, method, failing):
    """A disk that is full at a checkpoint or at the end; the training continues afterwards."""
    from safetensors import SafetensorError

    def fails(*_, **__):
        raise SafetensorError("Error while serializing: No space left on device (os error 28)")

    made = job(toy_base, tmp_path / "out", save_every=5, method=method)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transformers.Trainer, failing, fails)
        if (method, failing) == ("lora", "save_model"):  # which writes its checkpoints too
            made = replace(made, recipe=made.recipe.model_copy(update={"save_every": 100}))
        with pytest.raises(TrainError) as caught:
            train(made)
    said = str(caught.value)
    assert "cannot be written: Error while serializing: No space left on device" in said
    assert "\n" not in said
    end = (
        "earlier ones are valid" if failing == "_save_checkpoint" else "run the same command again"
    )
    assert end in said
    assert train(made).n_steps == FAST["steps"]


def test_a_finished_training_is_not_done_again(trained, toy_base):
    """The same job returns the stored outcome, and writes a card with scores."""
    out, outcome = trained
    before = (out / "model.safetensors").stat().st_mtime_ns
    line = ScoreLine(bench="humaneval", metric="pass@1, greedy", score=0.5, low=0.42, high=0.58)
    notes = CardNotes(run="r1", arms=("merge-0..3",), scores=(line,), license="mit")
    assert train(job(toy_base, out, save_dtype="float32", notes=notes)) == outcome
    assert (out / "model.safetensors").stat().st_mtime_ns == before
    card = (out / "README.md").read_text()
    assert "| humaneval | pass@1, greedy | 50.0 | 42.0 to 58.0 |" in card
    assert "| run | r1 |" in card
    assert "merge-0..3" in card
    assert "license: mit" in card
    assert "`evolcoder eval --template wizardcoder`" in card


def test_a_folder_of_another_training_is_refused(trained, toy_base):
    """The error names the differing keys."""
    out, _ = trained
    with pytest.raises(TrainError, match="other values of learning_rate"):
        train(job(toy_base, out, save_dtype="float32", learning_rate=1e-3))
    with pytest.raises(TrainError, match="other values of rows"):
        train(job(toy_base, out, save_dtype="float32", lessons=toy_model.lessons(5)))


@pytest.mark.parametrize("change", [{"learning_rate": 1e-3}, {"layout": "packed"}])
def test_another_recipe_is_refused_before_rows_or_base_are_read(trained, toy_base, change):
    """Neither the rows nor the base need be there, and the folder stays as it was."""
    out, _ = trained

    def rows():
        raise AssertionError("a row was read")
        yield

    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    wanted = job(toy_base, out, save_dtype="float32", lessons=rows(), **change)
    with pytest.raises(TrainError, match=f"other values of {next(iter(change))}"):
        train(wanted)
    with pytest.raises(TrainError, match="other values of base"):
        train(
            replace(
                wanted, base="no/such-base", recipe=job(toy_base, out, save_dtype="float32").recipe
            )
        )
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == before


def test_a_loss_that_is_no_number_ends_it_with_step_and_rows(toy_base, tmp_path):
    """Weights gone wrong: the first step stops, names its rows, and nothing is saved."""
    model = transformers.AutoModelForCausalLM.from_pretrained(toy_base)
    model.model.norm.weight.data[:] = float("nan")
    broken = tmp_path / "broken"
    model.save_pretrained(broken)
    transformers.AutoTokenizer.from_pretrained(toy_base).save_pretrained(broken)
    with pytest.raises(TrainError) as caught:
        train(job(broken, tmp_path / "out", batch_rows=3))
    said = str(caught.value)
    assert said.startswith("step 1: the loss is not a number; the rows of that batch: seeds line")
    assert "learning_rate" in said
    assert not (tmp_path / "out" / "model.safetensors").exists()


def test_a_gradient_that_is_no_number_ends_it_before_the_weights_take_it(toy_base, tmp_path):
    """A loss may be finite where its gradient is not."""
    model = transformers.AutoModelForCausalLM.from_pretrained(toy_base)
    model.model.layers[0].self_attn.v_proj.weight.data[:] = 1e-38
    model.model.layers[0].self_attn.o_proj.weight.data[:] = 3e38
    broken = tmp_path / "broken"
    model.save_pretrained(broken)
    transformers.AutoTokenizer.from_pretrained(toy_base).save_pretrained(broken)
    with pytest.raises(TrainError, match="step 1: the gradient is not a number"):
        train(job(broken, tmp_path / "out", batch_rows=3))


@pytest.mark.train
def test_a_lora_is_merged_into_an_ordinary_model(toy_base, tmp_path):
    """Only the adapter is trained; merged, the folder holds the base's shape with other weights."""
    out = tmp_path / "out"
    outcome = train(
        job(toy_base, out, preset="small-lora", learning_rate=2e-2, save_dtype="float32")
    )
    assert outcome.last_loss < outcome.first_loss
    base, merged = (
        transformers.AutoModelForCausalLM.from_pretrained(path) for path in (toy_base, out)
    )
    changed = {
        name.rpartition(".")[0].rpartition(".")[2]
        for (name, old), new in zip(base.named_parameters(), merged.parameters(), strict=True)
        if not torch.equal(old, new)
    }
    assert changed == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}


@pytest.mark.train
def test_a_lora_left_apart_is_an_adapter(toy_base, tmp_path):
    """Unmerged, the folder holds the adapter alone, which peft puts on the base it names."""
    from peft import AutoPeftModelForCausalLM

    out = tmp_path / "out"
    train(job(toy_base, out, method="lora"))
    assert not (out / "model.safetensors").exists()
    assert json.loads((out / "adapter_config.json").read_text())["base_model_name_or_path"] == str(
        toy_base
    )
    assert AutoPeftModelForCausalLM.from_pretrained(out) is not None
    assert "library_name: peft" in (out / "README.md").read_text()


@pytest.mark.train
def test_qlora_trains_an_adapter_on_a_base_of_four_bits(toy_base, tmp_path):
    """Bitsandbytes runs on a processor too; the base stays as it was, and the loss falls."""
    pytest.importorskip("bitsandbytes", reason="needs bitsandbytes: `make trackers` installs it")
    out = tmp_path / "out"
    outcome = train(job(toy_base, out, method="qlora", merge=False, learning_rate=2e-2))
    assert outcome.last_loss < outcome.first_loss
    assert (out / "adapter_model.safetensors").exists()
    assert not (out / "model.safetensors").exists()


@pytest.mark.train
def test_a_base_of_four_bits_counts_as_many_values_as_the_whole_one(toy_base):
    """Two of them are packed into a byte, which must not halve a training's arithmetic."""
    pytest.importorskip("bitsandbytes", reason="needs bitsandbytes: `make trackers` installs it")
    whole, packed = (
        bases.load(str(toy_base), recipe_of("small", {"method": method}), on_gpu=False).model
        for method in ("lora", "qlora")
    )
    assert any(hasattr(one, "quant_state") for one in packed.parameters())
    counts = [sum(map(n_values, model.parameters())) for model in (whole, packed)]
    assert counts[0] == counts[1]


def test_qlora_without_its_package_says_what_to_install(toy_base, tmp_path, monkeypatch):
    """One line, before anything is loaded."""
    from importlib.util import find_spec

    monkeypatch.setattr(
        "evolcoder.training.base.find_spec",
        lambda name: None if name == "bitsandbytes" else find_spec(name),
    )
    with pytest.raises(TrainError, match="pip install bitsandbytes"):
        train(job(toy_base, tmp_path / "out", method="qlora"))


def test_out_of_memory_says_what_to_lower(toy_base, tmp_path):
    """The device's own error becomes advice with the values in force."""

    def full(step):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB")

    with pytest.raises(TrainError, match=r"halve micro_tokens.*checkpointing=true.*method=lora"):
        train(replace(job(toy_base, tmp_path / "out"), on_step=full))


def run_verb(base, folder, *flags, launch=(), env=None):
    """Run `evolcoder train` as a process of its own, on the rows of `trained`."""
    rows = folder / "rows.jsonl"
    pairs = [
        {"instruction": one.row.task.instruction, "output": one.row.response.text}
        for one in toy_model.lessons()
    ]
    rows.write_text("\n".join(map(json.dumps, pairs)), encoding="utf-8")
    verb = ["-m", "evolcoder.cli.main", "train", str(rows), "--base", str(base)]
    values = [part for key, value in FAST.items() for part in ("--set", f"{key}={value}")]
    command = [sys.executable, *launch, *verb, "--out", str(folder / "out"), *values, *flags]
    env = {**os.environ, "OMP_NUM_THREADS": "1", **(env or {})}
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


@pytest.mark.train
def test_two_processes_give_the_losses_of_one(trained, toy_base, tmp_path):
    """The plan is the same, so the curve is too, but for rounding."""
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    done = run_verb(toy_base, tmp_path, launch=launch)
    assert done.returncode == 0, done.stderr[-2000:]
    assert losses(tmp_path / "out") == pytest.approx(losses(trained[0]), rel=1e-4)


OTHER_LAUNCHERS = {
    "WORLD_SIZE": "4", "RANK": "3", "LOCAL_RANK": "1", "MASTER_ADDR": "127.0.0.1",
    "OMPI_COMM_WORLD_SIZE": "4", "PMI_SIZE": "4", "PMI_RANK": "3",
}  # fmt: skip


@pytest.mark.train
def test_what_other_launchers_set_changes_no_training(trained, toy_base, tmp_path):
    """Slurm, MPI and operators of Kubernetes count the processes of whatever they start."""
    done = run_verb(toy_base, tmp_path, env=OTHER_LAUNCHERS)
    assert done.returncode == 0, done.stderr[-2000:]
    assert losses(tmp_path / "out") == pytest.approx(losses(trained[0]), rel=1e-4)


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"WORLD_SIZE": "1", "RANK": "0"}, "--gpus 4096: torch finds "),
        (OTHER_LAUNCHERS, "--gpus 4096: torch finds "),
        ({"WORLD_SIZE": "a"}, "--gpus 4096: torch finds "),
        ({"WORLD_SIZE": "2", "RANK": "0", "TORCHELASTIC_RUN_ID": "x"},
         "--gpus 4096: torchrun started 2 processes, not 4096"),
    ],
)  # fmt: skip
def test_fewer_gpus_are_refused_whatever_the_environment_says(
    toy_base, tmp_path, monkeypatch, capsys, env, said
):
    """One line, and no training on the processor in their place."""
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    rows, out = tmp_path / "rows.jsonl", tmp_path / "out"
    rows.write_text('{"instruction": "Add 1 to x.", "output": "x + 1"}\n', encoding="utf-8")
    flags = ["--base", str(toy_base), "--out", str(out), "--gpus", "4096"]
    assert main(["train", str(rows), *flags]) == 2
    assert said in capsys.readouterr().err
    assert not out.exists()

"""A worker identifies its weights by comparing them with the files."""

from types import SimpleNamespace

import pytest

from evolcoder.serving.vllm import WeightsCheck


@pytest.fixture
def torch():
    """Torch; skip if it is not installed."""
    pytest.importorskip("safetensors.torch")
    return pytest.importorskip("torch")


def worker(model):
    held = WeightsCheck()
    held.model_runner = SimpleNamespace(get_model=lambda: model)
    return held


def test_every_tensor_of_the_same_name_and_shape_is_compared(torch, tmp_path):
    """Tensors are compared in the worker's dtype; fused and padded ones are skipped."""
    from safetensors.torch import save_file

    torch.manual_seed(0)
    model = torch.nn.ModuleDict({"a": torch.nn.Linear(8, 8), "b": torch.nn.Linear(8, 4)}).bfloat16()
    weights = {name: tensor.float() for name, tensor in model.state_dict().items()}
    weights["b.weight"] = torch.cat([weights["b.weight"]] * 2)  # padded by the worker, say
    weights["c.weight"] = torch.zeros(2, 2)
    save_file(weights, tmp_path / "model.safetensors")
    assert worker(model).evolcoder_compare_weights(str(tmp_path)) == {"compared": 3, "same": 3}
    with torch.no_grad():
        model["a"].weight[3, 3] += 0.5
    assert worker(model).evolcoder_compare_weights(str(tmp_path)) == {"compared": 3, "same": 2}
    assert worker(model).evolcoder_compare_weights(str(tmp_path / "none")) == {
        "compared": 0,
        "same": 0,
    }

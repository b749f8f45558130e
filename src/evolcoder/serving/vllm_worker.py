"""A vLLM worker extension that compares the loaded weights with files.

It only reads. Tensors that vLLM fuses (such as query, key and value) are not compared; all those
that keep the file's name and shape are, bit by bit in vLLM's dtype.
"""

from pathlib import Path
from typing import Any


class WeightsCheck:
    """Mixed into vLLM's worker by `--worker-extension-cls`."""

    model_runner: Any

    def evolcoder_compare_weights(self, folder: str) -> dict[str, int]:
        """Return how many tensors of a folder could be compared, and how many are equal."""
        import torch  # noqa: PLC0415 - available in vLLM's process
        from safetensors import safe_open  # noqa: PLC0415

        mine = dict(self.model_runner.get_model().named_parameters())
        compared = same = 0
        for path in sorted(Path(folder).glob("*.safetensors")):
            with safe_open(path, "pt") as file:
                for name in mine.keys() & file.keys():
                    if list(mine[name].shape) == file.get_slice(name).get_shape():
                        compared += 1
                        same += torch.equal(mine[name], file.get_tensor(name).to(mine[name]))
        return {"compared": compared, "same": same}

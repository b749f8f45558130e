"""What vLLM loads into its workers, so that they can say which weights they run.

Promises: reads, changes nothing. Tensors that vLLM joins (such as query, key and value) are not
compared; those that it keeps under the file's name and shape all are, bit by bit in its own type.
"""

from pathlib import Path
from typing import Any


class Held:
    """Mixed into vLLM's worker by `--worker-extension-cls`."""

    model_runner: Any

    def evolcoder_holds(self, folder: str) -> dict[str, int]:
        """Return how many tensors of a folder could be compared, and how many are the same."""
        import torch  # noqa: PLC0415 - this is vLLM's process, which has it
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

"""One vLLM server for successive models: it sleeps while others need the GPU, then loads weights.

Guarantees: after `wake` the server answers with the weights of that folder; its workers have
compared them with the files tensor by tensor. A mismatch or a missing confirmation raises
`StepFailed`. A sleeping server has freed its GPU memory except for CUDA's own.

The comparison, `WeightsCheck`, is imported by the workers themselves and only reads. Tensors that
vLLM fuses (such as query, key and value) are not compared; all those that keep the file's name and
shape are, bit by bit in vLLM's dtype.

Uses vLLM's development endpoints, so only on loopback (tested with vLLM 0.24.0): `/sleep`,
`/wake_up`, `/collective_rpc`, `/reset_prefix_cache`.

>>> sleep("http://127.0.0.1:8791/v1")   # doctest: +SKIP
>>> wake("http://127.0.0.1:8791/v1", Path("models/next"))   # doctest: +SKIP
"""

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from evolcoder.errors import StepFailed

OPTIONS = (
    "--enable-sleep-mode",
    "--worker-extension-cls",
    "evolcoder.serving.vllm.WeightsCheck",
)
"""Additional command-line options of the server."""
ENVIRONMENT = {"VLLM_SERVER_DEV_MODE": "1", "VLLM_SKIP_MODEL_NAME_VALIDATION": "1"}
"""Additional environment variables; the second lets requests use each model's own name."""
TIMEOUT_S = 300.0
"""Longest wait for one reply."""
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Asks a server on loopback, whatever proxies the environment names."""


def sleep(url: str) -> None:
    """Have the server at `url` free its GPU memory, weights included."""
    _post(url, "sleep?level=2")


def wake(url: str, weights: Path) -> None:
    """Have the server at `url` load other weights of the same shape."""
    folder = str(weights.resolve())
    _post(url, "wake_up?tags=weights")
    _call(url, "reload_weights", kwargs={"weights_path": folder})
    _post(url, "wake_up?tags=kv_cache")
    _post(url, "reset_prefix_cache")
    counts = _call(url, "evolcoder_compare_weights", args=[folder])
    if not counts or not all(n["compared"] and n["same"] == n["compared"] for n in counts):
        raise StepFailed(f"the server did not load the weights of {folder}: {counts}")


def _call(url: str, method: str, **given: object) -> list[dict[str, int]]:
    """Call a method of every worker; return their results."""
    reply = _post(url, "collective_rpc", {"method": method, **given})
    results = reply.get("results") if isinstance(reply, dict) else None
    return results if isinstance(results, list) else []


def _post(url: str, path: str, body: object = None) -> object:
    place = f"{url.removesuffix('/v1')}/{path}"
    data = b"" if body is None else json.dumps(body).encode()
    request = urllib.request.Request(  # noqa: S310 - loopback
        place, data, {"Content-Type": "application/json"}, method="POST"
    )
    try:
        with _DIRECT.open(request, timeout=TIMEOUT_S) as answer:
            text = answer.read()
        return json.loads(text) if text else None
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise StepFailed(f"{place}: {error}") from error


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

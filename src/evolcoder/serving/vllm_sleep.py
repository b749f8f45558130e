"""One vLLM server for many models: it sleeps while others need the GPU, then takes new weights.

Promises: after `wake` the server answers with the weights of that folder, which its own process
has compared with the files tensor by tensor; where it does not, or does not say so, that is a
`StepFailed`. A server that sleeps has given its memory back but for what CUDA itself takes.

Needs vLLM's development endpoints, so only ever on loopback (tried with vLLM 0.24.0): `/sleep`,
`/wake_up`, `/collective_rpc`, `/reset_prefix_cache`.

>>> sleep("http://127.0.0.1:8791/v1")   # doctest: +SKIP
>>> wake("http://127.0.0.1:8791/v1", Path("models/next"))   # doctest: +SKIP
"""

import json
import urllib.error
import urllib.request
from pathlib import Path

from evolcoder.errors import StepFailed

OPTIONS = ("--enable-sleep-mode", "--worker-extension-cls", "evolcoder.serving.vllm_worker.Held")
"""What the server's command needs beside its own."""
ENVIRONMENT = {"VLLM_SERVER_DEV_MODE": "1", "VLLM_SKIP_MODEL_NAME_VALIDATION": "1"}
"""And its environment; a model is asked for under its own name, whichever was the first."""
MOST_S = 300.0
"""Longest wait for one answer."""


def sleep(url: str) -> None:
    """Have the server at `url` give its memory back, weights and all."""
    _post(url, "sleep?level=2")


def wake(url: str, weights: Path) -> None:
    """Have the server at `url` answer with other weights of the same shape."""
    folder = str(weights.resolve())
    _post(url, "wake_up?tags=weights")
    _call(url, "reload_weights", kwargs={"weights_path": folder})
    _post(url, "wake_up?tags=kv_cache")
    _post(url, "reset_prefix_cache")
    said = _call(url, "evolcoder_holds", args=[folder])
    if not said or not all(one["compared"] and one["same"] == one["compared"] for one in said):
        raise StepFailed(f"the server did not take the weights of {folder}: {said}")


def _call(url: str, method: str, **given: object) -> list[dict[str, int]]:
    """Call a method of every worker; return what they said."""
    said = _post(url, "collective_rpc", {"method": method, **given})
    results = said.get("results") if isinstance(said, dict) else None
    return results if isinstance(results, list) else []


def _post(url: str, path: str, body: object = None) -> object:
    place = f"{url.removesuffix('/v1')}/{path}"
    data = b"" if body is None else json.dumps(body).encode()
    request = urllib.request.Request(  # noqa: S310 - loopback
        place, data, {"Content-Type": "application/json"}, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=MOST_S) as answer:  # noqa: S310 - loopback
            text = answer.read()
        return json.loads(text) if text else None
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise StepFailed(f"{place}: {error}") from error

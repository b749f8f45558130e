"""Answers with a folder of Hugging Face weights in this process, through transformers' generate.

For trained students where there is no vLLM: one answer at a time, on a GPU if torch has one. The
same request gives the same bytes on the same machine. Pickled weights are not read, and code that
comes with a model is not run. Cancellation takes effect within one token. `extra_body` is refused.

>>> engine = TransformersEngine.load(Path("models/student"))   # doctest: +SKIP
"""

import asyncio
import hashlib
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from evolcoder.engine.base import Completion, Request
from evolcoder.errors import EngineError, ModelError
from evolcoder.input_files import open_regular
from evolcoder.text import clean, one_line

PREFIX = "hf:"
"""Prefix of the spec of a folder."""
PACKAGES = ("torch", "transformers", "safetensors")
_DECIDING = (".safetensors", ".json", ".jinja", ".model", ".txt")
"""Suffixes of the files that decide an answer."""
_LOGS = frozenset({"outcome.json", "training.json"})
WHY_CHARS = 300


class TransformersEngine:
    """Answers with one model."""

    slots = 1

    def __init__(self, model: Any, tokenizer: Any, digest: str, folder: Path) -> None:  # noqa: ANN401
        self.identity = f"hf:{digest[:16]}"
        self.n_streamed = 0
        """Tokens generated so far, those of unfinished answers included."""
        self._model = model
        self._tokenizer = tokenizer
        self._folder = folder
        self._closing = threading.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="transformers")

    @classmethod
    def load(cls, folder: Path) -> "TransformersEngine":
        """Load a folder; ModelError if it or a package is missing, or it cannot be loaded."""
        missing = [name for name in PACKAGES if find_spec(name) is None]
        if missing:
            raise ModelError(
                f"{PREFIX}{folder}: needs {', '.join(missing)}; "
                f"install them with pip install 'evolcoder[train]'"
            )
        if not (folder / "config.json").is_file():
            raise ModelError(f"{PREFIX}{folder}: is no folder with a model (no config.json)")
        import torch  # noqa: PLC0415 - heavy, and an optional dependency
        from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: PLC0415
        from transformers.utils import logging  # noqa: PLC0415

        logging.disable_progress_bar()
        device = "cuda" if torch.cuda.is_available() else "cpu"
        dtype = torch.bfloat16 if device == "cuda" else torch.float32
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            model = AutoModelForCausalLM.from_pretrained(
                folder, dtype=dtype, use_safetensors=True, local_files_only=True
            )
        except Exception as error:
            why = one_line(str(error) or type(error).__name__, WHY_CHARS)
            raise ModelError(f"{PREFIX}{folder}: cannot be loaded: {why}") from error
        return cls(model.to(device).eval(), tokenizer, _digest(folder), folder)

    async def complete(self, request: Request) -> Completion:
        """Generate one answer, after those asked before."""
        if request.extra_body:
            raise ModelError(f"{PREFIX}{self._folder}: takes no extra_body; leave it out")
        cancelled = threading.Event()
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, self._generate, request, cancelled)
        finally:
            cancelled.set()

    async def aclose(self) -> None:
        """Stop generating and free the model."""
        self._closing.set()
        self._thread.shutdown(wait=True, cancel_futures=True)
        self._model = None

    def _generate(self, request: Request, cancelled: threading.Event) -> Completion:
        import torch  # noqa: PLC0415 - as above

        if self._closing.is_set() or cancelled.is_set():
            raise EngineError("the answer was cut off", asked=self.identity, retryable=True)
        prompt = self._prompt(request).to(self._model.device)
        n_prompt, most = prompt.shape[1], self._max_tokens()
        if n_prompt >= most:
            got = f"{n_prompt} tokens, and the model takes {most}"
            raise EngineError(
                "the prompt is too long", asked=self.identity, got=got, retryable=False
            )

        def is_over(ids: Any, _: Any, **__: Any) -> Any:  # noqa: ANN401 - transformers' hook
            self.n_streamed += 1
            over = cancelled.is_set() or self._closing.is_set()
            return torch.full((ids.shape[0],), over, device=ids.device)

        torch.manual_seed(request.seed)
        try:
            with torch.inference_mode():
                found = self._model.generate(
                    prompt,
                    attention_mask=torch.ones_like(prompt),
                    stopping_criteria=[is_over],
                    **_sampling(request, most - n_prompt),
                )
        except (RuntimeError, IndexError) as error:  # no memory, weights that are no numbers
            why = one_line(str(error), WHY_CHARS)
            raise EngineError(
                "cannot generate", asked=self.identity, got=why, retryable=False, rejected=True
            ) from error
        ids = found[0, n_prompt:].tolist()
        if cancelled.is_set() or self._closing.is_set():
            raise EngineError("the answer was cut off", asked=self.identity, retryable=True)
        is_ended = bool(ids) and ids[-1] in self._end_tokens()
        text = self._tokenizer.decode(ids, skip_special_tokens=True)
        finish = "stop" if is_ended else "length"
        return Completion.of(text, "", finish, sent=n_prompt, received=len(ids))

    def _prompt(self, request: Request) -> Any:  # noqa: ANN401 - a tensor
        """Tokenize a request; shape (1, tokens)."""
        if request.is_raw:
            text = clean(request.messages[-1].content)
            return self._tokenizer(text, return_tensors="pt")["input_ids"]
        if not self._tokenizer.chat_template:
            raise ModelError(
                f"{PREFIX}{self._folder}: has no chat template, so it cannot answer a chat; use "
                f"a template that is raw text, such as --template wizardcoder"
            )
        from jinja2 import TemplateError  # noqa: PLC0415 - as above

        chat = [{"role": m.role, "content": clean(m.content)} for m in request.messages]
        try:
            return self._tokenizer.apply_chat_template(
                chat, add_generation_prompt=True, return_tensors="pt", return_dict=True
            )["input_ids"]
        except TemplateError as error:  # many allow no system message
            why = f"its chat template: {one_line(str(error), WHY_CHARS)}"
            raise EngineError(
                "rejected", asked=self.identity, got=why, retryable=False, rejected=True
            ) from error

    def _max_tokens(self) -> int:
        """Return the most tokens of prompt and answer together."""
        config = self._model.config.get_text_config()
        return int(getattr(config, "max_position_embeddings", None) or sys.maxsize)

    def _end_tokens(self) -> set[int]:
        known = self._model.generation_config.eos_token_id
        given = known if isinstance(known, list) else [known]
        return {*given, self._tokenizer.eos_token_id} - {None}


def _sampling(request: Request, room: int) -> dict[str, Any]:
    drawn = request.sampling
    how = {"max_new_tokens": min(drawn.max_tokens, room), "repetition_penalty": 1.0}
    if drawn.temperature == 0:
        return {**how, "do_sample": False}
    drawing = {"temperature": drawn.temperature, "top_p": drawn.top_p, "top_k": 0}
    return {**how, **drawing, "do_sample": True}


def _digest(folder: Path) -> str:
    """Return a SHA-256 over the files that decide an answer."""
    whole = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix in _DECIDING and path.name not in _LOGS and path.is_file():
            with open_regular(path, error=ModelError) as file:
                found = hashlib.file_digest(file, "sha256")  # type: ignore[arg-type]
            whole.update(f"{path.name} {found.hexdigest()}\n".encode())
    return whole.hexdigest()

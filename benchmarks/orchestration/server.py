"""A loopback chat-completions server that answers every request after a fixed time.

The same messages get the same answer, of about 200 tokens. An answer is sent `latency_s` after its
request arrived, or as soon as the processor allows. The server counts requests and answers, and
prints the counts as one JSON line on SIGTERM. It shares the machine with the client, so its own
processor time is among the counts; its speed is not guaranteed.

    python server.py LATENCY_S     prints its port on the first line
"""

import asyncio
import contextlib
import json
import resource
import signal
import sys
import time
from dataclasses import asdict, dataclass

import orjson
from aiohttp import web
from answers import answer_to


@dataclass(slots=True)
class Seen:
    """What has happened at the server."""

    requests: int = 0
    """Chat requests with at least one message; a client's probes are not counted."""
    answers: int = 0
    """Requests whose answer was made."""
    prompt_chars: int = 0
    """Characters of all messages."""
    in_flight: int = 0
    """Requests waiting for their answer now."""
    peak_in_flight: int = 0
    """Most requests that waited at once."""
    answer_chars: int = 0
    """Characters of all answers."""
    first_request_at: float = 0.0
    """Monotonic time of the first request, comparable between processes of one machine."""
    last_answer_at: float = 0.0
    """Monotonic time of the last answer."""
    cpu_s: float = 0.0
    """Processor time of the server itself."""


class Server:
    """The handler, with its counts."""

    def __init__(self, latency_s: float) -> None:
        self.seen = Seen()
        self._latency_s = latency_s

    async def handle(self, request: web.BaseRequest) -> web.Response:
        """Answer `/v1/models` at once and a chat request in time."""
        arrived = time.monotonic()
        if not request.path.endswith("/chat/completions"):
            return _json({"object": "list", "data": [{"id": "bench", "object": "model"}]})
        body = orjson.loads(await request.read())
        if not body.get("messages"):
            return _json({"error": {"message": "messages is empty"}}, status=400)
        self._begin(body, arrived)
        try:
            reply = _completion(body)
            await asyncio.sleep(max(0.0, arrived + self._latency_s - time.monotonic()))
        finally:
            self.seen.in_flight -= 1
        self.seen.answers += 1
        self.seen.answer_chars += len(reply["choices"][0]["message"]["content"])
        self.seen.last_answer_at = time.monotonic()
        return _json(reply)

    def _begin(self, body: dict, arrived: float) -> None:
        seen = self.seen
        seen.first_request_at = seen.first_request_at or arrived
        seen.requests += 1
        seen.prompt_chars += sum(len(message["content"]) for message in body["messages"])
        seen.in_flight += 1
        seen.peak_in_flight = max(seen.peak_in_flight, seen.in_flight)


def _completion(body: dict) -> dict:
    text = answer_to(body["messages"])
    sent = sum(len(message["content"]) for message in body["messages"]) // 4
    received = len(text) // 4
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": "stop",
    }
    usage = {
        "prompt_tokens": sent,
        "completion_tokens": received,
        "total_tokens": sent + received,
    }
    return {
        "id": "chatcmpl-bench",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": body["model"],
        "choices": [choice],
        "usage": usage,
    }


def _json(data: dict, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(data), status=status, content_type="application/json")


async def main(latency_s: float) -> None:
    server = Server(latency_s)
    runner = web.ServerRunner(web.Server(server.handle, access_log=None))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=4096, shutdown_timeout=0.1)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    told_to_end = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told_to_end.set)
    await told_to_end.wait()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    server.seen.cpu_s = usage.ru_utime + usage.ru_stime
    print(json.dumps(asdict(server.seen)), flush=True)
    await runner.cleanup()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(float(sys.argv[1])))

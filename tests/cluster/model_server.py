"""A small model server, run as the command of a replica.

HOST PORT [seconds until it exits [seconds for an answer [log of what it was asked and answered]]].
"""

import asyncio
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from loopback import Loopback


class Logged(Loopback):
    """A server that writes a line when it is asked, and one when it has answered."""

    log = None

    async def _serve(self, request, call):
        self._write("asked", call.prompt)
        response = await super()._serve(request, call)
        self._write("answered", call.prompt)
        return response

    def _write(self, what, prompt):
        if self.log is not None:
            with self.log.open("a") as file:
                file.write(f"{what} {os.getpid()} {prompt}\n")


async def main(host, port, exits_after, latency_s, log=None):
    server = Logged(
        answer=lambda prompt: f"{os.getpid()} {prompt}", port=int(port), latency_s=float(latency_s)
    )
    server.log = log and Path(log)
    await server.start()
    await asyncio.sleep(float(exits_after))
    sys.exit("out of memory")


if __name__ == "__main__":
    assert sys.argv[1] == "127.0.0.1"
    given = sys.argv[3:]
    asyncio.run(main(*sys.argv[1:3], *given, *["1e6", "0"][len(given) :]))

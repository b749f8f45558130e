"""A small model server, run as the command of a replica: HOST PORT [seconds until it exits]."""

import asyncio
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from loopback import Loopback


async def main(host, port, exits_after):
    server = Loopback(answer=lambda prompt: f"{os.getpid()} {prompt}", port=int(port))
    await server.start()
    await asyncio.sleep(float(exits_after))
    sys.exit("out of memory")


if __name__ == "__main__":
    assert sys.argv[1] == "127.0.0.1"
    asyncio.run(main(*sys.argv[1:3], *(sys.argv[3:] or ["1e6"])))

"""Bare aiohttp: the minimum of a client in Python. Answers are read, parsed and discarded.

python client_aiohttp.py BASE_URL PROMPTS OUT IN_FLIGHT
"""

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp


async def work(session: aiohttp.ClientSession, url: str, prompts: Iterator[str]) -> int:
    """Send one prompt after the other; return how many were answered."""
    done = 0
    for prompt in prompts:
        body = {
            "model": "bench",
            "messages": [{"role": "user", "content": prompt}],
            "temperature": 1.0,
            "top_p": 0.9,
            "max_tokens": 640,
        }
        async with session.post(url, json=body) as response:
            answer = json.loads(await response.read())
        done += bool(answer["choices"][0]["message"]["content"])
    return done


async def main(base_url: str, texts: list[str], in_flight: int) -> int:
    prompts = iter(texts)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        workers = [work(session, f"{base_url}/chat/completions", prompts) for _ in range(in_flight)]
        return sum(await asyncio.gather(*workers))


if __name__ == "__main__":
    lines = Path(sys.argv[2]).read_text().splitlines()
    texts = [json.loads(line)["prompt"] for line in lines]
    print(asyncio.run(main(sys.argv[1], texts, int(sys.argv[4]))))

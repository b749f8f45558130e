"""The openai SDK under a semaphore, over httpx as it comes or over aiohttp (a fifth argument).

python client_openai.py BASE_URL PROMPTS OUT IN_FLIGHT [aiohttp]
"""

import asyncio
import json
import sys
from pathlib import Path

from openai import AsyncOpenAI, DefaultAioHttpClient


async def ask(client: AsyncOpenAI, limit: asyncio.Semaphore, prompt: str) -> bool:
    async with limit:
        answer = await client.chat.completions.create(
            model="bench",
            messages=[{"role": "user", "content": prompt}],
            temperature=1.0,
            top_p=0.9,
            max_tokens=640,
        )
    return bool(answer.choices[0].message.content)


async def main(base_url: str, texts: list[str], in_flight: int, over: str) -> int:
    http = DefaultAioHttpClient() if over == "aiohttp" else None
    limit = asyncio.Semaphore(in_flight)
    async with AsyncOpenAI(base_url=base_url, api_key="bench", http_client=http) as client:
        return sum(await asyncio.gather(*(ask(client, limit, prompt) for prompt in texts)))


if __name__ == "__main__":
    over = sys.argv[5] if len(sys.argv) > 5 else "httpx"
    lines = Path(sys.argv[2]).read_text().splitlines()
    texts = [json.loads(line)["prompt"] for line in lines]
    print(asyncio.run(main(sys.argv[1], texts, int(sys.argv[4]), over)))

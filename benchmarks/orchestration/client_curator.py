"""bespokelabs-curator with its openai backend, its own rate limits lifted; stores as it does.

python client_curator.py BASE_URL PROMPTS OUT IN_FLIGHT
"""

import json
import sys
from pathlib import Path

from bespokelabs import curator


class Answerer(curator.LLM):
    """One prompt in, one row out."""

    def prompt(self, input: dict) -> str:
        """Say what is sent for a row."""
        return input["prompt"]

    def parse(self, input: dict, response: str) -> dict:
        """Say what is stored of an answer."""
        return {"prompt": input["prompt"], "response": response}


def main(base_url: str, prompts_path: str, out: str, in_flight: int) -> int:
    rows = [json.loads(line) for line in Path(prompts_path).read_text().splitlines()]
    answerer = Answerer(
        model_name="bench",
        backend="openai",
        generation_params={"temperature": 1.0, "top_p": 0.9, "max_tokens": 640},
        backend_params={
            "base_url": base_url,
            "api_key": "bench",
            "max_requests_per_minute": 10_000_000,
            "max_tokens_per_minute": 1_000_000_000_000,
            "max_concurrent_requests": in_flight,
        },
    )
    answered = answerer(rows, working_dir=out).dataset
    return sum(bool(row["response"]) for row in answered)


if __name__ == "__main__":
    print(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))

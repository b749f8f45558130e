"""distilabel's TextGeneration over its OpenAI client; stores as it does, Parquet by the batch.

python client_distilabel.py BASE_URL PROMPTS OUT IN_FLIGHT [BATCH REPLICAS]
"""

import json
import sys
from pathlib import Path

from distilabel.models import OpenAILLM
from distilabel.pipeline import Pipeline
from distilabel.steps import LoadDataFromDicts, StepResources
from distilabel.steps.tasks import TextGeneration


def main(base_url: str, prompts_path: str, out: str, batch: int, replicas: int) -> int:
    rows = [
        {"instruction": json.loads(line)["prompt"]}
        for line in Path(prompts_path).read_text().splitlines()
    ]
    with Pipeline(name="bench", cache_dir=out) as pipeline:
        load = LoadDataFromDicts(data=rows, batch_size=batch)
        generate = TextGeneration(
            llm=OpenAILLM(
                model="bench",
                base_url=base_url,
                api_key="bench",
                generation_kwargs={"temperature": 1.0, "top_p": 0.9, "max_new_tokens": 640},
            ),
            input_batch_size=batch,
            resources=StepResources(replicas=replicas),
        )
        load >> generate
    answered = pipeline.run()["default"]["train"]
    return sum(bool(text) for text in answered["generation"])


if __name__ == "__main__":
    batch, replicas = (int(arg) for arg in sys.argv[5:7])
    print(main(sys.argv[1], sys.argv[2], sys.argv[3], batch, replicas))

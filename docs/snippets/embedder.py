from collections.abc import Sequence

import walnut
from walnut.embed.function import FunctionEmbedder
from walnut.embed.http import HttpEmbedder

# A model in this process: any callable that turns texts into vectors, with a name and a dimension.
TOPICS = {"invoice": 0, "bill": 0, "ship": 1, "vessel": 1}


def embed(texts: Sequence[str]) -> list[list[float]]:
    known = [[TOPICS[word] for word in text.lower().split() if word in TOPICS] for text in texts]
    return [[0.1 + found.count(0), 0.1 + found.count(1)] for found in known]


model = FunctionEmbedder(embed, model="topics-v1", dimensions=2)

# Or one behind HTTP, as OpenAI, Ollama, vLLM, LM Studio and others have it. Nothing is sent before a store uses it.
local = HttpEmbedder("http://127.0.0.1:11434/v1", model="all-minilm", dimensions=384)
hosted = HttpEmbedder("https://api.openai.com/v1", model="text-embedding-3-small", dimensions=1536, key="sk-")

with walnut.open("./memory", embedder=model) as m:
    m.remember("The invoice goes out on Monday")
    m.remember("The ship is in the harbour")

    status = m.upkeep.embed(timeout=60)  # by itself it happens in the background
    assert (status.vectors, status.waiting, status.failure) == (2, 0, None)
    assert m.recall("vessel", mode="vector")[0].text == "The ship is in the harbour"

# Or bring vectors yourself: they are in the log.
with walnut.open("./memory") as m:
    m.remember("Item 17", embedding=[0.2, 0.9, 0.1])
    assert m.recall("", embedding=[0.1, 1.0, 0.0])[0].text == "Item 17"

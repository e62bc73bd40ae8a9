"""The estimate of tokens, against what real tokenizers counted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from walnut.recall.counting import estimate

#: Cited lines, and what o200k_base and cl100k_base (rs-bpe 0.1.0) and Claude's tokenizer (anthropic 0.38.0) counted.
COUNTED = json.loads((Path(__file__).parent / "token_counts.json").read_text(encoding="utf-8"))
#: The documented one that costs more than estimated, by so many tokens.
SHORT = {"Finnish": 2}


@pytest.mark.parametrize("case", COUNTED, ids=lambda case: str(case["name"]))
def test_C1_a_cited_line_costs_no_tokenizer_more_than_estimated(case: dict[str, object]) -> None:
    text, counted = case["text"], case["counted"]
    assert isinstance(text, str)
    assert isinstance(counted, list)
    assert estimate(text) + SHORT.get(str(case["name"]), 0) >= max(counted)
    assert estimate(text) <= 3 * max(counted)


def test_C1_a_line_more_in_any_script_costs_more() -> None:
    texts = [str(case["text"]) for case in COUNTED]
    for number in range(1, len(texts)):
        assert estimate("\n".join(texts[: number + 1])) > estimate("\n".join(texts[:number]))

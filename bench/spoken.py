"""`python -m bench.spoken`: whose words recall finds, on made-up talks of a user and an assistant about like things.

Of each topic they say much the same three times, so words alone don't tell whose turn is meant.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections.abc import Iterator, Sequence
from unittest.mock import patch

import msgspec

import walnut
from walnut.recall.plan import SETTINGS
from walnut.recall.search import search

_TOPICS = (
    *("sourdough", "knee pain", "a trip to Porto", "the tax form", "guitar strings", "a leaking tap", "roses"),
    *("a marathon plan", "job interviews", "a cat's diet", "houseplants", "a budget", "chess openings"),
    *("old photos", "migraine", "wallpaper"),
)
_METHODS = ("amber", "basil", "cobalt", "drift", "ember", "fennel", "garnet", "hazel", "indigo", "juniper")
_ADVICE = ("Start small.", "Note what works.", "Ask a friend.", "Rest between.", "Check the result.", "Be patient.")
#: Who is asked about -> how one asks.
_ASKED = {
    "assistant": (
        "Can you remind me which method you recommended for {}?",
        "I'm going back to our previous chat, what method for {} did you suggest to me?",
        "What was the method in the list you gave me for {}?",
    ),
    "user": ("Which method do I use for {}?", "What did I tell you about my method for {}?"),
}
_WAYS: dict[str, dict[str, float]] = {"as it is": {}, "neither favoured": {"assistant": 0.0, "speaker": 0.0}}
_TIMES, _FIRST = 3, 3


def _said(topic: str, chance: random.Random) -> dict[str, str]:
    """By speaker, one exchange."""
    mine, yours = chance.sample(_METHODS, 2)
    return {
        "user": f"I use the {mine} method for {topic} now, it went well and I liked it.",
        "assistant": f"For {topic} there are several things to think of, such as time, cost and effort. The {yours} "
        f"method suits {topic} well, and many people like it. {' '.join(chance.sample(_ADVICE, 4))}",
    }


def _fill(m: walnut.Memory, chance: random.Random) -> None:
    talks = [topic for topic in _TOPICS for _ in range(_TIMES)]
    for number, topic in enumerate(talks):
        day = f"2024-{1 + number // 28:02}-{1 + number % 28:02}T00:00:00Z"
        m.remember_many(
            [
                {"text": text, "occurred_at": day, "source": {"speaker": who, "session": f"s{number}", "topic": topic}}
                for who, text in _said(topic, chance).items()
            ]
        )


def _shares(m: walnut.Memory, who: str) -> Iterator[tuple[float, float]]:
    """For each question, the share of the first three hits that are this one's, and the reciprocal rank."""
    for topic in _TOPICS:
        for question in _ASKED[who]:
            hits = m.recall(question.format(topic), k=10)
            right = [
                hit.source is not None and (hit.source["speaker"], hit.source["topic"]) == (who, topic) for hit in hits
            ]
            yield sum(right[:_FIRST]) / _FIRST, next((1 / rank for rank, each in enumerate(right, 1) if each), 0.0)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def main(seeds: Sequence[str]) -> int:
    """Print a line a way of searching, a cell for each of the two."""
    for seed in map(int, seeds or ("3", "4")):
        with tempfile.TemporaryDirectory() as folder, walnut.open(folder, scope="user:ann") as m:
            _fill(m, random.Random(seed))
            for name, off in _WAYS.items():
                with patch.dict(search.__kwdefaults__ or {}, settings=msgspec.structs.replace(SETTINGS, **off)):
                    for who in _ASKED:
                        first, ranks = zip(*_shares(m, who), strict=True)
                        print(f"seed {seed}, {name}, {who}: {100 * _mean(first):.1f} % / {_mean(ranks):.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

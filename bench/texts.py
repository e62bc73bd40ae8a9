"""Seeded texts that look like notes: common English words, and rare ones by Zipf's law."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache
from itertools import accumulate, cycle

_COMMON = (
    "the of and to a in is it for on that with was as be by at this are from or an which we you not have has but "
    "they all their can will one when what there out if more up other about time them then some so into only also "
    "new over after use how our work first well way even want because any these give day most us customer order "
    "invoice prefers meeting report agent project team email call date plan change question answer week month"
)
_SYLLABLES = "ka lo mi ren tas vel dor an is qu be fi gon hap jun pel ros sun tir wex yo zem cla bri sto"
_VOCABULARY = 30_000


@cache
def _words() -> tuple[list[str], list[float]]:
    chance = random.Random(1)
    words = _COMMON.split()
    known, syllables = set(words), _SYLLABLES.split()
    while len(words) < _VOCABULARY:
        word = "".join(chance.choices(syllables, k=chance.randint(2, 4)))
        if word not in known:
            known.add(word)
            words.append(word)
    return words, list(accumulate(1 / (rank + 2) for rank in range(len(words))))


def texts(count: int, *, seed: int = 7) -> list[str]:
    """`count` notes of 8 to 60 words, some 260 bytes in the mean."""
    chance = random.Random(seed)
    words, weights = _words()
    notes = []
    for _ in range(count):
        picked = chance.choices(words, cum_weights=weights, k=chance.randint(8, 60))
        notes.append(" ".join(picked).capitalize() + ".")
    return notes


def endless(*, seed: int = 7) -> Iterator[str]:
    """Some thousands of notes, over and over."""
    return cycle(texts(4_096, seed=seed))


def queries(notes: list[str], count: int, *, seed: int = 11) -> list[str]:
    """Questions of three words that one of the notes holds, with the little words a question has."""
    chance = random.Random(seed)
    little = set(_COMMON.split())
    asked: list[str] = []
    while len(asked) < count:
        words = [word for word in chance.choice(notes).strip(".").lower().split() if word not in little]
        if len(words) >= 3:
            asked.append("what did we say about " + " ".join(chance.sample(words, 3)))
    return asked

"""Spreading: hits that say something of their own go before those that nearly repeat a better one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import ceil

from walnut.model.results import Hit
from walnut.views.folds import terms

#: Texts that share this much of their words, and have the same numbers, nearly repeat each other.
SIMILAR = 0.8
#: Texts of more characters repeat none.
SHORT = 2_000

_NUMBER = re.compile(r"\d+")


def spread(hits: Sequence[Hit]) -> tuple[list[Hit], list[Hit]]:
    """Hits that say something of their own, and those that nearly repeat one of them, both in their order."""
    first: list[Hit] = []
    similar: list[Hit] = []
    alike: dict[tuple[str, ...], _Texts] = {}
    for hit in hits:
        words = frozenset(terms.terms(hit.text) if len(hit.text) <= SHORT else ())
        texts = alike.setdefault(tuple(_NUMBER.findall(hit.text)), _Texts())
        (first if texts.add(words) else similar).append(hit)
    return first, similar


class _Texts:
    """Sets of words of which no two are similar.

    Two sets that share enough have in common one of the least words of either, so only those need be compared.
    """

    def __init__(self) -> None:
        self._by_word: dict[int, list[frozenset[int]]] = {}

    def add(self, words: frozenset[int]) -> bool:
        """Take it in, unless it is similar to one that is in."""
        least = sorted(words)[: len(words) - ceil(SIMILAR * len(words)) + 1]
        if any(_similar(words, other) for word in least for other in self._by_word.get(word, ())):
            return False
        for word in least:
            self._by_word.setdefault(word, []).append(words)
        return True


def _similar(one: frozenset[int], other: frozenset[int]) -> bool:
    common = len(one & other)
    return common >= SIMILAR * (len(one) + len(other) - common)

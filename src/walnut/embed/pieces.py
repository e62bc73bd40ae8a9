"""Word pieces: how a text becomes rows of the vector table, the way the model that the table comes from splits it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from itertools import chain

from walnut.model.normal import normalized

#: Longer words have no pieces: nobody means anything by them.
LONGEST = 100
#: Of a text, the first so many pieces count.
MOST = 512
#: They are looked for in the first so many characters.
_MOST_CHARACTERS = 1 << 14
_KNOWN_WORDS = 50_000
_ASCII = re.compile(r"[a-z0-9]+|[^\sa-z0-9]")
_IDEOGRAPHS = ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x2FA1F))


def words(text: str) -> list[str]:
    """Lower-cased words without accents; each mark and each ideograph is a word of its own."""
    text = text[:_MOST_CHARACTERS].lower()
    if text.isascii():
        return _ASCII.findall(text)
    spaced = []
    for character in normalized("NFD", text):
        category = unicodedata.category(character)
        if category == "Mn":
            continue
        alone = category[0] in "PS" or any(low <= ord(character) <= high for low, high in _IDEOGRAPHS)
        spaced.append(f" {character} " if alone else " " if category[0] in "CZ" else character)
    return "".join(spaced).split()


class Vocabulary(dict[str, tuple[int, ...]]):
    """The pieces of words, by their numbers: a word is split when it is first asked for, and remembered."""

    def __init__(self, numbers: Mapping[str, int]) -> None:
        super().__init__()
        self._numbers = numbers

    def pieces(self, text: str) -> list[int]:
        """The numbers of a text's pieces, in order; words that can't be split wholly have none."""
        if len(self) > _KNOWN_WORDS:
            self.clear()
        return list(chain.from_iterable(map(self.__getitem__, words(text))))[:MOST]

    def __missing__(self, word: str) -> tuple[int, ...]:
        split = self[word] = self._split(word)
        return split

    def _split(self, word: str) -> tuple[int, ...]:
        """The longest piece that the word begins with, then the longest that goes on with it, and so on."""
        if len(word) > LONGEST:
            return ()
        numbers, found, start = self._numbers, list[int](), 0
        while start < len(word):
            prefix, end = "##" if start else "", len(word)
            while end > start and prefix + word[start:end] not in numbers:
                end -= 1
            if end == start:
                return ()
            found.append(numbers[prefix + word[start:end]])
            start = end
        return tuple(found)

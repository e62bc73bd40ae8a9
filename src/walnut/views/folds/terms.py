"""Terms: how any text, in any script, becomes the 32-bit numbers that the text index counts.

Letters lose case, width and accents; English words are stemmed; scripts that write without spaces (Han, Kana,
Hangul, Thai, Lao, Khmer, Burmese) become overlapping pairs of characters; emoji become the words of their names.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from zlib import crc32

from walnut.model.normal import normalized
from walnut.views.folds.stem import stem

#: Longer words are cut: nobody looks for the tail of a base64 blob.
LONGEST = 64
#: Of a query, the first so many characters count.
MOST_QUERY = 1 << 14
_KNOWN_WORDS = 1 << 16

_HAN = "\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_KANA_HANGUL = "\u3041-\u30ff\u31f0-\u31ff\u1100-\u11ff\uac00-\ud7af"
_DENSE = f"{_HAN}{_KANA_HANGUL}\u0e01-\u0e7f\u0e80-\u0eff\u1000-\u109f\u1780-\u17dd"  # and Thai, Lao, Burmese, Khmer
_INDIC = "\u0900-\u0963\u0966-\u0dff"  # their vowel signs are marks, which `\w` leaves out
#: Lower case for letters, a blank for all that is neither letter nor digit.
_ASCII_WORDS = "".join(chr(code).lower() if chr(code).isalnum() else " " for code in range(128))
_RUN = re.compile(f"([{_DENSE}]+)|((?:(?![{_DENSE}])[^\\W_]|[{_INDIC}])+)")
# Possessive, and only from where a word begins: a megabyte without a blank is gone over once, not at each letter.
_IDENTIFIER = re.compile("(?<![a-z0-9])[a-z0-9]++(?:[-_./:@+#][a-z0-9]++)+")
_JOINT = re.compile("[-_./:@+#][A-Za-z0-9]")
_HAN_CHARACTER = re.compile(f"[{_HAN}]")
# Accents of Latin, Greek and Cyrillic; points of Hebrew; vowel marks and the stretcher of Arabic; joiners.
_MARKS = re.compile("[\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670\u200b-\u200d\ufe00-\ufe0f]")
_EMOJI = re.compile("[\u2190-\u21ff\u2300-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff]")
_FLAG_LETTERS = range(0x1F1E6, 0x1F200)
_SKIN_TONES = range(0x1F3FB, 0x1F400)

#: What a question is made of, not about. They leave a query unless nothing else is in it.
STOP_WORDS = frozenset(
    re.findall(
        "[a-z]+",
        """
    a about after all also am an and any are as at be because been before being both but by can could d did do does
    doing done for from get got had has have having he her here hers him his how i if in into is it its just like ll m
    may me might mine more most my no not now of on or our ours out over own re s shall she should so some such t than
    that the their theirs them then there these they this those through to too under until up us ve very was we were
    what when where which while who whom whose why will with would you your yours
        """,
    )
)


def words(text: str, *, query: bool = False) -> list[str]:
    """The words of a text, folded but not stemmed, in order.

    In a text each Han character is also a word of its own; in a query only one that stands alone. Of a query the
    first `MOST_QUERY` characters count.

    >>> words("Straße, CAFÉ 🎸"), words("黒猫"), words("黒猫", query=True)
    (['strasse', 'cafe', 'guitar'], ['黒猫', '黒', '猫'], ['黒猫'])
    """
    return list(_query_words(text[:MOST_QUERY])[0]) if query else _words(text, query=False)[0]


def terms(text: str) -> list[int]:
    """The terms of a text to be indexed, in order: its words, then its identifiers as wholes.

    An identifier is what holds words together without a blank: INV-2041, user_id, v1.2.3, a path, an address; but
    not with hyphens alone, as in well-known.
    """
    return formed(text)[0]


def formed(text: str, *, query: bool = False) -> tuple[list[int], bytes]:
    """The terms of a text, and a byte for each, of the form the word has in the text.

    Another form of a word nearly always has another byte: "invoices" for "invoice", "cafe" for "café". Case is no form.
    """
    found, exact, whole = _query_words(text[:MOST_QUERY]) if query else _words(text, query=False)
    numbers, forms = list(map(_numbers.__getitem__, found)), bytes(map(_forms.__getitem__, exact))
    if not whole:
        return numbers, forms
    hashes = list(map(_whole, whole))
    return numbers + hashes, forms + bytes(each & 255 for each in hashes)


def query_terms(text: str, *, most: int) -> list[int]:
    """The distinct terms of a query, the first so many, without stop words unless there is nothing else."""
    numbers, _ = formed(text, query=True)
    found = words(text, query=True)
    wanted = [term for word, term in zip(found, numbers, strict=False) if word not in STOP_WORDS]
    wanted += numbers[len(found) :]
    return list(dict.fromkeys(wanted or numbers))[:most]


def query_identifiers(text: str) -> dict[int, int]:
    """The terms of a query that stand for identifiers, each with how many words it holds together."""
    found = _query_words(text[:MOST_QUERY])[2]
    return {_whole(each): len(each.translate(_ASCII_WORDS).split()) for each in found}


def _whole(identifier: str) -> int:
    return crc32(identifier.encode())


def query_forms(text: str) -> dict[int, frozenset[int]]:
    """In which forms (bytes, as in `formed`) the terms of a query stand in it."""
    found: dict[int, set[int]] = {}
    for term, form in zip(*formed(text, query=True), strict=True):
        found.setdefault(term, set()).add(form)
    return {term: frozenset(forms) for term, forms in found.items()}


@lru_cache(maxsize=8)
def _query_words(text: str) -> tuple[list[str], list[str], list[str]]:
    """A search asks for the words of its query several times; nobody changes these lists."""
    return _words(text, query=True)


def _words(text: str, *, query: bool) -> tuple[list[str], list[str], list[str]]:
    """The words folded, the same words as they are but for case, and the identifiers."""
    if text.isascii():
        found = text.translate(_ASCII_WORDS).split()  # a third of the time that a pattern takes
        return found, found, _identifiers(text)
    named = _EMOJI.sub(_emoji_words, text)
    folded = _fold(named)
    found, exact = _runs(folded, query=query), _runs(normalized("NFC", named.lower()), query=query)
    return found, exact if len(exact) == len(found) else found, _identifiers(folded)


def _identifiers(text: str) -> list[str]:
    found = _IDENTIFIER.findall(text.lower()) if _JOINT.search(text) else []
    return [each for each in found if not each.replace("-", "").isalpha()]


def _runs(text: str, *, query: bool) -> list[str]:
    found: list[str] = []
    for dense, word in _RUN.findall(text):
        if word:
            found.append(word)
            continue
        pairs = [dense[i : i + 2] for i in range(len(dense) - 1)] or [dense]
        found += pairs
        if not query and len(dense) > 1:
            found += _HAN_CHARACTER.findall(dense)
    return found


def number(word: str) -> int:
    """The 32-bit number of a folded word's stem. Two of a million words share one in a ten-thousandth of cases."""
    return _numbers[word]


class _Numbers(dict[str, int]):
    """Words and their numbers, up to a bound."""

    def __missing__(self, word: str) -> int:
        if len(self) >= _KNOWN_WORDS:
            self.clear()
        cut = word[:LONGEST]
        found = crc32((stem(cut) if cut.isascii() and cut.isalpha() else cut).encode())
        if len(word) <= LONGEST:
            self[word] = found
        return found


class _Forms(dict[str, int]):
    """Words and the bytes of their forms, up to a bound."""

    def __missing__(self, word: str) -> int:
        if len(self) >= _KNOWN_WORDS:
            self.clear()
        found = crc32(word[:LONGEST].encode()) & 255
        if len(word) <= LONGEST:
            self[word] = found
        return found


_numbers, _forms = _Numbers(), _Forms()

#: The stop words as terms.
STOP_TERMS = frozenset(map(number, STOP_WORDS))


def _fold(text: str) -> str:
    text = normalized("NFKD", normalized("NFKD", text).casefold())
    return normalized("NFC", _MARKS.sub("", text))


def _emoji_words(match: re.Match[str]) -> str:
    character = match[0]
    if ord(character) in _FLAG_LETTERS:
        return chr(ord("a") + ord(character) - _FLAG_LETTERS.start)
    if ord(character) in _SKIN_TONES:
        return ""
    return f" {unicodedata.name(character, '').lower()} "

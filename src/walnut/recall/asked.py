"""What a query asks beside its words: a time, an exact identifier or phrase, the latest, the first, a date."""

from __future__ import annotations

import re
from array import array
from collections.abc import Sequence
from math import inf
from typing import Literal

import msgspec

from walnut.recall.times import Times, Window, times
from walnut.views.folds import terms
from walnut.views.folds.text import Doc
from walnut.views.folds.text_rows import DAY_TERMS

#: Characters of a query in which identifiers and phrases are looked for, and how many of them count.
_LOOKED_AT = 2_000
_MOST_NEEDLES = 8

_TERM_BYTES = 4
_DAY = 86_400 * 10**9
_QUOTED = re.compile(
    '["\u201c\u201d\u201e\u00ab\u00bb]([^"\u201c\u201d\u201e\u00ab\u00bb]{1,200})["\u201c\u201d\u00ab\u00bb]'
)
#: A word of letters and digits, which is a hash or a number of something, but not a 3rd or 5pm.
_MIXED = re.compile(r"(?<![^\W_])(?:[a-z]+\d|\d+[a-z])[a-z\d]*(?![^\W_])")
#: What is no identifier though it looks like one: 3rd, 5pm, and/or, e.g.
_ORDINARY = re.compile(
    r"(?<![\w./@-])(?:\d+(?:st|nd|rd|th|s|am|pm|k|m|h|km|kg|x)|[a-z]+(?:/[a-z]+)+|[a-z](?:\.[a-z])+)(?![\w/@-])"
)
_LATEST = re.compile(
    r"\b(?:latest|newest|most recent(?:ly)?|current(?:ly)?|now|nowadays|these days|at the moment|so far)\b"
)
_FIRST = re.compile(r"\b(?:originally|initially|at first|earliest|oldest|first time|in the beginning)\b")
#: "When did she", "do you know when she", but not "what did she say when he".
_WHEN = re.compile(
    r"^\W*when\b|[.?!,;:]\s*when\b|\b(?:and|but|know|remember|recall|remind me|tell me|say|said|since|until|by) when\b"
    r"|\bwhen (?:did|does|do|is|are|was|were|will|would|has|have|had|should|can|could)\b"
    r"|\b(?:(?:what|which) (?:date|day|month|year|time)|how long|how many (?:days|weeks|months|years))\b"
)
_SAYING = (
    "said|told|mentioned|suggested|recommended|advised|gave|given|listed|provided|explained|described|wrote|written"
    "|proposed|answered|offered|named|shared|showed|shown|quoted|came up with"
)
_SAY = (
    "say|tell|mention|suggest|recommend|advise|give|list|provide|explain|describe|write|propose|answer|offer|name|share"
)
#: The one who is asked is asked for what he said: "you suggested", "did you say", "your list"; not "can you suggest".
_YOU_SAID = re.compile(
    rf"\byou(?:['\u2019](?:ve|d))?(?: (?:had|have|just|also|once|previously|originally|earlier|already)){{0,3}}"
    rf" (?:{_SAYING})\b|\bdid you (?:also |originally |previously )?(?:{_SAY})\b"
    r"|\byour (?:\w{1,30} ){0,2}"
    r"(?:suggestion|recommendation|advice|answer|reply|replies|response|list|explanation|summary|tip)s?\b"
)
#: The asker asks for what he said himself.
_I_SAID = re.compile(
    rf"\bi(?:['\u2019](?:ve|d))?(?: (?:had|have|just|also|once|previously|originally|earlier|already)){{0,3}}"
    rf" (?:{_SAYING})\b|\bdid i (?:also |originally |previously )?(?:{_SAY})\b"
)
#: A conversation is meant, and either may have said it.
_WE_TALKED = re.compile(
    r"\bremind me\b|\b(?:our|previous|earlier|last|past) (?:\w{1,30} )?(?:chat|conversation|discussion|exchange)s?\b"
    r"|\bwe (?:talked|spoke|chatted|discussed|went over|were talking|were discussing)\b"
)
#: Who asks about himself asks about what the user said.
_FIRST_PERSON = frozenset({"i", "me", "my", "mine", "myself", "we", "our", "ours"})
#: Words with which people say when something was or will be.
_SAYS_WHEN = frozenset(
    map(
        terms.number,
        (
            *("yesterday", "today", "tonight", "tomorrow", "ago", "last", "next", "weekend", "week", "month", "year"),
            *("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", "morning", "evening"),
            *("january", "february", "march", "april", "june", "july", "august", "september", "october", "november"),
            *("december", "summer", "winter", "spring", "autumn", "since", "recently", "night"),
        ),
    )
)


#: The two sides of a talk with an assistant.
Role = Literal["user", "assistant"]


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What ranking weighs beside words and nearness; empty for most queries.

    `windows`: times named. `needles`: 32-bit terms that must stand together. `towards`: 1 the latest, -1 the first,
    0 neither. `when`: the answer is a time. `role`: who said it in a talk with an assistant; None: either.
    """

    windows: tuple[Window, ...] = ()
    needles: tuple[bytes, ...] = ()
    towards: int = 0
    when: bool = False
    role: Role | None = None


def asked(query: str, *, now: int) -> tuple[Asked, Times]:
    """What a query asks for, and what it says of time as seen from `now` (ns)."""
    named = times(query, now=now)
    start = named.rest[:_LOOKED_AT]
    lowered = start.lower()
    return (
        Asked(
            windows=named.windows,
            needles=_needles(start),
            towards=bool(_LATEST.search(lowered)) - bool(_FIRST.search(lowered)),
            when=_WHEN.search(lowered) is not None,
            role=_role(query),
        ),
        named,
    )


def _role(query: str) -> Role | None:
    """Whose words are asked for: where both are, or only a conversation is named, either's."""
    lowered = query[:_LOOKED_AT].lower()
    you, i = _YOU_SAID.search(lowered), _I_SAID.search(lowered)
    if you or i:
        return None if you and i else "assistant" if you else "user"
    if _WE_TALKED.search(lowered) or _FIRST_PERSON.isdisjoint(terms.words(query, query=True)):
        return None
    return "user"


def _needles(query: str) -> tuple[bytes, ...]:
    lowered = query.lower()
    found = [array("I", map(terms.number, terms.words(match[1]))) for match in _QUOTED.finditer(query)]
    found += (array("I", [terms.number(each)]) for each in _MIXED.findall(lowered) if not _ORDINARY.fullmatch(each))
    found += (array("I", [whole]) for whole in terms.query_identifiers(_ORDINARY.sub(" ", lowered)))
    return tuple(dict.fromkeys(each.tobytes() for each in found if each))[:_MOST_NEEDLES]


# --- how much a version has of it, 0 to 1 -----------------------------------------------------------------------


def closeness(docs: Sequence[Doc], windows: Sequence[Window]) -> list[float]:
    """1 within a window. What happened in it is told on the same day or later: less by each window's length after."""
    return [max(_close(doc.occurred, window) for window in windows) for doc in docs]


def _close(occurred: int, window: Window) -> float:
    since, until = window.since, window.until
    before = 0 if since is None else since - occurred
    after = 0 if until is None else occurred - until + 1
    if before <= 0 and after <= 0:
        return 1.0
    if since is None or until is None:
        return 0.0
    length = min(max(until - since, 2 * _DAY), 30 * _DAY)
    return float(2.0 ** -(before / (length / 4) if before > 0 else 1 + after / length))


def exactness(docs: Sequence[Doc], needles: Sequence[bytes]) -> list[float]:
    """The share of identifiers and phrases whose terms stand together in what was said."""
    return [sum(_holds(doc.body, needle) for needle in needles) / len(needles) for doc in docs]


def _holds(body: bytes, needle: bytes) -> bool:
    place = body.find(needle)
    while place >= 0 and place % _TERM_BYTES:
        place = body.find(needle, place + 1)
    return place >= 0


def lateness(docs: Sequence[Doc]) -> list[float]:
    """0 for the first of the candidates, 1 for the last, in proportion to time."""
    first, last = min((doc.occurred for doc in docs), default=0), max((doc.occurred for doc in docs), default=0)
    return [(doc.occurred - first) / ((last - first) or inf) for doc in docs]


def tells_when(docs: Sequence[Doc]) -> list[float]:
    """1 for a text with words that say when."""
    return [
        float(not _SAYS_WHEN.isdisjoint(array("I", doc.body[(doc.speaker + DAY_TERMS) * _TERM_BYTES :])))
        for doc in docs
    ]

"""Times in a question: "last week", "before March", "on 8 May 2023" as windows of time, seen from a moment, in UTC.

The language is English, the seasons are those of the north; whatever is not understood yields nothing. A word that
also means something else ("may", "march", "spring", "2023") is a time only where the words before it say so.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache

import msgspec

#: Characters of a query that are looked at: who pastes a page asks about what it says, not about its dates.
LOOKED_AT = 2_000

#: A window's ends, whichever comes first.
_Span = tuple[datetime, datetime]


class Window(msgspec.Struct, frozen=True):
    """Ns since 1970 UTC, half open; None: open on that side."""

    since: int | None
    until: int | None


class Times(msgspec.Struct, frozen=True, kw_only=True):
    """The windows that a query names, and what is left of it without the words that name them.

    Where nothing is left it is the whole query. `indexed`: the query without the words of open windows: what was said
    on a day is found by the day's words, but "before March" does not ask for March.
    """

    windows: tuple[Window, ...]
    rest: str
    indexed: str


def times(query: str, *, now: int) -> Times:
    """What a query says of time, as seen from `now` (ns since 1970 UTC).

    >>> now = 1_700_000_000 * 10**9  # Tuesday, 14 November 2023
    >>> found = times("what broke last week?", now=now)
    >>> [(window.until - window.since) // (86_400 * 10**9) for window in found.windows], found.rest
    ([7], 'what broke ?')
    >>> times("may I march on?", now=now).windows
    ()
    """
    text = query[:LOOKED_AT]
    lowered = re.sub(r"\s", " ", text.lower())
    if len(lowered) != len(text) or not _HINT.search(lowered):
        return Times(windows=(), rest=query, indexed=query)
    moment = _EPOCH + timedelta(microseconds=now // 1_000)
    windows, spans = list[Window](), list[tuple[int, int]]()
    for match in _compiled().finditer(lowered):
        try:
            window = _window(match, moment)
        except (ValueError, OverflowError):  # 31 February; 9,000 years ago
            continue
        if window is not None:
            windows.append(window)
            spans.append(match.span())
    opened = [span for span, window in zip(spans, windows, strict=True) if None in (window.since, window.until)]
    return Times(windows=tuple(dict.fromkeys(windows)), rest=_without(query, spans), indexed=_without(query, opened))


def _without(query: str, spans: Sequence[tuple[int, int]]) -> str:
    """The query without these parts, or whole if no word is left."""
    parts, end = list[str](), 0
    for start, stop in spans:
        parts.append(query[end:start])
        end = stop
    rest = "".join((*parts, query[end:]))
    return rest if re.search(r"\w", rest) else query


# --- the grammar ------------------------------------------------------------------------------------------------


def _any(words: Iterable[str]) -> str:
    return "|".join(sorted(words, key=len, reverse=True))


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY, _WEEK = timedelta(days=1), timedelta(days=7)
_MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_SEASONS = {"spring": 3, "summer": 6, "autumn": 9, "fall": 9, "winter": 12}
_ORDINALS = {"first": 1, "second": 2, "third": 3, "fourth": 4}
_COUNTED = ("a", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_COUNTS = {word: count for count, word in enumerate(_COUNTED, 1)}
_COUNTS |= {"an": 1, "one": 1, "couple of": 2, "couple": 2, "a couple of": 2, "few": 3, "a few": 3, "several": 4}

_YEAR = r"(?:19|20)\d\d\b"
_MONTH = rf"(?:{_any(_MONTHS)}|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)\b\.?"
_NTH = r"\d{1,2}(?:st|nd|rd|th)?"
_COUNT = rf"(?:{_any(_COUNTS)}|\d{{1,4}})"
_UNIT = "(?:hour|day|week|fortnight|month|quarter|year)"
_WHICH = "(?:last|this|next|previous|past)"
#: "The last may have been": no month.
_VERB = r"(?:be|have|not|well|also|never|still|yet|need|want|come|seem|look|take|make|cause|go|get)\b"
_YEAR_OR = rf"(?:{_YEAR}|(?:last|this) year\b)"

#: What names a time. Those whose name ends in "_" are one only behind a word that says so.
_ATOMS = {
    "iso": rf"{_YEAR}[-/]\d\d?(?:[-/]\d\d?(?:t[\d:.]+z?)?)?(?![-\w])",
    "numeric": rf"\d\d?\.\d\d?\.{_YEAR}|\d\d?/\d\d?/{_YEAR}",
    "date": rf"{_NTH}(?: of)? {_MONTH}(?:,? {_YEAR})?|{_MONTH} (?:the )?{_NTH}(?![\d:])(?:,? {_YEAR})?",
    "month": rf"(?!this may|{_WHICH} may {_VERB}){_WHICH} {_MONTH}|{_MONTH},?(?: of)? {_YEAR}",
    "quarter": rf"q[1-4]\b(?:,?(?: of)? {_YEAR_OR})?|(?:{_any(_ORDINALS)}) quarter of {_YEAR_OR}",
    "season": rf"(?:{_any(_SEASONS)})(?: of)? {_YEAR_OR}|{_WHICH} (?:{_any(_SEASONS)})\b",
    "day": r"day before yesterday|day after tomorrow|yesterday|today|tonight|tomorrow|last night"
    r"|this (?:morning|afternoon|evening)",
    "ago": rf"{_COUNT} {_UNIT}s? (?:ago|back)\b(?: today\b)?",
    "past": rf"(?:last|past|previous) {_COUNT} {_UNIT}s\b|past {_UNIT}\b",
    "weekend": rf"(?:{_WHICH}|the) weekend\b",
    "unit": rf"{_WHICH} (?:week|month|quarter|year)\b(?! of\b)",
    "weekday": rf"{_WHICH} (?:{_any(_WEEKDAYS)})\b",
    "weekday_": rf"(?:{_any(_WEEKDAYS)})\b",
    "season_": r"(?:spring|summer|autumn|winter)\b",
    "month_": rf"(?:{_any(_MONTHS)})\b",
    "year_": _YEAR,
}
_WEEKLY = frozenset({"weekday", "weekday_", "weekend"})
_YEARLY = frozenset({"date", "month", "month_", "season", "season_", "quarter"})
_BEFORE = frozenset({"before", "until", "till", "by", "prior to", "up to"})
_AFTER = frozenset({"after", "since", "from"})
_WITHIN = frozenset({"between", "in", "on", "during", "of", "over", "around", "throughout", "within", "more than"})
#: Before these words an ambiguous one is still no time: "a book by April", "over 2000".
_DOUBTFUL = {
    "month_": {"on", "of", "by", "around"},
    "season_": {"on", "of", "by", "around"},
    "year_": {"over", "around"},
}


@cache
def _compiled() -> re.Pattern[str]:
    part = (
        r"(?P<part{0}>(?:the )?(?:(?:early|late|mid|start of|beginning of|middle of|end of)[-\s](?:the )?)?(?:year )?)"
    )
    atoms = ["|".join(f"(?P<{name}{which}>{pattern})" for name, pattern in _ATOMS.items()) for which in ("", "2")]
    lead = rf"(?:(?P<lead>{_any(_BEFORE | _AFTER | _WITHIN)}) )?"
    joined = rf"(?: (?:and|to|until|till|through) | ?[-\u2013] ?){part.format(2)}(?:{atoms[1]})"
    return re.compile(rf"(?<![\w.-]){lead}{part.format('')}(?:{atoms[0]})(?:{joined})?(?!\w)")


_HINT = re.compile(
    rf"\b(?:\d|(?:{_any((*_MONTHS, *_WEEKDAYS, *_SEASONS))}|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec|q[1-4]"
    r"|ago|back|yesterday|today|tonight|tomorrow|last|past|this|next|previous|weekend|quarter)\b)"
)


# --- what the words mean ----------------------------------------------------------------------------------------


def _window(match: re.Match[str], now: datetime) -> Window | None:
    """The window of one match; None where its words don't surely name a time."""
    lead, name, other = match["lead"], *(next((n for n in _ATOMS if match[n + end]), None) for end in ("", "2"))
    if name is None or not (other or _sure(name, match[name], lead, match["part"])):
        return None
    text, late = match[name], match[f"{other}2"] if other else ""
    rolling = name == "unit" and lead in _WITHIN and match["part"].startswith("the ")
    if other and _number(_YEAR, text) is None:
        text += _found(rf" {_YEAR}", f" {late}")  # between June and August 2024
    first = last = _span(name, text, now)
    if other:
        last = _span(other, late, now)
        if first[0] > last[0] and _number(_YEAR, match[name]) is None:
            first = _earlier(first, name, other)
    if lead in _BEFORE or (lead in ("over", "more than") and name == "ago"):
        return Window(None, _ns(first[0] if lead in ("before", "prior to") else first[1]))
    if lead in _AFTER and not other:
        return Window(_ns(first[1] if lead == "after" else first[0]), None)
    end = max(last[1], now) if rolling and "last" in text else last[1]
    return Window(_ns(first[0]), _ns(end)) if first[0] < end else None


def _earlier(first: _Span, name: str, other: str) -> _Span:
    """The one before: from Friday to Monday, from November to March. Others have none: "yesterday to last week"."""
    if {name, other} <= _WEEKLY:
        return first[0] - _WEEK, first[1] - _WEEK
    if {name, other} <= _YEARLY:
        return _shifted(first[0], -12), _shifted(first[1], -12)
    raise ValueError("ends before it begins")


def _sure(name: str, text: str, lead: str | None, part: str) -> bool:
    """Whether an atom alone, with what stands before it, names a time."""
    if name == "date" and re.search(r"\b(?:may|mar|march)\b", text):  # "the 3 may come"
        return bool(lead or part not in ("", "the ") or re.search(rf"{_YEAR}|\d(?:st|nd|rd|th)| of ", text))
    if not name.endswith("_"):
        return True
    return (lead is not None and lead not in _DOUBTFUL.get(name, ())) or part not in ("", "the ")


def _span(name: str, text: str, now: datetime) -> _Span:
    return _MEANINGS[name](text, now)


def _numeric(text: str, _: datetime) -> _Span:
    """2023-05-08, 2023-05, 8.5.2023, and 25/12/2023 where day and month can't be taken for each other."""
    numbers = [int(found) for found in re.findall(r"\d+", text)[:3]]
    if text[:4].isdigit():
        year, month, day = (*numbers, 0)[:3]
    else:
        day, month, year = numbers
        if "/" in text and month > 12:
            day, month = month, day
        elif "/" in text and day <= 12 and day != month:
            raise ValueError("either may be the month")
    return _day(datetime(year, month, day, tzinfo=UTC)) if day else _months(year, month)


def _date(text: str, now: datetime) -> _Span:
    day, year = _number(r"\b\d{1,2}(?=\D|$)", text) or 0, _number(_YEAR, text)
    if year is not None:
        return _day(datetime(year, _month_of(text), day, tzinfo=UTC))
    month = _month_of(text)
    found = [_day(datetime(each, month, day, tzinfo=UTC)) for each in _years(now) if day <= monthrange(each, month)[1]]
    if not found:
        raise ValueError("no year has this day")
    return _chosen(text, found, now)


def _month(text: str, now: datetime) -> _Span:
    return _yearly(text, now, _month_of(text), 1)


def _season(text: str, now: datetime) -> _Span:
    return _yearly(text, now, _SEASONS[_found(_any(_SEASONS), text)], 3)


def _quarter(text: str, now: datetime) -> _Span:
    number = _number("(?<=q)[1-4]", text) or _ORDINALS[_found(_any(_ORDINALS), text)]
    return _yearly(text, now, 3 * number - 2, 3)


def _yearly(text: str, now: datetime, month: int, count: int) -> _Span:
    """So many months of the year that the text names, else of the latest."""
    year = _number(_YEAR, text)
    if year is None and text.endswith(" year"):
        year, text = now.year - ("last" in text), ""
    if year is not None:
        return _months(year, month, count)
    years = _years(_shifted(now, -8) if month + count > 13 else now)  # until August, "this winter" began last year
    return _chosen(text, [_months(each, month, count) for each in years], now)


def _year(text: str, _: datetime) -> _Span:
    return _months(int(text), 1, 12)


def _days(text: str, now: datetime) -> _Span:
    today = _midnight(now)
    if text.startswith("day "):
        return _day(today + (2 * _DAY if "tomorrow" in text else -2 * _DAY))
    return _day(today + {"yesterday": -_DAY, "last night": -_DAY, "tomorrow": _DAY}.get(text, 0 * _DAY))


def _weekday(text: str, now: datetime) -> _Span:
    wanted, today = _WEEKDAYS.index(_found(_any(_WEEKDAYS), text)), _midnight(now)
    return _chosen(text, [_day(today + (wanted - today.weekday()) * _DAY + week * _WEEK) for week in (-1, 0, 1)], now)


def _weekend(text: str, now: datetime) -> _Span:
    saturday = _midnight(now) + (5 - now.weekday()) * _DAY
    return _chosen(text, [(saturday + week * _WEEK, saturday + week * _WEEK + 2 * _DAY) for week in (-1, 0, 1)], now)


def _ago(text: str, now: datetime) -> _Span:
    """Around so long before: the day, or half the unit to each side."""
    count, unit = _counted(text), _found(_UNIT, text)
    if unit == "day":
        return _day(_midnight(now) - count * _DAY)
    middle, half = _back(now, count, unit), (now - _back(now, 1, unit)) / 2
    return middle - half, middle + half


def _past(text: str, now: datetime) -> _Span:
    return _back(now, _counted(text), _found(_UNIT, text)), now + _DAY


def _unit(text: str, now: datetime) -> _Span:
    """A week (from Monday), month, quarter or year of the calendar."""
    today, step = _midnight(now), -1 if text.startswith(("last", "previous")) else int(text.startswith("next"))
    if text.endswith("week"):
        monday = today - today.weekday() * _DAY + step * _WEEK
        return monday, monday + _WEEK
    size = {"month": 1, "quarter": 3, "year": 12}[_found("month|quarter|year", text)]
    start = _shifted(today.replace(day=1, month=(today.month - 1) // size * size + 1), step * size)
    return start, _shifted(start, size)


_MEANINGS = {
    "iso": _numeric,
    "numeric": _numeric,
    "date": _date,
    "month": _month,
    "quarter": _quarter,
    "season": _season,
    "day": _days,
    "ago": _ago,
    "past": _past,
    "weekend": _weekend,
    "unit": _unit,
    "weekday": _weekday,
    "weekday_": _weekday,
    "season_": _season,
    "month_": _month,
    "year_": _year,
}


def _chosen(text: str, spans: Sequence[_Span], now: datetime) -> _Span:
    """Of spans in order, this year's or week's in the middle: the latest that began, unless the text says which.

    "last": the latest that is over; "next": the first to come; "this": the one under way, else the middle one.
    """
    if text.startswith(("last", "past", "previous")):
        return [span for span in spans if span[1] <= now][-1]
    if text.startswith("next"):
        return next(span for span in spans if span[0] > now)
    if text.startswith("this"):
        return next((span for span in spans if span[0] <= now < span[1]), spans[len(spans) // 2])
    return [span for span in spans if span[0] <= now][-1]


# --- arithmetic -------------------------------------------------------------------------------------------------


def _back(now: datetime, count: int, unit: str) -> datetime:
    months = {"month": 1, "quarter": 3, "year": 12}.get(unit)
    if months:
        return _shifted(now, -months * count)
    return now - count * {"hour": timedelta(hours=1), "day": _DAY, "week": _WEEK, "fortnight": 2 * _WEEK}[unit]


def _shifted(when: datetime, months: int) -> datetime:
    """So many months on; the 31st becomes the 28th."""
    year, month = divmod(when.year * 12 + when.month - 1 + months, 12)
    return when.replace(year=year, month=month + 1, day=min(when.day, 28))


def _months(year: int, month: int, count: int = 1) -> _Span:
    start = datetime(year, month, 1, tzinfo=UTC)
    return start, _shifted(start, count)


def _day(midnight: datetime) -> _Span:
    return midnight, midnight + _DAY


def _midnight(when: datetime) -> datetime:
    return when.replace(hour=0, minute=0, second=0, microsecond=0)


def _years(now: datetime) -> range:
    """So many that there is a leap year before and after."""
    return range(now.year - 8, now.year + 9)


def _month_of(text: str) -> int:
    return [month[:3] for month in _MONTHS].index(_found(_any(month[:3] for month in _MONTHS), text)) + 1


def _counted(text: str) -> int:
    """How many units: one where no number stands before it."""
    found = re.match(rf"(?:(?:last|past|previous) )?({_COUNT}) ", text)
    if found is None:
        return 1
    return int(found[1]) if found[1].isdigit() else _COUNTS[found[1]]


def _number(pattern: str, text: str) -> int | None:
    found = re.search(pattern, text)
    return int(found[0]) if found else None


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    return found[0] if found else ""


def _ns(when: datetime) -> int:
    since = when - _EPOCH
    return (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1_000

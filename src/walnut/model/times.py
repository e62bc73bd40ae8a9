"""Times and lifetimes as callers write them, and as ns since 1970 UTC, which is what is stored."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

from walnut.errors import InvalidArgument
from walnut.model.given import Lifetime, When

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_LIFETIME = re.compile(r"([0-9]{1,12}) ?([smhdw])")
_LIMIT = 2**63

#: A datetime knows microseconds, the log nanoseconds: the last of them within one microsecond.
WITHIN_MICROSECOND = 999


def to_ns(when: When, *, where: str) -> int:
    """An aware datetime, an ISO string with a zone or a bare date -> ns since 1970 UTC; else InvalidArgument."""
    if isinstance(when, str):
        when = _from_text(when, where)
    if isinstance(when, datetime):
        if when.utcoffset() is None:
            raise InvalidArgument(
                "a time without a zone", where=where, hint="say it: 2026-02-01T12:00:00Z, or datetime.now(timezone.utc)"
            )
    elif isinstance(when, date):
        when = datetime(when.year, when.month, when.day, tzinfo=UTC)
    else:
        raise InvalidArgument(f"a time is a datetime, a date or an ISO string, not {type(when).__name__}", where=where)
    return _ns(when - _EPOCH, where)


def _from_text(text: str, where: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise InvalidArgument(
            "not a time", where=where, hint="ISO 8601 with a zone: 2026-02-01T12:00:00Z, or a bare date"
        ) from None


def _ns(span: timedelta, where: str) -> int:
    ns = (span.days * 86_400 + span.seconds) * 1_000_000_000 + span.microseconds * 1_000
    if not -_LIMIT <= ns < _LIMIT:
        raise InvalidArgument("the time is out of range", where=where, hint="years 1678 to 2262 can be stored")
    return ns


def from_ns(ns: int) -> datetime:
    """Ns since 1970 UTC -> an aware datetime, to the microsecond below.

    >>> from_ns(1_500_000_999).isoformat()
    '1970-01-01T00:00:01.500000+00:00'
    """
    return _EPOCH + timedelta(microseconds=ns // 1_000)


def lifetime_ns(ttl: Lifetime, *, where: str = "ttl") -> int:
    """A timedelta, or a whole number with `s m h d w` -> ns, above zero; else InvalidArgument.

    >>> lifetime_ns("90d") == lifetime_ns(timedelta(days=90))
    True
    """
    if isinstance(ttl, str):
        found = _LIFETIME.fullmatch(ttl.strip())
        if found is None:
            raise InvalidArgument("not a lifetime", where=where, hint="a whole number and s, m, h, d or w: 90d")
        ns = int(found[1]) * _UNITS[found[2]] * 1_000_000_000
    elif isinstance(ttl, timedelta):
        ns = _ns(ttl, where)
    else:
        raise InvalidArgument(
            f"a lifetime is a timedelta or a string, not {type(ttl).__name__}",
            where=where,
            hint='timedelta(days=90) or "90d"',
        )
    if not 0 < ns < _LIMIT:
        raise InvalidArgument("a lifetime is longer than nothing, and less than 292 years", where=where)
    return ns

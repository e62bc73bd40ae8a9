"""Times as other tools write them: ISO strings, dates, seconds or milliseconds since 1970."""

from __future__ import annotations

from datetime import UTC, date, datetime

from walnut.interchange.source import Bad
from walnut.model.event import Json

#: Names under which other tools keep the time of an entry, the first that is there counts.
NAMES = ("timestamp", "created_at", "createdAt", "create_time", "time", "date", "ts")


def iso(value: Json, *, assume_utc: bool) -> str:
    """A time as an ISO string with a zone, or a bare date; Bad when it is none, or has no zone."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _since_1970(value)
    if not isinstance(value, str):
        raise Bad("a time is a string or a number")
    try:
        date.fromisoformat(value)
    except ValueError:
        pass
    else:
        return value
    try:
        when = datetime.fromisoformat(value)
    except ValueError:
        raise Bad("not a time: ISO 8601 is expected, or seconds since 1970") from None
    if when.utcoffset() is None:
        if not assume_utc:
            raise Bad("a time without a zone (--assume-utc takes it as UTC)")
        when = when.replace(tzinfo=UTC)
    return when.isoformat()


def _since_1970(value: float) -> str:
    size = abs(value)
    unit = 1e9 if size > 1e17 else 1e6 if size > 1e14 else 1e3 if size > 1e11 else 1
    try:
        return datetime.fromtimestamp(value / unit, tz=UTC).isoformat()
    except (OverflowError, ValueError, OSError):
        raise Bad("a time out of range") from None

"""What an import or an export says it did: counts, places and reasons, never content."""

from __future__ import annotations

import msgspec

#: So many lines that were left out are listed; all are counted.
LISTED = 100


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """A line (or item, see `ImportReport.unit`) that was not taken, and why."""

    number: int
    reason: str


class ImportReport(msgspec.Struct, frozen=True, kw_only=True):
    """What an import took.

    `found` counts what the file holds by kind; `written` of these are new, `already` were there before. `skipped`
    is understood and holds nothing to remember; `bad` is not understood (with `skip_bad` only). Both list the
    first 100. `adopted`: an export whose LSNs, ids and times were kept. `unit` says what numbers count: the lines
    of the file, or the items of one JSON document.
    """

    file: str
    format: str
    unit: str = "line"
    found: dict[str, int] = {}
    written: int = 0
    already: int = 0
    skipped: tuple[Left, ...] = ()
    skipped_count: int = 0
    bad: tuple[Left, ...] = ()
    bad_count: int = 0
    adopted: bool = False
    last_lsn: int = 0


class ExportReport(msgspec.Struct, frozen=True, kw_only=True):
    """What an export wrote: `whole` is a store with its secret, at scope `global`; else one scope and below."""

    file: str
    scope: str
    events: int
    last_lsn: int
    whole: bool
    bytes_written: int

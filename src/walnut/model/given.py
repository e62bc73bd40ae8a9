"""What callers may hand over and get back, as names for types: times, lifetimes, evidence, lists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import TypeAlias

from walnut.model.results import Ack, Hit, MemoryRecord, Version, ViewCheck

#: An aware datetime, an ISO string with a zone, or a bare date (00:00 UTC).
When: TypeAlias = datetime | date | str
#: A timedelta, or a whole number with `s m h d w`: "90d".
Lifetime: TypeAlias = timedelta | str
#: Names an event: an LSN, an event id, a memory id (its version as the handle sees it), an ack, a hit, a record.
Evidence: TypeAlias = int | str | Ack | MemoryRecord
#: Names a memory: its id, or what holds it: a hit, a record, the ack of a write.
Named: TypeAlias = str | Ack | MemoryRecord
#: The arguments of `remember` as one item of `remember_many`; `text` is required.
Item: TypeAlias = Mapping[str, object]
Items: TypeAlias = Iterable[Item]

# A class with a method `list` can't write `list[...]` in its annotations.
Acks: TypeAlias = list[Ack]
Hits: TypeAlias = list[Hit]
Versions: TypeAlias = list[Version]
ViewChecks: TypeAlias = tuple[ViewCheck, ...]

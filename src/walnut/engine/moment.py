"""Looking: a snapshot of the views that holds what the handle must see, and the moment it asks about."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from walnut.engine.handle import Handle
from walnut.views.reader import Snapshot
from walnut.views.visibility import Moment


class View(msgspec.Struct, frozen=True):
    """One consistent state of all views, and the moment to read them at."""

    snapshot: Snapshot
    moment: Moment


@contextmanager
def look(
    handle: Handle, *, at_least: int | None = None, lsn: int | None = None, valid_at: int | None = None
) -> Iterator[View]:
    """A snapshot that holds the handle's own writes and `at_least`; `lsn` and `valid_at` pin another moment.

    Errors: ViewLag when the views don't get there in time, ViewFailed, StoreClosed.
    """
    handle.check_open()
    binding, store = handle.binding, handle.store
    handle.sync_own()
    lsn = binding.lsn if lsn is None else lsn
    valid_at = binding.valid_at if valid_at is None else valid_at
    needed = max(handle.last_lsn, at_least or 0, lsn or 0)
    with store.views.snapshot(needed) as snapshot:
        yield View(
            snapshot,
            Moment(
                lsn=snapshot.lsn if lsn is None else lsn,
                valid_at=store.system.now() if valid_at is None else valid_at,
            ),
        )

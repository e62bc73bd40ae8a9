"""Looking: a snapshot of the views that holds what the handle must see, and the moment it asks about."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import msgspec

from walnut.engine.handle import Handle
from walnut.errors import ViewFailed, ViewLag, WalnutError
from walnut.views.visibility import Moment

if TYPE_CHECKING:
    from walnut.views.reader import Snapshot  # noqa: TC004 - a View is never decoded, so nothing evaluates it

#: Seconds to wait for an LSN that another process acknowledged.
PATIENCE = 10.0

_P = ParamSpec("_P")
_T = TypeVar("_T")


#: What a row raises that a damaged file gave other types than were stored; their texts may hold content.
_ODD = (TypeError, ValueError, LookupError, ArithmeticError, AttributeError)


class Misread(ViewFailed):
    """A value in a view's file is not of the kind that the view writes there."""


class View(msgspec.Struct, frozen=True):
    """One consistent state of all views, and the moment to read them at."""

    snapshot: Snapshot
    moment: Moment


def await_durable(handle: Handle, lsn: int, *, timeout: float) -> None:
    """Wait until an LSN is durable, whoever writes it; ViewLag after `timeout` seconds."""
    log = handle.store.log
    if log.durable_lsn() < lsn and not log.wait(lsn, timeout=timeout):
        raise ViewLag(
            f"the log has not come to LSN {lsn}",
            where="lsn",
            hint="is it an LSN of this store?",
            applied=log.durable_lsn(),
        )


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
    if at_least:
        await_durable(handle, at_least, timeout=PATIENCE)
    with store.views.snapshot(needed, upto=lsn) as snapshot:
        moment = Moment(
            lsn=snapshot.lsn if lsn is None else lsn,
            valid_at=store.system.now() if valid_at is None else valid_at,
        )
        try:
            yield View(snapshot, moment)
        except _ODD as error:
            if isinstance(error, WalnutError) or not store.views.differs():
                raise  # of ours, or of a caller's code: it says nothing about the views
            told = f"a view holds what it never wrote ({type(error).__name__})"
            raise Misread(told, where="views", hint="read again: it is built anew from the log") from None


def mended(read: Callable[_P, _T]) -> Callable[_P, _T]:
    """Read once more when the view's file turns out to be damaged: it was rebuilt from the log meanwhile (V4)."""

    @wraps(read)
    def reading(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        import sqlite3  # the views and what they need are loaded at the first read, not when a store is opened

        try:
            return read(*args, **kwargs)
        except (ViewFailed, sqlite3.DatabaseError, UnicodeDecodeError) as error:
            if type(error) is ViewFailed and not isinstance(error.__cause__, sqlite3.DatabaseError):
                raise
        try:
            return read(*args, **kwargs)
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            raise ViewFailed(
                f"a view can't be read ({type(error).__name__})", where="views", hint="delete the folder views"
            ) from None

    return reading

"""What SQLite's errors mean for a view: a damaged file, a full disk, a lock that was not free."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from walnut.errors import StorageFailed, StorageFull, ViewLag

#: What reading a file of SQLite's may raise; the error for a damaged schema quotes it, and that need not be text.
UNREADABLE = (sqlite3.DatabaseError, UnicodeDecodeError)
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_SHORT_READ = 522  # SQLITE_IOERR_SHORT_READ: the file is shorter than its header says


class Damaged(Exception):
    """The file of a view is not what the view wrote, or not of this log; it is to be thrown away."""


def is_damage(error: BaseException | None) -> bool:
    """Whether an error says that the file can't be trusted, rather than that the machine is short of something."""
    if isinstance(error, UnicodeDecodeError):
        return True
    if isinstance(error, sqlite3.ProgrammingError) or not isinstance(error, sqlite3.DatabaseError):
        return isinstance(error, Damaged)
    code = _code(error)
    if code == _SHORT_READ:
        return True
    return code & 0xFF not in {*_BUSY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM}


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", None) or sqlite3.SQLITE_CORRUPT


@contextmanager
def translated(place: str) -> Iterator[None]:
    """SQLite's errors as ours: Damaged, StorageFull, StorageFailed, ViewLag."""
    try:
        yield
    except UNREADABLE as error:
        if isinstance(error, UnicodeDecodeError) or is_damage(error):
            raise Damaged(place) from error
        code = _code(error) & 0xFF
        if code in _BUSY:
            raise ViewLag("the view's file is locked", where=place, hint="another process is changing it") from error
        if code == sqlite3.SQLITE_FULL:
            raise StorageFull(
                "no space for the view", where=place, hint="free some space; the log is intact"
            ) from error
        if code == sqlite3.SQLITE_IOERR:
            hint = "look for a full or failing disk; the log is intact"
            raise StorageFailed("the view's file can't be read or written", where=place, hint=hint) from error
        raise

"""The doctor's look at codes of large scopes: how many of the exact nearest they find, by sampling."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from walnut.cli.checks import Check, ok, warn
from walnut.model.words import counted
from walnut.system import System

_NAME = "nearness"
#: Of the exact ten nearest so many are to be found.
_LEAST = 0.95


def inspect(views: Path, view: Path) -> Iterator[Check]:
    """One check for each file of codes; the view's file is read if nobody has it open."""
    files = sorted(views.glob("nearness-*.codes"))
    if not files:
        yield ok(_NAME, "every scope is searched exactly")
        return
    from walnut.recall import codes  # numpy takes long to load

    wal = Path(f"{view}-wal")
    if codes.library() is None:
        yield ok(
            _NAME, f"every scope is searched exactly: {counted(len(files), 'file')} of codes need the extra `scale`"
        )
    elif not view.exists() or (wal.exists() and wal.stat().st_size):
        yield ok(_NAME, f"{counted(len(files), 'file')} of codes, not compared: the view is in use")
    else:
        with closing(sqlite3.connect(f"{view.resolve().as_uri()}?mode=ro&immutable=1", uri=True)) as db:
            for file in files:
                yield _compared(db, file)


def _compared(db: sqlite3.Connection, file: Path) -> Check:
    from walnut.recall import codes
    from walnut.recall.vectors import read

    try:
        found = codes.load(System(), str(file))
        if found is None:
            return warn(_NAME, f"{file.name} is damaged: the next search makes it anew, and is exact meanwhile")
        part = read(db, found.meta.scope, upto=found.meta.lsn)
    except (OSError, sqlite3.Error) as error:
        return warn(_NAME, f"{file.name} can't be compared ({type(error).__name__})")
    if not found.fits(part):
        return ok(_NAME, f"{file.name} is of other vectors: the next search makes it anew, and is exact meanwhile")
    share = codes.agreement(found, part)
    told = f"{found.meta.rows:,} vectors of a scope: {share:.1%} of the exact ten nearest are found"
    return ok(_NAME, told) if share >= _LEAST else warn(_NAME, f"{told}; delete {file.name} to have it made anew")

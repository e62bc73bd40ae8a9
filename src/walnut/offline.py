"""Verify and repair: a store's log checked or salvaged with no handle open on it."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike, fspath

from walnut.errors import InvalidArgument
from walnut.model.results import RepairReport, VerifyReport
from walnut.system import System


def verify(path: str | PathLike[str], *, progress: Callable[[int, int], None] | None = None) -> VerifyReport:
    """Read and check every bit of a store's log, changing nothing; damage is listed, not raised.

    `progress` is called with the bytes checked and the bytes there are. Errors: NotAStore, FormatTooNew,
    AccessDenied, InvalidArgument.

    >>> import tempfile, walnut
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with walnut.open(folder) as m:
    ...         ack = m.remember("Prefers CSV exports")
    ...     walnut.verify(folder).ok
    True
    """
    from walnut.log.verify import verify_folder

    return verify_folder(System(), _folder(path), progress=progress)


def repair(
    path: str | PathLike[str],
    *,
    accept_loss: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> RepairReport:
    """Salvage a damaged log: everything that is intact is kept, damaged files are set aside, nothing is deleted.

    Needs the store for itself. Without `accept_loss` events are never given up: it raises what is damaged.
    Errors: LogCorruption, LogBusy, NotAStore, FormatTooNew, AccessDenied, StorageFull.
    """
    from walnut.log.repair import repair_folder

    return repair_folder(System(), _folder(path), accept_loss=accept_loss, progress=progress)


def _folder(path: str | PathLike[str]) -> str:
    folder = fspath(path)
    if not isinstance(folder, str) or not folder or "\0" in folder:
        raise InvalidArgument("not the path of a folder", where="path")
    return folder

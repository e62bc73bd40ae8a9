"""Verify and repair: a store's log checked or salvaged with no handle open on it."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike, fspath

from walnut.errors import NotAStore
from walnut.model.results import RepairReport, VerifyReport
from walnut.policy import limits
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
    return _verify(System(), _folder(path), progress)


def _verify(system: System, folder: str, progress: Callable[[int, int], None] | None) -> VerifyReport:
    from walnut.log.failures import storage_error
    from walnut.log.verify import verify_folder

    _check_folder(system, folder)
    try:
        return verify_folder(system, folder, progress=progress)
    except OSError as error:
        raise storage_error(error, "verifying the log", where=folder) from None


def repair(
    path: str | PathLike[str],
    *,
    accept_loss: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> RepairReport:
    """Salvage a damaged log: what is intact is kept, damaged files are set aside, nothing is deleted.

    Needs the store for itself. Without `accept_loss` nothing is changed: the report tells what would be kept and
    lost. `progress` is called as by `verify`, during the check that precedes the repair.

    Errors: LogCorruption when the log's id is gone too, LogBusy, NotAStore, FormatTooNew, AccessDenied, StorageFull.
    """
    from walnut.log.failures import storage_error
    from walnut.log.repair import repair_folder

    system, folder = System(), _folder(path)
    _check_folder(system, folder)
    if progress is not None:
        _verify(system, folder, progress)
    try:
        return repair_folder(system, folder, accept_loss=limits.flag(accept_loss, where="accept_loss"))
    except OSError as error:
        raise storage_error(error, "repairing the log", where=folder) from None


def _check_folder(system: System, folder: str) -> None:
    from walnut.log.failures import storage_error

    try:
        if "log" in system.list_folder(folder):
            system.list_folder(f"{folder}/log")
            return
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:  # what may not be looked into may be one
        raise storage_error(error, "opening the store", where=folder) from None
    raise NotAStore("there is no store", where=folder, hint="name the folder of a store")


def _folder(path: object) -> str:
    folder: object = fspath(path) if isinstance(path, PathLike) else path
    return limits.path(folder, where="path", hint="name the folder of a store")

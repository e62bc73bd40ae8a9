"""Exporting: every event of a scope and below as lines of JSON, put in place whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from os import PathLike, fspath
from pathlib import Path

from walnut.engine import adopt
from walnut.errors import InvalidArgument
from walnut.interchange import own
from walnut.interchange.report import ExportReport
from walnut.memory import Memory


def export_lines(memory: Memory, *, progress: Callable[[int, int], None] | None = None) -> Iterator[bytes]:
    """The lines of an export, each with its end of line."""
    header, events = adopt.outgoing(memory.log)

    def count(lsn: int) -> None:
        if progress is not None:
            progress(lsn, header.last_lsn)

    return own.encode(header, events, count=count)


def export_file(
    memory: Memory,
    path: str | PathLike[str],
    *,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> ExportReport:
    """Write every event of the handle's scope and below to a file that `import_file` reads.

    At scope `global` it holds the log's secret too: an empty store that imports it becomes the same store. The
    file (mode 0600) appears complete and synced, or not at all; one that exists is replaced with `force` only.
    `progress` is called with the LSN reached and the last one.

    Errors: InvalidArgument when the file exists, OSError.

    >>> import tempfile, walnut
    >>> from walnut.interchange import export_file, import_file
    >>> with tempfile.TemporaryDirectory() as folder, walnut.open("memory://", scope="global") as m:
    ...     _ = m.remember("Prefers CSV exports")
    ...     export_file(m, f"{folder}/all.jsonl").events
    1
    """
    target = Path(fspath(path))
    if not force and os.path.lexists(target):
        raise _exists(target)
    if not target.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "there is no such folder", str(target.parent))
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        size, events = _write(memory, temporary, progress)
        _put_in_place(temporary, target, force=force)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()
    return ExportReport(
        file=str(target),
        scope=memory.scope,
        events=events,
        last_lsn=memory.log.durable_lsn,
        whole=memory.scope == "global",
        bytes_written=size,
    )


def _write(memory: Memory, path: Path, progress: Callable[[int, int], None] | None) -> tuple[int, int]:
    size = lines = 0
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        for line in export_lines(memory, progress=progress):
            size += file.write(line)
            lines += 1
        file.flush()
        os.fsync(file.fileno())
    return size, lines - 2


def _put_in_place(temporary: Path, target: Path, *, force: bool) -> None:
    if force:
        temporary.replace(target)
    else:
        try:
            target.hardlink_to(temporary)  # unlike a rename, it refuses to replace
        except FileExistsError:
            raise _exists(target) from None
        except OSError:  # a file system without hard links
            temporary.replace(target)
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _exists(target: Path) -> InvalidArgument:
    return InvalidArgument("the file exists", where=str(target), hint="name another one, or pass --force to replace it")

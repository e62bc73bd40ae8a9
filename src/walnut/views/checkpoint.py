"""Checkpoints: verified copies of a view, each one file whose every bit is under a checksum.

`ckpt-<lsn>.db` is an SQLite database with a footer: JSON (a `Footer`), its length (4 bytes, big-endian), the magic
word, and a checksum of everything before it: the BLAKE2b-256 hash over the CRC32C of each MiB. A copy is made beside,
read back, synced, and only then renamed; what does not fit log, folds or checksum is passed over.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from hashlib import blake2b

import google_crc32c
import msgspec

from walnut.errors import ViewLag
from walnut.system import System
from walnut.views.applier import Applier
from walnut.views.damage import UNREADABLE, Damaged
from walnut.views.fold import digests
from walnut.views.store import WRITTEN, Stamp, file_lock, read_stamp

#: How many are kept.
KEPT = 3
_NAME = re.compile(r"ckpt-([0-9]{12}|[1-9][0-9]{12,18})\.db")
_MAGIC = b"walnut-checkpoint-2"
_HASH = 32
#: Bytes under one CRC32C.
PIECE = 1 << 20
#: How long to wait for another process's checkpoint (seconds).
_PATIENCE = 10.0


class Footer(msgspec.Struct, frozen=True):
    """What the copy is of: folds, LSN, the log's id and chain hash there (hex), digests of the logical rows."""

    folds: str
    lsn: int
    log_id: str
    chain: str
    digests: dict[str, str]


class Checkpoints:
    """The checkpoints in one folder."""

    def __init__(self, system: System, folder: str) -> None:
        self._system = system
        self._folder = folder

    def paths(self) -> list[str]:
        """Files of the checkpoints, oldest first."""
        return [self._path(lsn) for lsn in self.lsns()]

    def lsns(self) -> tuple[int, ...]:
        """Their LSNs, oldest first."""
        if not self._system.is_folder(self._folder):
            return ()
        names = map(_NAME.fullmatch, self._system.list_folder(self._folder))
        return tuple(sorted(int(name[1]) for name in names if name))

    def _path(self, lsn: int) -> str:
        return f"{self._folder}/ckpt-{lsn:012}.db"

    # -- writing -----------------------------------------------------------------------------------------------

    def write(self, live: sqlite3.Connection, applier: Applier) -> None:
        """Copy the database, inside its read transaction, unless there is a good one of its LSN already."""
        stamp = read_stamp(live)
        self._system.make_folder(self._folder)
        with file_lock(self._system, f"{self._folder}/checkpoints.lock", patience=_PATIENCE) as held:
            if not held:
                raise ViewLag("another process is writing a checkpoint", where="checkpoints", hint="try again")
            self._sweep()
            if not self._good(stamp.lsn, applier):
                self._write(live, stamp, applier)
            self._keep_newest(applier)

    def _write(self, live: sqlite3.Connection, stamp: Stamp, applier: Applier) -> None:
        path = self._path(stamp.lsn)
        temporary = f"{path}.tmp"
        try:
            self._system.close_file(self._system.open_file(temporary, create=True, exclusive=True))
            parts = self._copy(live, temporary, applier)
            self._seal(temporary, Footer(stamp.folds, stamp.lsn, stamp.log_id.hex(), stamp.chain.hex(), parts))
            self._system.rename(temporary, path)
            self._system.sync_directory(self._folder)
        finally:
            self._sweep()

    def _sweep(self) -> None:
        """Remove what was begun and not ended, by this process or by one that died. Under the lock."""
        for name in self._system.list_folder(self._folder):
            if ".db." in name:
                self._system.remove(f"{self._folder}/{name}")

    def _copy(self, live: sqlite3.Connection, path: str, applier: Applier) -> dict[str, str]:
        """A copy in one file, read back whole: sound, with the digests of its rows."""
        in_memory = self._system.databases_in_memory
        with closing(sqlite3.connect(":memory:" if in_memory else path, isolation_level=None)) as copy:
            copy.execute("PRAGMA synchronous = OFF")
            live.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")
            copy.execute("UPDATE walnut_view SET clean = ?", (WRITTEN,))  # a crash may leave some of it as a view
            if copy.execute("PRAGMA integrity_check(1)").fetchone()[0] != "ok":
                raise Damaged("the copy is not sound")
            if in_memory:
                self._put(path, copy.serialize())
            return digests(applier.folds, copy)

    def _put(self, path: str, data: bytes) -> None:
        fd = self._system.open_file(path)
        try:
            self._system.write_at(fd, data, 0)
        finally:
            self._system.close_file(fd)

    @contextmanager
    def _reading(self, path: str) -> Iterator[sqlite3.Connection]:
        if self._system.databases_in_memory:
            fd = self._system.open_file(path, write=False)
            try:
                data = self._system.read_at(fd, self._system.file_size(fd), 0)
            finally:
                self._system.close_file(fd)
            db = sqlite3.connect(":memory:", isolation_level=None)
            db.deserialize(data)
        else:
            escaped = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
            db = sqlite3.connect(f"file:{escaped}?mode=ro&immutable=1", uri=True, isolation_level=None)
        with closing(db):
            yield db

    def _seal(self, path: str, footer: Footer) -> None:
        system, meta = self._system, msgspec.json.encode(footer)
        tail = meta + len(meta).to_bytes(4, "big") + _MAGIC
        fd = system.open_file(path)
        try:
            size = system.file_size(fd)
            system.write_at(fd, tail, size)
            size += len(tail)
            system.write_at(fd, checksum(_pieces(system, fd, size)), size)
            system.sync(fd)
        finally:
            system.close_file(fd)

    def _keep_newest(self, applier: Applier) -> None:
        """Only good ones count as kept; a damaged one, or another log's, goes when newer good ones are there."""
        good = 0
        for lsn in reversed(self.lsns()):
            if good < KEPT and self._good(lsn, applier):
                good += 1
            elif good:
                self._system.remove(self._path(lsn))

    # -- reading -----------------------------------------------------------------------------------------------

    def restore(self, db: sqlite3.Connection, applier: Applier, *, path: str | None) -> bool:
        """Fill an empty database, that of the file at `path`, from the newest good checkpoint of this log.

        False when there is none. A file is written beneath the connection, which reads nothing of it meanwhile: it
        would take the pages of one checkpoint for those of the next.
        """
        for lsn in reversed(self.lsns()):
            try:
                self._restore(self._path(lsn), db, applier, path)
                return True
            except (Damaged, FileNotFoundError):
                self._empty(db, path)  # whatever was copied already is nobody's
        return False

    def _empty(self, db: sqlite3.Connection, path: str | None) -> None:
        if path is None:
            with closing(sqlite3.connect(":memory:")) as empty:
                empty.backup(db)
        else:
            with self._writing(path) as fd:
                self._system.truncate(fd, 0)

    def _good(self, lsn: int, applier: Applier) -> bool:
        """Whether the checkpoint of this name is whole, and of this log and its folds at that LSN."""
        try:
            return self._stamp(self._path(lsn), applier).lsn == lsn
        except Damaged:
            return False

    def _stamp(self, path: str, applier: Applier, *, copy_to: str | None = None) -> Stamp:
        """What the checkpoint is of; Damaged when it is not whole, or not of this log and its folds."""
        footer = self._footer(path, copy_to=copy_to)
        if footer is None:
            raise Damaged("not whole")
        try:
            log_id, chain = bytes.fromhex(footer.log_id), bytes.fromhex(footer.chain)
        except ValueError:
            raise Damaged("of no log") from None
        stamp = msgspec.structs.replace(
            applier.new_stamp(), folds=footer.folds, log_id=log_id, lsn=footer.lsn, chain=chain
        )
        applier.check(stamp)
        return stamp

    def _restore(self, path: str, db: sqlite3.Connection, applier: Applier, target: str | None) -> None:
        stamp = self._stamp(path, applier, copy_to=target)
        try:
            with nullcontext(db) if target is None else closing(_unsynced(target)) as filled:
                if target is None:
                    with self._reading(path) as copy:
                        copy.backup(filled)
                filled.execute("UPDATE walnut_view SET boot_id = ?, clean = 0", (applier.new_stamp().boot_id,))
                found = read_stamp(filled)
        except UNREADABLE as error:
            raise Damaged("can't be read") from error
        if found != stamp:
            raise Damaged("of another state")

    def _footer(self, path: str, *, copy_to: str | None = None) -> Footer | None:
        """The footer, if every byte of the file is as it was written; the database goes to `copy_to` on the way."""
        system = self._system
        try:
            fd = system.open_file(path, write=False)
        except FileNotFoundError:
            return None
        try:
            size = system.file_size(fd) - _HASH
            end = size - len(_MAGIC) - 4
            if end < 0 or system.read_at(fd, len(_MAGIC), end + 4) != _MAGIC:
                return None
            length = int.from_bytes(system.read_at(fd, 4, end), "big")
            if length > end:
                return None
            pieces = _pieces(system, fd, size)
            if copy_to is not None:
                pieces = self._copied(pieces, copy_to, end - length)
            if checksum(pieces) != system.read_at(fd, _HASH, size):
                return None
            return msgspec.json.decode(system.read_at(fd, length, end - length), type=Footer)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, IsADirectoryError):
            return None
        finally:
            system.close_file(fd)

    def _copied(self, pieces: Iterator[bytes], path: str, length: int) -> Iterator[bytes]:
        """The pieces, the first `length` bytes of which are written to the file at `path` on the way."""
        with self._writing(path) as fd:
            at = 0
            for piece in pieces:
                if at < length:
                    self._system.write_at(fd, piece[: length - at], at)
                at += len(piece)
                yield piece

    @contextmanager
    def _writing(self, path: str) -> Iterator[int]:
        fd = self._system.open_file(path)
        try:
            yield fd
        finally:
            self._system.close_file(fd)


def _unsynced(path: str) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA synchronous = OFF")
    return db


def checksum(pieces: Iterator[bytes]) -> bytes:
    """What a checkpoint ends with: the BLAKE2b-256 hash over the CRC32C of each piece."""
    state = blake2b(digest_size=_HASH)
    for piece in pieces:
        state.update(google_crc32c.value(piece).to_bytes(4, "little"))
    return state.digest()


def _pieces(system: System, fd: int, length: int) -> Iterator[bytes]:
    for offset in range(0, length, PIECE):
        yield system.read_at(fd, min(PIECE, length - offset), offset)

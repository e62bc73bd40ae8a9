"""The two small files that make a folder a store: FORMAT (what it is) and keys (the log's secret)."""

from __future__ import annotations

from typing import Annotated

import google_crc32c
import msgspec
from msgspec import Meta

from walnut.errors import FormatTooNew, LogCorruption, NotAStore
from walnut.system import System

FORMAT = 1
_MAX_BYTES = 4096
_SECRET = 32
#: What bytes that are not the JSON we write raise; text that is no UTF-8 is a ValueError.
_UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who a log is: 16 bytes of id, 32 of secret (hashes in envelopes are keyed with it), and its birth in ns."""

    log_id: bytes
    secret: bytes
    created_at: int


class _Format(msgspec.Struct, frozen=True, kw_only=True):
    walnut: Annotated[int, Meta(ge=1)]
    log: str
    created_at: Annotated[int, Meta(ge=0, le=2**63 - 1)]
    compatible: int = 0
    incompatible: int = 0


class _Keys(msgspec.Struct, frozen=True, kw_only=True):
    log: str
    secret: str


def _line(body: bytes) -> bytes:
    return body + b" " + f"{google_crc32c.value(body):08x}".encode() + b"\n"


def _read(system: System, path: str, file: str) -> bytes:
    """The JSON of a checked line; LogCorruption when the file is gone or its checksum fails."""
    try:
        fd = system.open_file(path, write=False)
    except FileNotFoundError:
        raise LogCorruption(f"the file {file} is missing", file=file, offset=0) from None
    try:
        data = system.read_at(fd, _MAX_BYTES, 0)
    finally:
        system.close_file(fd)
    body, _, crc = data.rstrip(b"\n").rpartition(b" ")
    if _line(body) != data or not crc:
        raise LogCorruption(f"the file {file} is damaged", file=file, offset=0)
    return body


def write_whole(system: System, path: str, data: bytes) -> None:
    """Put a small file in place durably: all of it or nothing."""
    temporary = f"{path}.tmp"
    fd = system.open_file(temporary, create=True)
    try:
        system.truncate(fd, 0)
        system.write_at(fd, data, 0)
        system.sync(fd)
    finally:
        system.close_file(fd)
    system.rename(temporary, path)


def create(system: System, folder: str, identity: Identity) -> Identity:
    """Write both files anew."""
    create_keys(system, folder, identity)
    create_format(system, folder, identity)
    return identity


def create_keys(system: System, folder: str, identity: Identity | None = None) -> Identity:
    """Write keys, with a new identity unless one is given."""
    if identity is None:
        identity = Identity(log_id=system.random(16), secret=system.random(32), created_at=system.now())
    body = _Keys(log=identity.log_id.hex(), secret=identity.secret.hex())
    write_whole(system, f"{folder}/keys", _line(msgspec.json.encode(body)))
    return identity


def create_format(system: System, folder: str, identity: Identity) -> None:
    """Write FORMAT, which makes the folder a store, and sync the folder; keys are on disk before it."""
    system.sync_directory(folder)
    body = _Format(walnut=FORMAT, log=identity.log_id.hex(), created_at=identity.created_at)
    write_whole(system, f"{folder}/FORMAT", _line(msgspec.json.encode(body)))
    system.sync_directory(folder)


def load(system: System, folder: str) -> Identity:
    """Read both files; NotAStore, FormatTooNew or LogCorruption."""
    if not system.exists(f"{folder}/FORMAT") and not system.exists(f"{folder}/keys"):
        raise NotAStore("the folder is not a Walnut store", where=folder, hint="name the folder of a store")
    try:
        form = msgspec.json.decode(_read(system, f"{folder}/FORMAT", "FORMAT"), type=_Format)
    except _UNREADABLE:
        raise LogCorruption("the file FORMAT does not decode", file="FORMAT", offset=0) from None
    if form.walnut > FORMAT or form.incompatible:
        raise FormatTooNew(f"the store is of format {form.walnut}", where=folder, hint="upgrade walnut")
    try:
        keys = msgspec.json.decode(_read(system, f"{folder}/keys", "keys"), type=_Keys)
        identity = Identity(
            log_id=bytes.fromhex(form.log), secret=bytes.fromhex(keys.secret), created_at=form.created_at
        )
    except _UNREADABLE:
        raise LogCorruption("the file keys does not decode", file="keys", offset=0) from None
    if keys.log != form.log or len(identity.log_id) != 16 or len(identity.secret) != _SECRET:
        raise LogCorruption("the file keys is another store's", file="keys", offset=0)
    return identity


def load_secret(system: System, folder: str, log_id: bytes) -> bytes | None:
    """The secret alone, for a repair; None when it is gone, damaged or another log's."""
    try:
        found = msgspec.json.decode(_read(system, f"{folder}/keys", "keys"), type=_Keys)
        secret = bytes.fromhex(found.secret)
    except (LogCorruption, *_UNREADABLE):
        return None
    return secret if found.log == log_id.hex() and len(secret) == _SECRET else None

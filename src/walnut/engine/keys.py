"""Keyed hashes: ids and marks that nobody can guess or compare without the log's secret."""

from __future__ import annotations

from hashlib import blake2b

import msgspec

from walnut.errors import InvalidArgument
from walnut.model import ids
from walnut.model.requests import Forget, Remember

MEMORY = ids.TOUCH_BYTES["mem"]

_canonical = msgspec.msgpack.Encoder(order="deterministic").encode


def memory_of_key(secret: bytes, scope: str, key: str) -> bytes:
    """The 17-byte touch of the memory that has this key in this scope."""
    return MEMORY + _hash(secret, b"memory", f"{scope}\0{key}".encode())


def idempotency(secret: bytes, scope: str, key: str) -> bytes:
    """16 bytes that stand for an idempotency key of a scope."""
    return _hash(secret, b"idem", f"{scope}\0{key}".encode())


def request(secret: bytes, asked: Remember | Forget) -> bytes:
    """16 bytes that stand for what was asked, without its idempotency key; the same request gives the same."""
    bare = msgspec.structs.replace(asked, idempotency_key=None)
    return _hash(secret, b"request", _canonical((type(asked).__name__, bare)))


def foreign(secret: bytes, scope: str, name: bytes) -> bytes:
    """16 bytes for what an import into a scope calls by a name that is taken outside of it."""
    return _hash(secret, b"foreign", scope.encode() + b"\0" + name)


def memory_or_none(text: str | None) -> bytes | None:
    """`mem_…` -> its 17-byte touch, None when it is not the id of a memory."""
    if text is None:
        return None
    try:
        raw = ids.parse(text, prefix="mem")
    except InvalidArgument:
        return None
    return MEMORY + raw


def event_or_none(text: str) -> bytes | None:
    """`evt_…` -> its 16 bytes, None when it is not the id of an event."""
    try:
        return ids.parse(text, prefix=ids.EVENT)
    except InvalidArgument:
        return None


def _hash(secret: bytes, person: bytes, data: bytes) -> bytes:
    return blake2b(data, digest_size=16, key=secret, person=person).digest()

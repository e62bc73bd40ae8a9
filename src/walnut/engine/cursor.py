"""Cursors: where a listing goes on, as text that only this store and this listing take back."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b

import msgspec

from walnut.engine.handle import Handle
from walnut.errors import InvalidArgument
from walnut.model.requests import Listing

_SEAL = 8


class Place(msgspec.Struct, frozen=True, array_like=True):
    """The moment of a listing (LSN, and "now" in ns) and the version LSN it goes on below."""

    lsn: int | None = None
    valid_at: int | None = None
    before: int | None = None


def write(handle: Handle, request: Listing, place: Place) -> str:
    """The cursor that stands for a place."""
    data = msgspec.msgpack.encode(place)
    return urlsafe_b64encode(_seal(handle, request, data) + data).decode().rstrip("=")


def read(handle: Handle, request: Listing) -> Place:
    """The place a request's cursor stands for; InvalidArgument when it comes from elsewhere."""
    if request.cursor is None:
        return Place()
    try:
        raw = urlsafe_b64decode(request.cursor.encode("ascii") + b"=" * (-len(request.cursor) % 4))
    except ValueError:
        raw = b""
    seal, data = raw[:_SEAL], raw[_SEAL:]
    if not data or seal != _seal(handle, request, data):
        raise InvalidArgument(
            "not a cursor of this listing", where="cursor", hint="pass Page.cursor with the filters of its page"
        )
    return msgspec.msgpack.decode(data, type=Place)


def _seal(handle: Handle, request: Listing, data: bytes) -> bytes:
    filters = msgspec.structs.replace(request, cursor=None, limit=0)
    binding = handle.binding
    bound = msgspec.msgpack.encode((binding.scope, binding.lsn, binding.valid_at, filters, data))
    return blake2b(bound, digest_size=_SEAL, key=handle.store.log.secret, person=b"cursor").digest()

"""Ids: 16 bytes inside, a typed prefix and 26 Crockford base-32 characters (a ULID) outside."""

from __future__ import annotations

import base64
from functools import lru_cache

from walnut.errors import InvalidArgument

_STANDARD = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_CROCKFORD = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ"
# Ten bits at a time: 0.6 µs an id, where the standard library's base 32 takes 7.
_PAIRS = [chr(high) + chr(low) for high in _CROCKFORD for low in _CROCKFORD]
_TO_STANDARD = bytes.maketrans(_CROCKFORD, _STANDARD)

EVENT = "evt"
#: What `touches` may name, by the byte that stands for it on disk.
TOUCH_TYPES = {1: "mem", 2: "ses", 3: "str", 4: "int"}
TOUCH_BYTES = {name: bytes((number,)) for number, name in TOUCH_TYPES.items()}
TOUCH_SIZE = 17


def ulid(milliseconds: int, randomness: bytes) -> bytes:
    """The 16 bytes of a ULID from a time in ms since 1970 and 10 random bytes."""
    return milliseconds.to_bytes(6, "big") + randomness


def text(prefix: str, raw: bytes) -> str:
    """`evt`, 16 bytes -> `evt_01J…`."""
    low, p = int.from_bytes(raw[6:], "big"), _PAIRS
    return (
        f"{prefix}_{_time_text(raw[:6])}{p[low >> 70]}{p[low >> 60 & 1023]}{p[low >> 50 & 1023]}{p[low >> 40 & 1023]}"
        f"{p[low >> 30 & 1023]}{p[low >> 20 & 1023]}{p[low >> 10 & 1023]}{p[low & 1023]}"
    )


@lru_cache(maxsize=8)  # ids that are made together are of the same millisecond
def _time_text(raw: bytes) -> str:
    """The ten characters of an id's first six bytes."""
    high, p = int.from_bytes(raw, "big"), _PAIRS
    return f"{p[high >> 40]}{p[high >> 30 & 1023]}{p[high >> 20 & 1023]}{p[high >> 10 & 1023]}{p[high & 1023]}"


def parse(value: str, *, prefix: str, where: str = "id") -> bytes:
    """`evt_01J…` -> its 16 bytes; InvalidArgument when it is not an id of that prefix."""
    head, _, tail = value.partition("_")
    if head != prefix or len(tail) != 26 or not tail.isascii():
        raise InvalidArgument(f"not a {prefix}_ id", where=where, hint=f"expected {prefix}_ and 26 characters")
    try:
        raw = base64.b32decode(b"AAAAAA" + tail.encode("ascii").translate(_TO_STANDARD))
    except ValueError:
        raise InvalidArgument(f"not a {prefix}_ id", where=where, hint="a character is out of place") from None
    if raw[:4] != bytes(4) or text(prefix, raw[4:]) != value:
        raise InvalidArgument(f"not a {prefix}_ id", where=where, hint="a character is out of place")
    return raw[4:]


def touch(value: str) -> bytes:
    """`mem_…` -> the 17 bytes that name it in `touches` and in the log's stream index."""
    name = value.partition("_")[0]
    if name not in TOUCH_BYTES:
        raise InvalidArgument("not the id of a stream", where="id", hint="expected mem_, ses_, str_ or int_")
    return TOUCH_BYTES[name] + parse(value, prefix=name)


def touch_text(raw: bytes) -> str:
    """The 17 bytes of a touch -> `mem_…`."""
    return text(TOUCH_TYPES.get(raw[0], f"t{raw[0]}"), raw[1:])

"""Mutations: small steps that a fuzzer, a property test and a saved input share, each a value that can be replayed."""

from __future__ import annotations

import random
from collections.abc import Sequence

import msgspec

#: What integers, lengths and offsets are set to: the ends of every width, and what lies beside them.
EXTREMES = (
    *(0, 1, 2, 7, 8, 31, 32, 96, 127, 128, 255, 256, 511, 512, 4095, 4096),
    *(2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53, 2**62, 2**63 - 1, 2**63, 2**64 - 1),
)
#: What is put in: nothing, bytes of every format here that begin or end something, and what is no UTF-8.
SCRAPS = (
    *(b"\0", b"\xff", b"\xc1", b"\xe5", b"\xf5WF1", b"WALNUTSG", b"WALNUTIX", b"\xed\xa0\x80", b"\xc0\x80"),
    *(b"\xff\xfe", b"\xc0", b"\x90", b"\x80", b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff"),
    *(b"\xdb\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\xcf" + b"\xff" * 8, b"\xd3\x80" + bytes(7)),
    *(b"\xcb\x7f\xf8" + bytes(6), b"\xc7\x01\x01", b"\n", b'"', b"{", b"}", b"[", b"]", b",", b":", b"null", b"true"),
    *(b"-1", b"1e999", b"NaN", b"\\ud800", b"\\u0000", b"99999999999999999999999", b"-9223372036854775809"),
    *(b"# ", b"- ", b"```", b"---\n", b"<!--", b" " * 40, b" " * 3000, b"#" * 3000),
    *(b'"lsn":1,', b'"text":"x",', b"1" * 5000, b"[" * 5000, b'{"a":' * 3000),
)
_DEEP = (b"\x91", b"\x81\xa1a", b"[", b'{"a":', b"\xdc\x00\x01")
#: Files up to this size may be mostly room that nothing is written in.
_SPARSE = 4096
NAMES = ("flip", "set", "number", "cut", "remove", "repeat", "insert", "splice", "deep", "swap", "digits")


class Step(msgspec.Struct, frozen=True, array_like=True):
    """One mutation: its name, a place as a share of the whole, two numbers that say what and how much."""

    name: str
    place: float
    what: int
    size: int


def drawn(chance: random.Random) -> Step:
    """A step by chance; small ones are likelier."""
    size = chance.choice((1, 2, 4, 8, 16, 64, chance.randrange(1, 1000)))
    return Step(chance.choice(NAMES), chance.random(), chance.getrandbits(16), size)


def mutated(data: bytes, steps: Sequence[Step], others: Sequence[bytes]) -> bytes:
    """What the steps make of it; `others` are what `splice` takes from."""
    for step in steps:
        data = _apply(data, step, others)
    return data


def _apply(data: bytes, step: Step, others: Sequence[bytes]) -> bytes:
    at, what, size = _place(data, step.place), step.what, step.size
    head, tail = data[:at], data[at:]
    match step.name:
        case "flip" if tail:
            data = head + bytes([tail[0] ^ 1 << what % 8]) + tail[1:]
        case "set":
            data = head + bytes([what % 256]) * min(size, len(tail)) + tail[size:]
        case "number":
            width = (1, 2, 4, 8)[size % 4]
            value = EXTREMES[what % len(EXTREMES)] % (1 << 8 * width)
            data = head + value.to_bytes(width, "big" if what // 32 % 2 else "little") + tail[width:]
        case "cut":
            data = head if what % 2 else data[: max(0, len(data) - size)]
        case "remove":
            data = head + tail[size:]
        case "repeat":
            data = head + tail[:size] * (2 + what % 6) + tail[size:]
        case "insert":
            data = head + SCRAPS[what % len(SCRAPS)] + tail
        case "splice" if others:
            other = others[what % len(others)]
            start = what * 7919 % (len(other) + 1)
            data = head + other[start : start + size * 8] + tail[size if what % 3 else 0 :]
        case "deep":
            data = head + _DEEP[what % len(_DEEP)] * (10_000 if what % 5 else 100_000) + tail
        case "swap":
            data = head + tail[size : 2 * size] + tail[:size] + tail[2 * size :]
        case "digits":
            data = _digits(data, at, what)
        case _:
            pass
    return data


def _place(data: bytes, share: float) -> int:
    """Where that share of the data ends; of data that is mostly zeros, of what is not zero."""
    if len(data) <= _SPARSE and data.count(0) * 4 > len(data) * 3:
        places = [at for at, byte in enumerate(data) if byte]
        if places:
            return places[min(int(share * len(places)), len(places) - 1)]
    return min(int(share * (len(data) + 1)), len(data))


def _digits(data: bytes, at: int, what: int) -> bytes:
    """The next number written in digits becomes another one."""
    start = next((n for n in range(at, len(data)) if 48 <= data[n] <= 57), None)
    if start is None:
        return data
    end = start
    while end < len(data) and 48 <= data[end] <= 57:
        end += 1
    value = EXTREMES[what % len(EXTREMES)]
    return data[:start] + (b"-" if what % 7 == 0 else b"") + str(value).encode() + data[end:]

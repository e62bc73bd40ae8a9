"""Sizes and strict types: what a single write may hold, checked before anything is written."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from walnut.errors import InvalidArgument
from walnut.model.event import Json

if TYPE_CHECKING:
    from walnut.ports import Embedder

MAX_TEXT = 1 << 20
MAX_DATA = 1 << 20
MAX_SOURCE = 64 << 10
MAX_NAME = 512
MAX_TAGS = 64
MAX_TAG = 128
MAX_EMBEDDING = 16_384
MAX_CAUSES = 1_024
MAX_NESTING = 64
MAX_SECONDS = 1_000_000_000
#: Characters of text in one atomic batch; the log also limits the bytes of all that belongs to it.
MAX_BATCH = 24 << 20

_EMBEDDERS = "see walnut.embed.function and walnut.embed.http"
_SURROGATES = "write characters, not halves of them (lone surrogates)"


def encodable(value: str, where: str) -> str:
    """The string itself if it can be written as UTF-8."""
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InvalidArgument("not valid Unicode", where=where, hint=_SURROGATES) from None
    return value


def text(value: object) -> str:
    """A memory's text: not empty, at most 1 MiB of UTF-8."""
    if not isinstance(value, str):
        raise InvalidArgument(f"text is a string, not {type(value).__name__}", where="text")
    if not value or value.isspace():
        raise InvalidArgument("text is empty", where="text", hint="pass at least one visible character")
    size = len(value)
    if not value.isascii() and size <= MAX_TEXT:
        try:
            size = len(value.encode())
        except UnicodeEncodeError:
            raise InvalidArgument("text is not valid Unicode", where="text", hint=_SURROGATES) from None
    if size > MAX_TEXT:
        raise InvalidArgument(
            f"text has {size:,} bytes or more, the limit is {MAX_TEXT:,}",
            where="text",
            hint="split it, or store a summary with the address of the whole",
        )
    return value


def name(value: object, *, where: str, limit: int = MAX_NAME) -> str:
    """A key, an id, a tag: a string of 1 to `limit` characters."""
    if not isinstance(value, str):
        raise InvalidArgument(f"{where} is a string, not {type(value).__name__}", where=where)
    if not 1 <= len(value) <= limit:
        raise InvalidArgument(f"{where} has {len(value)} characters, 1 to {limit} are allowed", where=where)
    return encodable(value, where)


def names(values: object, *, where: str, most: int = MAX_TAGS, limit: int = MAX_TAG) -> tuple[str, ...]:
    """Tags and the like: an iterable of names, each kept once, in order."""
    if not isinstance(values, Iterable) or isinstance(values, str | bytes | Mapping):
        raise InvalidArgument(
            f"{where} are several strings, not {type(values).__name__}", where=where, hint=f'{where}=["one", "two"]'
        )
    found = tuple(dict.fromkeys(name(value, where=where, limit=limit) for value in values))
    if len(found) > most:
        raise InvalidArgument(f"{len(found)} {where}, at most {most} are allowed", where=where)
    return found


def share(value: object, *, where: str) -> float:
    """A number from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidArgument(f"{where} is a number, not {type(value).__name__}", where=where)
    if not 0 <= value <= 1:  # false for NaN too
        raise InvalidArgument(f"{where} is not within 0 and 1", where=where)
    return float(value)


def whole(value: object, *, where: str, least: int = 0, most: int = 2**63 - 1) -> int:
    """A whole number within limits."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidArgument(f"{where} is a whole number, not {type(value).__name__}", where=where)
    if not least <= value <= most:
        raise InvalidArgument(f"{where} is not within {least} and {most}", where=where)
    return value


def path(value: object, *, where: str, hint: str | None = None) -> str:
    """A path that the operating system can be asked for."""
    if isinstance(value, str) and value and "\0" not in value:
        try:
            value.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            pass
        else:
            return value
    raise InvalidArgument("not a path", where=where, hint=hint)


def seconds(value: object, *, where: str) -> float:
    """A time to wait: a number of seconds from 0; of more than some thirty years, these."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise InvalidArgument("not a number of seconds", where=where, hint="zero or more")
    return float(min(value, MAX_SECONDS))


def flag(value: object, *, where: str) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        raise InvalidArgument(f"{where} is True or False, not {type(value).__name__}", where=where)
    return value


def vector(values: Sequence[float], *, where: str = "embedding") -> tuple[float, ...]:
    """Finite numbers, 1 to 16,384 of them."""
    if isinstance(values, str | bytes | Mapping):
        raise InvalidArgument(f"{where} is a sequence of numbers, not {type(values).__name__}", where=where)
    try:
        found = tuple(map(float, values))
    except (TypeError, ValueError, OverflowError):
        raise InvalidArgument(f"{where} holds something that is not a number", where=where) from None
    if not 1 <= len(found) <= MAX_EMBEDDING:
        raise InvalidArgument(f"{where} has {len(found)} numbers, 1 to {MAX_EMBEDDING} are allowed", where=where)
    if not all(map(math.isfinite, found)):
        raise InvalidArgument(f"{where} holds NaN or an infinity", where=where)
    return found


def json(value: object, *, where: str, limit: int = MAX_DATA) -> Json:
    """A copy of a JSON value: keys are strings, floats finite, integers within 64 bits, the size limited."""
    found = _json(value, where, MAX_NESTING)
    size = len(msgspec.msgpack.encode(found))
    if size > limit:
        raise InvalidArgument(f"{where} has {size:,} bytes, the limit is {limit:,}", where=where)
    return found


def mapping(value: object, *, where: str, limit: int = MAX_SOURCE) -> dict[str, Json]:
    """A copy of a mapping of strings to JSON values."""
    if not isinstance(value, Mapping):
        raise InvalidArgument(f"{where} is a dict, not {type(value).__name__}", where=where)
    found = json(value, where=where, limit=limit)
    if not isinstance(found, dict):
        raise InvalidArgument(f"{where} is a dict", where=where)
    return found


def _json(value: object, where: str, depth: int) -> Json:
    if isinstance(value, str):
        return encodable(str(value), where)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        if not -(2**63) <= value < 2**64:
            raise InvalidArgument(f"{where} holds an integer beyond 64 bits", where=where, hint="write it as text")
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidArgument(f"{where} holds NaN or an infinity", where=where, hint="JSON has neither: use None")
        return float(value)
    if depth == 0:
        raise InvalidArgument(f"{where} is nested deeper than {MAX_NESTING} levels", where=where)
    if isinstance(value, list | tuple):
        return [_json(each, where, depth - 1) for each in value]
    if isinstance(value, Mapping):
        return {_json_key(key, where): _json(each, where, depth - 1) for key, each in value.items()}
    raise InvalidArgument(
        f"{where} holds what JSON has not: {type(value).__name__}",
        where=where,
        hint="use strings, numbers, booleans, None, lists and dicts",
    )


def _json_key(key: object, where: str) -> str:
    if not isinstance(key, str):
        raise InvalidArgument(f"{where} has a key that is a {type(key).__name__}, not a string", where=where)
    return encodable(str(key), where)


def embedder(value: Embedder) -> Embedder:
    """The embedder itself, if it has what one must have."""
    if isinstance(value, type) or not callable(getattr(value, "embed", None)):
        raise InvalidArgument(f"{type(value).__name__} is no embedder", where="embedder", hint=_EMBEDDERS)
    name(getattr(value, "model", None), where="embedder.model")
    whole(getattr(value, "dimensions", None), where="embedder.dimensions", least=1, most=MAX_EMBEDDING)
    return value

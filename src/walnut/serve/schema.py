"""JSON schemas of the tools, and arguments taken apart by them, strictly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from walnut.errors import InvalidArgument
from walnut.model.event import Json

_T = TypeVar("_T", bound=msgspec.Struct)


def schema(kind: type[msgspec.Struct]) -> dict[str, Json]:
    """The schema of a struct with an object at its root, as MCP wants it; what it refers to lies in `$defs`."""
    (_,), parts = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    found: dict[str, Json] = {**parts[kind.__name__]}
    found.pop("description", None)  # the tool's own says more
    others = {name: part for name, part in parts.items() if name != kind.__name__}
    return {**found, "$defs": others} if others else found


def arguments(given: Mapping[str, object], kind: type[_T]) -> _T:
    """The arguments as a struct; a null counts as not given. InvalidArgument says which one is wrong and what fits."""
    known = schema(kind)["properties"]
    assert isinstance(known, dict)  # noqa: S101 - a struct has properties
    try:
        prepared = {name: _unpacked(value, known.get(name)) for name, value in given.items() if value is not None}
        return msgspec.convert(prepared, kind)
    except UnicodeEncodeError:
        raise InvalidArgument("not valid Unicode", where="arguments", hint="halves of characters are none") from None
    except RecursionError:
        raise InvalidArgument("nested too deep", where="arguments", hint="64 levels are the most") from None
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at `")
        if message.startswith("Invalid enum value"):  # it quotes what was given
            message, place = "unknown value", str(error).rpartition(" - at `")[2]
        raise InvalidArgument(
            message[:1].lower() + message[1:],
            where=place.strip("`").removeprefix("$.") or "arguments",
            hint="the arguments are: " + ", ".join(known),
        ) from None


def _unpacked(value: object, part: Json) -> object:
    """Some hosts send lists and objects as JSON text: taken apart where a text would not fit."""
    if not isinstance(value, str) or not isinstance(part, dict):
        return value
    choices = part.get("anyOf")
    kinds = [each.get("type") for each in choices if isinstance(each, dict)] if isinstance(choices, list) else []
    if not {"array", "object"} & {*kinds, part.get("type")}:
        return value
    try:
        found: object = msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError):
        return value
    return found

"""The memory file of the MCP reference server: one memory an observation, and one a relation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from walnut.interchange.source import Bad, Piece
from walnut.model.event import Json


def read(rows: Iterable[tuple[int, dict[str, Json] | str]], *, assume_utc: bool) -> Iterator[Piece]:
    """Rows are entities and relations; the file knows no times. A str in a row is a reason."""
    del assume_utc
    for number, row in rows:
        if isinstance(row, str):
            yield Piece(number, problem=row)
            continue
        try:
            if row.get("type") == "entity":
                yield from _entity(number, row)
            elif row.get("type") == "relation":
                yield _relation(number, row)
            else:
                raise Bad("neither an entity nor a relation")  # noqa: TRY301 - all reasons take one way
        except Bad as error:
            yield Piece(number, problem=str(error))


def _entity(number: int, row: dict[str, Json]) -> Iterator[Piece]:
    name, kind, observations = _string(row, "name"), _string(row, "entityType"), row.get("observations")
    if not isinstance(observations, list) or not all(isinstance(each, str) for each in observations):
        raise Bad("observations are a list of strings")
    if not observations:
        yield Piece(number, skipped="an entity without observations")
    for each in observations:
        if not str(each).strip():
            yield Piece(number, skipped="an empty observation")
            continue
        yield Piece(
            number,
            "observations",
            {
                "text": f"{name}: {each}",
                "tags": _tags(kind),
                "data": {"entity": name, "entity_type": kind, "observation": each},
                "source": {"uri": f"entity:{name}"},
            },
        )


def _relation(number: int, row: dict[str, Json]) -> Piece:
    one, other, kind = _string(row, "from"), _string(row, "to"), _string(row, "relationType")
    return Piece(
        number,
        "relations",
        {
            "text": f"{one} {kind.replace('_', ' ')} {other}",
            "tags": ["relation"],
            "data": {"from": one, "relation": kind, "to": other},
            "source": {"uri": f"entity:{one}"},
        },
    )


def _string(row: dict[str, Json], name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value.strip():
        raise Bad(f"{name} is a string and not empty")
    return value


def _tags(kind: str) -> list[str]:
    return [kind] if len(kind) <= 128 else []

"""Generic JSONL: objects with `text` (or `content`, `memory`) and any of remember's arguments beside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from walnut.engine.parse import ARGUMENTS
from walnut.interchange import times
from walnut.interchange.source import Bad, Piece
from walnut.model.event import Json

KIND = "memories"
TEXTS = ("text", "content", "memory")
_TIMES = ("occurred_at", "valid_from", "valid_until")


def read(rows: Iterable[tuple[int, dict[str, Json] | str]], *, assume_utc: bool) -> Iterator[Piece]:
    """One memory an object; what `remember` does not take goes into its `data`. A str in a row is a reason."""
    for number, row in rows:
        if isinstance(row, str):
            yield Piece(number, problem=row)
            continue
        try:
            yield Piece(number, KIND, _item(row, assume_utc=assume_utc))
        except Bad as error:
            yield Piece(number, problem=str(error))


def _item(row: dict[str, Json], *, assume_utc: bool) -> dict[str, object]:
    name = next((name for name in TEXTS if isinstance(row.get(name), str)), None)
    if name is None:
        raise Bad("no text: a string named text or content is expected")
    item: dict[str, object] = {"text": row[name]}
    rest: dict[str, Json] = {}
    for key, value in row.items():
        if value is None or key == name:
            continue
        if key in _TIMES:
            item[key] = times.iso(value, assume_utc=assume_utc)
        elif key == "source" and isinstance(value, str):
            item[key] = {"uri": value}
        elif key == "tags" and isinstance(value, str):
            item[key] = [value]
        elif key in ARGUMENTS:
            item[key] = value
        else:
            rest[key] = value
    when = next((each for each in times.NAMES if each in rest), None)
    if when is not None and "occurred_at" not in item:
        item["occurred_at"] = times.iso(rest.pop(when), assume_utc=assume_utc)
    if rest:
        data = item.get("data")
        item["data"] = {**(data if isinstance(data, dict) else {} if data is None else {"data": data}), **rest}
    return item

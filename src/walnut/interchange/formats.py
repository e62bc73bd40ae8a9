"""The formats by name, and the guess which one a file has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import PurePath

from walnut.errors import ImportRejected, InvalidArgument
from walnut.interchange import chat, graph, jsonl, markdown
from walnut.interchange.source import Bad, Line, Piece, Source, json_object
from walnut.model.event import Json

#: What `format=` and `--format` take.
FORMATS = ("jsonl", "chat", "markdown", "mcp", "walnut")
EXPORT_MARK = "walnut_export"
_READERS = {"jsonl": jsonl.read, "chat": chat.read, "mcp": graph.read}
_MARKDOWN = {".md", ".markdown", ".mdown"}
_HINT = "say what it is: --format " + ", ".join(FORMATS)


def guess(source: Source) -> tuple[str, bool]:
    """The format of a file, and whether it is one JSON document instead of lines. "empty" when nothing is in it.

    Errors: ImportRejected when nothing fits.
    """
    head = source.head()
    if not head:
        return "empty", False
    if PurePath(source.name).suffix.lower() in _MARKDOWN:
        return "markdown", False
    first = next((line.text.lstrip() for line in head if line.text.strip()), "")
    objects = [found for line in head if (found := _object(line)) is not None]
    if first.startswith("[") or (first.startswith("{") and not objects) or (objects and _is_graph(objects[0])):
        rows = _rows_of(source.document())
        return _format_of([row for _, row in rows if isinstance(row, dict)], source), True
    return _format_of(objects, source), False


def as_given(name: str, source: Source) -> tuple[str, bool]:
    """The format a caller names, and whether the file is one JSON document."""
    if name not in FORMATS:
        raise InvalidArgument("no such format", where="format", hint=", ".join(FORMATS))
    head = source.head()
    if not head:
        return "empty", False
    first = next((line.text.lstrip() for line in head if line.text.strip()), "")
    lines = any(_object(line) is not None for line in head)
    whole = first.startswith("[") or (first.startswith("{") and not lines) or (name == "mcp" and '"entities"' in first)
    return name, name in _READERS and whole


def _is_graph(row: dict[str, Json]) -> bool:
    return isinstance(row.get("entities"), list) and isinstance(row.get("relations"), list)


def _object(line: Line) -> dict[str, Json] | None:
    try:
        return json_object(line)
    except Bad:
        return None


def _format_of(objects: list[dict[str, Json]], source: Source) -> str:
    for row in objects:
        if EXPORT_MARK in row:
            return "walnut"
        if row.get("type") in ("entity", "relation") and ({"name", "from"} & row.keys()):
            return "mcp"
        if isinstance(row.get("messages"), list) or ("role" in row and "content" in row):
            return "chat"
        if any(isinstance(row.get(name), str) for name in jsonl.TEXTS):
            return "jsonl"
    raise ImportRejected("the format is not known", where=f"{source.name}, line 1", hint=_HINT)


def pieces(
    source: Source,
    form: str,
    *,
    document: bool,
    assume_utc: bool,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Piece]:
    """What a reader makes of the file, from its start."""
    if form == "markdown":
        return markdown.read(source.lines(progress), name=source.name)
    rows = iter(_rows_of(source.document())) if document else _rows(source, progress)
    return _READERS[form](rows, assume_utc=assume_utc)


def _rows(source: Source, progress: Callable[[int, int], None] | None) -> Iterator[tuple[int, dict[str, Json] | str]]:
    for line in source.lines(progress):
        if not line.text.strip() and line.problem is None:
            continue
        try:
            yield line.number, json_object(line)
        except Bad as error:
            yield line.number, str(error)


def _rows_of(value: Json) -> list[tuple[int, dict[str, Json] | str]]:
    """The items of a JSON document: a list, a conversation, or a graph."""
    if isinstance(value, dict):
        entities, relations = value.get("entities"), value.get("relations")
        if isinstance(entities, list) and isinstance(relations, list):  # `_is_graph`, as a type checker sees it
            typed = [("entity", each) for each in entities] + [("relation", each) for each in relations]
            found: list[Json] = [{"type": kind, **each} if isinstance(each, dict) else each for kind, each in typed]
            return _numbered(found)
        return _numbered([value])
    return _numbered(value if isinstance(value, list) else [value])


def _numbered(items: list[Json]) -> list[tuple[int, dict[str, Json] | str]]:
    return [(n, item if isinstance(item, dict) else "an object is expected") for n, item in enumerate(items, 1)]

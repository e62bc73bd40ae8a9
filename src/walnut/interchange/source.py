"""A file to import: read as a stream of numbered lines, or as one JSON document, as often as needed."""

from __future__ import annotations

import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, BinaryIO, NamedTuple

import msgspec

from walnut.errors import ImportRejected
from walnut.model.event import Json

#: The longest line, and the largest JSON document that is not in lines (bytes).
MAX_LINE = 32 << 20
MAX_DOCUMENT = 256 << 20
_BOM = b"\xef\xbb\xbf"
_FOREIGN_BOMS = (b"\xff\xfe", b"\xfe\xff")


class Line(NamedTuple):
    """A line: its number from 1, and its text without end, or what is wrong with it."""

    number: int
    text: str
    problem: str | None = None


class Piece(NamedTuple):
    """What a reader made of a place: an item for `remember`, or why it is skipped, or why it is bad."""

    number: int
    kind: str = ""
    item: dict[str, object] | None = None
    skipped: str | None = None
    problem: str | None = None


class Bad(Exception):
    """A line is not understood; the message is the reason."""


class Source:
    """A file by its path. A pipe is copied to a temporary file first, since it is read twice."""

    def __init__(self, path: str, *, stream: BinaryIO | None = None) -> None:
        self.name = Path(path).name
        self._copy: IO[bytes] | None = None
        self._path = path
        if stream is not None:
            self._spool(stream)
        elif not stat.S_ISREG((status := Path(path).stat()).st_mode):
            if stat.S_ISDIR(status.st_mode):
                raise ImportRejected("a folder, not a file", where=path, hint="import its files one by one")
            with Path(path).open("rb") as pipe:
                self._spool(pipe)
        else:
            self.size = status.st_size

    def _spool(self, stream: BinaryIO) -> None:
        self._copy = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        shutil.copyfileobj(stream, self._copy)
        self.size = self._copy.tell()

    def close(self) -> None:
        """Let go of the temporary copy, if there is one."""
        if self._copy is not None:
            self._copy.close()

    def _open(self) -> IO[bytes]:
        if self._copy is None:
            return Path(self._path).open("rb")
        self._copy.seek(0)
        return open(self._copy.fileno(), "rb", closefd=False)

    def lines(self, progress: Callable[[int, int], None] | None = None) -> Iterator[Line]:
        """The lines without BOM and line ends; one that is too long or not UTF-8 says so."""
        done = number = 0
        with self._open() as file:
            while raw := file.readline(MAX_LINE + 1):
                number += 1
                done += len(raw)
                problem = None
                if len(raw) > MAX_LINE:
                    problem = f"longer than {MAX_LINE >> 20} MiB"
                    while not raw.endswith(b"\n") and (raw := file.readline(MAX_LINE)):
                        done += len(raw)
                    raw = b""
                elif number == 1:
                    raw = _without_bom(raw, self.name)
                yield _decoded(number, raw, problem)
                if progress is not None:
                    progress(done, self.size)

    def head(self) -> list[Line]:
        """The first lines with something in them, for a guess at the format."""
        found = []
        for line in self.lines():
            if line.text.strip() or line.problem:
                found.append(line)
            if len(found) == 20:
                break
        return found

    def document(self) -> Json:
        """The whole file as one JSON value. Errors: ImportRejected."""
        if self.size > MAX_DOCUMENT:
            raise ImportRejected(
                f"a JSON document of {self.size:,} bytes",
                where=self.name,
                hint=f"up to {MAX_DOCUMENT >> 20} MiB are read at once; write one object a line (JSONL)",
            )
        with self._open() as file:
            data = _without_bom(file.read(), self.name)
        try:
            value: Json = msgspec.json.decode(data)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            raise ImportRejected("not a JSON document", where=self.name, hint=_line_of_error(data)) from None
        return value


def _without_bom(raw: bytes, name: str) -> bytes:
    if raw.startswith(_FOREIGN_BOMS):
        raise ImportRejected("the file is UTF-16", where=name, hint="save it as UTF-8")
    return raw.removeprefix(_BOM)


def _decoded(number: int, raw: bytes, problem: str | None) -> Line:
    if problem is not None:
        return Line(number, "", problem)
    try:
        return Line(number, raw.decode().rstrip("\r\n"))
    except UnicodeDecodeError as error:
        return Line(number, "", f"not UTF-8 at byte {error.start + 1} of the line")


def _line_of_error(data: bytes) -> str:
    """The line where the JSON breaks; found by the slower parser of the standard library."""
    import json

    try:
        json.loads(data)
    except json.JSONDecodeError as error:
        return f"it breaks at line {error.lineno}, column {error.colno}"
    except (RecursionError, ValueError):  # not UTF-8, or a number of thousands of digits
        pass
    return "it breaks somewhere"


def json_object(line: Line) -> dict[str, Json]:
    """The JSON object on a line, else Bad."""
    if line.problem:
        raise Bad(line.problem)
    try:
        value = msgspec.json.decode(line.text)
    except (msgspec.DecodeError, RecursionError):
        raise Bad("not JSON") from None
    if not isinstance(value, dict):
        raise Bad(f"a JSON object is expected, not a {type(value).__name__}")
    return value

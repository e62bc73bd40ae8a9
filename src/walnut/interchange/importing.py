"""Importing: the whole file is checked first, then written in batches; what is there already is not written again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import blake2b
from os import PathLike, fspath
from typing import BinaryIO

import msgspec

from walnut.engine import parse
from walnut.errors import IdempotencyConflict, ImportRejected, InvalidArgument, NotFound, VersionConflict
from walnut.interchange import formats, own
from walnut.interchange.report import LISTED, ImportReport, Left
from walnut.interchange.source import Piece, Source
from walnut.memory import Memory

_BATCH = 200
_BATCH_CHARACTERS = 4 << 20
#: What one item can be refused for although its form is right.
_ITEM_ERRORS = (InvalidArgument, NotFound, VersionConflict, IdempotencyConflict)


def import_file(
    memory: Memory,
    path: str | PathLike[str],
    *,
    format: str | None = None,  # noqa: A002 - the word of the field
    skip_bad: bool = False,
    assume_utc: bool = False,
    stream: BinaryIO | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ImportReport:
    r"""Take in a file: JSONL, a chat, Markdown, an MCP memory file, or an export of Walnut.

    The file is read twice: a line that is not understood refuses all of it before anything is written, unless
    `skip_bad`. Every item has an idempotency key made from its content, so a file may be imported again, also
    after half of it was written. `stream` is read instead of the file, which `path` then only names.
    `progress` is called with bytes done and bytes there are; each pass is half of it.

    Errors: ImportRejected (naming lines), OSError, and those of `remember_many`.

    >>> import pathlib, tempfile, walnut
    >>> from walnut.interchange import import_file
    >>> with tempfile.TemporaryDirectory() as folder, walnut.open("memory://") as m:
    ...     notes = pathlib.Path(folder, "MEMORY.md")
    ...     _ = notes.write_text("# Style\n- Use ruff\n- Prefer short functions\n")
    ...     import_file(m, notes).written, import_file(m, notes).written
    (2, 0)
    """
    name = fspath(path)
    source = Source(name, stream=stream)
    try:
        form, document = formats.guess(source) if format is None else formats.as_given(format, source)
        if form == "empty":
            return ImportReport(file=source.name, format=form)
        if form == "walnut":
            return own.take(memory, source, progress=progress)
        run = _Import(memory, source, form, document=document, skip_bad=skip_bad, assume_utc=assume_utc)
        run.check(progress)
        run.write(progress)
        return run.report()
    finally:
        source.close()


class _Import:
    """One import on its way: what was found, what was written, what was left."""

    def __init__(
        self, memory: Memory, source: Source, form: str, *, document: bool, skip_bad: bool, assume_utc: bool
    ) -> None:
        self._memory = memory
        self._source = source
        self._form = form
        self._document = document
        self._skip_bad = skip_bad
        self._assume_utc = assume_utc
        self._found: dict[str, int] = {}
        self._written = self._already = self._last_lsn = 0
        self._skipped, self._bad = _List(), _List()

    def _pieces(self, progress: Callable[[int, int], None] | None, half: int) -> Iterator[Piece]:
        def halved(done: int, total: int) -> None:
            if progress is not None:
                progress(done + half * total, 2 * total)

        return formats.pieces(
            self._source,
            self._form,
            document=self._document,
            assume_utc=self._assume_utc,
            progress=halved,
        )

    def check(self, progress: Callable[[int, int], None] | None) -> None:
        """Read all of it, write nothing. Errors: ImportRejected unless bad lines are to be skipped."""
        for piece in self._pieces(progress, 0):
            if piece.skipped is not None:
                self._skipped.add(piece.number, piece.skipped)
            problem = _problem(piece)
            if problem is not None:
                self._bad.add(piece.number, problem)
            elif piece.item is not None:
                self._found[piece.kind] = self._found.get(piece.kind, 0) + 1
        if self._bad.count and not self._skip_bad:
            raise self._rejected()

    def _rejected(self) -> ImportRejected:
        shown = self._bad.listed[:5]
        more = f" and {self._bad.count - len(shown)} more" if self._bad.count > len(shown) else ""
        told = "; ".join(f"{self._unit} {left.number}: {left.reason}" for left in shown)
        return ImportRejected(
            f"nothing was imported: {told}{more}",
            where=f"{self._source.name}, {self._unit} {shown[0].number}",
            hint="mend the file, or pass --skip-bad to leave them out",
        )

    @property
    def _unit(self) -> str:
        return "item" if self._document else "line"

    def write(self, progress: Callable[[int, int], None] | None) -> None:
        """Write what was found, batch by batch; each batch is on disk before the next begins."""
        batch: list[tuple[int, dict[str, object]]] = []
        size = 0
        for piece in self._pieces(progress, 1):
            if piece.item is None or _problem(piece) is not None:
                continue
            batch.append((piece.number, _keyed(piece.item)))
            size += len(str(piece.item["text"]))
            if len(batch) >= _BATCH or size >= _BATCH_CHARACTERS:
                self._write(batch)
                batch, size = [], 0
        self._write(batch)

    def _write(self, batch: list[tuple[int, dict[str, object]]]) -> None:
        try:
            acks = self._memory.remember_many([item for _, item in batch])
        except _ITEM_ERRORS as error:
            if len(batch) > 1:  # one by one, to say which
                for each in batch:
                    self._write([each])
                return
            self._bad.add(batch[0][0], error.message)
            if not self._skip_bad:
                raise ImportRejected(
                    f"the store refused {self._unit} {batch[0][0]}: {error.message} [{error.code}]",
                    where=f"{self._source.name}, {self._unit} {batch[0][0]}",
                    hint="what stands before it is on disk; mend it or pass --skip-bad, and import again",
                ) from None
            return
        for ack in acks:
            self._written += not ack.replayed
            self._already += ack.replayed
            self._last_lsn = max(self._last_lsn, ack.lsn)

    def report(self) -> ImportReport:
        """What was done."""
        return ImportReport(
            file=self._source.name,
            format=self._form,
            unit=self._unit,
            found=self._found,
            written=self._written,
            already=self._already,
            skipped=tuple(self._skipped.listed),
            skipped_count=self._skipped.count,
            bad=tuple(self._bad.listed),
            bad_count=self._bad.count,
            last_lsn=self._last_lsn,
        )


class _List:
    """Lines that were left: all counted, the first ones listed."""

    def __init__(self) -> None:
        self.count = 0
        self.listed: list[Left] = []

    def add(self, number: int, reason: str) -> None:
        self.count += 1
        if len(self.listed) < LISTED:
            self.listed.append(Left(number=number, reason=reason))


def _problem(piece: Piece) -> str | None:
    """Why a piece can't be remembered, by the same rules as `remember`."""
    if piece.item is None:
        return piece.problem
    try:
        parse.remember_items([piece.item])
    except InvalidArgument as error:
        return error.message
    except TypeError:
        return "an argument of a wrong type"
    return None


def _keyed(item: dict[str, object]) -> dict[str, object]:
    """The item with an idempotency key: its own, or one that follows from all that is in it."""
    if "idempotency_key" in item:
        return item
    told = msgspec.msgpack.encode(item, order="deterministic")
    return {**item, "idempotency_key": f"import:{blake2b(told, digest_size=16).hexdigest()}"}

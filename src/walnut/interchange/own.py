"""Walnut's own export: a header, one event a line, and an end with a digest; written, checked and taken in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import blake2b
from typing import TypeVar

import msgspec

from walnut.engine import foreign
from walnut.engine.adopt import Header, Incoming
from walnut.errors import FormatTooNew, IdempotencyConflict, ImportRejected, InvalidArgument
from walnut.interchange.report import ImportReport
from walnut.interchange.source import Line, Source
from walnut.memory import Memory
from walnut.model import ids, scope
from walnut.model.event import SCHEMA, Content, Event, Json

VERSION = 1
_T = TypeVar("_T")
_OPS = ("INSERT", "UPDATE", "DELETE", "NONE")


class _Head(msgspec.Struct, frozen=True, kw_only=True):
    """The first line. `secret` comes with a whole store only; `last_lsn` is where its log stood."""

    walnut_export: int
    log_id: str
    scope: str
    last_lsn: int
    secret: str | None = None


class _End(msgspec.Struct, frozen=True, kw_only=True):
    """The last line: how many events there are, and a digest of all lines before."""

    walnut_export_end: int
    digest: str


class _Content(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    scope: str
    actor: str
    source: dict[str, Json] | None = None
    subject: str | None = None
    payload: dict[str, Json] = {}
    caused_by: tuple[int, ...] = ()
    idempotency_key: str | None = None
    request_hash: str | None = None
    occurred_at: int | None = None
    valid_from: int | None = None
    valid_until: int | None = None


class _Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An event: hashes as hex, times in ns since 1970 UTC."""

    lsn: int
    id: str
    recorded_at: int
    kind: str
    op: str
    txn: int
    touches: tuple[str, ...] = ()
    before_lsn: int | None = None
    idem: str | None = None
    clock_raw: int | None = None
    schema: int = 1
    content: _Content | None = None


def encode(header: Header, events: Iterator[Event], *, count: Callable[[int], None]) -> Iterator[bytes]:
    """The lines of an export; `count` is called with the LSN of each event."""
    digest = blake2b(digest_size=16)
    head = _Head(
        walnut_export=VERSION,
        log_id=header.log_id.hex(),
        scope=header.scope,
        last_lsn=header.last_lsn,
        secret=None if header.secret is None else header.secret.hex(),
    )
    number = 0
    line = msgspec.json.encode(head) + b"\n"
    digest.update(line)
    yield line
    for number, event in enumerate(events, 1):  # noqa: B007 - the end tells it
        line = msgspec.json.encode(_line(event)) + b"\n"
        digest.update(line)
        yield line
        count(event.lsn)
    yield msgspec.json.encode(_End(walnut_export_end=number, digest=digest.hexdigest())) + b"\n"


def _line(event: Event) -> _Line:
    content = None
    if event.content is not None:
        fields = {name: getattr(event.content, name) for name in Content.__struct_fields__}
        fields["request_hash"] = fields["request_hash"] and fields["request_hash"].hex()
        content = _Content(**fields)
    return _Line(
        lsn=event.lsn,
        id=event.id,
        recorded_at=event.recorded_at,
        kind=event.kind,
        op=event.op,
        txn=event.txn,
        touches=event.touches,
        before_lsn=event.before_lsn,
        idem=None if event.idem is None else event.idem.hex(),
        clock_raw=event.clock_raw,
        schema=event.schema,
        content=content,
    )


class _Reading:
    """One pass over an export; knows after it whether it was all of a store."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.header: Header
        self.found: dict[str, int] = {}
        self.whole = True
        self._last = 0

    def transactions(self, progress: Callable[[int, int], None] | None) -> Iterator[tuple[Event, ...]]:
        """The events by transaction, every line checked. Errors: ImportRejected, FormatTooNew."""
        digest = blake2b(digest_size=16)
        waiting: list[Event] = []
        ended = False
        number = 0
        for line in self._source.lines(progress):
            if not line.text.strip() and line.problem is None:
                continue
            if ended or line.problem:
                raise self._rejected(line, line.problem or "something comes after the end")
            number = line.number
            if not self._last and not hasattr(self, "header"):
                self.header = self._head(line)
            elif line.text.startswith('{"walnut_export_end"'):
                self._check_end(line, digest.hexdigest())
                ended = True
            else:
                event = self._event(line)
                if waiting and waiting[0].txn != event.txn:
                    yield tuple(waiting)
                    waiting = []
                waiting.append(event)
            digest.update(line.text.encode() + b"\n")
        if not ended:
            raise self._rejected(Line(number, ""), "the end is missing: the export was cut off")
        if waiting:
            yield tuple(waiting)

    def _head(self, line: Line) -> Header:
        head = self._decoded(line, _Head)
        if head.walnut_export > VERSION:
            raise FormatTooNew("the export was written by a newer Walnut", where=self._source.name, hint="upgrade")
        secret = None if head.secret is None else self._hex(line, head.secret, 32)
        scope.check(head.scope)
        return Header(log_id=self._hex(line, head.log_id, 16), scope=head.scope, last_lsn=head.last_lsn, secret=secret)

    def _check_end(self, line: Line, digest: str) -> None:
        end = self._decoded(line, _End)
        if end.walnut_export_end != sum(self.found.values()) or end.digest != digest:
            raise self._rejected(line, "the export was changed after it was written")

    def _event(self, line: Line) -> Event:
        told = self._decoded(line, _Line)
        if told.schema > SCHEMA:
            raise FormatTooNew("an event of a newer Walnut", where=f"{self._source.name}, line {line.number}")
        if told.lsn <= self._last or not 0 <= told.recorded_at < 2**63 or told.op not in _OPS:
            raise self._rejected(line, "LSN, time or op is out of place")
        self.whole = self.whole and told.lsn == self._last + 1 and told.content is not None
        self._last = told.lsn
        self.found[told.kind] = self.found.get(told.kind, 0) + 1
        try:
            event = Event(
                lsn=told.lsn,
                raw_id=ids.parse(told.id, prefix=ids.EVENT),
                recorded_at=told.recorded_at,
                kind=told.kind,
                op=told.op,
                txn=told.txn,
                raw_touches=b"".join(map(ids.touch, told.touches)),
                commitment=b"",
                content=None if told.content is None else self._content(line, told.content),
                before_lsn=told.before_lsn,
                idem=None if told.idem is None else self._hex(line, told.idem, 16),
                clock_raw=told.clock_raw,
                schema=told.schema,
            )
            foreign.check(event)
        except InvalidArgument as error:
            raise self._rejected(line, error.message) from None
        else:
            return event

    def _content(self, line: Line, told: _Content) -> Content:
        if not scope.within(scope.check(told.scope), self.header.scope):
            raise self._rejected(line, "an event of another scope")
        fields = {name: getattr(told, name) for name in Content.__struct_fields__}
        if told.request_hash is not None:
            fields["request_hash"] = self._hex(line, told.request_hash, 16)
        return Content(**fields)

    def _decoded(self, line: Line, kind: type[_T]) -> _T:
        try:
            return msgspec.json.decode(line.text, type=kind)
        except (msgspec.DecodeError, RecursionError):  # its message might quote what is there
            raise self._rejected(line, "not a line of an export") from None

    def _hex(self, line: Line, text: str, length: int) -> bytes:
        try:
            raw = bytes.fromhex(text)
        except ValueError:
            raw = b""
        if len(raw) != length:
            raise self._rejected(line, f"{length} bytes in hex are expected")
        return raw

    def _rejected(self, line: Line, reason: str) -> ImportRejected:
        return ImportRejected(
            f"nothing was imported: line {line.number}: {reason}",
            where=f"{self._source.name}, line {line.number}",
            hint="export again; an export is not meant to be edited",
        )


def take(memory: Memory, source: Source, *, progress: Callable[[int, int], None] | None) -> ImportReport:
    """Check an export whole, then take it in; what is there already is not written again."""

    def halved(half: int) -> Callable[[int, int], None]:
        return lambda done, total: None if progress is None else progress(done + half * total, 2 * total)

    first = _Reading(source)
    for _ in first.transactions(halved(0)):
        pass
    whole = first.whole and first.header.scope == scope.ROOT
    incoming = Incoming(memory.log, first.header, whole=whole)
    try:
        for transaction in _Reading(source).transactions(halved(1)):
            incoming.take(transaction)
        incoming.flush()
    except IdempotencyConflict as error:
        raise IdempotencyConflict(
            "an idempotency key of the export was used in this store for something else",
            where=error.where,
            hint="import into another store",
            lsn=error.lsn,
        ) from None
    return ImportReport(
        file=source.name,
        format="walnut",
        found=first.found,
        written=incoming.written,
        already=incoming.already,
        adopted=incoming.adopted,
        last_lsn=incoming.last_lsn,
    )

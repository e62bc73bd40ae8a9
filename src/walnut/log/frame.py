"""Frames: one atomic batch as bytes, and back. The bytes are described in docs/reference/format.md.

A frame is a 96-byte header and a body: the envelopes in one section, then one content record an event. Header and
body have a CRC32C each, seeded with log id, segment number and file offset, so that no frame is valid anywhere else.
The chain hash runs over headers and envelopes only: a blanked content leaves it verifiable.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from hashlib import blake2b
from typing import Annotated, TypeAlias, TypeVar

import google_crc32c
import msgspec
from msgspec import Meta

from walnut.errors import FormatTooNew, InvalidArgument
from walnut.model.event import DELETE, INSERT, NONE, SCHEMA, UPDATE, Content, Event
from walnut.model.ids import TOUCH_SIZE

MAGIC = b"\xf5WF1"
HEADER_SIZE = 96
ALIGNMENT = 8
#: The last bytes of a frame: never zero, so that no sector's share of a whole frame is all zero.
END = 0xE5
MAX_BODY = 32 * 1024 * 1024
#: LSNs, times and offsets lie below.
MAX_NUMBER = 2**63

# Frame types; 0 is reserved for prepared space, 2 and up for checkpoints and purges of later versions.
EVENTS = 1
# Record types. Blobs (content-addressed values) and references to them are reserved.
CONTENT, BLOB, ERASED = 1, 2, 3
# Codecs of a section; 1 is reserved for zstd.
PLAIN = 0

_HEADER = struct.Struct("<4sIIIQIBBHQQQII32s")
_TAIL = struct.Struct("<IIQIBBHQQQII32s")
_PADDING = [bytes((END,)) * (ALIGNMENT - rest) for rest in range(ALIGNMENT)]
_PREAMBLE = struct.Struct("<IB3x")
_RECORD = struct.Struct("<IBBHI16s")
_PLACE = struct.Struct("<Q")
RECORD_SIZE = _RECORD.size
_RECORD_HEAD = struct.Struct("<IBBHI")
_SALT_SIZE = 16
_SALT_AT = RECORD_SIZE - _SALT_SIZE  # what is committed to, salt and data, are the record's last bytes
PREAMBLE_SIZE = _PREAMBLE.size

_ERASED = _RECORD.pack(0, ERASED, PLAIN, 0, 0, bytes(16))

_OPS = (NONE, INSERT, UPDATE, DELETE)
OP_NUMBERS = {op: number for number, op in enumerate(_OPS)}

_extend = google_crc32c.extend


class Header(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A frame's header. `synced_upto` is the LSN known durable when it was written; times are ns since 1970."""

    magic: bytes
    header_crc: int
    body_crc: int
    body_length: int
    first_lsn: int
    count: int
    type: int
    flags: int
    reserved: int
    synced_upto: int
    recorded_at: int
    clock_raw: int
    epoch: int
    writer_id: int
    prev_hash: bytes

    @property
    def length(self) -> int:
        """Bytes of the whole frame."""
        return HEADER_SIZE + self.body_length

    @property
    def last_lsn(self) -> int:
        """The LSN of its last event."""
        return self.first_lsn + self.count - 1


_Hash16: TypeAlias = Annotated[bytes, Meta(min_length=16, max_length=16)]
_Hash32: TypeAlias = Annotated[bytes, Meta(min_length=32, max_length=32)]
_Number: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_NUMBER - 1)]


class Envelope(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An envelope on disk; LSN and times are the frame's, `txn_back` counts events back to the transaction's first."""

    raw_id: _Hash16
    kind: str
    op: _Number
    txn_back: _Number
    touches: bytes
    commitment: _Hash32
    before_lsn: _Number | None = None
    idem: _Hash16 | None = None
    schema: _Number = SCHEMA


class Sealed(msgspec.Struct, frozen=True):
    """A content made ready for the log: its record in a frame, and the commitment to its salt and its bytes."""

    record: bytes
    commitment: bytes

    @property
    def data(self) -> bytes:
        """The content's bytes."""
        return self.record[RECORD_SIZE:]

    @property
    def salt(self) -> bytes:
        """What keeps the commitment from being guessed."""
        return self.record[_SALT_AT:RECORD_SIZE]


_T = TypeVar("_T")

_encoder = msgspec.msgpack.Encoder()
_content_decoder = msgspec.msgpack.Decoder(Content)
_envelopes_decoder = msgspec.msgpack.Decoder(list[Envelope])


def seed(log_id: bytes, segment: int) -> int:
    """What every CRC in this segment starts from."""
    return int(google_crc32c.value(log_id + segment.to_bytes(8, "little")))


def commit(data: bytes, salt: bytes) -> bytes:
    """The commitment: blake2b-256 over salt and content bytes."""
    return blake2b(salt + data, digest_size=32).digest()


def seal(content: Content, salt: bytes) -> Sealed:
    """Encode a content; InvalidArgument when it holds what msgpack can't carry."""
    try:
        data = _encoder.encode(content)
    except (OverflowError, TypeError, ValueError, RecursionError) as error:
        raise InvalidArgument(
            f"the content can't be encoded ({type(error).__name__})",
            where="data",
            hint="integers have at most 64 bits; keys are strings; texts hold no lone surrogates",
        ) from None
    record = _RECORD.pack(len(data), CONTENT, PLAIN, 0, 0, salt) + data
    return Sealed(record, blake2b(record[_SALT_AT:], digest_size=32).digest())


def encode_envelopes(envelopes: Sequence[Envelope]) -> bytes:
    """The envelope section."""
    return _encoder.encode(envelopes)


def op_number(op: str) -> int:
    """The byte of an op."""
    return OP_NUMBERS[op]


def encode(
    *,
    envelopes: bytes,
    contents: Sequence[Sealed | None],
    first_lsn: int,
    synced_upto: int,
    recorded_at: int,
    clock_raw: int,
    epoch: int,
    writer_id: int,
    prev_hash: bytes,
    crc_seed: int,
    offset: int,
) -> tuple[bytes, bytes]:
    """A whole frame for `offset` of a segment, and the chain hash after it; a content of None is an erased one."""
    body = b"".join(
        (
            _PREAMBLE.pack(len(envelopes), PLAIN),
            envelopes,
            *[_ERASED if content is None else content.record for content in contents],
        )
    )
    body += _PADDING[len(body) % ALIGNMENT]
    length = len(body)
    if length > MAX_BODY:
        raise InvalidArgument(
            f"a batch of {length} bytes", where="items", hint=f"at most {MAX_BODY} bytes in one atomic batch"
        )
    base = _extend(crc_seed, _PLACE.pack(offset))
    tail = _TAIL.pack(
        _extend(base, body),
        length,
        first_lsn,
        len(contents),
        EVENTS,
        0,
        0,
        synced_upto,
        recorded_at,
        clock_raw,
        epoch,
        writer_id,
        prev_hash,
    )
    data = MAGIC + _extend(base, tail).to_bytes(4, "little") + tail + body
    return data, blake2b(tail[4:] + envelopes, digest_size=32).digest()


def place(header: Header, body: bytes, *, prev_hash: bytes, crc_seed: int, offset: int) -> tuple[bytes, bytes]:
    """An existing frame made valid for another `offset` behind another chain; also the chain hash after it."""
    base = _extend(crc_seed, _PLACE.pack(offset))
    fields = msgspec.structs.astuple(header)
    raw = _HEADER.pack(MAGIC, 0, _extend(base, body), *fields[3:-1], prev_hash)
    raw = MAGIC + _extend(base, raw[8:]).to_bytes(4, "little") + raw[8:]
    return raw + body, chain(raw, envelope_section(body))


def chain(header: bytes, envelopes: bytes) -> bytes:
    """The chain hash after a frame: everything in its header but the checksums, and its envelopes."""
    return blake2b(header[12:HEADER_SIZE] + envelopes, digest_size=32).digest()


def read_header(data: bytes, *, crc_seed: int, offset: int, at: int = 0) -> Header | None:
    """The header at `data[at:]` if it is whole and belongs at `offset` of its segment, else None."""
    return _header(data, at, _extend(crc_seed, _PLACE.pack(offset)))


def _header(data: bytes, at: int, base: int) -> Header | None:
    raw = data[at : at + HEADER_SIZE]
    if len(raw) < HEADER_SIZE:
        return None
    header = Header(*_HEADER.unpack(raw))
    if header.magic != MAGIC or _extend(base, raw[8:]) != header.header_crc:
        return None
    length = header.body_length
    if not PREAMBLE_SIZE < length <= MAX_BODY + ALIGNMENT or length % ALIGNMENT:
        return None
    if not 0 < header.first_lsn < MAX_NUMBER - header.count or header.recorded_at >= MAX_NUMBER:
        return None
    return header


def body_is_whole(header: Header, body: bytes, *, crc_seed: int, offset: int) -> bool:
    """Whether the body's checksum holds, and its envelopes end within it: its chain hash can be told."""
    return _is_whole(header, body, _extend(crc_seed, _PLACE.pack(offset)))


def _is_whole(header: Header, body: bytes, base: int) -> bool:
    length = header.body_length
    return (
        len(body) == length
        and _extend(base, body) == header.body_crc
        and _PREAMBLE.unpack_from(body)[0] <= length - PREAMBLE_SIZE
    )


def read_whole(data: bytes, *, crc_seed: int, offset: int, at: int = 0) -> tuple[Header, bytes] | None:
    """Header and body at `data[at:]`, None if either is not whole or does not belong at `offset` of its segment."""
    base = _extend(crc_seed, _PLACE.pack(offset))
    header = _header(data, at, base)
    if header is None:
        return None
    at += HEADER_SIZE
    body = data[at : at + header.body_length]
    return (header, body) if _is_whole(header, body, base) else None


def envelope_section(body: bytes) -> bytes:
    """The bytes of the envelopes in a body; ValueError when they run past it."""
    length, codec = _PREAMBLE.unpack_from(body)
    if codec != PLAIN:
        raise FormatTooNew(f"envelopes are in codec {codec}", hint="upgrade walnut")
    if PREAMBLE_SIZE + length > len(body):
        raise ValueError("envelope section is longer than the body")
    return body[PREAMBLE_SIZE : PREAMBLE_SIZE + length]


def read_envelopes(header: Header, body: bytes) -> list[Envelope]:
    """All envelopes of a checked body; ValueError when they do not decode or say what can't be."""
    envelopes = decoded("envelopes do", _envelopes_decoder, envelope_section(body))
    if len(envelopes) != header.count:
        raise ValueError("number of envelopes is not the header's")
    for lsn, each in enumerate(envelopes, header.first_lsn):
        check_envelope(each, lsn)
    return envelopes


def check_envelope(envelope: Envelope, lsn: int) -> None:
    """ValueError when an envelope says what can't be, FormatTooNew when a newer Walnut wrote it."""
    if len(envelope.touches) % TOUCH_SIZE or envelope.txn_back >= lsn:
        raise ValueError("an envelope names what can't be")
    if envelope.op >= len(_OPS):
        raise FormatTooNew(f"op {envelope.op} at LSN {lsn}", hint="upgrade walnut")


def spans(header: Header, body: bytes) -> list[tuple[int, int] | None]:
    """From where to where each event's salt and content lie in the body, None where erased; ValueError."""
    at, size = PREAMBLE_SIZE + int.from_bytes(body[:4], "little"), len(body)
    spans: list[tuple[int, int] | None] = []
    while len(spans) < header.count:
        start = at + RECORD_SIZE
        if start > size:
            raise ValueError("content records run past the body")
        length, kind, codec, _flags, key_id = _RECORD_HEAD.unpack_from(body, at)
        at = start + length
        if at > size:
            raise ValueError("a content record runs past the body")
        if kind == CONTENT:
            if codec != PLAIN or key_id:
                raise FormatTooNew(f"a content is in codec {codec}, key {key_id}", hint="upgrade walnut")
            spans.append((start - _SALT_SIZE, at))
        elif kind == ERASED:
            spans.append(None)
        elif kind != BLOB:
            raise FormatTooNew(f"a record is of type {kind}", hint="upgrade walnut")
    return spans


def unsound(header: Header, body: bytes) -> tuple[str, int] | None:
    """What is wrong with the events of a frame whose checksums hold, and from which LSN on. FormatTooNew."""
    lsn = header.first_lsn
    try:
        check_type(header)
        for envelope, span in zip(read_envelopes(header, body), spans(header, body), strict=True):
            if span is not None:
                content = body[span[0] : span[1]]
                if blake2b(content, digest_size=32).digest() != envelope.commitment:
                    return "a content does not match its commitment", lsn
                read_content(content[_SALT_SIZE:])
            lsn += 1
    except ValueError as error:
        return str(error), lsn
    return None


def read_content(data: bytes) -> Content:
    """Decode a content; ValueError when it does not."""
    return decoded("content does", _content_decoder, data)


def decoded(what: str, decoder: msgspec.msgpack.Decoder[_T], data: bytes | msgspec.Raw) -> _T:
    """What a decoder makes of it; ValueError when that is nothing."""
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{what} not decode: {type(error).__name__}") from None


def read_events(header: Header, body: bytes) -> list[Event]:
    """All events of a checked frame; ValueError when it does not decode, FormatTooNew when it is a newer one's."""
    check_type(header)
    found = zip(read_envelopes(header, body), spans(header, body), strict=True)
    return [event(header, lsn, envelope, body, span) for lsn, (envelope, span) in enumerate(found, header.first_lsn)]


def check_type(header: Header) -> None:
    """FormatTooNew for a frame that holds no events."""
    if header.type != EVENTS:
        raise FormatTooNew(f"a frame is of type {header.type}", hint="upgrade walnut")


def event(header: Header, lsn: int, envelope: Envelope, body: bytes, span: tuple[int, int] | None) -> Event:
    """One event of a frame; ValueError when its content does not decode."""
    return Event(
        lsn=lsn,
        raw_id=envelope.raw_id,
        recorded_at=header.recorded_at,
        kind=envelope.kind,
        op=_OPS[envelope.op],
        txn=lsn - envelope.txn_back,
        raw_touches=envelope.touches,
        commitment=envelope.commitment,
        content=None if span is None else read_content(body[span[0] + _SALT_SIZE : span[1]]),
        before_lsn=envelope.before_lsn,
        idem=envelope.idem,
        clock_raw=header.clock_raw or None,
        schema=envelope.schema,
    )

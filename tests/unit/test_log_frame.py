"""Frames and segment headers: what goes in comes out, and no changed or moved byte is believed."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from walnut.errors import FormatTooNew, InvalidArgument, LogCorruption
from walnut.log import frame, segment
from walnut.model.event import Content, Event

LOG, OTHER = bytes(range(16)), bytes(range(1, 17))
numbers = st.integers(0, 2**63 - 1)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
contents = st.builds(
    Content,
    scope=texts,
    actor=texts,
    source=st.none() | st.dictionaries(texts, values, max_size=3),
    subject=st.none() | texts,
    payload=st.dictionaries(texts, values, max_size=4),
    caused_by=st.lists(numbers, max_size=3).map(tuple),
    idempotency_key=st.none() | texts,
    request_hash=st.none() | st.binary(min_size=16, max_size=16),
    occurred_at=st.none() | numbers,
    valid_from=st.none() | numbers,
    valid_until=st.none() | numbers,
)
envelopes = st.builds(
    frame.Envelope,
    st.binary(min_size=16, max_size=16),
    st.sampled_from(["memory.write", "x"]),
    st.integers(0, 3),
    st.integers(0, 2),
    st.lists(st.binary(min_size=17, max_size=17), max_size=3).map(b"".join),
    st.just(bytes(32)),
    st.none() | numbers,
    st.none() | st.binary(min_size=16, max_size=16),
)
records = st.lists(
    st.tuples(envelopes, st.none() | contents, st.binary(min_size=16, max_size=16)), min_size=1, max_size=4
)


def encode(
    pairs: list[tuple[frame.Envelope, Content | None, bytes]], *, offset: int = 512, log: bytes = LOG, number: int = 1
) -> tuple[bytes, bytes]:
    sealed = [None if content is None else frame.seal(content, salt) for _, content, salt in pairs]
    made = [
        msgspec.structs.replace(envelope, commitment=seal.commitment) if seal else envelope
        for (envelope, _, _), seal in zip(pairs, sealed, strict=True)
    ]
    return frame.encode(
        envelopes=frame.encode_envelopes(made),
        contents=sealed,
        first_lsn=7,
        synced_upto=6,
        recorded_at=1000,
        clock_raw=900,
        epoch=3,
        writer_id=4,
        prev_hash=bytes(32),
        crc_seed=frame.seed(log, number),
        offset=offset,
    )


def decode(data: bytes, *, offset: int = 512, log: bytes = LOG, number: int = 1) -> list[Event] | None:
    """The events, None when the frame is refused."""
    seed = frame.seed(log, number)
    header = frame.read_header(data, crc_seed=seed, offset=offset)
    if header is None:
        return None
    body = data[frame.HEADER_SIZE : header.length]
    if not frame.body_is_whole(header, body, crc_seed=seed, offset=offset):
        return None
    return frame.read_events(header, body)


SMALL: list[tuple[frame.Envelope, Content | None, bytes]] = [
    (frame.Envelope(bytes(16), "x", 1, 0, bytes(17), bytes(32)), Content(scope="s", actor="a"), bytes(16))
]


@given(records)
def test_L2_a_frame_comes_back_as_it_was_written(
    pairs: list[tuple[frame.Envelope, Content | None, bytes]],
) -> None:
    data, _ = encode(pairs)
    assert len(data) % frame.ALIGNMENT == 0
    assert data[-1] == frame.END
    events = decode(data)
    assert events is not None
    assert [event.lsn for event in events] == list(range(7, 7 + len(pairs)))
    for event, (envelope, content, _) in zip(events, pairs, strict=True):
        assert event.content == content
        assert (event.raw_id, event.kind, event.raw_touches) == (envelope.raw_id, envelope.kind, envelope.touches)
        assert (event.before_lsn, event.idem) == (envelope.before_lsn, envelope.idem)
        assert (event.recorded_at, event.clock_raw, event.txn) == (1000, 900, event.lsn - envelope.txn_back)


def test_L2_a_frame_with_any_bit_flipped_is_refused() -> None:
    data, _ = encode(SMALL)
    for bit in range(len(data) * 8):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        assert decode(bytes(changed)) is None, f"bit {bit % 8} of byte {bit // 8}"


def test_L2_a_header_with_any_bit_flipped_is_none() -> None:
    """On its own, too: recovery asks it for lengths and LSNs of frames whose bodies are gone."""
    data, _ = encode(SMALL)
    assert frame.read_header(data, crc_seed=frame.seed(LOG, 1), offset=512) is not None
    for bit in range(frame.HEADER_SIZE * 8):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        assert frame.read_header(bytes(changed), crc_seed=frame.seed(LOG, 1), offset=512) is None, f"bit {bit}"


def test_L2_a_frame_cut_anywhere_is_refused() -> None:
    data, _ = encode(SMALL)
    for length in range(len(data)):
        assert decode(data[:length]) is None
        assert decode(data[:length].ljust(len(data), b"\0")) is None


def test_L2_a_frame_is_valid_only_where_it_was_written() -> None:
    data, _ = encode(SMALL)
    assert decode(data) is not None
    assert decode(data, offset=520) is None
    assert decode(data, number=2) is None
    assert decode(data, log=OTHER) is None


def test_the_chain_covers_envelopes_and_spares_contents() -> None:
    changed: list[tuple[frame.Envelope, Content | None, bytes]] = [
        (SMALL[0][0], Content(scope="s", actor="b"), bytes(16))
    ]
    erased: list[tuple[frame.Envelope, Content | None, bytes]] = [(SMALL[0][0], None, bytes(16))]
    assert encode(SMALL)[1] != encode(changed)[1], "the commitment tells contents apart"
    assert encode(erased)[1] != encode(SMALL)[1]
    data, after = encode(SMALL)
    header = frame.read_header(data, crc_seed=frame.seed(LOG, 1), offset=512)
    assert header is not None
    body = data[frame.HEADER_SIZE :]
    moved, chained = frame.place(header, body, prev_hash=header.prev_hash, crc_seed=frame.seed(OTHER, 9), offset=4096)
    assert chained == after, "the chain does not depend on the place"
    assert decode(moved, offset=4096, log=OTHER, number=9) == decode(data)


@pytest.mark.parametrize("value", [2**64, "\ud800", object()])
def test_what_msgpack_cannot_carry_is_an_invalid_argument(value: object) -> None:
    with pytest.raises(InvalidArgument):
        frame.seal(Content(scope="s", actor="a", payload={"v": value}), bytes(16))  # type: ignore[dict-item]


def test_a_batch_that_is_too_large_for_a_frame_is_an_invalid_argument() -> None:
    content = Content(scope="s", actor="a", payload={"text": "x" * (frame.MAX_BODY + 1)})
    with pytest.raises(InvalidArgument):
        encode([(SMALL[0][0], content, bytes(16))])


def test_sections_of_a_newer_version_are_too_new_and_broken_ones_do_not_decode() -> None:
    data, _ = encode(SMALL)
    header = frame.read_header(data, crc_seed=frame.seed(LOG, 1), offset=512)
    assert header is not None
    body = data[frame.HEADER_SIZE :]
    section = frame.envelope_section(body)
    at = frame.PREAMBLE_SIZE + len(section)  # the first content record: length, type, codec, flags, key id, salt

    def patched(place: int, value: bytes) -> bytes:
        return body[:place] + value + body[place + len(value) :]

    for newer in (patched(4, b"\1"), patched(at + 4, b"\x09"), patched(at + 5, b"\1"), patched(at + 8, b"\1")):
        with pytest.raises(FormatTooNew):
            frame.read_events(header, newer)
    with pytest.raises(FormatTooNew):
        frame.read_events(msgspec.structs.replace(header, type=2), body)
    strange = frame.encode_envelopes([msgspec.structs.replace(SMALL[0][0], op=7)])
    with pytest.raises(FormatTooNew):
        frame.read_events(header, patched(frame.PREAMBLE_SIZE, strange))
    huge = (2**31).to_bytes(4, "little")
    for broken in (patched(0, huge), patched(at, huge), patched(frame.PREAMBLE_SIZE, b"\xc1"), body[:at]):
        with pytest.raises(ValueError, match=r"envelope|record|run"):
            frame.read_events(header, broken)
    with pytest.raises(ValueError, match="number of envelopes"):
        frame.read_events(msgspec.structs.replace(header, count=2), body)
    with pytest.raises(ValueError, match="content does not decode"):
        frame.read_content(b"\xc1")


HEADER = segment.SegmentHeader(
    log_id=LOG,
    number=3,
    generation=1,
    epoch=2,
    first_lsn=11,
    prev_end=5000,
    prev_last_lsn=10,
    chain=bytes(range(32)),
    capacity=4 * 1024 * 1024,
    created_at=5,
    compatible=8,
)


def test_a_segment_header_comes_back_and_any_flipped_bit_is_damage() -> None:
    data = segment.encode_header(HEADER)
    assert len(data) == segment.HEADER_SIZE
    assert segment.decode_header(data, file="f") == HEADER
    for bit in range(0, len(data) * 8, 3):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(LogCorruption):
            segment.decode_header(bytes(changed), file="f")
    with pytest.raises(LogCorruption):
        segment.decode_header(data[:-1], file="f")
    with pytest.raises(FormatTooNew):
        segment.decode_header(segment.encode_header(msgspec.structs.replace(HEADER, incompatible=1)), file="f")


def test_L4_segments_double_from_one_to_sixty_four_mebibytes() -> None:
    assert [segment.capacity(n) >> 20 for n in (1, 2, 3, 6, 7, 8, 1000)] == [1, 2, 4, 32, 64, 64, 64]
    assert segment.parse_name(segment.name(12, 2)) == (12, 2)
    assert segment.parse_name("seg-12.g2.tmp") is None

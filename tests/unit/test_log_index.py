"""The index of a segment against brute force, as it grows, as a sidecar, and as both; slots that a crash tore."""

from __future__ import annotations

from pathlib import Path

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from walnut.log import index
from walnut.log.frame import Envelope
from walnut.log.index import Covered, SegmentIndex
from walnut.log.shared import MARK_SLOTS, SIZE, SLOT_SIZE, Slots, State, newest
from walnut.system import System

touches = st.integers(0, 4).map(lambda n: b"\x01" + bytes([n]) * 16)
idems = st.none() | st.integers(0, 1000).map(lambda n: n.to_bytes(16, "big"))
frames = st.lists(st.lists(st.tuples(st.lists(touches, max_size=3), idems), min_size=1, max_size=4), max_size=12)


def envelope(keys: list[bytes], idem: bytes | None) -> Envelope:
    return Envelope(bytes(16), "x", 0, 0, b"".join(keys), bytes(32), None, idem)


@given(frames, st.integers(0, 12))
def test_an_index_answers_like_a_search_through_everything(
    made: list[list[tuple[list[bytes], bytes | None]]], saved: int
) -> None:
    growing = SegmentIndex(4, 0)
    lsn, offset, places, events = 1, 512, {}, []
    for number, each in enumerate(made):
        if number == saved:  # the rest grows on top of a sidecar
            sidecar = index.decode(growing.encode())
            assert sidecar is not None
            growing = SegmentIndex(4, 0, sidecar)
        end = offset + 104
        growing.add(first_lsn=lsn, offset=offset, envelopes=[envelope(*e) for e in each])
        growing.covered = Covered(end, lsn + len(each) - 1, offset, bytes([number]) * 32)
        for event in each:
            events.append((lsn, event))
            lsn += 1
        first = lsn - len(each)
        for at in range(first, lsn):
            places[at] = (first, offset)
        offset = end
    whole = index.decode(growing.encode())
    assert whole is not None
    assert whole.covered == growing.covered
    for asked in (growing, whole, SegmentIndex(4, 0, whole)):
        assert asked.frame_before(0) is None
        for at, place in places.items():
            assert asked.frame_before(at) == place
        for number in range(5):
            key = b"\x01" + bytes([number]) * 16
            assert asked.touching(key) == [at for at, (keys, _) in events if key in keys]
        for number in range(0, 1001, 7):
            idem = number.to_bytes(16, "big")
            assert asked.find_idem(idem) == next((at for at, (_, known) in events if known == idem), None)


def test_a_sidecar_with_any_flipped_bit_or_cut_off_is_ignored(tmp_path: Path) -> None:
    growing = SegmentIndex(1, 0)
    growing.add(first_lsn=1, offset=512, envelopes=[envelope([b"\x01" + bytes(16)], bytes(16))])
    data = growing.encode()
    for bit in range(len(data) * 8):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        assert index.decode(bytes(changed)) is None
    for length in range(len(data)):
        assert index.decode(data[:length]) is None
    path = str(tmp_path / "x.idx")
    assert index.load(System(), path) is None
    index.save(System(), path, growing)
    loaded = index.load(System(), path)
    assert loaded is not None
    assert loaded.covered == growing.covered


LOG = bytes(range(16))
STATE = State(3, 5000, 77, bytes(range(32)), 123, 4000, 2, bytes(16), 1, 0)


class Memory(bytearray):
    """Bytes that can be mapped; a store may stop half-way."""

    stop = -1

    def __setitem__(self, index: slice, value: bytes) -> None:  # type: ignore[override]
        length = len(value) if self.stop < 0 else self.stop
        super().__setitem__(slice(index.start, index.start + length), value[:length])

    def __getitem__(self, index: slice) -> bytes:  # type: ignore[override]
        return bytes(super().__getitem__(index))

    def flush(self) -> None: ...

    def close(self) -> None: ...


def test_L5_a_store_torn_anywhere_leaves_the_slot_before_it() -> None:
    for stop in range(SLOT_SIZE):
        memory = Memory(SIZE)
        slots = Slots(memory, MARK_SLOTS, LOG)
        assert slots.load() is None
        for seq in range(1, 6):
            slots.store(STATE, seq)
        kept = slots.load()
        assert kept == msgspec.structs.replace(STATE, seq=5)
        memory.stop = stop
        slots.store(msgspec.structs.replace(STATE, lsn=78), 6)
        found = slots.load()
        same_tail = found is not None and found.lsn == 78  # what was not stored any more was the same before
        assert found == kept or (same_tail and stop > 48)


def test_L1_the_slot_with_the_higher_number_counts_for_whoever_maps_it() -> None:
    memory = Memory(SIZE)
    for seq in (1, 2, 3, 255, 256, 257, 2**32 - 1, 2**32, 2**62 - 1):
        Slots(memory, MARK_SLOTS, LOG).store(STATE, seq)
        assert Slots(memory, MARK_SLOTS, LOG).load() == msgspec.structs.replace(STATE, seq=seq)


def test_L5_a_slot_with_any_flipped_bit_or_of_another_log_is_ignored() -> None:
    memory = Memory(SIZE)
    Slots(memory, MARK_SLOTS, LOG).store(STATE, 2)
    assert newest(bytes(memory), MARK_SLOTS, bytes(16)) is None
    for bit in range(SLOT_SIZE * 8):
        changed = bytearray(memory)
        changed[bit // 8] ^= 1 << bit % 8
        assert newest(bytes(changed), MARK_SLOTS, LOG) is None

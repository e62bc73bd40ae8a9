"""Recovery: one verdict for all evidence, and files built for each way in which a log can end."""

from __future__ import annotations

import itertools
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.crash.stores import Ack, acks, fill, judge, reopened, single, small_segments
from walnut.errors import LogCorruption
from walnut.log import frame, keys, recovery
from walnut.log.file_log import FileLog
from walnut.log.recovery import SECTOR, Evidence, Verdict
from walnut.log.recovery import judge as verdict_on
from walnut.log.segments import Segments
from walnut.log.verify import read_mark, verify_folder
from walnut.model.event import Content
from walnut.system import System


def test_L5_every_combination_of_evidence_fits_one_verdict() -> None:
    counted = dict.fromkeys(Verdict, 0)
    for bits in itertools.product([False, True], repeat=6):
        seen = Evidence(**dict(zip(Evidence.__struct_fields__, bits, strict=True)))
        verdict = verdict_on(seen)
        counted[verdict] += 1
        proof = seen.before_mark or seen.later_frame_knew_it_durable or seen.valid_but_out_of_place
        written_whole = seen.header_readable and seen.every_sector_written
        assert (verdict is Verdict.DAMAGED) == (proof or (written_whole and not seen.only_zeros))
        assert (verdict is Verdict.CLEAN) == (seen.only_zeros and not proof)
    assert counted == {Verdict.CLEAN: 4, Verdict.TORN: 3, Verdict.DAMAGED: 57}


class Unsynced(NamedTuple):
    """A store whose last frames were written and not synced when its machine stopped: copied while it was open."""

    folder: Path
    known: list[Ack]
    spans: list[tuple[int, int]]
    "Offset and length of each unsynced frame."

    @property
    def segment(self) -> Path:
        return next((self.folder / "log").glob("seg-000000000001.g0"))

    def put(self, data: bytes, at: int) -> None:
        with self.segment.open("r+b") as file:
            file.seek(at)
            file.write(data)

    def verdict(self) -> Verdict:
        """What recovery finds, without doing anything about it."""
        identity = keys.load(System(), str(self.folder))
        segments = Segments(System(), f"{self.folder}/log", identity.log_id, write=False)
        try:
            ending = recovery.find_end(System(), segments, read_mark(System(), str(self.folder), identity.log_id))
            assert ending.state.lsn >= len(self.known)
            return ending.verdict
        except LogCorruption as error:
            if error.file != "log/seg-000000000001.g0" or not error.offset or not (error.first_lsn or error.last_lsn):
                raise AssertionError("the error does not name file, offset and LSNs") from error
            return Verdict.DAMAGED
        finally:
            segments.close()


@pytest.fixture
def unsynced(tmp_path: Path) -> Iterator[Callable[..., Unsynced]]:
    def make(*sizes: int) -> Unsynced:
        with small_segments(), FileLog.open(System(), str(tmp_path / "origin")) as log:
            known = fill(log, 3)
            before = log.locate(3)
            for number, size in enumerate(sizes):
                log.append(single(f"unsynced-{number}.0.1", size, durability="process"))
            shutil.copytree(tmp_path / "origin", tmp_path / "store")
            log.sync()
            spans = [(at.offset, at.length) for at in (log.locate(before.lsn + 1 + n) for n in range(len(sizes)))]
        return Unsynced(tmp_path / "store", known, spans)

    with small_segments():
        yield make


def test_L5_L6_unsynced_frames_that_are_whole_are_kept(unsynced: Callable[..., Unsynced]) -> None:
    store = unsynced(100, 3000)
    assert store.verdict() is Verdict.CLEAN
    assert len(reopened(str(store.folder), store.known)) == 3 + 2 + 1


def test_L5_a_frame_cut_at_any_byte_is_torn_or_damaged_and_never_served(unsynced: Callable[..., Unsynced]) -> None:
    store = unsynced(1500)
    ((offset, length),) = store.spans
    data = store.segment.read_bytes()[offset : offset + length]
    for cut in range(length):
        store.put(data[:cut].ljust(length, b"\0"), offset)
        found = store.verdict()
        if not data[:cut].strip(b"\0"):
            assert found is Verdict.CLEAN
            continue
        ends = [*range(SECTOR - offset % SECTOR, length, SECTOR), length]
        untouched = any(start >= cut for start in [0, *ends[:-1]])  # a sector of it was never written
        assert found is (Verdict.TORN if untouched or cut < frame.HEADER_SIZE else Verdict.DAMAGED), cut


@pytest.mark.parametrize("seed", range(12))
def test_L4_L5_frames_torn_at_sectors_are_sealed_by_rolling(unsynced: Callable[..., Unsynced], seed: int) -> None:
    """A power failure: of the unsynced sectors some reached the disk and others did not."""
    chance = random.Random(seed)
    store = unsynced(*[chance.choice([100, 700, 3000]) for _ in range(4)])
    first, last = store.spans[0][0], sum(store.spans[-1])
    edges = [first, *range(first - first % SECTOR + SECTOR, last, SECTOR), last]
    lost = [span for span in itertools.pairwise(edges) if chance.random() < 0.4]
    for start, end in lost:
        store.put(bytes(end - start), start)
    found = store.verdict()
    assert found is not Verdict.DAMAGED
    torn = store.segment.read_bytes()
    events = reopened(str(store.folder), store.known)
    with FileLog.open(System(), str(store.folder)) as log:
        fill(log, 5, prefix="more")
        assert log.size()[0] == (2 if found is Verdict.TORN else 1)
        assert len(judge(log, store.known)) == len(events) + 5
    if found is Verdict.TORN:
        assert store.segment.read_bytes() == torn, "a sealed segment was changed"


def test_L5_damage_before_the_mark_is_refused(unsynced: Callable[..., Unsynced]) -> None:
    store = unsynced()
    mark = read_mark(System(), str(store.folder), keys.load(System(), str(store.folder)).log_id)
    assert mark is not None
    for at in (mark.frame, mark.frame + 50, mark.end - 1):
        byte = store.segment.read_bytes()[at]
        store.put(bytes([byte ^ 1]), at)
        assert store.verdict() is Verdict.DAMAGED
        store.put(bytes([byte]), at)
    store.put(bytes(mark.end - mark.frame), mark.frame)
    assert store.verdict() is Verdict.DAMAGED
    assert not verify_folder(System(), str(store.folder)).ok


def test_L5_damage_before_a_frame_that_knew_it_durable_is_refused(unsynced: Callable[..., Unsynced]) -> None:
    """Without a mark, a later frame tells that what is gone had been on disk."""
    store = unsynced(100)
    (store.folder / "log" / "mark").unlink()
    first = 512
    header = frame.read_header(
        store.segment.read_bytes()[first : first + 96],
        crc_seed=frame.seed(keys.load(System(), str(store.folder)).log_id, 1),
        offset=first,
    )
    assert header is not None
    store.put(bytes(header.length), first)
    with pytest.raises(LogCorruption) as raised:
        FileLog.open(System(), str(store.folder))
    assert (raised.value.offset, raised.value.first_lsn) == (first, 1)


def test_L5_a_frame_that_was_whole_and_changed_is_refused_and_garbage_is_sealed(
    unsynced: Callable[..., Unsynced],
) -> None:
    store = unsynced(3000)
    ((offset, length),) = store.spans
    whole = store.segment.read_bytes()[offset : offset + length]
    for at in (97, 200, length // 2, length - 1):
        store.put(bytes([whole[at] ^ 16]), offset + at)
        assert store.verdict() is Verdict.DAMAGED
        store.put(whole[at : at + 1], offset + at)
    store.put(random.Random(1).randbytes(length), offset)  # nobody wrote that as a frame
    assert store.verdict() is Verdict.TORN
    assert len(reopened(str(store.folder), store.known)) == 4


def test_L5_a_valid_frame_out_of_place_is_refused(unsynced: Callable[..., Unsynced]) -> None:
    store = unsynced(100)
    ((offset, _),) = store.spans
    identity = keys.load(System(), str(store.folder))
    data = store.segment.read_bytes()
    seed = frame.seed(identity.log_id, 1)
    header = frame.read_header(data, crc_seed=seed, offset=512, at=512)
    assert header is not None
    body = data[512 + frame.HEADER_SIZE : 512 + header.length]
    moved, _ = frame.place(header, body, prev_hash=header.prev_hash, crc_seed=seed, offset=offset)
    store.put(moved, offset)
    assert store.verdict() is Verdict.DAMAGED


def test_L5_a_valid_frame_out_of_place_is_refused_also_where_its_content_is_zeros(
    unsynced: Callable[..., Unsynced],
) -> None:
    """Its sectors prove nothing then: that it is valid does."""
    store = unsynced(100)
    ((offset, _),) = store.spans
    seed = frame.seed(keys.load(System(), str(store.folder)).log_id, 1)
    sealed = frame.seal(Content(scope="global", actor="a", payload={"text": "\0" * 4 * SECTOR}), bytes(16))
    envelope = frame.Envelope(bytes(16), "memory.write", 1, 0, b"", sealed.commitment, None, None)
    data, _ = frame.encode(
        envelopes=frame.encode_envelopes([envelope]),
        contents=[sealed],
        first_lsn=9,
        synced_upto=0,
        recorded_at=1,
        clock_raw=0,
        epoch=1,
        writer_id=1,
        prev_hash=bytes(32),
        crc_seed=seed,
        offset=offset,
    )
    store.put(data, offset)
    assert store.verdict() is Verdict.DAMAGED


def test_L4_a_live_writer_finds_garbage_of_a_dead_one_and_rolls(tmp_path: Path) -> None:
    with small_segments(), FileLog.open(System(), str(tmp_path)) as log:
        known = fill(log, 3)
        state = log._writer.begin()
        for number, garbage in enumerate([b"\1", random.Random(2).randbytes(900)]):
            place = log._opened.segments.get(state.segment)
            log._opened.shared.intend(state.segment, state.end + 4096)
            System().write_at(place.fd, garbage, state.end + 100)
            known += fill(log, 2, prefix=f"after-{number}")
            state = log._writer.begin()
            assert state.segment == 2 + number
        judge(log, known)
    with small_segments():
        reopened(str(tmp_path), known)


def test_L9_frames_of_a_dead_writer_are_adopted(tmp_path: Path) -> None:
    """The frame is whole, its end was never published."""
    with small_segments(), FileLog.open(System(), str(tmp_path)) as log:
        fill(log, 2)
        before = log._opened.shared.written.load()
        assert before is not None
        (got,) = log.append(single("adopted.0.1", durability="process"))
        written = log._opened.shared.written
        memory = written._mapped
        for place in written._places:  # as if it had died before it published
            memory[place : place + 128] = bytes(128)
        written.store(before, before.seq)
        batch = single("next.0.1")
        (following,) = log.append(batch)
        assert following.lsn == got.lsn + 1
        assert [event.lsn for event in judge(log, acks(batch, (following,)))] == [1, 2, 3, 4]

"""Admission of several batches into one frame: each is decided as if the others before it were written."""

from collections.abc import Iterator

import msgspec
import pytest

from walnut.errors import IdempotencyConflict, InvalidArgument, VersionConflict
from walnut.log.admission import Admission, Overlay, Precheck, admit, precheck
from walnut.model.event import Draft, Event
from walnut.ports import Batch, Condition
from walnut.testing.log_drafts import idem, note, touch, unmatched, untouched, write


class Written:
    """What is written so far, as an index."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.read_after: list[int] = []

    def find_idem(self, key: bytes) -> int | None:
        return next((event.lsn for event in self.events if event.idem == key), None)

    def last_touch(self, key: bytes) -> int:
        return max((event.lsn for event in self.events if key in event.touch_keys()), default=0)

    def event(self, lsn: int) -> Event:
        return self.events[lsn - 1]

    def read(self, after: int) -> Iterator[Event]:
        self.read_after.append(after)
        return iter(self.events[after:])


NOW = 1_800_000_000_000_000_000


def frame(written: Written, *, now: int = NOW, recorded_at: int = 0) -> Overlay:
    first = len(written.events) + 1
    return Overlay(written, first_lsn=first, recorded_at=recorded_at, now=now, random=bytes)


def one(*drafts: Draft, conditions: tuple[Condition, ...] = (), durability: str = "disk") -> Batch:
    return Batch(
        transactions=tuple((draft,) for draft in drafts),
        conditions=conditions,
        durability="disk" if durability == "disk" else "process",
    )


def commit(written: Written, overlay: Overlay) -> None:
    written.events += [entry.event(commitment=bytes(32)) for entry in overlay.entries]


def says(text: str) -> Condition:
    return unmatched(lambda event: event.content is not None and event.content.payload["text"] == text, after=0)


def lsns(admission: Admission) -> list[int]:
    return [each.lsn for each in admission.results]


def test_L2_a_refused_batch_leaves_the_others_of_its_frame_as_they_were() -> None:
    overlay = frame(Written())
    assert lsns(admit(one(write(1, key=1)), overlay=overlay)) == [1]
    with pytest.raises(IdempotencyConflict):
        admit(one(write(1), write(2, key=2), write(1, key=1, request=b"other")), overlay=overlay)
    assert [entry.lsn for entry in overlay.entries] == [1]
    assert (overlay.find_idem(idem(2)), overlay.last_touch(touch(2)), overlay.last_touch(touch(1))) == (None, 0, 1)
    (again,) = admit(one(write(2, key=2)), overlay=overlay).results
    assert (again.lsn, again.replayed, again.before_lsn) == (2, False, None)


def test_L11_a_batch_replays_another_of_the_same_frame() -> None:
    overlay = frame(Written())
    (first,) = admit(one(write(1, key=1)), overlay=overlay).results
    admission = admit(one(write(1, key=1), durability="process"), overlay=overlay)
    assert (admission.entries, admission.wait_for) == ([], 1)
    assert admission.results == (msgspec.structs.replace(first, replayed=True),)


def test_L11_the_request_of_an_erased_event_cannot_be_compared_so_it_is_a_replay() -> None:
    written = Written()
    overlay = frame(written)
    admit(one(write(1, key=1)), overlay=overlay)
    commit(written, overlay)
    written.events = [msgspec.structs.replace(event, content=None) for event in written.events]
    (again,) = admit(one(write(1, key=1, request=b"other")), overlay=frame(written)).results
    assert (again.lsn, again.replayed) == (1, True)


def test_L12_conditions_see_the_other_batches_of_the_frame() -> None:
    overlay = frame(Written())
    admit(one(write(1, "stop")), overlay=overlay)
    for condition in (untouched(1, after=0), says("stop")):
        with pytest.raises(VersionConflict) as raised:
            admit(one(write(2), conditions=(condition,)), overlay=overlay)
        assert raised.value.current == 1
    admission = admit(one(write(1), conditions=(untouched(1, after=1), says("go"))), overlay=overlay)
    assert [(entry.kind, entry.before_lsn) for entry in admission.entries] == [("memory.update", 1)]


def test_L12_under_the_lock_only_what_came_since_the_precheck_is_read() -> None:
    written = Written()
    overlay = frame(written)
    admit(one(note("go"), note("go")), overlay=overlay)
    commit(written, overlay)
    batch = one(note(), conditions=(says("stop"),))
    checked = precheck(batch, read=written.read, upto=2)
    assert checked == Precheck(2, (0,))
    overlay = frame(written)
    admit(one(note("stop")), overlay=overlay)
    commit(written, overlay)
    written.read_after.clear()
    with pytest.raises(VersionConflict) as raised:
        admit(batch, overlay=frame(written), checked=checked)
    assert (raised.value.current, written.read_after) == (3, [2])


def test_L12_what_the_precheck_found_refuses_a_new_batch_but_not_a_replay() -> None:
    written = Written()
    overlay = frame(written)
    admit(one(write(1, "stop", key=1)), overlay=overlay)
    commit(written, overlay)
    new, known = (one(write(1, "stop", key=key), conditions=(says("stop"),)) for key in (2, 1))
    with pytest.raises(VersionConflict):
        admit(new, overlay=frame(written), checked=precheck(new, read=written.read, upto=1))
    assert admit(known, overlay=frame(written), checked=precheck(known, read=written.read, upto=1)).results[0].replayed
    assert precheck(one(note(), conditions=(untouched(1, after=0),)), read=written.read, upto=1) is None


def test_L1_a_batch_waits_for_what_it_acknowledges() -> None:
    written = Written()
    overlay = frame(written)
    assert admit(one(write(1, key=1), note()), overlay=overlay).wait_for == 2
    assert admit(one(note(), durability="process"), overlay=overlay).wait_for == 0
    assert admit(one(note(), write(1, key=1), durability="process"), overlay=overlay).wait_for == 1
    assert admit(one(note(), write(1, key=1)), overlay=overlay).wait_for == 5
    admit(one(write(2, key=2)), overlay=overlay)
    assert admit(one(write(2, key=2), write(1, key=1), durability="process"), overlay=overlay).wait_for == 6
    assert admit(one(), overlay=overlay).wait_for == 0


def test_L3_the_time_does_not_go_back_and_the_raw_clock_is_kept() -> None:
    overlay = frame(Written(), now=NOW, recorded_at=NOW + 7)
    admit(one(note(), note()), overlay=overlay)
    assert [(entry.recorded_at, entry.clock_raw) for entry in overlay.entries] == [(NOW + 7, NOW)] * 2
    overlay = frame(Written(), now=NOW, recorded_at=NOW)
    admit(one(note(), note()), overlay=overlay)
    assert [(entry.recorded_at, entry.clock_raw) for entry in overlay.entries] == [(NOW, None)] * 2


def test_L2_a_transaction_starts_where_its_entries_say() -> None:
    overlay = frame(Written())
    admit(Batch(transactions=((note(), note()), (), (note(),))), overlay=overlay)
    admit(Batch(transactions=((note(), note()),)), overlay=overlay)
    assert [entry.txn_offset for entry in overlay.entries] == [0, 1, 0, 0, 1]
    assert [entry.event().txn for entry in overlay.entries] == [1, 1, 3, 4, 4]


def test_L2_a_transaction_of_two_times_is_refused_alone_and_its_neighbours_are_not_concerned() -> None:
    """Also where only the clock's own reading differs: a frame has one of each."""
    overlay = frame(Written())
    admit(Batch(transactions=((note(),),)), overlay=overlay)
    adopted = msgspec.structs.replace(note(), recorded_at=NOW + 1)
    with pytest.raises(InvalidArgument, match="different times"):
        admit(Batch(transactions=((adopted, note()),)), overlay=overlay)
    admit(Batch(transactions=((note(),),)), overlay=overlay)
    assert [(entry.lsn, entry.recorded_at, entry.clock_raw) for entry in overlay.entries] == [
        (1, NOW, None),
        (2, NOW, None),
    ]

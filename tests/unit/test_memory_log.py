"""What only the in-memory log can be asked; all else is in its contract."""

from collections.abc import Callable

import msgspec
import pytest

from walnut.log.memory_log import MemoryLog
from walnut.model.results import VerifyReport
from walnut.system import System
from walnut.testing.log_drafts import append, append_one, note, write


class Clock(System):
    """A clock that shows the given times, one at each look."""

    def __init__(self, *times: int) -> None:
        self.times = list(times)

    def now(self) -> int:
        return self.times.pop(0)


def test_L3_a_clock_that_steps_back_does_not_take_time_back() -> None:
    log = MemoryLog(Clock(10**18, 10**18 - 5, 10**18 + 5))
    for _ in range(3):
        append(log, note())
    times = [(event.recorded_at - 10**18, event.clock_raw) for event in log.read()]
    assert times == [(0, None), (0, 10**18 - 5), (5, None)]


def change_envelope(log: MemoryLog) -> None:
    envelopes = log._written._envelopes
    envelopes[2] = msgspec.structs.replace(envelopes[2], kind="contract.other")


def change_content(log: MemoryLog) -> None:
    contents = log._written._contents
    contents[2] = msgspec.structs.replace(contents[2], record=contents[1].record)


def change_salt(log: MemoryLog) -> None:
    contents = log._written._contents
    sealed = contents[2]
    record = sealed.record.replace(sealed.salt, bytes(16))
    contents[2] = msgspec.structs.replace(sealed, record=record)


def swap_events(log: MemoryLog) -> None:
    envelopes, contents = log._written._envelopes, log._written._contents
    envelopes[2:4] = [envelopes[3], envelopes[2]]
    contents[2:4] = [contents[3], contents[2]]


@pytest.mark.parametrize("change", [change_envelope, change_content, change_salt, swap_events])
def test_L13_a_changed_past_is_found(change: Callable[[MemoryLog], None]) -> None:
    log = MemoryLog(System())
    append(log, note("1"), note("2"))
    append(log, note("3"), note("4"))
    append(log, note("5"))
    report: VerifyReport = log.verify()
    assert (report.ok, report.frames, report.events) == (True, 3, 5)
    change(log)
    report = log.verify()
    assert not report.ok
    assert (report.findings[0].first_lsn, report.findings[0].last_lsn) == (3, 4)


def test_a_log_can_stand_in_for_another() -> None:
    one = MemoryLog(System())
    other = MemoryLog(System(), secret=one.secret, log_id=one.log_id)
    assert (other.secret, other.log_id) == (one.secret, one.log_id)
    assert (len(one.secret), len(one.log_id)) == (32, 16)
    assert MemoryLog(System()).secret != one.secret


def test_two_logs_share_nothing() -> None:
    one, other = MemoryLog(System()), MemoryLog(System())
    append_one(one, write(1, key=1))
    assert not append_one(other, write(1, key=1)).replayed

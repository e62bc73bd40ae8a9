"""Promise L12 of a log: conditions, and what else is decided with an append, hold at its moment."""

# A promise is named by its id and says in its name what it checks.
# ruff: noqa: D103, N802

from __future__ import annotations

from walnut.errors import VersionConflict
from walnut.model.event import DELETE, INSERT, UPDATE, Event
from walnut.ports import Appended, Batch, Condition
from walnut.testing.contract import together
from walnut.testing.log_drafts import (
    Logs,
    append,
    append_one,
    conflict,
    delete,
    note,
    refused,
    touch,
    unmatched,
    untouched,
    write,
)


def test_L12_a_touch_after_the_expected_lsn_refuses(logs: Logs) -> None:
    log = logs.make()
    append_one(log, write(1), untouched(1, after=0))
    append(log, note())
    assert append_one(log, write(1), untouched(1, after=1)).lsn == 3
    error = refused(VersionConflict, lambda: append_one(log, write(1), untouched(1, after=1)))
    assert isinstance(error, VersionConflict)
    assert error.current == 3, "the newest that touches it"
    refused(VersionConflict, lambda: append_one(log, note(), untouched(2, 1, after=2)))
    append_one(log, note(), untouched(1, 2, after=3))
    append_one(log, note(), untouched(after=0))
    assert log.written_lsn() == 5


def test_L12_the_error_is_the_callers(logs: Logs) -> None:
    log = logs.make()
    append(log, write(1))

    class Mine(Exception):
        pass

    made: list[Exception] = []

    def error(lsn: int) -> Exception:
        made.append(Mine(lsn))
        return made[-1]

    condition = Condition(after=0, touches=frozenset([touch(1)]), error=error)
    assert refused(Mine, lambda: append_one(log, note(), condition)) is made[-1]
    assert made[-1].args == (1,)


def test_L12_a_match_after_the_expected_lsn_refuses(logs: Logs) -> None:
    log = logs.make()

    def matches(event: Event) -> bool:
        return event.content is not None and event.content.payload.get("text") == "stop"

    append(log, note("stop"), note("go"))
    append_one(log, note("go"), unmatched(matches, after=1))
    error = refused(VersionConflict, lambda: append_one(log, note(), unmatched(matches, after=0)))
    assert isinstance(error, VersionConflict)
    assert error.current == 1
    append_one(log, note("stop"), unmatched(matches, after=1))
    refused(VersionConflict, lambda: append_one(log, note(), unmatched(matches, after=1)))
    append_one(log, note("go"), unmatched(matches, after=99))
    assert log.written_lsn() == 5


def test_L12_all_conditions_must_hold(logs: Logs) -> None:
    log = logs.make()
    append(log, write(1))
    good, bad = untouched(2, after=0), untouched(1, after=0)
    for conditions in ((good, bad), (bad, good), (bad, bad)):
        refused(VersionConflict, lambda conditions=conditions: append_one(log, note(), *conditions))  # type: ignore[misc]
    append_one(log, note(), good, good)
    both = Condition(after=1, touches=frozenset([touch(1)]), matches=lambda e: e.kind == "memory.write", error=conflict)
    append_one(log, note(), both)
    append(log, write(3))
    refused(VersionConflict, lambda: append_one(log, note(), both))


def test_L12_a_batch_does_not_stand_in_its_own_way(logs: Logs) -> None:
    log = logs.make()
    condition = untouched(1, after=0), unmatched(lambda event: event.kind == "memory.write", after=0)
    assert [a.lsn for a in append(log, write(1), write(1), conditions=condition)] == [1, 2]


def test_L12_conditions_hold_for_a_batch_without_drafts(logs: Logs) -> None:
    log = logs.make()
    append(log, write(1))
    refused(VersionConflict, lambda: append(log, conditions=(untouched(1, after=0),)))
    assert append(log, conditions=(untouched(1, after=1),)) == ()


def test_L12_conditions_outlive_reopening(logs: Logs) -> None:
    log = logs.make()
    append(log, write(1), note())
    log = logs.reopen(log)
    refused(VersionConflict, lambda: append_one(log, note(), untouched(1, after=0)))
    refused(VersionConflict, lambda: append_one(log, note(), unmatched(lambda _: True, after=1)))
    append_one(log, write(1), untouched(1, after=1), unmatched(lambda _: True, after=2))


def test_L12_one_expected_version_has_one_winner(logs: Logs) -> None:
    log = logs.make()
    version = 0
    for _ in range(5):

        def work(number: int, version: int = version) -> Appended:
            batch = Batch(transactions=((write(1, str(number)),),), conditions=(untouched(1, after=version),))
            return log.append(batch)[0] if number % 2 else log.submit(batch).result(30)[0]

        answers = together(16, work)
        won = [each.lsn for each in answers if isinstance(each, Appended)]
        lost = [each.current for each in answers if isinstance(each, VersionConflict)]
        assert (len(won), len(lost)) == (1, 15), answers
        assert set(lost) == set(won)
        version = won[0]
    assert len(log.stream(touch(1))) == log.written_lsn() == 5


def test_L12_one_matching_event_has_one_winner(logs: Logs) -> None:
    log = logs.make()
    append(log, *[note()] * 20)
    taken = unmatched(lambda event: event.kind == "memory.write", after=0)
    answers = together(16, lambda number: append_one(log, write(number), taken))
    assert sum(isinstance(each, Appended) for each in answers) == 1, answers
    assert sum(isinstance(each, VersionConflict) for each in answers) == 15
    assert log.written_lsn() == 21


def test_L12_a_version_names_the_one_it_replaces(logs: Logs) -> None:
    log = logs.make()
    answers = append(log, write(1), write(2), write(1), delete(1), write(1), delete(3))
    assert [each.before_lsn for each in answers] == [None, None, 1, 3, 4, None]
    assert [each.version for each in answers] == [1, 2, 3, 4, 5, 6]
    events = list(log.read())
    assert [event.before_lsn for event in events] == [None, None, 1, 3, 4, None]
    assert [event.op for event in events] == [INSERT, INSERT, UPDATE, DELETE, UPDATE, DELETE]
    assert [event.kind for event in events] == [each.kind for each in answers]
    assert events[2].kind == events[4].kind == "memory.update"
    assert append_one(logs.again(log), write(2)).before_lsn == 2


def test_L12_one_thread_creates_and_the_others_update(logs: Logs) -> None:
    log = logs.make()
    answers = together(16, lambda number: append_one(log, write(1, str(number))))
    assert [type(each) for each in answers] == [Appended] * 16, answers
    events = list(log.read())
    assert [event.kind for event in events] == ["memory.write"] + ["memory.update"] * 15
    assert [event.op for event in events] == [INSERT] + [UPDATE] * 15
    assert [event.before_lsn for event in events] == [None, *range(1, 16)]
    told = {each.lsn: (each.kind, each.before_lsn) for each in answers if isinstance(each, Appended)}
    assert told == {event.lsn: (event.kind, event.before_lsn) for event in events}

"""Promise L11 of a log: a request that comes again gets the first answer, and is written once."""

# A promise is named by its id and says in its name what it checks.
# ruff: noqa: D103, N802

from __future__ import annotations

from walnut.errors import IdempotencyConflict
from walnut.ports import Appended, Batch
from walnut.testing.contract import together
from walnut.testing.log_drafts import (
    Logs,
    append,
    append_one,
    idem,
    note,
    recalled,
    refused,
    touch,
    untouched,
    write,
)


def test_L11_the_same_request_gets_the_first_answer(logs: Logs) -> None:
    log = logs.make()
    append(log, note())
    first = append_one(log, write(1, key=1))
    append(log, write(1))
    again = append_one(log, write(2, "anything", key=1))
    assert again.replayed
    assert not first.replayed
    assert (again.lsn, again.raw_id, again.kind, again.touches) == (
        2,
        first.raw_id,
        "memory.write",
        (touch(1),),
    )
    assert again.version == first.version == 2
    assert log.written_lsn() == 3


def test_L11_a_replay_is_durable_when_it_is_acknowledged(logs: Logs) -> None:
    log = logs.make()
    log.append(Batch(transactions=((write(1, key=1),),), durability="process"))
    (again,) = log.append(Batch(transactions=((write(1, key=1),),), durability="process"))
    assert again.replayed
    assert log.durable_lsn() >= again.lsn


def test_L11_another_request_is_refused_whole(logs: Logs) -> None:
    log = logs.make()
    append(log, note(), write(1, key=1))
    error = refused(IdempotencyConflict, lambda: append(log, note(), write(1, key=1, request=b"another")))
    assert isinstance(error, IdempotencyConflict)
    assert error.lsn == 2
    assert log.written_lsn() == 2


def test_L11_keys_are_told_apart(logs: Logs) -> None:
    log = logs.make()
    appended = [append_one(log, write(n, key=n)) for n in range(1, 300)]
    assert not any(each.replayed for each in appended)
    assert [log.find_idem(idem(n)) for n in range(1, 301)] == [*range(1, 300), None]


def test_L11_answers_outlive_reopening(logs: Logs) -> None:
    log = logs.make()
    first = append_one(log, write(1, key=1))
    log = logs.reopen(log)
    assert log.find_idem(idem(1)) == 1
    again = append_one(log, write(1, key=1))
    assert (again.replayed, again.lsn, again.raw_id) == (True, 1, first.raw_id)
    refused(IdempotencyConflict, lambda: append(log, write(1, key=1, request=b"another")))
    assert log.durable_lsn() == 1


def test_L11_a_key_may_come_twice_in_one_batch(logs: Logs) -> None:
    log = logs.make()
    one, other, last = append(log, write(1, key=1), write(2, key=1), write(3, key=2))
    assert (one.lsn, one.replayed) == (1, False)
    assert (other.lsn, other.replayed, other.touches, other.raw_id) == (1, True, (touch(1),), one.raw_id)
    assert (last.lsn, last.replayed) == (2, False)
    refused(IdempotencyConflict, lambda: append(log, write(4, key=4), write(4, key=4, request=b"another")))
    assert (log.written_lsn(), log.find_idem(idem(4))) == (2, None)


def test_L11_known_and_new_may_share_a_batch(logs: Logs) -> None:
    log = logs.make()
    append(log, write(1, key=1))
    answers = append(log, write(2, key=2), write(1, key=1), write(3))
    assert [(each.lsn, each.replayed) for each in answers] == [(2, False), (1, True), (3, False)]
    assert log.written_lsn() == 3


def test_L11_a_transaction_is_replayed_whole(logs: Logs) -> None:
    log = logs.make()
    append(log, note())
    drafts = (note("before"), write(1, key=1), write(2), write(3, key=3))
    first = log.append(Batch(transactions=(drafts,)))
    again = log.append(Batch(transactions=(drafts,)))
    assert [each.lsn for each in first] == [each.lsn for each in again] == [2, 3, 4, 5]
    assert [each.raw_id for each in first] == [each.raw_id for each in again]
    assert all(each.replayed for each in again)
    assert log.written_lsn() == 5


def test_L11_the_note_of_what_was_shown_goes_with_the_replay(logs: Logs) -> None:
    log = logs.make()
    append(log, write(1, key=1))
    answers = log.append(Batch(transactions=((recalled(1), write(1, key=1)),)))
    assert [(each.lsn, each.replayed) for each in answers] == [(1, True), (1, True)]
    log.append(Batch(transactions=((recalled(1), write(2, key=2), write(3)),)))
    answers = log.append(Batch(transactions=((write(2, key=2), write(3)),)))
    assert [(each.lsn, each.replayed) for each in answers] == [(3, True), (4, True)]
    assert log.written_lsn() == 4


def test_L11_nothing_new_is_lost_in_a_replay(logs: Logs) -> None:
    log = logs.make()
    append(log, write(1, key=1))
    log.append(Batch(transactions=((write(3, key=3), write(4)),)))
    for drafts in (
        (write(3, key=3), write(4, key=4)),  # the second may be another than the one without a key
        (write(1, key=1), write(2, key=2)),  # one known, one new: neither replay nor write would be true
        (write(2, key=2), write(1, key=1)),
        (write(1, key=1), write(2)),  # more than there was
        (write(5, key=5), write(5, key=5)),  # twice in one transaction
    ):
        refused(
            IdempotencyConflict,
            lambda drafts=drafts: log.append(Batch(transactions=(drafts,))),  # type: ignore[misc]
        )
    assert log.written_lsn() == 3


def test_L11_a_replay_does_not_meet_its_conditions_again(logs: Logs) -> None:
    log = logs.make()
    append_one(log, write(1, key=1), untouched(1, after=0))
    again = append_one(log, write(1, key=1), untouched(1, after=0))
    assert (again.lsn, again.replayed) == (1, True)


def test_L11_one_key_from_many_threads_is_written_once(logs: Logs) -> None:
    log = logs.make()
    for key in range(1, 6):

        def work(number: int, key: int = key) -> Appended:
            batch = Batch(transactions=((write(key, key=key),),), durability="disk" if number % 2 else "process")
            return log.append(batch)[0] if number % 3 else log.submit(batch).result(30)[0]

        answers = together(16, work)
        assert [type(each) for each in answers] == [Appended] * 16, answers
        assert sum(not each.replayed for each in answers if isinstance(each, Appended)) == 1
        assert {each.lsn for each in answers if isinstance(each, Appended)} == {key}
    assert log.written_lsn() == 5


def test_L11_one_key_with_different_requests_from_many_threads_has_one_winner(logs: Logs) -> None:
    log = logs.make()
    answers = together(16, lambda n: append_one(log, write(n, key=1, request=bytes([n]))))
    assert sum(isinstance(each, Appended) for each in answers) == 1
    assert sum(isinstance(each, IdempotencyConflict) for each in answers) == 15
    assert log.written_lsn() == 1

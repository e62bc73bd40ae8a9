"""Time travel: the tables of the memories view answer as the rules do, for any history and any moment."""

import sqlite3
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.histories import (
    MEMORIES,
    SCOPES,
    Action,
    Forget,
    Note,
    Revert,
    Write,
    append,
    forget,
    histories,
    revert,
    scope_of,
    stream,
    touch,
    write,
    written,
)
from walnut.log.memory_log import MemoryLog
from walnut.model.event import Content
from walnut.ports import Log
from walnut.system import System
from walnut.views import visibility
from walnut.views.fold import digests
from walnut.views.folds.memories_sql import MemoriesFold
from walnut.views.reader import Chosen, Moment, Snapshot
from walnut.views.runner import Views


def views(log: Log, *, chunk: int = 1_000) -> Views:
    return Views(log, System(), folds=(MemoriesFold(),), chunk=chunk)


def by_rule(log: Log, moment: Moment) -> dict[int, Chosen]:
    """The chosen version of each memory, by the pure rules and the log alone."""
    found = {}
    for memory in MEMORIES:
        events = stream(log, memory)
        lsn = visibility.choose(events, moment)
        if lsn is not None:
            touched = max(event.lsn for event in events if event.lsn <= moment.lsn)
            found[memory] = Chosen(touch(memory), lsn, touched, scope_of(memory))
    return found


def by_view(snapshot: Snapshot, moment: Moment) -> dict[int, Chosen]:
    found = {memory: snapshot.choose(touch(memory), moment) for memory in MEMORIES}
    return {memory: chosen for memory, chosen in found.items() if chosen is not None}


@given(histories, st.integers(1, 5), st.integers(0, 18))
def test_T2_as_of_any_lsn_equals_the_rules_and_a_replay_up_to_it(
    history: list[Action], chunk: int, valid_at: int
) -> None:
    log = written(history)
    everything = views(log, chunk=chunk)
    with everything.snapshot() as snapshot:
        for lsn in range(snapshot.lsn + 1):
            moment = Moment(lsn, valid_at)
            expected = by_rule(log, moment)
            assert by_view(snapshot, moment) == expected
            check_other_questions(log, snapshot, moment, expected)
            replayed = views(log)
            replayed.catch_up(lsn)
            with replayed.snapshot(upto=lsn) as then:
                assert then.lsn == lsn
                assert by_view(then, moment) == expected
            replayed.close()
    everything.close()


def check_other_questions(log: Log, snapshot: Snapshot, moment: Moment, expected: dict[int, Chosen]) -> None:
    """All ways to ask agree with each other."""
    newest_first = sorted(expected.values(), key=lambda chosen: -chosen.lsn)
    assert snapshot.listing(SCOPES, moment) == newest_first
    assert snapshot.listing(["global"], moment, below=True) == newest_first
    assert snapshot.current(range(1, snapshot.lsn + 1), moment) == {
        chosen.lsn: chosen.memory for chosen in newest_first
    }
    assert snapshot.count("global", moment) == len(expected)
    past = list(log.read(upto=moment.lsn))
    assert snapshot.counting(range(1, snapshot.lsn + 1), moment.lsn) == visibility.counting(past)


@given(histories, st.integers(0, 18))
def test_a_listing_filters_and_pages(history: list[Action], valid_at: int) -> None:
    log = written(history)
    view = views(log)
    with view.snapshot() as snapshot:
        moment = Moment(snapshot.lsn, valid_at)
        all_of_them = sorted(by_rule(log, moment).values(), key=lambda chosen: -chosen.lsn)
        contents = {chosen.lsn: content for chosen in all_of_them if (content := log.get(chosen.lsn).content)}

        def tagged(*tags: str) -> list[Chosen]:
            return [c for c in all_of_them if set(tags) <= set(tags_of(contents[c.lsn]))]

        assert snapshot.listing(SCOPES, moment, tags=["x"]) == tagged("x")
        assert snapshot.listing(SCOPES, moment, tags=["y", "x", "y"]) == tagged("x", "y")
        assert snapshot.listing(SCOPES, moment, tags=["z"]) == []
        sure = [c for c in all_of_them if contents[c.lsn].payload.get("confidence") == 0.8]
        assert snapshot.listing(SCOPES, moment, min_confidence=0.5) == sure
        happened = {c.lsn: contents[c.lsn].occurred_at or log.get(c.lsn).recorded_at for c in all_of_them}
        some = [c for c in all_of_them if contents[c.lsn].occurred_at != 0 and 3 <= happened[c.lsn] < 9]
        assert snapshot.listing(SCOPES, moment, since=3, until=9) == some
        for scope in SCOPES:
            assert snapshot.listing([scope], moment) == [c for c in all_of_them if c.scope == scope]
        paged: list[Chosen] = []
        while page := snapshot.listing(SCOPES, moment, limit=2, before=paged[-1].lsn if paged else None):
            paged += page
        assert paged == all_of_them
    view.close()


def tags_of(content: Content) -> list[str]:
    given_tags = content.payload.get("tags")
    return [tag for tag in given_tags if isinstance(tag, str)] if isinstance(given_tags, list) else []


@given(histories, st.lists(st.integers(1, 14), max_size=4), st.integers(1, 5))
def test_V1_however_a_history_is_cut_the_rows_are_the_same(
    history: list[Action], stops: Sequence[int], chunk: int
) -> None:
    log = written(history)
    whole, cut = views(log), views(log, chunk=chunk)
    for stop in sorted(stops):
        cut.catch_up(min(stop, log.durable_lsn()))
    assert rows(cut) == rows(whole)
    whole.close()
    cut.close()


def rows(view: Views) -> dict[str, str]:
    with view.snapshot() as snapshot:
        return digests((MemoriesFold(),), snapshot.db)


@given(histories)
def test_history_states_agree_with_what_is_chosen(history: list[Action]) -> None:
    log = written(history)
    moment = Moment(log.durable_lsn(), 9)
    for memory in MEMORIES:
        states = visibility.history(stream(log, memory), moment)
        current = [e.lsn for e, state in states if state == "current" and e.kind in visibility.WRITES]
        chosen = visibility.choose(stream(log, memory), moment)
        assert current == ([] if chosen is None else [chosen])


# -- the rules, by example -----------------------------------------------------------------------------------


@pytest.fixture
def log() -> MemoryLog:
    return written([])


def chosen(log: Log, valid_at: int = 100, lsn: int | None = None) -> int | None:
    """LSN of what memory 0 says, asked of the view and of the rules."""
    moment = Moment(log.durable_lsn() if lsn is None else lsn, valid_at)
    view = views(log)
    with view.snapshot() as snapshot:
        found = snapshot.choose(touch(0), moment)
    view.close()
    assert (found.lsn if found else None) == visibility.choose(stream(log, 0), moment)
    return found.lsn if found else None


def test_T1_what_was_true_before_stays_whichever_was_recorded_first(log: MemoryLog) -> None:
    paris = append(log, write(0, "in Paris", valid_from=50))
    berlin = append(log, write(0, "in Berlin", valid_from=20))
    assert [chosen(log, valid_at) for valid_at in (10, 20, 49, 50, 99)] == [None, berlin, berlin, paris, paris]


def test_T1_of_versions_that_begin_together_the_last_recorded_holds() -> None:
    log = MemoryLog(System())
    append(log, write(0, valid_from=5), write(0, valid_from=5), write(0, valid_from=5), write(1))
    view = views(log)
    for upto in (1, 2, 3, 4):
        moment = Moment(upto, 9)
        expected = by_rule(log, moment)
        assert expected[0].lsn == min(upto, 3)
        with view.snapshot() as snapshot:
            check_other_questions(log, snapshot, Moment(upto, 2**62), by_rule(log, Moment(upto, 2**62)))
            assert by_view(snapshot, moment)[0] == expected[0]
    view.close()


def test_T1_a_version_ends_at_its_valid_until_and_nothing_older_comes_back(log: MemoryLog) -> None:
    append(log, write(0, valid_from=10))
    second = append(log, write(0, valid_from=20, valid_until=30))
    assert [chosen(log, valid_at) for valid_at in (29, 30)] == [second, None]


def test_T3_a_revert_can_be_reverted(log: MemoryLog) -> None:
    first, second = append(log, write(0)), append(log, write(0))
    undo = append(log, revert(log, (second, second)))
    assert chosen(log) == first
    redo = append(log, revert(log, (undo, undo)))
    assert chosen(log) == second
    append(log, revert(log, (redo, redo)))
    assert chosen(log) == first
    assert [chosen(log, lsn=lsn) for lsn in range(1, 6)] == [first, second, first, second, first]


def test_T3_a_revert_names_only_what_was_before_it() -> None:
    """Whatever its ranges say: it hides nothing that comes later, and not itself."""
    log = MemoryLog(System())
    append(log, write(0), revert(log, (1, 99)), write(0), write(1))
    log_of_itself = MemoryLog(System())
    append(log_of_itself, write(0), revert(log_of_itself, (1, 2)), write(1))
    for history, counting in ((log, {2, 3, 4}), (log_of_itself, {2, 3})):
        view, newest = views(history), history.durable_lsn()
        assert visibility.counting(list(history.read())) == counting
        with view.snapshot() as snapshot:
            assert snapshot.counting(range(1, newest + 1), newest) == counting
        view.close()


def test_T3_an_event_named_twice_counts_only_when_neither_revert_does(log: MemoryLog) -> None:
    first = append(log, write(0))
    undo, again = append(log, revert(log, (first, first))), append(log, revert(log, (first, first)))
    append(log, revert(log, (undo, undo)))
    assert chosen(log) is None
    append(log, revert(log, (again, again)))
    assert chosen(log) == first


def test_T3_a_reverted_forget_brings_the_memory_back(log: MemoryLog) -> None:
    first = append(log, write(0))
    gone = append(log, forget(0))
    assert chosen(log) is None
    append(log, revert(log, (gone, gone)))
    assert chosen(log) == first


def test_T5_a_restored_version_past_its_ttl_stays_expired(log: MemoryLog) -> None:
    first = append(log, write(0, payload={"ttl": 50}))
    second = append(log, write(0))
    append(log, revert(log, (second, second)))
    expires = log.get(first).recorded_at + 50
    assert [chosen(log, valid_at) for valid_at in (expires - 1, expires)] == [first, None]


def test_a_lifetime_past_the_end_of_time_is_for_ever(log: MemoryLog) -> None:
    first = append(log, write(0, payload={"ttl": 2**63 - 1}))
    assert chosen(log, valid_at=2**63 - 2) == first


def test_states_of_a_history_are_told_apart(log: MemoryLog) -> None:
    append(log, write(0), forget(0), write(0, valid_from=1), write(0, valid_from=3), write(0, valid_from=500))
    append(log, write(0, valid_from=2, valid_until=3))
    append(log, write(0, valid_from=80))
    append(log, revert(log, (7, 7)))
    states = [state for _, state in visibility.history(stream(log, 0), Moment(8, 100))]
    assert states == ["deleted", "deleted", "superseded", "current", "scheduled", "expired", "reverted", "current"]


def test_T2_reverting_is_the_same_for_long_histories() -> None:
    """Many reverts over one another, in one chunk and one by one."""
    history: list[Action] = [Write(n % 4) for n in range(40)]
    history += [Revert(((back % 9, back % 5),)) for back in range(60)]
    history += [Forget(1), Note("app.note"), Revert(((1, 0),))]
    log = written(history)
    one, many = views(log, chunk=1), views(log)
    assert rows(one) == rows(many)
    with many.snapshot() as snapshot:
        for lsn in range(0, snapshot.lsn + 1, 7):
            assert by_view(snapshot, Moment(lsn, 10_000)) == by_rule(log, Moment(lsn, 10_000))
    one.close()
    many.close()


def test_sqlite_is_new_enough() -> None:
    assert sqlite3.sqlite_version_info >= (3, 40)

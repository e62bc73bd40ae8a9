"""Bugs of time: which version holds at a moment, and what reverts make of it."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_TIME = "tests/unit/test_views_time.py::"
_T2 = f"{_TIME}test_T2_as_of_any_lsn_equals_the_rules_and_a_replay_up_to_it"
_T3 = f"{_TIME}test_T3_a_revert_can_be_reverted"
_TIE = f"{_TIME}test_T1_of_versions_that_begin_together_the_last_recorded_holds"

BUGS = (
    Mutant(
        "reverts-of-reverts-do-not-count",
        "views/visibility.py",
        "    for event in sorted(events, key=_lsn, reverse=True):\n",
        "    for event in sorted(events, key=_lsn):\n",
        _T3,
        "T3",
        "a revert that was undone goes on hiding",
    ),
    Mutant(
        "darkness-not-lifted-by-a-revert-of-a-revert",
        "views/folds/memories_sql.py",
        '        inside = db.execute("SELECT DISTINCT lsn FROM reverts WHERE lsn BETWEEN ? AND ?", (lo, hi))\n'
        "            for (older,) in inside.fetchall():\n                if older not in seen:\n",
        '        inside = db.execute("SELECT DISTINCT lsn FROM reverts WHERE lsn BETWEEN ? AND ?", (lo, hi))\n'
        "            for (older,) in inside.fetchall():\n                if False:\n",
        _T2,
        "T3 T2",
        "the view keeps an interval dark that a later revert lights again",
    ),
    Mutant(
        "darkness-ends-a-version-too-late",
        "views/folds/memories_sql.py",
        '"UPDATE dark SET until = :at WHERE until IS NULL',
        '"UPDATE dark SET until = :at + 1 WHERE until IS NULL',
        _T2,
        "T2 T3",
        "what a revert of a revert brings back is there one event late",
    ),
    Mutant(
        "darkness-begins-a-version-too-early",
        "views/reader.py",
        "d.since <= :n AND",
        "d.since <= :n + 1 AND",
        _T2,
        "T2 T3",
        "as of the moment before a revert its events are gone already",
    ),
    Mutant(
        "as-of-excludes-its-event",
        "views/visibility.py",
        "    past = [event for event in stream if event.lsn <= moment.lsn]\n    begun",
        "    past = [event for event in stream if event.lsn < moment.lsn]\n    begun",
        _T2,
        "T2",
        "as of an LSN the rule leaves that event out",
    ),
    Mutant(
        "as-of-excludes-its-event-in-the-view",
        "views/reader.py",
        "AND w.lsn <= :n AND {_COUNTS",
        "AND w.lsn < :n AND {_COUNTS",
        _T2,
        "T2",
        "as of an LSN the view leaves that event out",
    ),
    Mutant(
        "as-of-shows-later-versions",
        "views/reader.py",
        "AND w.lsn <= :n AND {_COUNTS",
        "AND {_COUNTS",
        _T2,
        "T2",
        "the past shows what was recorded after it",
    ),
    Mutant(
        "a-later-forget-hides-the-past",
        "views/reader.py",
        "WHERE f.memory = {{memory}} AND f.lsn <= :n AND",
        "WHERE f.memory = {{memory}} AND",
        _T2,
        "T2",
        "what was forgotten since is missing from the past",
    ),
    Mutant(
        "of-versions-that-begin-together-the-first-holds",
        "views/visibility.py",
        "key=lambda event: (begins(event), event.lsn)",
        "key=lambda event: (begins(event), -event.lsn)",
        _TIE,
        "T1",
        "a correction recorded for the same time does not hold, by the rule",
    ),
    Mutant(
        "of-versions-that-begin-together-the-view-takes-the-first",
        "views/reader.py",
        "ORDER BY w.valid_from DESC, w.lsn DESC LIMIT 1",
        "ORDER BY w.valid_from DESC, w.lsn LIMIT 1",
        _TIE,
        "T1",
        "a correction recorded for the same time does not hold, by the view",
    ),
    Mutant(
        "the-last-recorded-version-holds",
        "views/visibility.py",
        "key=lambda event: (begins(event), event.lsn)",
        "key=lambda event: event.lsn",
        f"{_TIME}test_T1_what_was_true_before_stays_whichever_was_recorded_first",
        "T1",
        "what is learnt late about the past replaces what is true now",
    ),
    Mutant(
        "an-ended-version-uncovers-an-older-one",
        "views/visibility.py",
        "    begun = [event for event in living(past) if begins(event) <= moment.valid_at]\n",
        "    begun = [e for e in living(past) if begins(e) <= moment.valid_at < (expires(e) or END_OF_TIME)]\n"
        "    begun = [e for e in begun if not expired(e, moment.valid_at)]\n",
        f"{_TIME}test_T1_a_version_ends_at_its_valid_until_and_nothing_older_comes_back",
        "T1",
        "when a version's time ends, the one that it had replaced is true again",
    ),
    Mutant(
        "a-lifetime-counts-from-when-it-occurred",
        "views/visibility.py",
        "min(event.recorded_at + ttl, END_OF_TIME)",
        "min(begins(event) + ttl, END_OF_TIME)",
        "tests/unit/test_engine_read.py::test_a_time_to_live_is_counted_from_when_it_was_recorded",
        "T5",
        "what happened long ago is forgotten as soon as it is told",
    ),
    Mutant(
        "a-restored-version-lives-again",
        "views/visibility.py",
        "    return None if chosen is None or expired(chosen, moment.valid_at) else chosen.lsn\n",
        "    return None if chosen is None else chosen.lsn\n",
        f"{_TIME}test_T5_a_restored_version_past_its_ttl_stays_expired",
        "T5",
        "an undo brings back what had run out",
    ),
    Mutant(
        "a-revert-names-what-comes-after-it",
        "views/visibility.py",
        "    return [(lo, min(hi, event.lsn - 1)) for lo, hi in map(_pair, given) if lo < event.lsn]\n",
        "    return [*map(_pair, given)]\n",
        f"{_TIME}test_T3_a_revert_names_only_what_was_before_it",
        "T3",
        "a forged or imported revert hides what is not written yet",
    ),
    Mutant(
        "a-revert-names-itself",
        "views/visibility.py",
        "(lo, min(hi, event.lsn - 1))",
        "(lo, min(hi, event.lsn))",
        f"{_TIME}test_T3_a_revert_names_only_what_was_before_it",
        "T3",
        "a revert that names itself neither counts nor does not",
    ),
    Mutant(
        "a-reverted-forget-still-hides",
        "views/visibility.py",
        "    forgotten = max((event.lsn for event in left if event.kind == FORGET), default=0)\n",
        "    forgotten = max((event.lsn for event in stream if event.kind == FORGET), default=0)\n",
        f"{_TIME}test_T3_a_reverted_forget_brings_the_memory_back",
        "T3",
        "undoing a forget does not bring the memory back",
    ),
)

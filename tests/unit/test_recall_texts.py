"""What is kept of the text index between searches: always that of the moment and the file that are asked about."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.small_world import World
from walnut.recall import texts as kept
from walnut.recall.texts import Texts
from walnut.system import System
from walnut.views.folds import text
from walnut.views.folds.terms import number

_WORDS = ("ant", "bee", "cat")


@given(st.lists(st.one_of(st.sampled_from(_WORDS), st.integers(0, 10)), max_size=20))
def test_counts_kept_are_those_counted_anew_at_any_moment(steps: list[str | int]) -> None:
    world, texts = World(), Texts(System())
    wanted = [number(word) for word in _WORDS]
    for step in steps:
        if isinstance(step, str):
            world.write(f"{step} and more", scope="user:a")
            continue
        snapshot = world.snapshot()
        scopes = tuple(text.scope_numbers(snapshot.db, ["user:a"], below=False))
        upto = max(0, snapshot.lsn - step)
        anew = {term: text.frequency(snapshot.db, scopes, term, upto=upto) for term in wanted}
        assert texts.counts(snapshot, scopes, wanted, upto=upto) == anew
    world.close()


def test_what_is_of_a_file_that_was_replaced_is_forgotten() -> None:
    worlds, texts, wanted = (World(), World()), Texts(System()), [number("ant")]
    worlds[0].write("bee")
    for times in range(3):
        worlds[1].write(f"ant {times}")
    old, new = (world.snapshot() for world in worlds)
    new.generation = 1
    assert texts.docs(old, [1]) == text.docs(old.db, [1])
    assert texts.counts(old, (1,), wanted, upto=1) == {wanted[0]: 0}
    assert texts.counts(new, (1,), wanted, upto=3) == {wanted[0]: 3}
    assert texts.counts(old, (1,), wanted, upto=1) == {wanted[0]: 0}
    assert texts.counts(new, (1,), wanted, upto=3) == {wanted[0]: 3}
    for snapshot in (new, old, new, old, new, new):
        assert texts.docs(snapshot, [1, 3, 9]) == text.docs(snapshot.db, [1, 3, 9])
    for world in worlds:
        world.close()


def test_R1_counts_kept_of_one_scope_are_not_anothers() -> None:
    world, texts, wanted = World(), Texts(System()), [number("ant")]
    for scope in ("user:a", "user:b", "user:b"):
        world.write("ant", scope=scope)
    snapshot = world.snapshot()
    for scopes in ((1,), (2,), (1, 2), (1,)):
        assert texts.counts(snapshot, scopes, wanted, upto=3) == {wanted[0]: sum(scopes)}
    world.close()


def test_V3_counts_asked_for_ahead_of_the_view_are_counted_on_from_where_it_was() -> None:
    world, texts, wanted = World(), Texts(System()), [number("ant")]
    world.write("ant")
    assert texts.counts(world.snapshot(), (1,), wanted, upto=9) == {wanted[0]: 1}
    world.write("ant")
    assert texts.counts(world.snapshot(), (1,), wanted, upto=9) == {wanted[0]: 2}
    world.close()


def test_V3_what_no_longer_fits_in_memory_changes_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "KEPT_COUNTS", 2)
    monkeypatch.setattr(kept, "KEPT_DOCS", 2)
    world, texts = World(), Texts(System())
    for word in (*_WORDS, *_WORDS):
        world.write(word)
    snapshot = world.snapshot()
    for start in (0, 1, 2, 0, 1):
        wanted, lsns = [number(word) for word in _WORDS[start : start + 2]], [start + 1, start + 2]
        assert texts.counts(snapshot, (1,), wanted, upto=6) == dict.fromkeys(wanted, 2)
        assert texts.docs(snapshot, lsns) == text.docs(snapshot.db, lsns)
    world.close()

"""Every decoder, on mutated valid bytes: nothing but our own refusals, and nothing changed passes as valid."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.mutate import NAMES, Step, mutated
from tests.fuzz.registry import CORPUS, targets, trial
from tests.fuzz.registry import NAMES as TARGETS

steps = st.lists(
    st.builds(
        Step,
        st.sampled_from(NAMES),
        st.floats(0, 1),
        st.integers(0, 2**16 - 1),
        st.sampled_from([1, 2, 4, 8, 16, 64]) | st.integers(1, 999),
    ),
    min_size=1,
    max_size=5,
)


@pytest.mark.parametrize("name", TARGETS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large])
@given(seed=st.integers(0, 99), moves=steps, signed=st.booleans())
def test_L5_mutated_bytes_are_refused_or_read_as_what_was_written(
    name: str, seed: int, moves: list[Step], *, signed: bool
) -> None:
    target = targets()[name]
    data = mutated(target.seeds[seed % len(target.seeds)], moves, target.seeds)
    if signed and target.sign is not None:
        data = target.sign(data)
    failure = trial(name)(data, signed=signed)
    assert failure is None, f"{failure.kind}: {failure.told}"


@pytest.mark.parametrize("name", TARGETS)
def test_valid_bytes_are_read_and_their_checksums_are_what_the_fuzzer_makes(name: str) -> None:
    """Else the fuzzer would only ever knock at the first door."""
    target = targets()[name]
    for seed in target.seeds:
        assert target.read(seed) is not None
        if target.sign is not None:
            assert target.sign(seed) == seed


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*/*")), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_inputs_that_once_did_harm_do_none(path: Path) -> None:
    target = targets()[path.parent.name]
    data = path.read_bytes()
    for signed in (False, True) if target.sign is None else (True,):
        failure = trial(path.parent.name)(data, signed=signed)
        assert failure is None, f"{failure.kind}: {failure.told}"


@pytest.mark.parametrize(
    ("name", "spans"),
    [
        ("mark", [(4, 128), (2052, 2176)]),
        ("shared", [(4, 48), (256, 272), (516, 536), (1028, 1152), (2052, 2176)]),
        ("segment-header", [(12, 144)]),
    ],
)
def test_a_field_at_either_end_of_its_range_is_refused_or_does_no_harm(name: str, spans: list[tuple[int, int]]) -> None:
    """Each word of these small files in turn, under good checksums."""
    target = targets()[name]
    assert target.sign is not None
    (seed,) = target.seeds
    for place in (place for start, end in spans for place in range(start, end, 4)):
        for value in (0, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**64 - 1):
            raw = value.to_bytes(8, "little")[: 4 if value < 2**32 else 8]
            failure = trial(name)(target.sign(seed[:place] + raw + seed[place + len(raw) :]), signed=True)
            assert failure is None, f"{value:#x} at {place}: {failure.kind}: {failure.told}"

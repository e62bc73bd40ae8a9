"""Real machines that fail: the short forms of `python -m tests.crash`, whose long forms count what is lost."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tests.crash.tally import Tally


def long_form(fault: str, rounds: int, folder: Path) -> Tally:
    """One line of `python -m tests.crash`, which must end without a complaint; skips the test where it must."""
    found = folder / "tally"
    command = [sys.executable, "-m", "tests.crash", fault, "--rounds", str(rounds), "--json", str(found)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (tally,) = msgspec.json.decode(found.read_bytes(), type=list[Tally])
    if tally.skipped:
        pytest.skip(tally.skipped)
    return tally


@pytest.mark.timeout(3600)
def test_L1_L4_L5_L6_L11_V3_what_was_acknowledged_survives_real_power_cuts_on_ext4(
    tmp_path: Path, rounds: Callable[[int], int]
) -> None:
    tally = long_form("power", rounds(200), tmp_path)
    assert tally.tried >= rounds(200)
    assert tally.acknowledged
    assert not tally.lost + tally.silent


@pytest.mark.timeout(3600)
def test_L1_L7_L8_a_refused_system_call_is_a_clear_error_and_never_an_ack(
    tmp_path: Path, rounds: Callable[[int], int]
) -> None:
    tally = long_form("refusals", rounds(300), tmp_path)
    assert tally.tried
    assert tally.counts["durability_unknown"]
    assert not tally.lost + tally.silent


@pytest.mark.timeout(3600)
def test_L8_V4_a_full_disk_refuses_clearly_keeps_what_it_has_and_goes_on_once_there_is_room(
    tmp_path: Path, rounds: Callable[[int], int]
) -> None:
    tally = long_form("full", rounds(60), tmp_path)
    assert tally.counts["refused"]
    assert not tally.lost + tally.silent


@pytest.mark.timeout(3600)
def test_L1_L7_a_disk_that_fails_for_real_and_loses_power_keeps_what_was_acknowledged(
    tmp_path: Path, rounds: Callable[[int], int]
) -> None:
    tally = long_form("failing-disk", rounds(100), tmp_path)
    assert tally.tried >= rounds(100)
    assert not tally.lost + tally.silent


@pytest.mark.timeout(3600)
def test_L5_L13_V4_rot_in_any_file_is_harmless_or_told(tmp_path: Path, rounds: Callable[[int], int]) -> None:
    tally = long_form("rot", rounds(200), tmp_path)
    assert tally.counts["intact"]
    assert tally.counts["told: the log"]
    assert not tally.lost + tally.silent

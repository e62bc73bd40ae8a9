"""The fuzzer itself: it sees crashes, hangs, lies and memory that is taken without bound, and keeps what did harm."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fuzz import target as targets
from tests.fuzz.loop import run
from tests.fuzz.registry import NAMES
from tests.fuzz.target import Target, Trial


def hanging(data: bytes) -> object:
    while data != b"valid":
        pass
    return data


def test_a_crash_a_hang_and_a_lie_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "LIMIT", 0.05)
    seeds = [b"valid"]
    for kind, target in {
        "crash": Target(name="x", seeds=seeds, read=lambda data: data.decode("ascii")),
        "hang": Target(name="x", seeds=seeds, read=hanging),
        "lie": Target(name="x", seeds=seeds, read=lambda data: data, sealed=True),
    }.items():
        failure = Trial(target)(b"\xff", signed=False)
        assert failure is not None
        assert failure.kind == kind
        assert Trial(target)(b"valid") is None


def test_what_did_harm_is_saved_made_small_and_the_same_from_the_same_seed(tmp_path: Path) -> None:
    def read(data: bytes) -> object:
        assert b"\xc1" not in data, "seen"
        return data

    target = Target(name="broken", seeds=[b"a" * 50], read=read)
    rows = [run(target, seconds=60, inputs=2000, seed=4, save=tmp_path) for _ in range(2)]
    assert rows[0] == rows[1]
    assert rows[0].tried == 2000
    assert rows[0].crashes > 0
    assert len(rows[0].failures) == 1
    assert all(b"\xc1" in path.read_bytes() for path in (tmp_path / "broken").iterdir())


@pytest.mark.timeout(700)
def test_no_input_takes_memory_without_bound(tmp_path: Path, rounds: Callable[[int], int]) -> None:
    """Each decoder in a process that may take a gibibyte beyond what it holds at the start."""
    report = tmp_path / "report.json"
    command = [sys.executable, "-m", "tests.fuzz", "--seed", "1", "--inputs", str(rounds(150)), "--json", str(report)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(report.read_text())["decoders"]
    assert [row["target"] for row in rows] == [*NAMES]
    assert all(row["tried"] for row in rows)

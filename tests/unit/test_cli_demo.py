"""The demo checks what it claims: it ends with 0 because the claims hold, and not when one does not."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import walnut
from walnut.cli import demo, main
from walnut.cli.demo_agent import SCOPE, Report


def test_the_demo_tells_its_story_and_leaves_the_store(tmp_path: Path) -> None:
    store = tmp_path / "demo"
    done = subprocess.run(
        [sys.executable, "-m", "walnut", "demo", str(store)], check=True, capture_output=True, text=True
    )
    assert done.stderr == ""
    assert [line[:2] for line in done.stdout.splitlines() if line[1:3] == ". "] == [f"{n}." for n in range(1, 7)]
    assert "kill -9" in done.stdout
    assert walnut.verify(store).ok
    with walnut.open(store, scope=SCOPE, create=False) as memory:
        assert memory.get(key="billing").text == "Invoices go to billing@acme.example"


def test_the_demo_speaks_json_and_restores_the_environment(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WALNUT_SCOPE", "user:me")
    monkeypatch.delenv("WALNUT_STORE", raising=False)
    assert main(["demo", str(tmp_path / "demo"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["ok"]
    assert len(told["claims"]) >= 8
    assert os.environ["WALNUT_SCOPE"] == "user:me"
    assert "WALNUT_STORE" not in os.environ


def test_a_claim_that_does_not_hold_fails_the_demo(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = demo._run_and_kill

    def liar(store: str) -> list[Report]:
        return [*honest(store), Report(2, "mem_01ARZ3NDEKTSV4RRFFQ69G5FAV", "never written")]

    monkeypatch.setattr(demo, "_run_and_kill", liar)
    assert main(["demo", str(tmp_path / "demo")]) == 1
    assert "[demo_failed at " in capsys.readouterr().err


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").touch()
    assert main(["demo", str(tmp_path)]) == 2
    assert os.listdir(tmp_path) == ["mine"]
    assert "not empty" in capsys.readouterr().err

"""The verbs of the command line: what they print for people and for machines, on real stores."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import walnut
from walnut.cli import main


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("WALNUT_STORE", "WALNUT_SCOPE", "WALNUT_ACTOR"):
        monkeypatch.delenv(name, raising=False)


class Shell:
    """Runs commands in this process and keeps what they print."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *words: str, code: int = 0) -> str:
        self._capsys.readouterr()
        assert main(words) == code, self._capsys.readouterr().err
        return self._capsys.readouterr().out

    def json(self, *words: str, code: int = 0) -> Any:
        return json.loads(self(*words, "--json", code=code))


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(capsys)


def test_what_is_remembered_is_there_for_every_reading_verb(shell: Shell) -> None:
    ack = shell.json("remember", "Prefers", "CSV", "exports", "--tag", "billing", "--key", "format")
    assert ack["durability"] == "disk"
    (hit,) = shell.json("recall", "csv")
    assert (hit["memory_id"], hit["text"], hit["tags"]) == (ack["memory_id"], "Prefers CSV exports", ["billing"])
    assert shell.json("get", ack["memory_id"])["key"] == "format"
    assert shell("get", "--key", "format", "--text") == "Prefers CSV exports\n"
    assert [item["text"] for item in shell.json("list")["items"]] == ["Prefers CSV exports"]
    assert [version["lsn"] for version in shell.json("history", "--key", "format")] == [ack["lsn"]]
    assert shell.json("why", ack["event_id"])["root"]["event_id"] == ack["event_id"]
    assert ack["event_id"] in shell.json("context", "csv")["text"]


def test_a_context_is_the_text_alone_and_what_was_left_out_is_told_beside_it(
    shell: Shell, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(6):
        source = ["--source", "session=s1", "--occurred-at", f"2026-02-0{number + 1}"]
        shell("remember", f"{'Tea' * number} garden note", *source)
    alone = shell.json("context", "TeaTea garden", "--budget", "100")
    assert main(["context", "TeaTea garden", "--budget", "100"]) == 0
    printed = capsys.readouterr()
    assert printed.out == alone["text"] + "\n"
    assert printed.err == f"walnut: left out: {alone['because']['budget']} for want of room\n"
    assert main(["context", "garden", "--budget", "3"]) == 1
    printed = capsys.readouterr()
    assert (printed.out, printed.err.split(";")[0]) == ("", "walnut: nothing fits a budget of 3")
    by_time = shell.json("context", "TeaTea garden", "-k", "1", "--order", "time", "--neighbours", "1")
    assert [line["role"] for line in by_time["lines"]] == ["before", "hit", "after"]
    assert by_time["text"].startswith("2026-02-02\n")


def test_json_has_the_fields_of_the_results(shell: Shell) -> None:
    shell("remember", "a fact", "--key", "k")
    results = {
        "recall fact": walnut.Hit,
        "get --key k": walnut.MemoryRecord,
        "list": walnut.Page,
        "history --key k": walnut.Version,
        "why --key k": walnut.Explanation,
        "context fact": walnut.Context,
        "stats": walnut.Stats,
        "verify": walnut.VerifyReport,
        "repair": walnut.RepairReport,
        "revert --event 1 --dry-run": walnut.RevertPlan,
        "revert --event 1 --yes": walnut.Ack,
    }
    for command, result in results.items():
        found = shell.json(*command.split())
        first = found[0] if isinstance(found, list) else found
        assert set(first) == set(result.__struct_fields__), command


def test_text_comes_from_standard_input(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    for words in (["remember"], ["remember", "-"]):
        monkeypatch.setattr(sys, "stdin", io.StringIO("from a pipe\nin two lines\n"))
        shell(*words)
        assert shell.json("list")["items"][0]["text"] == "from a pipe\nin two lines"


def test_store_scope_and_actor_come_from_options_or_the_environment(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell("--store", "one", "--scope", "user:a", "--actor", "agent:x", "remember", "here")
    monkeypatch.setenv("WALNUT_STORE", "one")
    monkeypatch.setenv("WALNUT_SCOPE", "user:a")
    monkeypatch.setenv("WALNUT_ACTOR", "agent:y")
    shell("remember", "there")
    assert [(item["text"], item["actor"]) for item in shell.json("list")["items"]] == [
        ("there", "agent:y"),
        ("here", "agent:x"),
    ]
    assert os.listdir() == ["one"]
    shell("list", "--scope", "user:b", code=1)


def test_T2_as_of_reads_what_was_known_and_valid_at_what_was_true(shell: Shell) -> None:
    shell("remember", "lives in Berlin", "--key", "city", "--valid-from", "2020-01-01")
    shell("remember", "lives in Paris", "--key", "city", "--valid-from", "2024-01-01")
    assert shell("get", "--key", "city", "--text") == "lives in Paris\n"
    assert shell("get", "--key", "city", "--text", "--as-of", "lsn:1") == "lives in Berlin\n"
    assert shell("get", "--key", "city", "--text", "--valid-at", "2022-01-01") == "lives in Berlin\n"
    recorded = shell.json("history", "--key", "city")[0]["recorded_at"]
    assert shell("get", "--key", "city", "--text", "--as-of", recorded) == "lives in Berlin\n"
    shell("get", "--key", "city", "--as-of", "2019-01-01", code=1)


def test_a_forgotten_memory_comes_back_with_a_revert(shell: Shell) -> None:
    shell("remember", "here", "--key", "k")
    shell("forget", "--key", "k")
    shell("get", "--key", "k", code=1)
    assert "deleted" in shell("history", "--key", "k")
    plan = shell("revert", "--kind", "memory.delete", "--dry-run")
    assert "undo memory.delete (selected)" in plan
    shell("get", "--key", "k", code=1)
    shell("revert", "--kind", "memory.delete", "--yes")
    assert shell("get", "--key", "k", "--text") == "here\n"


def test_a_plan_shows_what_was_derived_below_what_it_came_from(shell: Shell) -> None:
    shell("remember", "poison", "--source", "conversation_id=c1")
    shell("remember", "believed", "--caused-by", "1")
    lines = shell("revert", "--session", "c1", "--dry-run").splitlines()
    assert lines[0] == 'undo memory.write (selected): "poison"'
    assert lines[2] == '└─ undo memory.write (derived): "believed"'
    assert lines[-1] == "2 events of 2 memories would be undone"


def test_nothing_is_undone_without_a_yes(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    shell("remember", "kept")
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))  # a pipe is nobody who agrees
    shell("revert", "--event", "1", code=2)
    assert shell.json("list")["items"][0]["text"] == "kept"


def test_the_log_is_lines_of_json(shell: Shell) -> None:
    shell("remember", "one", "--scope", "user:a")
    shell("remember", "two", "--scope", "user:b")
    events = [json.loads(line) for line in shell("log", "--scope", "global", "--json").splitlines()]
    assert [(event["lsn"], event["content"]["payload"]["text"]) for event in events] == [(1, "one"), (2, "two")]
    assert "one" not in shell("log", "--scope", "user:b")
    assert len(shell("log", "--scope", "global", "--last", "1").splitlines()) == 2
    shell("log", "--scope", "global", "--kind", "memory.delete", code=1)


def test_following_shows_what_another_process_writes() -> None:
    assert main(["remember", "first"]) == 0
    command = [sys.executable, "-m", "walnut", "log", "--follow", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as follower:
        assert follower.stdout is not None
        assert json.loads(follower.stdout.readline())["lsn"] == 1
        assert main(["remember", "second"]) == 0
        assert json.loads(follower.stdout.readline())["content"]["payload"]["text"] == "second"
        follower.terminate()


def test_explain_shows_parts_that_sum_to_the_score(shell: Shell) -> None:
    shell("remember", "Prefers CSV exports")
    (hit,) = shell.json("recall", "csv", "--explain")
    assert sum(part["value"] for part in hit["parts"]) == pytest.approx(hit["score"])
    assert all(part["name"] in shell("recall", "csv", "--explain") for part in hit["parts"])


def test_views_are_built_anew_and_compared(shell: Shell) -> None:
    shell("remember", "a fact")
    assert "checkpoint written at LSN 1" in shell("checkpoint")
    assert "up to LSN 1" in shell("rebuild")
    assert "equals a replay" in shell("verify", "--views")
    assert all(check["ok"] for check in shell.json("verify", "--views")["views"])
    assert "nothing to repair: 1 event" in shell("repair")


def test_a_view_that_is_behind_the_log_is_told_as_such(shell: Shell) -> None:
    shell("remember", "a fact")
    shell("list")
    shell("remember", "another")
    assert "at LSN 1: equals a replay (1 event behind" in shell("verify", "--views")
    shell("list")
    assert "behind" not in shell("verify", "--views")


def test_the_doctor_looks_and_leaves_nothing_behind(shell: Shell) -> None:
    assert "none at memory yet" in shell("doctor")
    assert os.listdir() == []
    shell("remember", "a fact")
    shell("list")  # the first read makes the views
    names = sorted(map(str, Path().rglob("*")))
    found = shell.json("doctor")
    assert found["ok"]
    assert {"Python", "SQLite", "FTS5", "file system", "free space", "permissions", "sync", "locks", "view"} <= {
        check["name"] for check in found["checks"]
    }
    assert sorted(map(str, Path().rglob("*"))) == names
    os.mkdir("other")
    Path("other/file").touch()
    assert "fail  store" in shell("doctor", "--store", "other", code=1)


def test_output_for_people_never_steers_a_terminal(shell: Shell) -> None:
    shell("remember", "red \x1b[31m alert \u202e gnp", "--source", "channel=\x1b]0;x")
    for command in ("recall red", "list", "log", "why mem"):
        words = ["why", shell.json("list")["items"][0]["memory_id"]] if command == "why mem" else command.split()
        told = shell(*words)
        assert "\x1b" not in told
        assert "\u202e" not in told
        assert "\\x1b[31m" in told


@pytest.mark.parametrize("kind", ["bash", "zsh", "fish"])
def test_completion_knows_every_verb(shell: Shell, kind: str) -> None:
    script = shell("completion", kind)
    from walnut.cli.registry import VERBS

    assert all(name in script for name in VERBS)
    assert "idempotency-key" in script


def test_completion_completes_in_bash(shell: Shell) -> None:
    Path("walnut.bash").write_text(shell("completion", "bash"))
    script = ". ./walnut.bash; COMP_WORDS=(walnut recall --exp); COMP_CWORD=2; _walnut; echo ${COMPREPLY[@]}"
    assert subprocess.run(["bash", "-c", script], check=True, capture_output=True, text=True).stdout == "--explain\n"

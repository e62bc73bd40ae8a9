"""The command line when something is wrong: one line, the documented exit code, nothing made or half written."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import walnut
from walnut import errors
from walnut.cli import exits, main
from walnut.cli.registry import VERBS

READING = ["recall x", "context x", "get --key x", "list", "history --key x", "why --key x", "log", "stats"]
CHANGING = ["forget --key x", "revert --event 1 --yes", "checkpoint", "rebuild", "export", "verify", "repair"]


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("WALNUT_STORE", "WALNUT_SCOPE", "WALNUT_ACTOR"):
        monkeypatch.delenv(name, raising=False)


def walnut_process(*words: str, **kwargs: object) -> subprocess.Popen[str]:
    return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
        [sys.executable, "-m", "walnut", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **kwargs,
    )


@pytest.mark.parametrize("command", READING + CHANGING)
def test_no_verb_that_only_looks_makes_a_store(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command.split()) == exits.NO_STORE
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("walnut: ")
    assert "[not_a_store at " in told.err
    assert told.err.count("\n") == 1
    assert os.listdir() == []


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("recal x", exits.USAGE),
        ("recall --foo x", exits.USAGE),
        ("--store", exits.USAGE),
        ("get", exits.USAGE),
        ("get mem_1 --key x", exits.USAGE),
        ("get --key x", exits.NOTHING),
        ("recall nothing-of-the-kind", exits.NOTHING),
        ("recall x --mode best", exits.USAGE),
        ("recall x --as-of lsn:z", exits.USAGE),
        ("recall x --as-of yesterday", exits.USAGE),
        ("recall x --valid-at 2026-01-01T00:00:00", exits.USAGE),
        ("remember x --confidence nan", exits.USAGE),
        ("remember x --scope global/user", exits.USAGE),
        ("remember x --data {", exits.USAGE),
        ("remember x --source y", exits.USAGE),
        ("remember x --key kept --expected-version 0", exits.CONFLICT),
        ("remember other --idempotency-key used", exits.CONFLICT),
        ("revert", exits.USAGE),
        ("revert --event 1", exits.USAGE),
        ("revert --event 999", exits.NOTHING),
        ("import missing.jsonl", exits.USAGE),
        ("import memory", exits.NOTHING),
        ("list --store full", exits.NO_STORE),
        ("remember x --store full", exits.NO_STORE),
        ("remember x --store full/file", exits.NO_STORE),
    ],
)
def test_a_mistake_is_one_line_and_a_code(command: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkdir("full")
    Path("full/file").write_text("not a store")
    assert main(["remember", "kept text", "--key", "kept", "--idempotency-key", "used"]) == 0
    capsys.readouterr()
    before = main(["log", "--json"]), capsys.readouterr().out
    assert main(command.split()) == code
    told = capsys.readouterr()
    if code != exits.NOTHING or told.err:
        assert told.err.startswith("walnut: ")
        assert told.err.count("\n") == 1
        assert "Traceback" not in told.err
        assert "kept text" not in told.err
    assert (main(["log", "--json"]), capsys.readouterr().out) == before


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("recall x --as-of yesterday", "not a time [invalid_argument at --as-of] ISO"),
        ("recall x --as-of lsn:99", "[invalid_argument at --as-of]"),
        ("list --valid-at yesterday", "[invalid_argument at --valid-at]"),
        ("recall x -k some", "argument -k: not a whole number"),
        ("remember x --confidence high", "argument --confidence: not a number"),
        ("why 99", "no such event [not_found at ID] take ids from recall"),
        ("get --key other", "no such memory [not_found at key] take ids from recall"),
        ("list --store none", "none] name its folder with --store or WALNUT_STORE; `walnut remember` makes one"),
        ("verify --store none", "none] name its folder with --store or WALNUT_STORE; `walnut remember` makes one"),
    ],
)
def test_a_mistake_is_named_in_the_words_of_the_command(
    command: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["remember", "x"]) == 0
    assert main(command.split()) != exits.OK
    assert said in capsys.readouterr().err


def test_every_error_of_walnut_has_an_exit_code() -> None:
    kinds = [getattr(errors, name) for name in errors.__all__ if name != "WalnutError"]
    covered = {kind for kind, _ in exits._BY_ERROR}
    assert [kind.__name__ for kind in kinds if not covered & set(kind.__mro__)] == []


def test_damage_ends_with_its_own_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["remember", "a fact"]) == 0
    segment = next(Path("memory/log").glob("seg-*.g0"))
    data = bytearray(segment.read_bytes())
    at = data.index(b"a fact")
    data[at] ^= 1
    segment.write_bytes(data)
    capsys.readouterr()
    assert main(["verify"]) == exits.DAMAGE
    told = capsys.readouterr().out
    assert told.startswith("DAMAGED")
    assert "offset" in told
    assert main(["list"]) == exits.DAMAGE
    assert "[log_corruption at " in capsys.readouterr().err


@contextmanager
def nobody() -> Iterator[None]:
    """Root may write everywhere: be somebody else for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_folder_that_may_not_be_written_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    os.mkdir("closed", 0o500)
    assert main(["remember", "x", "--store", "open"]) == exits.OK  # all code is loaded before rights are dropped
    assert main(["list", "--store", "missing"]) == exits.NO_STORE
    capsys.readouterr()
    with nobody():
        assert main(["remember", "x", "--store", "closed/store"]) == exits.NO_STORE
    assert "[access_denied" in capsys.readouterr().err
    assert os.listdir("closed") == []


def test_a_reader_that_goes_away_ends_it_quietly() -> None:
    with walnut.open("memory") as memory:
        memory.remember_many({"text": f"fact {number} {'x' * 500}"} for number in range(2000))
    with walnut_process("log", "--json") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith('{"lsn":1')
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == exits.NO_READER


@pytest.mark.parametrize(("closed", "code"), [("<&-", exits.USAGE), (">&-", exits.OK), ("2>&-", exits.OK)])
def test_a_closed_stream_is_no_traceback(closed: str, code: int) -> None:
    text = "" if code else "text"
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" -m walnut remember {text} {closed}', sys.executable],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    if not code:
        assert [record.text for record in walnut.open("memory").list().items] == ["text"]


def test_control_c_is_one_line_and_130() -> None:
    assert main(["remember", "first"]) == 0
    with walnut_process("log", "--follow", "--json") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith('{"lsn":1')
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == "walnut: interrupted [interrupted] what was acknowledged is on disk\n"
        assert process.wait() == exits.INTERRUPTED


def test_help_of_all_verbs_imports_none_of_them() -> None:
    script = "import sys; from walnut.cli import main; main(['--help']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    *page, modules = done.stdout.splitlines()
    assert all(any(line.startswith(f"  {name} ") for line in page) for name in VERBS)
    assert {f"walnut.cli.{entry.module}" for entry in VERBS.values()} & set(modules.split()) == set()
    assert "walnut.memory" not in modules.split()

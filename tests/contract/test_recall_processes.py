"""Recall beside others: a fact is found right after its ack, and each search sees one state of the log."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

import walnut
from walnut import Hit, Memory

MODES: tuple[Any, ...] = ("hybrid", "keyword", "vector", "recent")
ROOT = Path(__file__).parents[2]
#: Two syllables make a name, which is a word of its own in any index.
SYLLABLES = ("ba", "ce", "di", "fo", "gu", "ha", "je", "ki", "lo", "mu")


def name(number: int) -> str:
    return "walrus" + "".join(SYLLABLES[int(digit)] for digit in f"{number:05}")


def fact(writer: str, number: int) -> dict[str, Any]:
    """The n-th thing a writer says; whoever reads it can tell whether it is true."""
    return {
        "text": f"{writer} {number} met the walrus {name(number)}",
        "tags": [writer],
        "source": {"session": f"s{number % 3}", "speaker": writer},
    }


def is_true(hit: Hit) -> bool:
    writer, number = hit.text.split()[:2]
    return fact(writer, int(number))["text"] == hit.text and hit.tags == (writer,)


PRELUDE = """
import sys, walnut
from tests.contract.test_recall_processes import fact, name
m = walnut.open(sys.argv[1], scope="user:a")
"""


def start(program: str, folder: Path) -> subprocess.Popen[str]:
    paths = [str(ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    return subprocess.Popen(
        [sys.executable, "-c", PRELUDE + dedent(program), str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        cwd=ROOT,
    )


def finish(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait(60)
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()


def told(hits: list[Hit]) -> list[tuple[Any, ...]]:
    return [(hit.lsn, hit.text, hit.score, hit.parts) for hit in hits]


# --- right after the ack --------------------------------------------------------------------------


@pytest.mark.parametrize("durability", ["disk", "process"])
def test_V5_a_fact_is_found_right_after_its_ack_and_after_reopening(durability: Any, tmp_path: Path) -> None:
    acks = []
    for opening in range(3):
        with walnut.open(tmp_path, scope="user:a", durability=durability) as m:
            for number in range(opening * 10, opening * 10 + 10):
                ack = m.remember(**fact("one", number))
                acks.append(ack)
                for mode in MODES:
                    assert ack.lsn in {hit.lsn for hit in m.recall(name(number), mode=mode, k=100)}
                assert m.recall(name(number))[0].lsn == m.recall(name(number), mode="keyword")[0].lsn == ack.lsn
                assert m.recall("", mode="recent", k=1)[0].lsn == ack.lsn
                assert m.context(name(number), budget=60).citations[0] == ack.event_id
            for ack, number in zip(acks, range(len(acks)), strict=True):
                assert m.recall(name(number), k=1)[0].lsn == ack.lsn


def test_V5_a_fact_is_found_by_another_process_that_is_told_its_LSN(tmp_path: Path) -> None:
    """And what that one writes is found here; both search all the time, so that neither starts with nothing kept."""
    program = """
    for line in sys.stdin:
        number, lsn = map(int, line.split())
        found = m.recall(name(number), min_lsn=lsn, k=1)[0].lsn == lsn
        ack = m.remember(**fact("other", number + 1000))
        print(found, ack.lsn, flush=True)
    m.close()
    """
    with walnut.open(tmp_path, scope="user:a") as m:
        process = start(program, tmp_path)
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            for number in range(25):
                process.stdin.write(f"{number} {m.remember(**fact('one', number)).lsn}\n")
                process.stdin.flush()
                found, lsn = process.stdout.readline().split()
                assert found == "True"
                for mode in MODES:
                    hits = m.recall(name(number + 1000), min_lsn=int(lsn), mode=mode, k=100)
                    assert int(lsn) in {hit.lsn for hit in hits}
            process.stdin.close()
            assert process.wait(60) == 0
        finally:
            finish(process)


def test_V4_V5_what_was_acknowledged_is_found_after_the_writer_was_killed(tmp_path: Path) -> None:
    """It searches between its writes, so that it dies in the middle of applying as often as of writing."""
    program = """
    for number in range(int(sys.stdin.readline()), 10**6):
        ack = m.remember(**fact("one", number))
        print(number, ack.lsn, flush=True)
        if number % 3 == 0:
            m.recall(name(number))
    """
    acked: dict[int, int] = {}
    for _ in range(3):
        process = start(program, tmp_path)
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(f"{len(acked) + 1000}\n")
            process.stdin.flush()
            for _ in range(20):
                number, lsn = map(int, process.stdout.readline().split())
                acked[number] = lsn
            process.send_signal(signal.SIGKILL)
            acked |= {int(number): int(lsn) for number, lsn in (line.split() for line in process.stdout)}
            assert process.wait(60) == -signal.SIGKILL
        finally:
            finish(process)
        with walnut.open(tmp_path, scope="user:a") as m:
            for number, lsn in acked.items():
                assert lsn in {hit.lsn for hit in m.recall(name(number), k=2)}
            assert all(is_true(hit) for hit in m.recall("walrus", k=1000))
            assert all(each.ok for each in m.upkeep.verify_views())


# --- while others write ---------------------------------------------------------------------------


def _run(works: list[Callable[[], None]]) -> None:
    """In a thread each; what one raises is raised."""
    errors: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)
            raise

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


@pytest.mark.parametrize("store", ["memory", "files"])
@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_V6_a_search_beside_writers_sees_one_state_and_a_past_one_never_changes(store: str, tmp_path: Path) -> None:
    """Threads write, forget and search at once; on files another process writes and searches, too."""
    searched: list[tuple[str, Any, int, int, list[tuple[Any, ...]]]] = []
    done = threading.Event()
    with walnut.open("memory://" if store == "memory" else tmp_path, scope="user:a") as m:
        for number in range(40):
            m.remember(**fact("first", number))
        lsn = m.log.durable_lsn
        queries = ("met the walrus", name(7), "first 3", f"{name(1)} {name(2)} two")
        then = {(query, mode): told(m.as_of(lsn=lsn).recall(query, mode=mode)) for query in queries for mode in MODES}

        def write(writer: str) -> None:
            for number in range(60):
                ack = m.remember(**fact(writer, number))
                assert m.recall(f"{name(number)} {writer}", tags=[writer], k=1)[0].lsn == ack.lsn
                if number % 5 == 4:
                    m.forget(ack.memory_id or "")

        def search(mode: Any) -> None:
            while not done.is_set():
                for query in queries:
                    before = m.log.durable_lsn
                    hits = m.recall(query, mode=mode, explain=True)
                    searched.append((query, mode, before, m.log.durable_lsn, told(hits)))
                    assert all(is_true(hit) for hit in hits)
                    assert told(m.as_of(lsn=lsn).recall(query, mode=mode)) == then[query, mode]

        def write_all() -> None:
            try:
                _run([lambda: write("two"), lambda: write("three")])
            finally:
                done.set()

        process = start(OTHER, tmp_path) if store == "files" else None
        try:
            _run([write_all, *(lambda mode=mode: search(mode) for mode in MODES)])
            if process is not None:
                out, _ = process.communicate(timeout=60)
                assert (process.returncode, out) == (0, "fine\n")
        finally:
            if process is not None:
                finish(process)
        _of_one_state(m, searched)


OTHER = """
from tests.contract.test_recall_processes import is_true
for number in range(40):
    ack = m.remember(**fact("other", number))
    hits = m.recall(name(number) + " other", k=20)
    assert hits[0].lsn == ack.lsn and all(map(is_true, hits))
m.close()
print("fine")
"""


def _of_one_state(m: Memory, searched: list[tuple[str, Any, int, int, list[tuple[Any, ...]]]]) -> None:
    """What each search gave is what a search at one LSN gives, one of those the log came to meanwhile."""
    assert len(searched) > 20
    chosen = searched[:: max(1, len(searched) // 60)]
    for query, mode, before, after, hits in chosen:
        states = (told(m.as_of(lsn=lsn).recall(query, mode=mode, explain=True)) for lsn in range(before, after + 1))
        assert any(hits == state for state in states), f"{query!r} in mode {mode} between {before} and {after}"

"""Acknowledged against persisted: many at once, several processes, and SIGKILL in the middle of writing."""

from __future__ import annotations

import random
import re
import signal
import subprocess
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.child import Child, WorkerFailedError
from bench.contenders import CONTENDERS, Contender
from bench.findings import Count, Persisted
from bench.ground import Ground
from bench.places import FAILURES, Place, Places, traceable

AT_ONCE = 50
#: Writes of each process, one after the other, all processes at once.
EACH = 50
PROCESSES = (2, 8)
KILLS = 3
KILLED_WRITERS = (1, 8)
#: Acknowledged writes before a kill, at least and at most; a slow store is killed after so many seconds.
BEFORE_KILL = (40, 400)
SLOW_KILL = 1.5

ONE = f"{AT_ONCE} at once"


def ways() -> list[str]:
    """The columns, in order."""
    return [
        ONE,
        *(f"{number} processes" for number in PROCESSES),
        *(f"SIGKILL, {number} writer{'s' * (number > 1)}" for number in KILLED_WRITERS),
    ]


def persisted(ground: Ground, rooms: Places, missing: dict[str, str]) -> list[Persisted]:
    """Every contender, one after the other: nothing here is timed."""
    found = []
    for contender in CONTENDERS:
        if not contender.in_row("persisted", ground):
            continue
        why = contender.unavailable()
        try:
            if not why:
                found.append(_of(contender, ground, rooms))
        except FAILURES as error:
            why = str(error)
        if why:
            missing[contender.name] = why
    return found


def _of(contender: Contender, ground: Ground, rooms: Places) -> Persisted:
    processes = PROCESSES[:1] if ground.quick else PROCESSES
    kills = 1 if ground.quick else KILLS
    names = iter(ways())
    counts: dict[str, Count] = {}
    with contender.children(max(processes)) as children:
        counts[next(names)] = _together(contender, rooms, children[:1], writers=AT_ONCE, each=1)
        for number, name in zip(PROCESSES, [next(names) for _ in PROCESSES], strict=True):
            if number in processes:
                counts[name] = _together(contender, rooms, children[:number], writers=1, each=EACH)
        syncs = _syncs(contender, rooms, children[0]) if traceable() else None
        for writers in KILLED_WRITERS:
            rounds = [
                _killed(contender, rooms, children[0], writers, f"{contender.name} {writers} {kill}")
                for kill in range(kills)
            ]
            counts[next(names)] = _sum(rounds)
    return Persisted(name=contender.name, counts=counts, syncs=syncs)


def _together(contender: Contender, rooms: Places, children: Sequence[Child], *, writers: int, each: int) -> Count:
    """All children write at once; then all close, and one opens again and looks."""
    place = rooms.fresh(contender)
    try:
        for child in children:
            child.ask("open", at=str(place.at))
        for number, child in enumerate(children):
            child.order("burst", writers=writers, each=each, process=str(number))
        answers = [child.answer(limit=120) for child in children]
        for child in children:
            child.ask("close")
        acknowledged = {str(name) for answer in answers for name in _list(answer["acknowledged"])}
        found = _names(children[0], place)
    finally:
        rooms.done(place)
    reasons = (str(answer["refusal"]) for answer in answers)
    return Count(
        asked=len(children) * writers * each,
        acknowledged=len(acknowledged),
        found=len(acknowledged & found),
        refused=sum(int(str(answer["refused"])) for answer in answers),
        refusal=next((reason for reason in reasons if reason), ""),
    )


def _killed(contender: Contender, rooms: Places, witness: Child, writers: int, seed: str) -> Count:
    """A child of its own writes until it, and the server where there is one, are killed; the witness looks."""
    place = rooms.fresh(contender)
    try:
        with contender.children(1) as (victim,):
            victim.ask("open", at=str(place.at))
            victim.order("storm", writers=writers, process="k")
            acknowledged = _until(victim, random.Random(seed).randint(*BEFORE_KILL))
            place.kill([victim])
            acknowledged += [name for name in victim.rest() if name[:1] == "n"]
        if place.server:
            place.start()
        found = _names(witness, place)
    finally:
        rooms.done(place)
    return Count(asked=len(acknowledged), acknowledged=len(acknowledged), found=len(set(acknowledged) & found))


def _until(victim: Child, number: int) -> list[str]:
    """Names it says it was acknowledged: so many, or those of some seconds."""
    heard: list[str] = []
    deadline = time.monotonic() + SLOW_KILL
    while len(heard) < number and (time.monotonic() < deadline or not heard):
        name = victim.line(20)
        if name is None or name[:1] != "n":
            raise WorkerFailedError("the worker stopped writing before it was killed")
        heard.append(name)
    return heard


def _names(child: Child, place: Place) -> set[str]:
    child.ask("open", at=str(place.at))
    found = {str(name) for name in _list(child.ask("names")["names"])}
    child.ask("close")
    return found


def _syncs(contender: Contender, rooms: Places, child: Child) -> float | None:
    """Syncs of the disk for each of some dozens of writes of one writer, counted by `strace` from outside."""
    place = rooms.fresh(contender)
    report = rooms.file("syncs")
    try:
        child.ask("open", at=str(place.at))
        child.ask("burst", writers=1, each=5, process="w")
        ids = [word for pid in place.pids(child) for word in ("-p", str(pid))]
        calls = "trace=fsync,fdatasync,msync,sync_file_range,sync,syncfs"
        tracer = subprocess.Popen(
            ["strace", "-f", "-q", "-e", calls, "-e", "signal=none", "-o", str(report), *ids],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            attached = _attached(tracer, int(child.pid))
            child.ask("burst", writers=1, each=AT_ONCE, process="s")
        finally:
            tracer.send_signal(signal.SIGINT)
            tracer.communicate(timeout=20)
        child.ask("close")
    finally:
        rooms.done(place)
    if not attached:
        return None
    # A call that another thread interrupts takes two lines, of which the second is `<... fdatasync resumed>`.
    return len(re.findall(r"^\d+ +\w+\(", report.read_text(), re.MULTILINE)) / AT_ONCE


def _attached(tracer: subprocess.Popen[str], pid: int) -> bool:
    """Wait until the tracer holds the process, as the kernel tells."""
    deadline = time.monotonic() + 10
    while tracer.poll() is None and time.monotonic() < deadline:
        status = Path(f"/proc/{pid}/status").read_text()
        if re.search(rf"^TracerPid:\t{tracer.pid}$", status, re.MULTILINE):
            return True
        time.sleep(0.01)
    return False


def _sum(counts: Iterable[Count]) -> Count:
    each = list(counts)
    return Count(
        asked=sum(one.asked for one in each),
        acknowledged=sum(one.acknowledged for one in each),
        found=sum(one.found for one in each),
        refused=sum(one.refused for one in each),
        rounds=len(each),
    )


def _list(value: object) -> list[object]:
    assert isinstance(value, list)
    return value

"""Rot in every file of a store: bits flipped, sectors zeroed, blocks swapped or misplaced, files cut and deleted.

Each harm is done to a fresh copy of a store, one that was closed or one whose owner was killed. Then everything is
asked: the log must give back every event as it was, or name the damage; the views must answer as before, or be found
wrong by their own verification, and in no case say of a memory what the log does not.
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import time
from pathlib import Path

import walnut
from tests.crash.mounts import quick_folder
from tests.crash.questions import Answers, answers, fill, tells_no_lie
from tests.crash.stores import say, small_segments
from tests.crash.tally import Tally
from walnut import Event, LogCorruption, WalnutError

EVENTS = 300
SEGMENTS = 16 * 1024, 64 * 1024
#: Files of the log whose loss or damage can't matter to what was acknowledged: they are made anew or only evidence.
REBUILT = ("mark", "shared", "lock.write", "lock.sync", "lock.prepare", "presence", "spare")
_HARMS = ["flip"] * 8 + ["zeros"] * 3 + ["swap", "misplaced", "empty", "delete", "cut", "cut", "longer"]


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def harm(path: Path, chance: random.Random, *, others: list[Path] | None = None) -> str:
    """Do one harm to a file; says what. `others` are files whose blocks may be put into this one."""
    data = bytearray(path.read_bytes())
    size, what = len(data), chance.choice(_HARMS)
    if what == "delete":
        path.unlink()
        return f"{path.name} deleted"
    if what in {"empty", "cut"} or not size:
        length = 0 if what != "cut" or not size else chance.randrange(size)
        os.truncate(path, length)
        return f"{path.name} cut to {length} of {size}"
    at = chance.randrange(min(size, 600) if chance.random() < 0.2 else size)  # headers above all
    block = chance.choice([512, 4096])
    start = at // block * block
    match what:
        case "flip":
            data[at] ^= 1 << chance.randrange(8)
        case "zeros":
            data[start : start + block] = bytes(len(data[start : start + block]))
        case "longer":
            data += chance.randbytes(block)
        case "swap":
            other = chance.randrange(size) // block * block
            first, second = data[start : start + block], data[other : other + block]
            if len(first) == len(second):
                data[start : start + block], data[other : other + block] = second, first
        case _:
            stranger = chance.choice(others or [path]).read_bytes()
            data[start : start + block] = stranger[start : start + block][: size - start]
    with path.open("r+b") as file:  # the same inode: nobody renamed anything
        file.write(data)
    return f"{path.name}: {what}, {block if what != 'flip' else 1} bytes at {start if what != 'flip' else at}"


class Origin:
    """A store, what its log holds and what its views answer."""

    def __init__(self, folder: Path) -> None:
        self.stores = [folder / "closed", folder / "killed"]
        with walnut.open(folder / "live", scope="global") as m:
            fill(m, EVENTS - 3)
            m.upkeep.rebuild()
            m.upkeep.checkpoint()
            self.answers(m)
            for event in range(3):
                m.bind(scope="elsewhere").remember(f"the end {event}")
                m.wait()
            self.expected = self.answers(m)
            shutil.copytree(folder / "live", self.stores[1])
        shutil.copytree(folder / "live", self.stores[0])
        self.events = {store: _events(store, folder / "copy") for store in self.stores}

    def answers(self, m: walnut.Memory) -> Answers:
        return answers(m, then=EVENTS // 2)


def _events(store: Path, scratch: Path) -> list[Event]:
    """All that its log holds; what was shown last was noted when it was closed."""
    shutil.copytree(store, scratch)
    with walnut.open(scratch, scope="global") as m:
        events = list(m.log.read())
    shutil.rmtree(scratch)
    return events


class Silent(AssertionError):
    """A wrong answer, and no error."""


def judge(folder: Path, origin: Origin, events: list[Event]) -> str:
    """`intact`, `told` with what was told, or Silent."""
    offline = walnut.verify(folder).ok
    try:
        with walnut.open(folder, scope="global", create=False) as m:
            _log(m, events)
            return _views(m, origin)
    except LogCorruption as error:
        if offline:
            raise Silent(f"reading finds what verify does not: {error}") from None
        return "told: the log"
    except WalnutError as error:
        return f"told: {error.code}"


def _log(m: walnut.Memory, expected: list[Event]) -> None:
    try:
        events = list(m.log.read())
    except LogCorruption:
        if m.log.verify().ok:
            raise Silent("reading finds what log.verify does not") from None
        raise
    if events != expected:
        raise Silent(f"the log gives {len(events)} events, and they are not those that were written")


def _views(m: walnut.Memory, origin: Origin) -> str:
    wrong = sum(not check.ok for check in m.upkeep.verify_views())
    found = origin.answers(m)
    differ = [name for name in origin.expected if found[name] != origin.expected[name]]
    told = [name for name in differ if isinstance(found[name], WalnutError)]
    if len(told) < len(differ) and not wrong:
        raise Silent(f"silently wrong: {sorted(set(differ) - set(told))}")
    for name, answer in found.items():
        try:
            tells_no_lie(name, answer, origin.expected)
        except AssertionError as error:
            raise Silent(str(error)) from None
    if wrong or told:
        m.upkeep.rebuild()
        if origin.answers(m) != origin.expected:
            raise Silent("a rebuilt view answers otherwise")
        return "told: the views" if differ else "told: the views, and nothing was missing"
    return "intact"


def run(*, rounds: int) -> Tally:
    """So many harms, over all files."""
    tally = Tally(fault="rot in any file", counts={}, problems=[])
    begun, chance = time.monotonic(), random.SystemRandom()
    with quick_folder() as folder, small_segments(*SEGMENTS):
        origin = Origin(folder)
        while tally.tried < rounds:
            _one(folder / "harmed", origin, tally, seed=chance.getrandbits(32))
    tally.seconds = time.monotonic() - begun
    return tally


def _one(folder: Path, origin: Origin, tally: Tally, *, seed: int) -> None:
    chance = random.Random(seed)
    shutil.rmtree(folder, ignore_errors=True)
    store = chance.choice(origin.stores)
    shutil.copytree(store, folder)
    everything = files(folder)
    path = chance.choice([path for path in everything if path.stat().st_size or chance.random() < 0.1])
    name = path.name
    done = f"seed {seed}, {store.name}: {harm(path, chance, others=everything)}"
    tally.tried += 1
    tally.acknowledged += len(origin.events[store])
    try:
        found = judge(folder, origin, origin.events[store])
    except (Silent, OSError, ValueError, LookupError, TypeError, sqlite3.Error) as error:
        tally.silent += isinstance(error, Silent)
        tally.problems.append(f"{done}: {type(error).__name__}: {error}")
        say(tally.problems[-1])
        return
    tally.count(found)
    tally.count(f"harms to {path.parent.name if path.parent != folder else 'the folder'}")
    if found != "intact" and path.parent.name == "log" and (name in REBUILT or name.endswith(".idx")):
        tally.problems.append(f"{done}: {found}, and that file can be made anew")

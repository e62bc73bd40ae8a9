"""Decoders of derived files: checkpoints, the views' database, its rows. A bad one may miss, it never lies."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import walnut
from tests.fuzz import stores
from tests.fuzz.target import Target
from walnut import Memory, WalnutError
from walnut.views.checkpoint import PIECE, checksum

NAMES = ("checkpoint", "checkpoint-name", "views-database", "views-rows")
_MAGIC = b"walnut-checkpoint-2"
_VALUES = (
    None,
    0,
    1,
    -1,
    2**31,
    2**63 - 1,
    -(2**63),
    0.5,
    float("inf"),
    "",
    "x",
    "\x00",
    b"",
    b"\xff" * 16,
    "y" * 9999,
)


def answers(m: Memory) -> list[object]:
    """Questions to every table; one that is refused is left out, and what is told is true."""
    found: list[object] = []
    asked: tuple[Callable[[], object], ...] = (
        lambda: [(each.memory_id, each.text) for each in m.list(limit=100, below=True).items],
        lambda: [(hit.memory_id, hit.text) for hit in m.recall("invoice csv", k=50, below=True)],
        lambda: m.list(tags=["red"], min_confidence=0.1, below=True).items,
        lambda: m.as_of(lsn=8).list(below=True).items,
        lambda: m.history(m.list(limit=1).items[0].memory_id),
        lambda: m.why(m.list(limit=1).items[0].memory_id),
        lambda: m.why(3, direction="influenced"),
        lambda: m.get(key="key1"),
        lambda: m.plan_revert(session="s2").ranges,
        lambda: m.context("invoice").text,
        m.upkeep.stats,
    )
    for ask in asked:
        try:
            answer = ask()
        except (WalnutError, IndexError):  # nothing listed
            continue
        found.append(answer)
    return found


def _true(m: Memory, told: list[object]) -> None:
    """Every pair of memory and text stands in the log like that."""
    written = {
        (each.split("_")[1], str(event.content.payload.get("text")))
        for event in m.log.read()
        if event.content
        for each in event.touches
    }
    for pairs in told[:2]:
        for memory_id, text in pairs if isinstance(pairs, list) else []:
            assert (memory_id.split("_")[1], text) in written, "an answer that the log does not hold"


def _opened(folder: Path) -> object:
    with walnut.open(folder, scope="global", busy_timeout=0.2) as m:
        found = answers(m)
        _true(m, found)
        for check in m.upkeep.verify_views():
            if check.ok:
                return found[:2]
        m.upkeep.rebuild()
        m.upkeep.checkpoint()
        again = answers(m)
        assert all(check.ok for check in m.upkeep.verify_views()), "rebuilt, and still not what the log says"
    return again[:2]


def _newest(folder: Path) -> Path:
    return max(folder.glob("checkpoints/ckpt-*.db"))


def _sign_checkpoint(data: bytes) -> bytes:
    """The hash made good; length and magic word too where they are gone."""
    end = len(data) - 32 - len(_MAGIC) - 4
    if end < 0:
        return data
    tail = data[end : end + 4] + _MAGIC
    length = int.from_bytes(tail[:4], "big")
    if length > end:
        tail = (300).to_bytes(4, "big") + _MAGIC
    body = data[:end] + tail
    return body + checksum(body[at : at + PIECE] for at in range(0, len(body), PIECE))


def _checkpoint_targets() -> list[Target]:
    store = stores.view_store()
    newest = _newest(store)

    def with_checkpoint(name: str, data: bytes) -> object:
        folder = stores.variant(store, "checkpoint")
        shutil.rmtree(folder / "views")
        (folder / "checkpoints" / newest.name).unlink()
        (folder / "checkpoints" / name).write_bytes(data)
        with walnut.open(folder, scope="global", busy_timeout=0.2) as m:
            m.upkeep.checkpoint()
        return _opened(folder)

    def named(data: bytes) -> object:
        name = data.decode("utf-8", "replace").replace("/", "_").replace("\0", "_")[:80]
        if not name.strip("."):
            return None
        return with_checkpoint(name, newest.read_bytes()[:512])

    return [
        Target(
            name="checkpoint",
            seeds=[newest.read_bytes()],
            read=lambda data: with_checkpoint(newest.name, data),
            sign=_sign_checkpoint,
            refusals=(),
            sealed=True,
        ),
        Target(name="checkpoint-name", seeds=[newest.name.encode(), b"ckpt-7.db"], read=named, refusals=()),
    ]


def _database_targets() -> list[Target]:
    store = stores.view_store()
    path = next(store.glob("views/*.db")).relative_to(store)

    def replaced(data: bytes) -> object:
        folder = stores.variant(store, "views")
        (folder / path).write_bytes(data)
        return _opened(folder)

    def rows(data: bytes) -> object:
        folder = stores.variant(store, "rows")
        _spoil(folder / path, random.Random(data))
        return _opened(folder)

    whole = (store / path).read_bytes()
    return [
        Target(name="views-database", seeds=[whole], read=replaced, refusals=()),
        Target(name="views-rows", seeds=[b"rows"], read=rows, refusals=()),
    ]


def _spoil(path: Path, chance: random.Random) -> None:
    """Put odd values into a few cells, or take rows out; what SQLite itself refuses is left as it was."""
    db = sqlite3.connect(path, isolation_level=None)
    try:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
        for _ in range(chance.choice((1, 1, 2, 5))):
            table = chance.choice(tables)
            order = f"rowid * {chance.randrange(1, 99)} % 101"
            some = f'rowid IN (SELECT rowid FROM "{table}" ORDER BY {order} LIMIT {chance.choice((1, 3, 1000))})'
            try:
                columns = [row[1] for row in db.execute(f'PRAGMA table_info("{table}")')]
                if chance.random() < 0.2:
                    db.execute(f'DELETE FROM "{table}" WHERE {some}')
                else:
                    statement = f'UPDATE OR REPLACE "{table}" SET "{chance.choice(columns)}" = ? WHERE {some}'
                    db.execute(statement, (chance.choice(_VALUES),))
            except (sqlite3.Error, IndexError):
                continue
    finally:
        db.close()


def targets() -> list[Target]:
    """All of them."""
    return [*_checkpoint_targets(), *_database_targets()]

"""Who takes part in the comparison: Walnut and its peers, with the settings they run with and how they are drawn."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec

from bench.child import Child, end_all
from bench.environment import MEMORY_SERVER, PYTHON
from bench.ground import Ground

Promise = Literal["disk", "process", "none"]


class Contender(msgspec.Struct, frozen=True, kw_only=True):
    """One party: `store` is its adapter in `bench.workers`, `settings` what it is opened with.

    `promise` is what its acknowledgement says: on disk, in the operating system, or nothing. `parts` are the packages
    whose versions name it. `setup` says for readers which settings it was given.
    """

    name: str
    label: str
    store: str
    promise: Promise
    setup: str
    colour: str
    marker: str
    line: str = "-"
    server: Literal["postgres", "redis"] | None = None
    settings: Mapping[str, object] = {}
    parts: Sequence[str] = ()
    #: Runs in the project's own environment: Walnut, and what needs nothing but Python.
    at_home: bool = False
    #: A store that grows slow with what is in it gets a fresh one for each turn.
    fresh: bool = False
    #: Rows it takes part in beside the first; a variant need not be in all.
    rows: frozenset[str] = frozenset({"persisted", "writers", "batches", "reopened"})

    @property
    def python(self) -> Path:
        """The interpreter of its environment."""
        return Path(sys.executable) if self.at_home else PYTHON

    def version_names(self) -> Sequence[str]:
        """The parts, the server first."""
        servers = {"postgres": "PostgreSQL", "redis": "Redis"}
        return [*([servers[self.server]] if self.server else ()), *self.parts]

    def in_row(self, row: str, ground: Ground) -> bool:
        """Whether it takes part in a row of this run."""
        return row in self.rows and (not ground.only or self.name in ground.only)

    def unavailable(self) -> str:
        """Why it can't take part; empty when it can."""
        if not self.at_home and not PYTHON.exists():
            return "the peers' environment could not be made here"
        if self.store == "mcp-memory":
            if not MEMORY_SERVER.exists():
                return "the npm package could not be installed here"
            if shutil.which("node") is None:
                return "there is no node on this machine"
        return ""

    @contextmanager
    def children(self, count: int) -> Iterator[list[Child]]:
        """So many workers with their library loaded, ended afterwards. Errors: WorkerFailedError."""
        settings = dict(self.settings)
        if self.store == "mcp-memory":
            settings["server"] = str(MEMORY_SERVER)
        children = [Child(self.python, self.store, settings) for _ in range(count)]
        try:
            for child in children:
                child.ready()
            yield children
        finally:
            end_all(children)


_BLUE, _SKY, _GREEN, _ORANGE, _RED = "#0072B2", "#56B4E9", "#009E73", "#E69F00", "#D55E00"
_PINK, _WINE, _OLIVE, _BLACK, GREY = "#CC79A7", "#882255", "#999933", "#222222", "#888888"

WALNUT = "walnut"

CONTENDERS: tuple[Contender, ...] = (
    Contender(
        name=WALNUT,
        label="Walnut",
        store="walnut-threads",
        settings={"durability": "disk"},
        promise="disk",
        setup='`durability="disk"` (the default); one handle, a thread for each writer',
        colour=_BLUE,
        marker="o",
        parts=("walnut-memory",),
        at_home=True,
    ),
    Contender(
        name="walnut-tasks",
        label="Walnut (asyncio)",
        store="walnut-tasks",
        settings={"durability": "disk"},
        promise="disk",
        setup='`durability="disk"`; one handle, an asyncio task for each writer',
        colour=_BLUE,
        marker="s",
        line="--",
        at_home=True,
        rows=frozenset({"persisted", "writers"}),
    ),
    Contender(
        name="walnut-process",
        label="Walnut (process)",
        store="walnut-threads",
        settings={"durability": "process"},
        promise="process",
        setup='`durability="process"`: safe from a kill, not from a power cut; one handle, a thread for each writer',
        colour=_SKY,
        marker="o",
        at_home=True,
        rows=frozenset({"persisted", "writers", "batches"}),
    ),
    Contender(
        name="walnut-mcp",
        label="Walnut (MCP server)",
        store="walnut-mcp",
        promise="disk",
        setup="`walnut mcp`, its tool `remember`; one session of the official client, a task for each writer",
        colour=_BLUE,
        marker="D",
        line=":",
        at_home=True,
        rows=frozenset({"persisted", "writers"}),
    ),
    Contender(
        name="sqlite",
        label="SQLite",
        store="sqlite",
        promise="disk",
        setup="WAL, `synchronous=FULL`, a commit for each write; one connection that the threads take in turns",
        colour=_ORANGE,
        marker="^",
        parts=("SQLite",),
        at_home=True,
    ),
    Contender(
        name="sqlite-grouped",
        label="SQLite (grouped)",
        store="sqlite-grouped",
        promise="disk",
        setup="the same behind one thread that commits all that wait together, then answers them",
        colour=_ORANGE,
        marker="v",
        line="--",
        at_home=True,
        rows=frozenset({"writers"}),
    ),
    Contender(
        name="postgres",
        label="PostgreSQL",
        store="postgres",
        server="postgres",
        promise="disk",
        setup="defaults (`fsync=on`, `synchronous_commit=on`), a Unix socket; psycopg, a connection for each thread",
        colour=_GREEN,
        marker="P",
        parts=("psycopg",),
    ),
    Contender(
        name="redis",
        label="Redis",
        store="redis",
        server="redis",
        promise="disk",
        setup="`appendonly yes`, `appendfsync always`, a Unix socket, XADD; redis-py, a connection for each thread",
        colour=_RED,
        marker="X",
        parts=("redis",),
    ),
    Contender(
        name="langgraph",
        label="LangGraph SqliteSaver",
        store="langgraph",
        promise="disk",
        setup="as it comes (WAL; SQLite's own `synchronous=FULL`); `put` of a checkpoint that holds one text",
        colour=_PINK,
        marker="<",
        parts=("langgraph-checkpoint-sqlite", "SQLite"),
    ),
    Contender(
        name="agents",
        label="OpenAI Agents SQLiteSession",
        store="agents",
        promise="disk",
        setup="as it comes (WAL; SQLite's own `synchronous=FULL`); `add_items` of one message, a task for each writer",
        colour=_BLACK,
        marker=">",
        parts=("openai-agents", "SQLite"),
    ),
    Contender(
        name="eventsourcing",
        label="eventsourcing (SQLite)",
        store="eventsourcing",
        promise="disk",
        setup="its SQLite recorder as it comes (WAL; SQLite's own `synchronous=FULL`); `insert_events` of one event",
        colour=_WINE,
        marker="h",
        parts=("eventsourcing", "SQLite"),
    ),
    Contender(
        name="mcp-memory",
        label="MCP memory server",
        store="mcp-memory",
        promise="none",
        setup="the reference server as it comes (it has no setting for it and syncs nothing); `create_entities` of one "
        "entity, one session of the official client, a task for each writer",
        colour=_OLIVE,
        marker="d",
        fresh=True,
        parts=("@modelcontextprotocol/server-memory", "mcp"),
    ),
)

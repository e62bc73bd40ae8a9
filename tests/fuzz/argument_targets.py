"""Arguments from outside: cursors, plan ids, MCP tool calls, command lines."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import sys
from functools import cache
from importlib.util import find_spec
from unittest.mock import patch

import walnut
from tests.fuzz import stores
from tests.fuzz.target import Target
from walnut import Memory, WalnutError, aio
from walnut.cli import main
from walnut.cli.exits import MEANING

NAMES = ("cursor", "plan-id", "command-line", *(("tool-call",) if find_spec("mcp") else ()))
_CALLS: tuple[tuple[str, dict[str, object]], ...] = (
    (
        "remember",
        {
            "text": "Prefers CSV",
            "key": "k",
            "tags": ["a"],
            "confidence": 0.5,
            "ttl": "90d",
            "data": {"a": [1, {"b": None}]},
            "source": {"channel": "x", "turn": 1},
            "occurred_at": "2026-02-01T12:00:00Z",
            "caused_by": ["evt_0"],
            "idempotency_key": "i",
            "expected_version": 0,
        },
    ),
    ("recall", {"query": "csv tea", "k": 5, "mode": "hybrid", "tags": '["a"]', "as_of": "2026-02-01"}),
    ("context", {"query": "csv", "budget": 100, "min_confidence": 0.1, "valid_at": "2026-02-01"}),
    ("why", {"id": "mem_0", "direction": "influenced"}),
    ("history", {"memory_id": "mem_0"}),
    ("forget", {"memory_id": "mem_0", "expected_version": 1}),
    ("plan_revert", {"session": "s1", "source": '{"speaker":"ann"}', "kinds": ["memory.write"]}),
    ("apply", {"plan_id": "plan_AAAA"}),
)
_LINES = (
    "remember\0Prefers CSV\0--tag\0a\0--confidence\x000.5\0--key\0k\0--ttl\x0090d\0--occurred-at\x002026-01-01",
    "recall\0csv\0-k\x005\0--mode\0keyword\0--since\x002026-01-01\0--as-of\0lsn:3\0--json",
    "context\0csv\0--budget\x00100\0--below",
    "list\0--limit\x005\0--tag\0a\0--min-confidence\x000.1\0--scope\0user:a",
    "get\0--key\0key1\0--json",
    "history\0mem_00000000000000000000000000",
    "why\0evt_00000000000000000000000000\0--influenced",
    "log\0--after\x003\0--limit\x002\0--json",
    "revert\0--session\0s1\0--since\x002026-01-01\0--yes",
    "forget\0--key\0key1\0--expected-version\x003",
    "stats\0--json",
)


@cache
def _shared() -> Memory:
    """A store in memory with some events; what is asked about changes nothing."""
    m = walnut.open("memory://", scope="global")
    stores.remember(m)
    return m


def _page(data: bytes) -> object:
    page = _shared().list(limit=2, cursor=data.decode("utf-8", "surrogateescape"))
    return [each.memory_id for each in page.items]


def _plan(data: bytes) -> object:
    from walnut.serve import plans

    return plans.unseal(b"s" * 32, data.decode("utf-8", "surrogateescape"), scope="global", actor="agent:default")


def _plan_seed() -> bytes:
    from walnut.serve import plans

    plan = _shared().plan_revert(session="s1")
    return plans.seal(b"s" * 32, plans.Selection(session="s1"), plan).encode()


def _tool_call(data: bytes) -> object:
    """An answer, marked as an error or not; an internal error raises."""
    from walnut.serve.mcp import call
    from walnut.serve.tools import Desk

    try:
        given = json.loads(data)
    except (ValueError, RecursionError):  # the transport's own decoder stands before ours
        return None
    if not isinstance(given, dict) or not isinstance(given.get("arguments"), dict):
        return None

    async def asked() -> object:
        async with aio.open("memory://") as m:
            await m.remember("something else", key="key1")
            answer = await call(Desk(m, b"s" * 32), str(given.get("name")), given["arguments"])
            await m.recall("csv")
            return answer

    return asyncio.run(asked())


def _command(data: bytes) -> object:
    """The exit code and nothing but one line of error; paths are kept within the folder."""
    text = data.decode("utf-8", "surrogateescape").replace("/", "_").replace("..", "__")
    words = [word for word in text.split("\0") if not word.startswith("--st")]
    if not words or words[0] not in {line.partition("\0")[0] for line in _LINES}:
        return None
    with walnut.open(stores.scratch() / "commands") as m:
        m.remember("something", key="key1")
    out, err, before = io.StringIO(), io.StringIO(), os.getcwd()
    os.chdir(stores.scratch())
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), patch.object(sys, "stdin", out):
            code = main([*words, "--store", "commands"])
    finally:
        os.chdir(before)
    assert code in MEANING, f"exit code {code}"
    assert "Traceback" not in err.getvalue()
    return code or "done"


def targets() -> list[Target]:
    """All of them."""
    cursor = _shared().list(limit=2).cursor
    assert cursor is not None
    found = [
        Target(name="cursor", seeds=[cursor.encode()], read=_page, sealed=True),
        Target(name="plan-id", seeds=[_plan_seed()], read=_plan, sealed=True),
        Target(name="command-line", seeds=[line.encode() for line in _LINES], read=_command, refusals=()),
    ]
    if "tool-call" in NAMES:
        calls = [json.dumps({"name": name, "arguments": given}).encode() for name, given in _CALLS]
        found.append(Target(name="tool-call", seeds=calls, read=_tool_call, refusals=(WalnutError,)))
    return found

"""Formats that are imported: our own export, chats, JSON lines, Markdown, the reference memory server's file."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from hashlib import blake2b

import walnut
from tests.fuzz import stores
from tests.fuzz.target import Target
from walnut import Memory, WalnutError
from walnut.interchange import import_file
from walnut.interchange.exporting import export_lines

NAMES = ("export-adopted", "export-remapped", "export-part", "jsonl", "chat", "markdown", "graph", "guessed")
JSONL = (
    b'{"content":"Prefers CSV","tags":["a"],"confidence":0.5,"source":"notes.txt","created_at":1767225600,"rating":5}\n'
    b'{"text":"other","tags":"b","data":{"x":1},"ttl":"90d","key":"k","valid_from":"2026-01-01","valid_until":null}\n'
    b'{"memory":"third","occurred_at":1767225600123,"idempotency_key":"i","caused_by":[1],"embedding":[0.5,1]}\n'
)
CHAT = (
    b'{"role":"system","content":"Be brief"}\n'
    b'{"role":"user","content":[{"type":"text","text":"hello"},{"type":"image_url"}],"timestamp":"2026-01-01T00:00:00Z"}\n'
    b'{"role":"assistant","content":null,"tool_calls":[{}]}\n{"role":"tool","name":"t","content":"4","message_id":"m"}\n'
)
CHATS = (
    b'[{"id":"c1","messages":[{"role":"user","content":"hi","create_time":1.5}]},'
    b'{"conversation_id":7,"messages":[{"role":"assistant","content":"yes","model":"x"}]}]'
)
MARKDOWN = (
    b"---\ntitle: x\n---\n# Style\n- Use ruff\n  - always\n    1. or so\n* * *\nSetext\n======\nA paragraph\nof two\n"
    b"lines\n\n```python\nprint(1)\n```\n<!-- a comment\n-->\n## Other ##\n- [ ] open\n"
)
GRAPH = (
    b'{"type":"entity","name":"Ann","entityType":"person","observations":["likes tea","",  "lives in Berlin"]}\n'
    b'{"type":"relation","from":"Ann","to":"Bob","relationType":"knows_of"}\n'
)
GRAPHS = (
    b'{"entities":[{"name":"Ann","entityType":"person","observations":["tea"]}],'
    b'"relations":[{"from":"Ann","to":"Bob","relationType":"knows"}]}'
)


def _still_works(m: Memory) -> None:
    """What was let in can be folded, read, exported and told from damage."""
    m.wait()
    m.list(limit=100, below=True)
    m.recall("invoice csv tea", below=True)
    m.context("invoice")
    m.plan_revert(since="1970-01-01")
    assert list(export_lines(m))
    assert m.log.verify().ok
    assert all(check.ok for check in m.upkeep.verify_views())


def _taken(data: bytes, *, name: str, form: str | None, prepare: Callable[[Memory], object], scope: str) -> object:
    with walnut.open("memory://", scope=scope) as m:
        prepare(m)
        told = []
        for skip_bad in (False, True):
            try:
                stream = io.BytesIO(data)
                told.append(import_file(m, name, format=form, stream=stream, skip_bad=skip_bad, assume_utc=skip_bad))
            except WalnutError:
                continue
        try:
            _still_works(m)
        except WalnutError as error:
            raise AssertionError(f"let in, and then {error}") from error
    return told or None


def _nothing(_: Memory) -> None:
    """An empty store."""


def _written(m: Memory) -> None:
    m.remember("something else", key="key1")


def export(scope: str) -> bytes:
    """An export of a small store, the events of a scope."""
    with walnut.open("memory://", scope="global") as m:
        stores.remember(m)
        return b"".join(export_lines(m.bind(scope=scope)))


def sign_export(data: bytes) -> bytes:
    """The last line made good: the number of events, the digest of all lines before."""
    lines = [line.rstrip(b"\r\n") for line in data.splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith(b'{"walnut_export_end"')]
    body = b"".join(line + b"\n" for line in lines)
    end = {"walnut_export_end": len(lines) - 1, "digest": blake2b(body, digest_size=16).hexdigest()}
    return body + json.dumps(end, separators=(",", ":")).encode() + b"\n"


def _target(
    name: str,
    seeds: list[bytes],
    *,
    file: str = "x.jsonl",
    form: str | None = None,
    prepare: Callable[[Memory], object] = _nothing,
    scope: str = "global",
) -> Target:
    own = form == "walnut"
    return Target(
        name=name,
        seeds=seeds,
        read=lambda data: _taken(data, name=file, form=form, prepare=prepare, scope=scope),
        sign=sign_export if own else None,
    )


def targets() -> list[Target]:
    """All of them."""
    whole, part = export("global"), export("user:a")
    return [
        _target("export-adopted", [whole], form="walnut"),
        _target("export-remapped", [whole, part], form="walnut", prepare=_written),
        _target("export-part", [part], form="walnut", scope="user:a"),
        _target("jsonl", [JSONL], form="jsonl"),
        _target("chat", [CHAT, CHATS], form="chat"),
        _target("markdown", [MARKDOWN], file="MEMORY.md"),
        _target("graph", [GRAPH, GRAPHS], form="mcp"),
        _target("guessed", [JSONL, CHAT, CHATS, GRAPH, GRAPHS, part]),
    ]

"""The verbs by name: which module holds each, its group and its summary; help needs nothing more."""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """Where a verb lives and what it does in half a line."""

    module: str
    group: str
    summary: str


#: In the order help shows them.
VERBS: dict[str, Entry] = {
    "remember": Entry("writing", "Write", "store a memory, return when it is on disk"),
    "forget": Entry("writing", "Write", "retract a memory; its history stays"),
    "import": Entry("transfer", "Write", "take in JSONL, chats, Markdown, other memory files, an export"),
    "recall": Entry("reading", "Read", "search memories, best first"),
    "context": Entry("reading", "Read", "prompt-ready text with citations, within a token budget"),
    "get": Entry("reading", "Read", "show one memory"),
    "list": Entry("reading", "Read", "show memories, newest first"),
    "history": Entry("reading", "Read", "show every version of a memory"),
    "why": Entry("reading", "Read", "explain a memory down to the events it rests on"),
    "eval": Entry("evaluate", "Read", "measure recall on your own questions"),
    "log": Entry("events", "Govern", "show the events of the log, or follow them"),
    "revert": Entry("undo", "Govern", "undo events and what was derived from them"),
    "export": Entry("transfer", "Govern", "write everything as JSONL that imports to equal views"),
    "stats": Entry("upkeep", "Govern", "show counts and sizes"),
    "verify": Entry("health", "Care", "check every bit of the log, or the views against a replay"),
    "repair": Entry("health", "Care", "salvage a damaged log"),
    "doctor": Entry("doctor", "Care", "check this machine and say what can be promised on it"),
    "checkpoint": Entry("upkeep", "Care", "write a verified snapshot of the views"),
    "rebuild": Entry("upkeep", "Care", "build the views anew from the log"),
    "demo": Entry("demo", "More", "show in a few seconds what Walnut does, on real files"),
    "mcp": Entry("mcp", "More", "serve a store to an MCP client over stdio"),
    "completion": Entry("completion", "More", "print a script that completes commands in a shell"),
}

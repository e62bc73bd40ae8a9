"""Walnut: durable memory for AI agents. A write-ahead log is the truth; everything read from is a view of it.

>>> import walnut
>>> with walnut.open("memory://") as m:
...     ack = m.remember("Prefers CSV exports", tags=["preference"])
...     [hit.text for hit in m.recall("which export format?")]
['Prefers CSV exports']
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from walnut import aio
    from walnut.errors import (
        AccessDenied,
        DurabilityUnknown,
        EmbedderFailed,
        FormatTooNew,
        IdempotencyConflict,
        ImportRejected,
        InvalidArgument,
        LogBusy,
        LogCorruption,
        NotAStore,
        NotFound,
        ScopeError,
        StalePlan,
        StorageFailed,
        StorageFull,
        StoreClosed,
        UnsupportedFileSystem,
        UnsupportedPlatform,
        VersionConflict,
        ViewFailed,
        ViewLag,
        WalnutError,
    )
    from walnut.memory import Memory, open
    from walnut.memory_at import MemoryAt
    from walnut.model.contexts import Context, LeftOut, Line
    from walnut.model.event import Content, Event
    from walnut.model.results import (
        Ack,
        Conflict,
        Embedding,
        Explanation,
        Finding,
        Hit,
        IndexStatus,
        MemoryRecord,
        Page,
        Part,
        PlanItem,
        Position,
        Related,
        RepairReport,
        RevertPlan,
        Stats,
        Step,
        VerifyReport,
        Version,
        ViewCheck,
        ViewStatus,
    )
    from walnut.offline import repair, verify

__version__ = "0.1.0"

__all__ = [
    "AccessDenied",
    "Ack",
    "Conflict",
    "Content",
    "Context",
    "DurabilityUnknown",
    "EmbedderFailed",
    "Embedding",
    "Event",
    "Explanation",
    "Finding",
    "FormatTooNew",
    "Hit",
    "IdempotencyConflict",
    "ImportRejected",
    "IndexStatus",
    "InvalidArgument",
    "LeftOut",
    "Line",
    "LogBusy",
    "LogCorruption",
    "Memory",
    "MemoryAt",
    "MemoryRecord",
    "NotAStore",
    "NotFound",
    "Page",
    "Part",
    "PlanItem",
    "Position",
    "Related",
    "RepairReport",
    "RevertPlan",
    "ScopeError",
    "StalePlan",
    "Stats",
    "Step",
    "StorageFailed",
    "StorageFull",
    "StoreClosed",
    "UnsupportedFileSystem",
    "UnsupportedPlatform",
    "VerifyReport",
    "Version",
    "VersionConflict",
    "ViewCheck",
    "ViewFailed",
    "ViewLag",
    "ViewStatus",
    "WalnutError",
    "__version__",
    "aio",
    "open",
    "repair",
    "verify",
]

# Found on first use, so that `import walnut` costs nothing that is not needed.
_HOMES = {
    **dict.fromkeys(("Memory", "open"), "memory"),
    "MemoryAt": "memory_at",
    **dict.fromkeys(("Content", "Event"), "model.event"),
    **dict.fromkeys(("Context", "LeftOut", "Line"), "model.contexts"),
    **dict.fromkeys(("repair", "verify"), "offline"),
    **dict.fromkeys(
        (
            *("Ack", "Conflict", "Embedding", "Explanation", "Finding", "Hit", "IndexStatus"),
            *("MemoryRecord", "Page", "Part", "PlanItem", "Position", "Related", "RepairReport", "RevertPlan"),
            *("Stats", "Step", "VerifyReport", "Version", "ViewCheck", "ViewStatus"),
        ),
        "model.results",
    ),
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'walnut' has no attribute {name!r}")
    from importlib import import_module

    if name == "aio":
        return import_module("walnut.aio")
    found: object = getattr(import_module(f"walnut.{_HOMES.get(name, 'errors')}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

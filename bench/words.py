"""What the tables of a comparison say, in words: who lost, who is faster than Walnut and who is not."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from bench import tables
from bench.contenders import CONTENDERS, WALNUT
from bench.findings import Comparison
from bench.tables import label
from bench.writers import BESIDE, PGBENCH_NAME

#: What is known of a loss, from reading the code that loses.
_WHY = {
    "mcp-memory": ": each request reads the whole file, adds to it and writes it whole, so that of requests under way "
    "at the same time the last one wins"
}
_BY_NAME = {contender.name: contender for contender in CONTENDERS}


def persisted(found: Comparison) -> list[str]:
    """Who lost what it had acknowledged, and who did not sync."""
    lost = {each.name: sum(count.lost for count in each.counts.values()) for each in found.persisted}
    losers = [name for name, number in lost.items() if number]
    kept = [name for name, number in lost.items() if not number]
    said = []
    if kept:
        said.append(f"Everything acknowledged was found again: {_names(kept)}.")
    for each in found.persisted:
        if each.name in losers:
            acknowledged = sum(count.acknowledged for count in each.counts.values())
            said.append(
                f"{label(each.name)} lost {lost[each.name]:,} of {acknowledged:,} acknowledged writes"
                f"{_WHY.get(each.name, '')}."
            )
        refused = sum(count.refused for count in each.counts.values())
        if refused:
            reason = next(count.refusal for count in each.counts.values() if count.refused)
            said.append(
                f"{label(each.name)} refused {refused:,} writes, which is no loss (the first: {_plain(reason)})."
            )
    unsynced = [each.name for each in found.persisted if each.syncs is not None and each.syncs < 0.5]
    if unsynced:
        said.append(
            f"A kill leaves what the operating system has; a power cut does not. No sync before the answer: "
            f"{_names(unsynced)}. What these acknowledged last may be gone when the power goes."
        )
    return said


def writers(found: Comparison) -> list[str]:
    """Who commits more a second than Walnut at the same promise, with few writers and with many."""
    counts = sorted({count for speed in found.speeds for count in speed.rates})
    chosen = [count for count in (1, 8, 64, 256) if count in counts]
    said = []
    for count in chosen:
        rates = {speed.name: tables.rate(speed, count) or 0.0 for speed in found.speeds if count in speed.rates}
        what = "one writer" if count == 1 else f"{count} writers"
        said.append(f"With {what}: {_beside(rates, more_is_better=True)}")
        if count in (1, 64) and "walnut-mcp" in rates and "mcp-memory" in rates:
            said.append(
                f"Over MCP with {what}: {rates['mcp-memory']:,.0f} a second by the reference server, which syncs "
                f"nothing, {rates['walnut-mcp']:,.0f} by Walnut's, which syncs."
            )
    refused = [speed for speed in found.speeds if speed.refused]
    said += [
        f"{label(speed.name)} refused {speed.refused:,} writes (the first: {_plain(speed.refusal)})."
        for speed in refused
    ]
    return said


def latency(found: Comparison) -> list[str]:
    """The same of the slowest write in a hundred."""
    said = []
    for count, what in ((1, "one writer"), (64, "64 writers")):
        p99 = {speed.name: speed.percentiles[count][2] for speed in found.speeds if count in speed.percentiles}
        if p99:
            said.append(f"p99 with {what}: {_beside(p99, more_is_better=False)}")
    few = [label(speed.name) for speed in found.speeds if 0 < min(speed.writes.values(), default=1_000) < 1_000]
    if few:
        said.append(f"Of {', '.join(few)} there were fewer than 1,000 writes: their p99.9 is the slowest one.")
    return said


def batches(found: Comparison) -> list[str]:
    """The same of batches."""
    from statistics import median

    rates = {speed.name: median(speed.batches) for speed in found.speeds if speed.batches}
    return [_beside(rates, more_is_better=True)] if rates else []


def reopened(found: Comparison) -> list[str]:
    """The same of reopening at the largest size, and who was not measured there."""
    from statistics import median

    said = []
    sizes = sorted({size for each in found.reopened for size in each.closed})
    if sizes:
        values = {each.name: median(each.killed[sizes[-1]]) for each in found.reopened if sizes[-1] in each.killed}
        said.append(f"{sizes[-1]:,} events, killed: {_beside(values, more_is_better=False)}")
    for each in found.reopened:
        said += [f"{label(each.name)} at {size:,}: {note}." for size, note in each.notes.items()]
    return said


def bytes_on_disk(found: Comparison) -> list[str]:
    """The same of bytes at the largest size."""
    sizes = sorted({size for each in found.reopened for size in each.bytes})
    if not sizes:
        return []
    values = {each.name: each.bytes[sizes[-1]] for each in found.reopened if sizes[-1] in each.bytes}
    said = [f"At {sizes[-1]:,} events: {_beside(values, more_is_better=False, better='smaller', worse='larger')}"]
    for each in found.reopened:
        parts = ", ".join(f"{part} {number:,.0f}" for part, number in each.parts.items())
        said += [f"{label(each.name)}'s bytes an event, folder by folder: {parts}."] if parts else []
    return said


def missing(found: Comparison) -> list[str]:
    """Who could not be measured, and why."""
    return [f"Not measured: {label(name)} ({_plain(why)})." for name, why in found.missing.items()]


def _beside(values: Mapping[str, float], *, more_is_better: bool, better: str = "faster", worse: str = "slower") -> str:
    """Each other party that makes Walnut's promise, as so many times better or worse than Walnut."""
    ours = values.get(WALNUT)
    if not ours:
        return "Walnut was not measured."
    peers = {name: value for name, value in values.items() if _peer(name) and value}
    quotient: Callable[[float], float] = (lambda v: v / ours) if more_is_better else (lambda v: ours / v)
    ahead = {name: quotient(value) for name, value in peers.items() if quotient(value) > 1.05}
    level = [name for name, value in peers.items() if 0.95 <= quotient(value) <= 1.05]
    behind = {name: 1 / quotient(value) for name, value in peers.items() if quotient(value) < 0.95}
    parts = [
        f"{better} than Walnut: {_times(ahead)}" if ahead else f"no peer is {better} than Walnut",
        f"level: {_names(level)}" if level else "",
        f"{worse}: {_times(behind)}" if behind else "",
    ]
    return "; ".join(part for part in parts if part) + "."


def _peer(name: str) -> bool:
    if name in BESIDE:
        return name == PGBENCH_NAME
    contender = _BY_NAME[name]
    return not name.startswith(WALNUT) and contender.promise == "disk"


def _times(values: Mapping[str, float]) -> str:
    ordered = sorted(values.items(), key=lambda item: -item[1])
    return ", ".join(f"{label(name)} {value:.1f}x" for name, value in ordered)


def _plain(reason: str) -> str:
    """Without the folders of one machine."""
    return re.sub(r"(?<![\w.])/[^\s\"']*/", "", reason)


def _names(names: list[str]) -> str:
    return ", ".join(label(name) for name in names)

"""Tables of recall beside other stores, and what they say in words."""

from __future__ import annotations

from collections.abc import Sequence

from bench.contestants import BY_NAME, Measured
from bench.growth import Grown
from bench.recalled import percent
from bench.tables import Table, significant


def side(found: Sequence[Measured]) -> Table:
    """A row a store."""
    head = ["store", "R@5", "R@10", "MRR", "worst conversation, R@10", "query, CPU ms: p50", "p95"]
    head += ["to take all in, s", "of CPU", "MB on disk"]
    rows = []
    for each in found:
        all_ = each.found.everything
        shares = [percent(all_.at_5), percent(all_.at_10), f"{all_.mrr:.3f}", percent(each.found.worst.at_10)]
        times = [significant(each.query_p50_ms), significant(each.query_p95_ms)]
        costs = [significant(each.ingest_s), significant(each.ingest_cpu_s), significant(each.bytes / 1e6)]
        rows.append([BY_NAME[each.name].label, *shares, *times, *costs])
    return Table("Side by side", head, rows)


def by_category(found: Sequence[Measured]) -> Table:
    """R@10 category by category."""
    head = ["R@10", *(f"{each.name} ({each.questions})" for each in found[0].found.categories)]
    rows = [[BY_NAME[each.name].label, *(percent(part.at_10) for part in each.found.categories)] for each in found]
    return Table("Category by category", head, rows)


def said(found: Sequence[Measured]) -> list[str]:
    """Where another store finds more than Walnut as it comes, and whose questions are whose."""
    ours = next((each for each in found if each.name == "walnut"), None)
    if ours is None:
        return []
    sentences = []
    for other in found:
        if other.name.startswith("walnut"):
            continue
        label = BY_NAME[other.name].label
        pairs = zip(ours.found.categories, other.found.categories, strict=True)
        ahead = [f"{theirs.name} ({percent(theirs.at_10)} to {percent(mine.at_10)})" for mine, theirs in pairs
                 if theirs.at_10 > mine.at_10]  # fmt: skip
        mine_alone = len(set(ours.answered) - set(other.answered))
        theirs_alone = len(set(other.answered) - set(ours.answered))
        higher = other.found.everything.mrr > ours.found.everything.mrr
        sentences.append(
            f"{label} finds more than Walnut in {', '.join(ahead) if ahead else 'no category'}"
            f"{', and what it finds stands higher (MRR)' if higher else ''}. Questions that only "
            f"Walnut answers among its first ten: {mine_alone}; that only {label} does: {theirs_alone}."
        )
    return sentences


def growing(found: Sequence[Grown]) -> Table:
    """A row a size."""
    head = ["memories", "scopes", "hybrid p50, p95 ms", "CPU ms", "words alone p50, p95 ms", "open and first, ms"]
    head += ["applied a second", "CPU µs each", "peak MB, applying and searching", "MB on disk"]
    rows = [
        [
            f"{each.memories:,}",
            f"{each.scopes:,}",
            f"{significant(each.p50_ms)}, {significant(each.p95_ms)}",
            significant(each.cpu_ms),
            f"{significant(each.keyword_p50_ms)}, {significant(each.keyword_p95_ms)}",
            f"{each.open_ms:,.0f}",
            f"{each.applied:,.0f}",
            f"{each.applied_cpu_us:.0f}",
            f"{each.applying_mb:,.0f}, {each.peak_mb:,.0f}",
            f"{each.disk_mb:,.0f}",
        ]
        for each in found
    ]
    return Table("Growth", head, rows)

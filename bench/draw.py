"""`python -m bench.draw <comparison.json> <folder>`: the plots of a comparison; runs where matplotlib is.

One colour, marker and line for each party, everywhere: from the palette of Okabe and Ito, and two of Tol's, so that
they stay apart for the colour-blind; variants of one party share its colour and differ in line and marker.
"""

from __future__ import annotations

import json
import sys
from io import BytesIO
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, TypedDict

import matplotlib as mpl
from PIL import Image

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.ticker import LogLocator, NullLocator

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GOOD, BAD, EMPTY, INK = "#DCEBF5", "#D55E00", "#F3F3F3", "#222222"


class Style(TypedDict):
    """How a party is drawn."""

    label: str
    colour: str
    marker: str
    line: str
    walnut: bool


class Counted(TypedDict):
    """Writes acknowledged, and those found again."""

    acknowledged: int
    found: int


class Persisted(TypedDict):
    """One party's ways of writing."""

    name: str
    counts: dict[str, Counted]


class Speed(TypedDict):
    """One party's rates and milliseconds, by number of writers."""

    name: str
    rates: dict[str, list[float]]
    percentiles: dict[str, list[float]]


class Reopened(TypedDict):
    """One party's seconds and bytes, by events held."""

    name: str
    closed: dict[str, list[float]]
    killed: dict[str, list[float]]
    bytes: dict[str, float]
    parts: dict[str, float]


class Found(TypedDict):
    """What `bench.findings.Comparison` holds."""

    persisted: list[Persisted]
    speeds: list[Speed]
    reopened: list[Reopened]
    text_bytes: float


class Drawing(TypedDict):
    """The file: what was found, and the styles."""

    styles: dict[str, Style]
    ways: list[str]
    caption: str
    found: Found


def main() -> None:
    """Draw what there is."""
    drawing: Drawing = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    folder = Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "w"})
    for name, plot in (
        ("persisted", persisted),
        ("writers", writers),
        ("latency", latency),
        ("reopened", reopened),
        ("bytes", bytes_on_disk),
    ):
        figure = plot(drawing)
        if figure is not None:
            save(figure, folder / f"{name}.png", drawing["caption"])


def save(figure: Figure, file: Path, caption: str) -> None:
    """Small: 96 colours are enough for what is drawn here."""
    room = 0.25 / figure.get_figheight()
    figure.get_layout_engine().set(rect=(0, room, 1, 1 - room))
    figure.text(0.995, 0.006, caption, ha="right", va="bottom", fontsize=6.5, color="#777777")
    whole = BytesIO()
    figure.savefig(whole, dpi=110)
    plt.close(figure)
    with Image.open(whole) as image:
        image.convert("RGB").quantize(96, dither=Image.Dither.NONE).save(file, optimize=True)


def persisted(drawing: Drawing) -> Figure | None:
    """A row for each party, a cell for each way of writing: the share of the acknowledged that was found."""
    rows = drawing["found"]["persisted"]
    ways = [way for way in drawing["ways"] if any(way in row["counts"] for row in rows)]
    if not rows:
        return None
    figure, axes = plt.subplots(figsize=(8.6, 0.36 * len(rows) + 1.5), layout="constrained")
    for y, row in enumerate(rows):
        for x, way in enumerate(ways):
            count = row["counts"].get(way)
            _cell(axes, x, y, count)
    axes.set_xlim(-0.5, len(ways) - 0.5)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xticks(range(len(ways)), [way.replace(", ", ",\n") for way in ways])
    axes.xaxis.tick_top()
    axes.set_yticks(range(len(rows)), [drawing["styles"][row["name"]]["label"] for row in rows])
    for tick, row in zip(axes.get_yticklabels(), rows, strict=True):
        tick.set_fontweight("bold" if drawing["styles"][row["name"]]["walnut"] else "normal")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    figure.suptitle("Found again of acknowledged writes (orange: some were lost)", fontsize=10.5, x=0.01, ha="left")
    return figure


def _cell(axes: Axes, x: int, y: int, count: Counted | None) -> None:
    if count is None:
        colour, text, ink = EMPTY, "not measured", "#777777"
    else:
        lost = count["acknowledged"] - count["found"]
        colour, ink = (BAD, "white") if lost else (GOOD, INK)
        text = f"{count['found']:,} of {count['acknowledged']:,}"
    axes.add_patch(plt.Rectangle((x - 0.48, y - 0.44), 0.96, 0.88, color=colour, linewidth=0))
    axes.text(
        x, y, text, ha="center", va="center", color=ink, fontsize=8.5, fontweight="bold" if ink == "white" else "normal"
    )


def writers(drawing: Drawing) -> Figure | None:
    """Commits a second over writers, both logarithmic; each line is named at its right end."""
    rows = [row for row in drawing["found"]["speeds"] if row["rates"]]
    if not rows:
        return None
    figure, axes = plt.subplots(figsize=(8.6, 5.4), layout="constrained")
    ends = []
    for row in rows:
        style = drawing["styles"][row["name"]]
        points = sorted((int(count), median(rates)) for count, rates in row["rates"].items())
        _line(axes, points, style)
        ends.append((points[-1][1], style))
    counts = sorted({int(count) for row in rows for count in row["rates"]})
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.minorticks_off()
    axes.set_xlim(counts[0] * 0.9, counts[-1] * 1.1)
    steps(axes)
    _names(axes, ends, counts[-1] * 1.15)
    axes.grid(visible=True, color="#E5E5E5", linewidth=0.6)
    axes.set_xlabel("writers at once")
    axes.set_ylabel("acknowledged commits a second")
    axes.set_title("One text of some 260 bytes a commit; higher is better", loc="left", fontsize=10.5)
    return figure


def steps(axes: Axes) -> None:
    """Numbers at 1, 2 and 5 of each power of ten: a logarithmic axis of two powers has few otherwise."""
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")


def _line(axes: Axes, points: list[tuple[int, float]], style: Style) -> None:
    axes.plot(
        [x for x, _ in points],
        [y for _, y in points],
        color=style["colour"],
        marker=style["marker"],
        linestyle=style["line"],
        linewidth=2.4 if style["walnut"] else 1.3,
        markersize=6 if style["walnut"] else 5,
        markeredgecolor="white",
        markeredgewidth=0.6,
        zorder=3 if style["walnut"] else 2,
        label=style["label"],
    )


def _names(axes: Axes, ends: list[tuple[float, Style]], x: float) -> None:
    """Names beside the ends of lines, moved apart where they would touch (the axis is logarithmic)."""
    import math

    low, high = (math.log10(bound) for bound in axes.get_ylim())
    apart = (high - low) / 25
    ends = sorted(ends, key=lambda end: end[0])
    places = [math.log10(value) for value, _ in ends]
    for _ in range(200):
        for lower in range(len(places) - 1):
            gap = places[lower + 1] - places[lower]
            if gap < apart:
                places[lower] -= (apart - gap) / 2
                places[lower + 1] += (apart - gap) / 2
    for place, (value, style) in zip(places, ends, strict=True):
        axes.annotate(
            style["label"],
            xy=(x / 1.12, value),
            xytext=(x * 1.12, 10**place),
            color=style["colour"],
            fontsize=8.5,
            fontweight="bold" if style["walnut"] else "normal",
            va="center",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": style["colour"],
                "linewidth": 0.5,
                "relpos": (0, 0.5),  # from the left of the name: a line from its middle strikes names through
                "shrinkA": 0,
                "shrinkB": 0,
            },
        )


def latency(drawing: Drawing) -> Figure | None:
    """From p50 to p99.9 for each party, with one writer and with many."""
    rows = [row for row in drawing["found"]["speeds"] if row["percentiles"]]
    if not rows:
        return None
    counts = sorted({int(count) for row in rows for count in row["percentiles"]})
    figure, panels = plt.subplots(
        1, len(counts), sharey=True, figsize=(8.6, 0.32 * len(rows) + 1.6), layout="constrained", squeeze=False
    )
    for axes, count in zip(panels[0], counts, strict=True):
        for y, row in enumerate(rows):
            values = row["percentiles"].get(str(count))
            if values:
                _span(axes, y, values, drawing["styles"][row["name"]])
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.grid(visible=True, axis="x", color="#E5E5E5", linewidth=0.6)
        axes.set_xlabel("milliseconds a write")
        axes.set_title("one writer" if count == 1 else f"{count} writers at once", fontsize=9.5, loc="left")
        axes.tick_params(axis="y", length=0)
    panels[0][0].set_yticks(range(len(rows)), [drawing["styles"][row["name"]]["label"] for row in rows])
    panels[0][0].set_ylim(len(rows) - 0.4, -0.6)
    for tick, row in zip(panels[0][0].get_yticklabels(), rows, strict=True):
        tick.set_fontweight("bold" if drawing["styles"][row["name"]]["walnut"] else "normal")
    title = "Latency: ● p50, thick to p95, | p99, thin to p99.9; left is better"
    figure.suptitle(title, fontsize=10.5, x=0.01, ha="left")
    return figure


def _span(axes: Axes, y: int, values: list[float], style: Style) -> None:
    p50, p95, p99, p999 = values
    axes.plot([p50, p999], [y, y], color=style["colour"], linewidth=1)
    axes.plot([p50, p95], [y, y], color=style["colour"], linewidth=4.5, solid_capstyle="butt")
    axes.plot([p99], [y], color=style["colour"], marker="|", markersize=9, markeredgewidth=1.6)
    axes.plot([p50], [y], color=style["colour"], marker="o", markersize=6, markeredgecolor="white", markeredgewidth=0.6)


def reopened(drawing: Drawing) -> Figure | None:
    """Seconds to the first read over events held, closed well and killed."""
    rows = drawing["found"]["reopened"]
    if not rows:
        return None
    figure, panels = plt.subplots(1, 2, sharey=True, figsize=(8.6, 4.2), layout="constrained")
    for axes, killed in zip(panels, (False, True), strict=True):
        for row in rows:
            times = row["killed"] if killed else row["closed"]
            points = sorted((int(size), median(seconds) * 1_000) for size, seconds in times.items() if seconds)
            _line(axes, points, drawing["styles"][row["name"]])
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
        axes.grid(visible=True, color="#E5E5E5", linewidth=0.6)
        axes.set_xlabel("events held")
        axes.set_title("killed while open" if killed else "closed well before", fontsize=9.5, loc="left")
    panels[0].set_ylabel("milliseconds to the first read")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False, fontsize=8.5)
    figure.suptitle("Reopening, server start included; lower is better", fontsize=10.5, x=0.01, ha="left")
    return figure


def bytes_on_disk(drawing: Drawing) -> Figure | None:
    """Bars of bytes an event, at the largest size each reached."""
    rows = [(row, max(map(int, row["bytes"]))) for row in drawing["found"]["reopened"] if row["bytes"]]
    if not rows:
        return None
    figure, axes = plt.subplots(figsize=(8.6, 0.36 * len(rows) + 1.3), layout="constrained")
    longest = max(row["bytes"][str(size)] for row, size in rows)
    for y, (row, size) in enumerate(rows):
        colour, whole, left = drawing["styles"][row["name"]]["colour"], row["bytes"][str(size)], 0.0
        for number, (part, value) in enumerate((row["parts"] or {"": whole}).items()):
            axes.barh(y, value, left=left, color=colour, height=0.62, alpha=1 - 0.24 * number, edgecolor="white")
            if value > 0.09 * longest and part:
                axes.text(left + value / 2, y, part, va="center", ha="center", fontsize=8, color="white")
            left += value
        axes.text(whole, y, f" {whole:,.0f}", va="center", fontsize=8.5)
    axes.set_xlim(0, longest * 1.08)
    text = drawing["found"]["text_bytes"]
    axes.axvline(text, color=INK, linewidth=0.9, linestyle="--")
    axes.text(text, -0.75, f" its text: {text:.0f}", fontsize=8, color=INK, va="bottom")
    axes.set_yticks(range(len(rows)), [drawing["styles"][row["name"]]["label"] for row, _ in rows])
    for tick, (row, _) in zip(axes.get_yticklabels(), rows, strict=True):
        tick.set_fontweight("bold" if drawing["styles"][row["name"]]["walnut"] else "normal")
    axes.set_ylim(len(rows) - 0.5, -0.7)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(f"bytes on the disk an event, at {max(size for _, size in rows):,} events; less is better")
    axes.set_title(
        "Space for an event; Walnut's includes an index for searching and its checkpoint",
        loc="left",
        fontsize=10.5,
        pad=14,
    )
    return figure


if __name__ == "__main__":
    main()

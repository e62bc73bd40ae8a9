"""`python -m bench.draw_recall <run.json> <styles.json> <folder>`: plots of recall; runs where matplotlib is."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from bench.draw import INK, save, steps

from matplotlib import pyplot as plt  # isort: skip - `bench.draw` chooses how it draws, first

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Share(TypedDict):
    """What was found."""

    name: str
    at_10: float


class Found(TypedDict):
    """All of it, and category by category."""

    everything: Share
    categories: list[Share]


class Peer(TypedDict):
    """One party."""

    name: str
    found: Found
    query_p50_ms: float


class Grown(TypedDict):
    """One size."""

    memories: int
    scopes: int
    p50_ms: float
    p95_ms: float


class Style(TypedDict):
    """How a party is drawn."""

    label: str
    colour: str


class Run(TypedDict):
    """The file, as far as it is drawn."""

    data: str
    peers: list[Peer]
    growth: list[Grown]


def main() -> None:
    """Draw what there is."""
    run: Run = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    styles: dict[str, Style] = json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
    folder = Path(sys.argv[3])
    folder.mkdir(parents=True, exist_ok=True)
    plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    if run["peers"]:
        save(recall(run, styles), folder / "recall.png", run["data"].replace("`", ""))
    if run["growth"]:
        save(growth(run), folder / "growth.png", "hybrid recall, k = 10, notes of some 260 characters")


def recall(run: Run, styles: dict[str, Style]) -> Figure:
    """Left: a dot a store, recall over the CPU of a query. Right: a row a store, a cell a category."""
    figure, (axes, cells) = plt.subplots(1, 2, figsize=(10.4, 4.4), layout="constrained", width_ratios=(1, 1.25))
    points = []
    for peer in run["peers"]:
        style, share = styles[peer["name"]], 100 * peer["found"]["everything"]["at_10"]
        marker = "o" if peer["name"].startswith("walnut") else "^"
        axes.plot(peer["query_p50_ms"], share, color=style["colour"], marker=marker, markersize=8)
        points.append((share, peer["query_p50_ms"], style))
    low, high = axes.get_ylim()
    place = low - high
    for share, x, style in sorted(points, key=lambda point: point[0]):
        place = max(share, place + (high - low) / 20)  # names that would touch are moved apart, upwards
        axes.annotate(
            style["label"],
            (x, share),
            xytext=(x * 1.25, place),
            va="center",
            fontsize=8,
            color=style["colour"],
            fontweight="bold" if style["label"] == "Walnut" else "normal",
            arrowprops={"arrowstyle": "-", "color": style["colour"], "linewidth": 0.5},
        )
    axes.set_xscale("log")
    axes.set_xlim(axes.get_xlim()[0] * 0.7, axes.get_xlim()[1] * 4)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_xlabel("CPU of a query, milliseconds (median)")
    axes.set_ylabel("recall@10, percent")
    axes.grid(visible=True, color="#E5E5E5", linewidth=0.6)
    names = [each["name"] for each in run["peers"][0]["found"]["categories"]]
    shares = [[100 * each["at_10"] for each in peer["found"]["categories"]] for peer in run["peers"]]
    cells.imshow(shares, cmap="Blues", vmin=0, vmax=130, aspect="auto")
    for y, row in enumerate(shares):
        for x, share in enumerate(row):
            cells.text(x, y, f"{share:.0f}", ha="center", va="center", color=INK, fontsize=9)
    cells.set_xticks(range(len(names)), names)
    cells.set_yticks(range(len(shares)), [styles[peer["name"]]["label"] for peer in run["peers"]])
    cells.xaxis.tick_top()
    cells.tick_params(length=0)
    cells.spines[:].set_visible(False)
    figure.suptitle("Recall@10: higher and further left is better", fontsize=10.5, x=0.01, ha="left")
    return figure


def growth(run: Run) -> Figure:
    """Milliseconds over memories, a line for one scope and one for many."""
    figure, axes = plt.subplots(figsize=(8.6, 4.2), layout="constrained")
    for many, colour in ((False, "#0072B2"), (True, "#E69F00")):
        rows = sorted((row for row in run["growth"] if (row["scopes"] > 1) == many), key=lambda row: row["memories"])
        if not rows:
            continue
        where = f"{rows[0]['scopes']:,} scopes" if many else "one scope"
        sizes = [row["memories"] for row in rows]
        axes.plot(sizes, [row["p50_ms"] for row in rows], color=colour, marker="o", label=f"{where}, p50")
        axes.plot(sizes, [row["p95_ms"] for row in rows], color=colour, marker="v", ls="--", label=f"{where}, p95")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(sorted({row["memories"] for row in run["growth"]}))
    axes.minorticks_off()
    for target, name in ((10, "p50"), (25, "p95")):
        axes.axhline(target, color="#999999", linewidth=0.8, linestyle=":")
        axes.text(
            0.01,
            target,
            f"goal of {name}: {target} ms",
            transform=axes.get_yaxis_transform(),
            fontsize=7.5,
            color="#777777",
            va="bottom",
        )
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    steps(axes)
    axes.set_xlabel("memories")
    axes.set_ylabel("milliseconds a search")
    axes.set_title("A search by number of memories; lower is better", loc="left", fontsize=10.5)
    axes.grid(visible=True, color="#E5E5E5", linewidth=0.6)
    axes.legend(frameon=False, fontsize=8.5)
    return figure


if __name__ == "__main__":
    main()

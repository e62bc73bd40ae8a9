"""The comparison as text for a terminal, as sections of the documentation with plots, and as a file to draw it from."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from bench import tables, words
from bench.contenders import CONTENDERS, WALNUT
from bench.environment import PYTHON
from bench.findings import Comparison
from bench.ground import ROOT
from bench.persisted import ways
from bench.tables import Table
from bench.writers import BESIDE

PAGE = ROOT / "docs" / "why" / "benchmarks.md"
README = ROOT / "README.md"
FIGURES = ROOT / "docs" / "why" / "figures"
RESULTS = ROOT / "bench" / "results"

#: Marker in the page, table, words below it, plot and what it shows.
_SECTIONS: tuple[tuple[str, Callable[[Comparison], Table], Callable[[Comparison], list[str]], str, str], ...] = (
    ("persisted", tables.persisted, words.persisted, "persisted", "found again of acknowledged writes, store by store"),
    ("writers", tables.writers, words.writers, "writers", "commits a second over 1 to 256 writers"),
    ("latency", tables.latency, words.latency, "latency", "latency percentiles with one writer and with 64"),
    ("batches", tables.batches, words.batches, "", ""),
    ("reopened", tables.reopened, words.reopened, "reopened", "milliseconds to the first read over events held"),
    ("bytes", tables.sizes, words.bytes_on_disk, "bytes", "bytes on the disk an event"),
)


def as_text(found: Comparison) -> list[str]:
    """Every table with its words."""
    lines: list[str] = []
    for _, table, said, _, _ in _SECTIONS:
        if table(found).rows:
            lines += ["", tables.aligned(table(found)), "", *said(found)]
    missing = words.missing(found)
    versions = [", ".join(f"{name} {version}" for name, version in found.versions.items())]
    return [*lines, *(["", *missing] if missing else []), *(["", *versions] if found.versions else [])]


def write_pages(found: Comparison, measured: str) -> None:
    """Put each section that was measured between its markers; `measured` says where and when."""
    for marker, make, said, plot, shows in _SECTIONS:
        table = make(found)
        if not table.rows:
            continue
        drawn = [f"![{table.title}: {shows}](figures/{plot}.png)", ""] if (FIGURES / f"{plot}.png").is_file() else []
        replaced(PAGE, marker, [*drawn, tables.markdown(table), "", *_paragraph(said(found)), measured])
    if found.persisted:
        lines = [tables.markdown(tables.persisted(found)), "", *_paragraph(words.persisted(found)), measured]
        replaced(README, "persisted", lines)
    if found.versions:
        replaced(PAGE, "setups", [tables.markdown(_setups(found)), "", *_paragraph(words.missing(found)), measured])


def draw(found: Comparison, caption: str, *, write: bool) -> str:
    """Keep the comparison in `bench/results` and draw it; why not, where it can't be."""
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / "drawing.json"
    file.write_bytes(msgspec.json.encode({"styles": _styles(), "ways": ways(), "caption": caption, "found": found}))
    folder = FIGURES if write else RESULTS
    if not PYTHON.exists():
        return "no plots: the peers' environment, which holds matplotlib, could not be made here"
    done = subprocess.run(
        [str(PYTHON), "-m", "bench.draw", str(file), str(folder)],
        cwd=ROOT,
        check=False,
        timeout=120,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        return f"no plots: {(done.stderr.strip().splitlines() or ['unknown'])[-1]}"
    return f"plots in {folder.relative_to(ROOT)}"


def replaced(page: Path, marker: str, lines: Sequence[str]) -> None:
    """Write lines between a page's markers of that name; a page without them is left alone, and named."""
    begin, end = f"<!-- {marker}: begin -->", f"<!-- {marker}: end -->"
    text = page.read_text(encoding="utf-8")
    body = "\n".join([begin, "", *lines, "", end])
    new, count = re.subn(f"{re.escape(begin)}.*?{re.escape(end)}", lambda _: body, text, flags=re.DOTALL)
    if not count:
        print(f"{page.name} has no markers for {marker}", file=sys.stderr)
    page.write_text(re.sub(r"\n{3,}", "\n\n", new), encoding="utf-8")


def _paragraph(sentences: Sequence[str]) -> list[str]:
    lines: list[str] = []
    for sentence in sentences:
        lines += [f"- {sentence}"]
    return [*lines, ""] if lines else []


def _styles() -> dict[str, dict[str, object]]:
    styles: dict[str, dict[str, object]] = {
        each.name: {
            "label": each.label,
            "colour": each.colour,
            "marker": each.marker,
            "line": each.line,
            "walnut": each.name.startswith(WALNUT),
        }
        for each in CONTENDERS
    }
    for name, (label, colour, marker, line) in BESIDE.items():
        styles[name] = {"label": label, "colour": colour, "marker": marker, "line": line, "walnut": False}
    return styles


def _setups(found: Comparison) -> Table:
    promises = {"disk": "on disk", "process": "in the operating system", "none": "nothing"}
    rows = []
    for each in CONTENDERS:
        parts = [f"{part} {found.versions[part]}" for part in each.version_names() if part in found.versions]
        rows.append([each.label, promises[each.promise], each.setup, ", ".join(parts)])
    return Table("Settings", ["store", "an answer means", "settings", "versions"], rows)

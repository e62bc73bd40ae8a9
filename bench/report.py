"""What a run found, as an aligned table, as JSON, and as pages of the documentation."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from bench import compared
from bench.compared import PAGE, replaced
from bench.figure import Figure, Verdict
from bench.findings import Comparison
from bench.ground import ROOT

COLUMNS = ("row", "what", "measured", "at least", "aim", "verdict", "CPU µs", "beside it in the same run")
SNIPPET = ROOT / "docs" / "snippets" / "bench.md"
#: Figures that the README shows: the row, and how the figure's name starts.
_SHOWN = (
    ("remember", "remember"),
    ("concurrent", "64 threads, beside SQLite"),
    ("concurrent", "64 threads, beside PostgreSQL"),
    ("concurrent", "64 asyncio tasks, beside PostgreSQL"),
    ("many", "remember_many"),
    ("processes", "4 processes"),
    ("software", "software cost, at process, in files"),
    ("recall", "recall hybrid, 100,000"),
    ("replay", "replay"),
    ("reopen", "reopen"),
    ("start", "import and open"),
)


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run: where, of what, how thorough, and its figures."""

    machine: str
    versions: str
    settings: str
    figures: tuple[Figure, ...]
    compared: Comparison = Comparison()


def table(run: Run) -> str:
    """Aligned columns, and notes below."""
    head = [run.machine, run.versions, run.settings, ""]
    return "\n".join(head + (_figures(run) if run.figures else []) + compared.as_text(run.compared))


def _figures(run: Run) -> list[str]:
    lines = [COLUMNS, *(_cells(figure) for figure in run.figures)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(COLUMNS) - 1)]
    text = []
    for line in lines:
        padded = [cell.ljust(width) for cell, width in zip(line, widths, strict=False)]
        text.append("  ".join([*padded, line[-1]]).rstrip())
    return [*text, "", *_notes(run), summary(run)]


def summary(run: Run) -> str:
    """How many figures fell on which side."""
    verdicts = [figure.verdict for figure in run.figures if figure.at_least is not None]
    words: tuple[Verdict, ...] = ("reached aim", "reached", "below", "needs --full", "not measured")
    return "; ".join(f"{word}: {verdicts.count(word)}" for word in words)


def as_json(run: Run) -> str:
    """The same for programs, with the verdicts."""
    plain = msgspec.to_builtins(run)
    for fields, figure in zip(plain["figures"], run.figures, strict=True):
        fields["verdict"] = figure.verdict
    return msgspec.json.format(msgspec.json.encode(plain), indent=2).decode()


def write_pages(run: Run) -> None:
    """Put what was measured between the markers of the page and the README; what was not stays as it is."""
    compared.write_pages(run.compared, _machine(run)[0])
    if run.figures:
        _write_figures(run)


def _write_figures(run: Run) -> None:
    shown = [
        figure
        for row, start in _SHOWN
        for figure in run.figures
        if figure.row == row and figure.name.startswith(start) and figure.value is not None
    ]
    generated = [_markdown(run.figures), "", *_notes(run), *_machine(run), summary(run) + "."]
    replaced(PAGE, "bench", generated)
    SNIPPET.parent.mkdir(parents=True, exist_ok=True)
    SNIPPET.write_text("\n".join([_markdown(shown), "", *_machine(run)]).rstrip() + "\n", encoding="utf-8")


def _machine(run: Run) -> list[str]:
    return [f"Measured on {run.machine}; {run.versions}; {run.settings}.", ""]


def _markdown(figures: Sequence[Figure]) -> str:
    lines = [COLUMNS[1:], tuple("---" for _ in COLUMNS[1:]), *(_cells(figure)[1:] for figure in figures)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cells(figure: Figure) -> tuple[str, ...]:
    measured = "-" if figure.value is None else f"{_number(figure.value)} {figure.unit}"
    return (
        figure.row,
        figure.name,
        measured,
        _target(figure, figure.at_least),
        _target(figure, figure.aim),
        figure.verdict,
        "" if figure.cpu_us is None else _number(figure.cpu_us),
        figure.beside,
    )


def _target(figure: Figure, value: float | None) -> str:
    return "" if value is None else ("< " if figure.lower else "") + f"{value:,g}"


def _number(value: float) -> str:
    if abs(value) >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _notes(run: Run) -> list[str]:
    noted = [f"{figure.name}: {figure.note}." for figure in run.figures if figure.note]
    return [*noted, ""] if noted else []

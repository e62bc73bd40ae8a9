"""The screen: wide characters, narrow terminals, colour only where it belongs."""

import io

import pytest

from walnut.cli.screen import Screen, cells, clip, safe, wrap


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return Terminal()


@pytest.mark.parametrize(
    ("text", "width"), [("abc", 3), ("日本語", 6), ("e\u0301", 1), ("\uff21\uff22", 4), ("한국", 4), ("a\u200bb", 2)]
)
def test_cells_are_what_a_terminal_takes(text: str, width: int) -> None:
    assert cells(text) == width


def test_clipping_never_splits_a_wide_character() -> None:
    assert clip("日本語", 6) == "日本語"
    assert clip("日本語", 5) == "日本…"
    assert clip("日本語", 4) == "日…"
    assert all(cells(clip("a日b本c", width)) <= width for width in range(1, 9))


def test_wrapping_keeps_every_character() -> None:
    text = "日本語 words and averyveryverylongword 終"
    for width in range(4, 30):
        lines = wrap(text, width)
        assert all(cells(line) <= width for line in lines)
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_control_characters_are_written_out() -> None:
    assert safe("a\x1b[2J\x07\u202eb\u2028") == r"a\x1b[2J\x07\u202eb\u2028"
    assert safe("a\nb\tc", keep="\n\t") == "a\nb\tc"
    assert safe("naïve 日本 🌰") == "naïve 日本 🌰"


def test_a_table_fits_the_terminal(terminal: Terminal) -> None:
    Screen(json=False, out=terminal).table(("ID", "TEXT"), [(1, "日本語" * 20), (22, "short")])
    head, first, second = terminal.getvalue().splitlines()
    assert cells(first) <= 40
    assert first.endswith("…")
    assert second == "22  short"
    assert "ID  TEXT" in head


def test_a_narrow_terminal_does_without_the_spare_columns(terminal: Terminal) -> None:
    heads, rows = (
        ("ID", "RECORDED", "ACTOR", "TEXT"),
        [(1, "2026-02-01 12:00Z", "agent:default", "a text of some length")],
    )
    Screen(json=False, out=terminal).table(heads, rows, spare=("ACTOR", "RECORDED"))
    head, row = terminal.getvalue().splitlines()
    assert row == "1   a text of some length"
    assert "ACTOR" not in head
    everything = io.StringIO()
    Screen(json=False, out=everything).table(heads, rows, spare=("ACTOR", "RECORDED"))
    assert "agent:default  a text" in everything.getvalue()


def test_colour_is_for_terminals_only(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Screen(json=False, out=terminal).paint("x", "red") == "\x1b[31mx\x1b[0m"
    assert Screen(json=False, out=io.StringIO()).paint("x", "red") == "x"
    monkeypatch.setenv("NO_COLOR", "1")
    assert Screen(json=False, out=terminal).paint("x", "red") == "x"
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert Screen(json=False, out=terminal).paint("x", "red") == "x"


def test_nothing_is_cut_in_a_pipe() -> None:
    out = io.StringIO()
    Screen(json=False, out=out).card("1.0", "word " * 200, ["fact"])
    assert out.getvalue().count("word") == 200

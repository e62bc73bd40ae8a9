"""The figures of the simulations, seeds above all, at the end of a run's output."""

from __future__ import annotations

import pytest

PROPERTY = "simulated"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line for each simulation, also when its test ran in another process."""
    lines = [
        str(value)
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, [])
        for name, value in report.user_properties
        if name == PROPERTY
    ]
    if lines:
        terminalreporter.section("simulations")
        for line in sorted(lines):
            terminalreporter.write_line(line)

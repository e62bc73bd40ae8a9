"""The benchmark runs: cheap rows in a quick trial give a table with all its columns, and a verdict for each target."""

import json

import pytest

from bench import report
from bench.__main__ import ROWS, main
from bench.figure import Figure, Rate, ratio


def test_quick_rows_fill_every_column(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bytes", "create", "--quick"]) == 0
    lines = capsys.readouterr().out.splitlines()
    head = next(number for number, line in enumerate(lines) if line.startswith("row "))
    for column in report.COLUMNS:
        assert column in lines[head]
    verdict = lines[head].index("verdict")
    rows = [line for line in lines[head + 1 :] if line.startswith(("bytes", "create"))]
    assert len(rows) == 6
    assert all(line[verdict:].startswith(("reached", "below", "-")) for line in rows)
    assert "quick trial" in lines[2]


def test_json_tells_the_verdicts(capsys: pytest.CaptureFixture[str]) -> None:
    main(["bytes", "--quick", "--json"])
    run = json.loads(capsys.readouterr().out)
    assert {"machine", "versions", "settings", "figures"} <= run.keys()
    assert all({"row", "value", "at_least", "aim", "verdict", "beside"} <= figure.keys() for figure in run["figures"])


def test_an_unknown_row_is_refused_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["bytez"])
    assert "bytez" in capsys.readouterr().err
    assert set(ROWS) >= {"remember", "concurrent", "recall", "replay", "reopen", "scan"}


@pytest.mark.parametrize(
    ("value", "lower", "verdict"),
    [
        (0.5, False, "below"),
        (0.6, False, "reached"),
        (0.8, False, "reached aim"),
        (0.5, True, "reached aim"),
        (0.6, True, "reached"),
        (0.9, True, "below"),
        (None, False, "not measured"),
    ],
)
def test_a_verdict_is_what_the_targets_say(value: float | None, lower: bool, verdict: str) -> None:
    at_least, aim = (0.8, 0.5) if lower else (0.6, 0.8)
    figure = Figure(row="x", name="x", value=value, unit="x", at_least=at_least, aim=aim, lower=lower)
    assert figure.verdict == verdict


def test_a_stand_in_can_miss_but_not_reach() -> None:
    def verdict(value: float) -> str:
        return Figure(row="x", name="x", value=value, unit="s", at_least=1, aim=0.2, lower=True, stand_in=True).verdict

    assert (verdict(0.1), verdict(2.0)) == ("needs --full", "below")


def test_a_ratio_is_the_median_of_neighbours() -> None:
    ours = [Rate(10, 1.0, 0.0), Rate(100, 1.0, 0.0), Rate(30, 1.0, 0.0)]
    limit = [Rate(20, 1.0, 0.0), Rate(100, 1.0, 0.0), Rate(40, 1.0, 0.0)]
    assert ratio(ours, limit) == 0.75

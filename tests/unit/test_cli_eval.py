"""`walnut eval`: what it counts, what gold may name, and how it refuses a set that is none."""

import json
from pathlib import Path

import pytest

import walnut
from walnut.cli import exits, main
from walnut.cli.evaluate import Question, ask, named_by, rows


def store(folder: Path) -> str:
    path = str(folder / "store")
    with walnut.open(path, scope="user:a") as m:
        m.remember("She lives in Paris", key="city", source={"turn": "t1"})
        m.remember("She plays the cello", key="cello", source={"turn": "t2"})
        m.bind(scope="user:a/s").remember("Her dog is called Rex", source={"turn": "t3"})
    return path


def run(folder: Path, lines: list[object], *words: str) -> int:
    (folder / "q.jsonl").write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    return main(["eval", str(folder / "q.jsonl"), "--store", store(folder), "--scope", "user:a", *words])


def test_shares_ranks_and_categories_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked: list[object] = [
        {"question": "Where does she live, in Paris?", "gold": ["t1"], "category": "one"},
        {"question": "dog Rex", "gold": ["t3", "absent"], "category": "two", "scope": "user:a/s"},
        "",
    ]
    assert run(tmp_path, asked, "--gold", "source.turn", "--json") == 0
    one, two, both = json.loads(capsys.readouterr().out)
    assert (one["category"], one["recall_at_5"], one["recall_at_10"], one["mrr"]) == ("one", 1.0, 1.0, 1.0)
    assert (two["category"], two["recall_at_10"], two["mrr"]) == ("two", 0.5, 1.0)
    assert (both["category"], both["questions"], both["recall_at_10"]) == ("all", 2, 0.75)
    assert run(tmp_path, asked, "--gold", "source.turn", "--mode", "keyword") == 0
    assert "CATEGORY" in capsys.readouterr().out


def test_gold_names_memories_by_id_event_lsn_or_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = store(tmp_path)
    with walnut.open(path, scope="user:a") as m:
        record = m.get(key="cello")
    for name in (record.memory_id, record.event_id, str(record.lsn), "cello"):
        (tmp_path / "q.jsonl").write_text(json.dumps({"question": "cello", "gold": [name]}))
        assert main(["eval", str(tmp_path / "q.jsonl"), "--store", path, "--scope", "user:a", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)[-1]["recall_at_10"] == 1.0


def test_a_hit_counts_for_one_name_and_only_the_first_ten_do() -> None:
    with walnut.open("memory://") as m:
        for number in range(12):
            m.remember(f"walrus {number}", source={"turn": str(number % 11)})
        question = Question("walrus", tuple(str(number) for number in range(11)))
        answer = ask(question, lambda query: m.recall(query, k=12), named_by("source.turn"))
        assert answer.full <= 10 / 11
        assert answer.short <= 5 / 11
        assert rows([answer])[0].category == "all"


@pytest.mark.parametrize(
    "line", ["{", "[]", '{"question": "x"}', '{"question": "x", "gold": []}', '{"gold": ["x"]}', '{"question": 1}']
)
def test_a_line_that_is_no_question_is_named(line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, [{"question": "x", "gold": ["y"]}, line]) == exits.NOTHING
    assert "line 2" in capsys.readouterr().err


def test_an_empty_set_a_bad_field_and_a_scope_outside_are_refused(tmp_path: Path) -> None:
    assert run(tmp_path, [""]) == exits.NOTHING
    assert run(tmp_path, [{"question": "x", "gold": ["y"]}], "--gold", "turn") == exits.USAGE
    assert run(tmp_path, [{"question": "x", "gold": ["y"], "scope": "user:b"}]) != exits.OK

"""`walnut eval`: what it counts, what gold may name, and how it refuses a set that is none."""

import json
from pathlib import Path

import pytest

import walnut
from walnut.cli import exits, main
from walnut.cli.evaluate import ask, named_by, rows
from walnut.cli.questions import Question


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


def test_gold_that_names_no_memory_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found: list[object] = [{"question": "dog Rex", "gold": ["t3"], "scope": "user:a/s"}]
    typo: list[object] = [{"question": "dog Rex", "gold": ["t3", "t33"], "scope": "user:a/s"}]
    outside: list[object] = [{"question": "dog Rex", "gold": ["t3"]}]
    for asked, missing in ((found, ""), (typo, "walnut: 1 name in gold"), (outside, "walnut: 1 name in gold")):
        assert run(tmp_path, asked, "--gold", "source.turn", "--json") == 0
        assert capsys.readouterr().err.startswith(missing), asked
    assert run(tmp_path, [{"question": "dog Rex", "gold": ["cello"]}], "-k", "1") == 0
    assert capsys.readouterr().err == ""  # there, and not found


def test_a_hit_counts_for_one_name_and_only_those_within_the_depth_count() -> None:
    with walnut.open("memory://") as m:
        for number in range(12):
            m.remember(f"walrus {number}", source={"turn": str(number % 11)})
        question = Question("walrus", tuple(str(number) for number in range(11)))
        answer = ask(question, lambda query: m.recall(query, k=12), named_by("source.turn"))
        assert answer.gold == 11
        assert len(answer.places) == len(set(answer.places)) <= 11
        assert answer.share(3) == 3 / 11
        assert answer.share(12) <= 1
        (row,) = rows([answer], [1, 3])
        assert (row.category, row.recall, row.mrr) == ("all", {1: 1 / 11, 3: 3 / 11}, 1.0)


def test_the_depths_asked_for_are_those_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked: list[object] = [{"question": "Paris cello", "gold": ["t1", "t2"]}]
    assert run(tmp_path, asked, "--gold", "source.turn", "-k", "2", "-k", "1", "--json") == 0
    (both,) = json.loads(capsys.readouterr().out)
    assert (both["recall_at_1"], both["recall_at_2"]) == (0.5, 1.0)
    assert "recall_at_10" not in both
    for bad in ("0", "1001", "x"):
        assert run(tmp_path, asked, "-k", bad) == exits.USAGE


def test_what_stands_beside_a_hit_counts_where_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "beside")
    with walnut.open(path, scope="user:a") as m:
        said = m.remember("We fly to Oslo on the ninth, she told me", source={"turn": "t1"})
        m.remember("Flight to Oslo on the ninth", caused_by=[said], source={"turn": "fact"})
    (tmp_path / "q.jsonl").write_text(json.dumps({"question": "flight to Oslo", "gold": ["t1", "fact"]}))
    words = ["eval", str(tmp_path / "q.jsonl"), "--store", path, "--scope", "user:a", "--gold", "source.turn", "--json"]
    assert main(words) == main([*words, "--beside"]) == 0
    alone, beside = (json.loads(line)[0]["recall_at_10"] for line in capsys.readouterr().out.splitlines())
    assert (alone, beside) == (0.5, 1.0)


SESSIONS = [
    {"time": "2026-01-05T10:00:00", "turns": [{"id": "c1/1", "speaker": "Ada", "text": "My dog is called Rex"}]}
]
CONVERSATION = {"type": "conversation", "id": "c1", "sessions": SESSIONS}
ASKED = {"type": "question", "conversation": "c1", "question": "the dog of Ada?", "gold": ["c1/1"], "category": "pets"}


def alone(folder: Path, *lines: object) -> list[str]:
    """The arguments that measure a file by itself; the store they name does not exist and must not come to be."""
    (folder / "set.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return ["eval", str(folder / "set.jsonl"), "--store", str(folder / "none"), "--json"]


def test_a_file_with_its_conversations_is_asked_in_a_store_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    better = [
        {"id": f"c2/{number}", "speaker": "Ada", "text": f"The dog of Ada, time {number}"} for number in range(12)
    ]
    other = {"type": "conversation", "id": "c2", "sessions": [{"turns": better}]}
    assert main(alone(tmp_path, CONVERSATION, other, ASKED)) == 0
    pets, _ = json.loads(capsys.readouterr().out)
    assert (pets["recall_at_5"], pets["mrr"]) == (1.0, 1.0), "the other conversation is not seen"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set.jsonl"]


@pytest.mark.parametrize(
    ("lines", "place", "said"),
    [
        ([CONVERSATION, CONVERSATION, ASKED], 2, "came before"),
        ([CONVERSATION, ASKED | {"conversation": "c9"}], 2, "does not hold"),
        ([CONVERSATION, {"question": "secret", "gold": ["c1/1"]}], 2, "does not hold"),
        ([ASKED | {"gold": ["c1/2"]}, CONVERSATION], 1, "turn that its conversation does not hold"),
        ([CONVERSATION | {"sessions": [{"turns": [{"text": "secret"}]}]}, ASKED], 1, "not a conversation"),
        ([CONVERSATION | {"sessions": [{"time": "secret", "turns": []}]}, ASKED], 1, "not a conversation"),
    ],
)
def test_a_set_that_contradicts_itself_is_refused_with_its_line_and_no_content(
    lines: list[object], place: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(alone(tmp_path, *lines)) == exits.NOTHING
    error = capsys.readouterr().err
    assert f"[import_rejected at line {place}]" in error
    assert said in error
    assert not error.rstrip().endswith("]"), "a hint stands behind"
    assert "secret" not in error


def test_the_example_set_is_found_in_the_main(capsys: pytest.CaptureFixture[str]) -> None:
    """The set that the README names: a bar low enough for any sound ranking, too high for a broken one."""
    assert main(["eval", str(Path(__file__).parents[2] / "examples" / "recall.jsonl"), "--json"]) == 0
    found = {row["category"]: row for row in json.loads(capsys.readouterr().out)}
    assert found["all"]["questions"] == 31
    assert found["all"]["recall_at_10"] > 0.8
    assert found["all"]["mrr"] > 0.5
    assert {"single_hop", "multi_hop", "temporal", "update", "open_domain"} <= set(found)


@pytest.mark.parametrize(
    "line", ["{", "[]", '{"question": "x"}', '{"question": "x", "gold": []}', '{"gold": ["x"]}', '{"question": 1}']
)
def test_a_line_that_is_no_question_is_named(line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, [{"question": "x", "gold": ["y"]}, line]) == exits.NOTHING
    assert "line 2" in capsys.readouterr().err


def test_the_field_that_is_wrong_is_named_and_not_what_stands_in_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    turns = [{"id": "t1", "text": "Hello"}, {"id": "t2", "text": "Hi", "time": "last secret"}]
    assert run(tmp_path, [{"type": "conversation", "id": "c", "sessions": [{"turns": turns}]}]) == exits.NOTHING
    error = capsys.readouterr().err
    assert "not a conversation, for its sessions[0].turns[1].time [import_rejected at line 1]" in error
    assert "secret" not in error


@pytest.mark.parametrize("scope", ["user:b", "global", "user:a//b", ""])
def test_a_scope_that_cannot_be_asked_is_refused_with_its_line(
    scope: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines: list[object] = [{"question": "x", "gold": ["y"]}, {"question": "x", "gold": ["y"], "scope": scope}]
    assert run(tmp_path, lines) == exits.NOTHING
    error = capsys.readouterr().err
    assert "[import_rejected at line 2]" in error
    assert "--scope" in error
    assert not scope or scope not in error


def test_an_empty_set_and_a_bad_field_are_refused(tmp_path: Path) -> None:
    assert run(tmp_path, [""]) == exits.NOTHING
    assert run(tmp_path, [{"question": "x", "gold": ["y"]}], "--gold", "turn") == exits.USAGE

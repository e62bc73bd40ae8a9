"""Importing what people have: what is taken, what is said about the rest, and that twice is once."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import walnut
from walnut.errors import ImportRejected, InvalidArgument
from walnut.interchange import ImportReport, import_file


@pytest.fixture
def memory() -> Iterator[walnut.Memory]:
    with walnut.open("memory://") as memory:
        yield memory


def texts(memory: walnut.Memory) -> list[str]:
    return [record.text for record in memory.list(limit=1000).items][::-1]


def take(memory: walnut.Memory, path: Path, content: str | bytes, **kwargs: object) -> ImportReport:
    """Import a file twice; the second time must add nothing."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    first = import_file(memory, path, **kwargs)  # type: ignore[arg-type]
    again = import_file(memory, path, **kwargs)  # type: ignore[arg-type]
    assert (again.written, again.already) == (0, first.written + first.already)
    assert again.found == first.found
    return first


def lines(*rows: object) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


# --- generic JSONL --------------------------------------------------------------------------------


def test_generic_jsonl_takes_the_arguments_of_remember(memory: walnut.Memory, tmp_path: Path) -> None:
    row = {
        "content": "Prefers CSV",
        "tags": ["a"],
        "confidence": 0.5,
        "source": "notes.txt",
        "created_at": 1767225600,
        "rating": 5,
        "key": "k",
    }
    report = take(memory, tmp_path / "x.jsonl", lines(row, {"text": "other", "tags": "b", "data": {"x": 1}, "y": 2}))
    assert (report.format, report.found, report.written) == ("jsonl", {"memories": 2}, 2)
    record = memory.get(key="k")
    assert (record.text, record.tags, record.confidence) == ("Prefers CSV", ("a",), 0.5)
    assert (record.source, record.data) == ({"uri": "notes.txt"}, {"rating": 5})
    assert record.occurred_at.isoformat() == "2026-01-01T00:00:00+00:00"
    assert {str(each.data) for each in memory.list().items} == {"{'rating': 5}", "{'x': 1, 'y': 2}"}


def test_identical_lines_are_one_memory(memory: walnut.Memory, tmp_path: Path) -> None:
    report = take(memory, tmp_path / "x.jsonl", lines(*[{"text": "same"}] * 3))
    assert (report.written, report.already, texts(memory)) == (1, 2, ["same"])


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        ('{"text":"a"}\nnot json\n', 2, "not JSON"),
        ('{"text":"a"}\n[1]\n', 2, "a JSON object is expected"),
        ('{"text":"a"}\n\n\r\n{"text":""}\n', 4, "text is empty"),
        ('{"text":"a"}\n{"texts":"b"}\n', 2, "no text"),
        ('{"text":"a"}\n{"text":"b","confidence":7}\n', 2, "confidence"),
        ('{"text":"a"}\n{"text":"b","tags":3}\n', 2, "tags"),
        ('{"text":"a"}\n{"text":"b","time":"2026-01-01T00:00:00"}\n', 2, "without a zone"),
        ('{"text":"a"}\n{"text":"b","time":"soon"}\n', 2, "not a time"),
        (b'{"text":"a"}\n{"text":"\xff"}\n', 2, "not UTF-8 at byte 10"),
        ('{"text":"a"}\n{"text":"' + "x" * (10 << 20) + '"}\n', 2, "text has"),
        ('{"text":"a"}\n' + "[" * 100_000 + "\n", 2, "not JSON"),
    ],
)
def test_a_bad_line_refuses_the_file_before_anything_is_written(
    content: str | bytes, line: int, reason: str, memory: walnut.Memory, tmp_path: Path
) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(ImportRejected, match=f"line {line}: .*{reason}") as caught:
        import_file(memory, path)
    assert caught.value.where == f"x.jsonl, line {line}"
    assert memory.log.durable_lsn == 0
    report = import_file(memory, path, skip_bad=True)
    assert (report.written, report.bad_count, report.bad[0].number) == (1, 1, line)
    assert reason in report.bad[0].reason
    assert texts(memory) == ["a"]


def test_no_reason_quotes_the_file(memory: walnut.Memory, tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"text":"a"}\n{"text": SECRET}\n{"SECRET":1}\n{"text":"x","ttl":"SECRET"}\n')
    with pytest.raises(ImportRejected) as caught:
        import_file(memory, path)
    assert "SECRET" not in str(caught.value)


def test_bom_crlf_and_empty_lines_are_no_matter(memory: walnut.Memory, tmp_path: Path) -> None:
    take(memory, tmp_path / "x.jsonl", b'\xef\xbb\xbf{"text":"a"}\r\n\r\n  \n{"text":"b"}')
    assert texts(memory) == ["a", "b"]


def test_utf_16_is_named(memory: walnut.Memory, tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes('{"text":"a"}'.encode("utf-16"))
    with pytest.raises(ImportRejected, match="UTF-16"):
        import_file(memory, tmp_path / "x.jsonl")


@pytest.mark.parametrize("content", ["", "\n\n  \n", "\ufeff"])
def test_an_empty_file_holds_nothing(content: str, memory: walnut.Memory, tmp_path: Path) -> None:
    assert take(memory, tmp_path / "x.jsonl", content).format == "empty"


def test_a_folder_and_an_unknown_format_are_refused(memory: walnut.Memory, tmp_path: Path) -> None:
    with pytest.raises(ImportRejected, match="folder"):
        import_file(memory, tmp_path)
    (tmp_path / "x.bin").write_text("what is this?")
    with pytest.raises(ImportRejected, match="not known"):
        import_file(memory, tmp_path / "x.bin")
    with pytest.raises(InvalidArgument, match="no such format"):
        import_file(memory, tmp_path / "x.bin", format="toml")
    (tmp_path / "x.json").write_text('[{"text":"a"},\n{]')
    with pytest.raises(ImportRejected, match="line 2"):
        import_file(memory, tmp_path / "x.json")
    with pytest.raises(FileNotFoundError):
        import_file(memory, tmp_path / "none")


def test_a_pipe_is_read_like_a_file(memory: walnut.Memory, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    script = "import sys; open(sys.argv[1], 'w').write('{\"text\":\"through a pipe\"}\\n')"
    with subprocess.Popen([sys.executable, "-c", script, str(pipe)]):
        assert import_file(memory, pipe).written == 1
    assert texts(memory) == ["through a pipe"]


def test_what_the_store_refuses_names_its_line(memory: walnut.Memory, tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(lines({"text": "a"}, {"text": "b", "caused_by": [99]}, {"text": "c"}))
    with pytest.raises(ImportRejected, match="line 2"):
        import_file(memory, path)
    report = import_file(memory, path, skip_bad=True)
    assert (report.written, report.already, report.bad[0].number) == (1, 1, 2)
    assert texts(memory) == ["a", "c"]


# --- chats ----------------------------------------------------------------------------------------

CHAT = [
    {"role": "system", "content": "Be kind"},
    {"role": "user", "content": [{"type": "text", "text": "I prefer CSV"}, {"type": "image_url", "image_url": {}}]},
    {"role": "assistant", "content": None, "tool_calls": [{}]},
    {"role": "tool", "name": "search", "content": "found"},
    {"role": "user", "content": "ok", "timestamp": "2026-01-02T03:04:05Z"},
    {"role": "user", "content": "ok", "timestamp": 1767323046000},
]


@pytest.mark.parametrize("form", ["array", "lines", "wrapped", "wrapped line", "pretty"])
def test_a_chat_is_one_memory_a_message(form: str, memory: walnut.Memory, tmp_path: Path) -> None:
    content = {
        "array": json.dumps(CHAT),
        "lines": lines(*CHAT),
        "wrapped": json.dumps({"messages": CHAT}, indent=1),
        "wrapped line": lines({"messages": CHAT}),
        "pretty": json.dumps(CHAT, indent=2),
    }[form]
    report = take(memory, tmp_path / "chat.json", content)
    assert (report.format, report.written, report.skipped_count) == ("chat", 5, 1)
    assert report.skipped[0].reason == "a message without text (tool_calls)"
    records = memory.list().items[::-1]
    assert [record.text for record in records] == ["Be kind", "I prefer CSV", "found", "ok", "ok"]
    sources = [record.source or {} for record in records]
    assert [source["turn"] for source in sources] == [1, 2, 4, 5, 6]
    assert [source["speaker"] for source in sources] == ["system", "user", "tool", "user", "user"]
    assert sources[2]["tool"] == "search"
    assert len({source["session"] for source in sources}) == 1
    assert [f"{record.occurred_at:%H:%M:%S}" for record in records[3:]] == ["03:04:05", "03:04:06"]
    assert records[1].data == {"left_out": ["image_url"]}


def test_a_chat_that_grew_adds_its_new_messages(memory: walnut.Memory, tmp_path: Path) -> None:
    take(memory, tmp_path / "one.jsonl", lines(*CHAT[:4]))
    report = take(memory, tmp_path / "renamed.jsonl", lines(*CHAT))
    assert (report.written, report.already) == (2, 3)


def test_conversations_with_ids_keep_them(memory: walnut.Memory, tmp_path: Path) -> None:
    rows = [{"role": "user", "content": "hi", "conversation_id": name} for name in ("a", "b", "a")]
    take(memory, tmp_path / "c.jsonl", lines(*rows))
    found = [(each.source or {})["session"] for each in memory.list().items]
    assert sorted(map(str, found)) == ["a", "a", "b"]


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({"content": "x", "role": 1}, "no role"),
        ({"role": "user", "content": 5}, "string or a list"),
        ({"role": "user", "content": [5]}, "no type"),
        ({"role": "user", "content": "x", "timestamp": "2026-01-01T00:00:00"}, "without a zone"),
        ({"role": "user", "content": "x", "timestamp": 1e300}, "out of range"),
    ],
)
def test_a_message_that_is_none_is_bad(message: object, reason: str, memory: walnut.Memory, tmp_path: Path) -> None:
    (tmp_path / "c.jsonl").write_text(lines(CHAT[0], message))
    with pytest.raises(ImportRejected, match=f"line 2: .*{reason}"):
        import_file(memory, tmp_path / "c.jsonl")


def test_times_without_a_zone_are_utc_when_asked(memory: walnut.Memory, tmp_path: Path) -> None:
    row = {"role": "user", "content": "x", "timestamp": "2026-01-01T01:00:00"}
    take(memory, tmp_path / "c.jsonl", lines(row), assume_utc=True)
    assert memory.list().items[0].occurred_at.isoformat() == "2026-01-01T01:00:00+00:00"


# --- Markdown -------------------------------------------------------------------------------------

NOTES = """---
title: x
---
# Project

Walnut is a store
in two lines.

## Style ##
- Use ruff
  and format
- Tests first
  - no mocks
* [ ] a task

Commands
--------
1. run `make`

<!-- hidden
text -->
```sh
# not a heading
- not a bullet
```
"""


def test_markdown_is_one_memory_a_bullet_or_paragraph(memory: walnut.Memory, tmp_path: Path) -> None:
    report = take(memory, tmp_path / "CLAUDE.md", NOTES)
    assert (report.format, report.found) == ("markdown", {"notes": 7})
    assert [left.reason for left in report.skipped] == ["front matter", "a comment"]
    found = {record.text: record for record in memory.list().items}
    assert list(found)[::-1] == [
        "Walnut is a store\nin two lines.",
        "Use ruff\nand format",
        "Tests first",
        "no mocks",
        "[ ] a task",
        "run `make`",
        "```sh\n# not a heading\n- not a bullet\n```",
    ]
    assert found["Tests first"].tags == ("Project", "Style")
    assert found["Tests first"].source == {"uri": "CLAUDE.md#style"}
    assert found["no mocks"].data == {"under": ["Tests first"]}
    assert found["run `make`"].tags == ("Project", "Commands")


def test_an_edited_markdown_file_adds_what_is_new(memory: walnut.Memory, tmp_path: Path) -> None:
    take(memory, tmp_path / "MEMORY.md", "# A\n- one\n- two\n")
    report = take(memory, tmp_path / "MEMORY.md", "# A\n- zero\n- one\n- two\n")
    assert (report.written, report.already) == (1, 2)


# --- the memory file of the MCP reference server ---------------------------------------------------

ENTITY = {"type": "entity", "name": "Ana", "entityType": "person", "observations": ["likes tea", "lives in Porto"]}
RELATION = {"type": "relation", "from": "Ana", "to": "ACME", "relationType": "works_at"}


@pytest.mark.parametrize("document", [False, True])
def test_a_knowledge_graph_is_one_memory_an_observation_and_a_relation(
    document: bool, memory: walnut.Memory, tmp_path: Path
) -> None:
    empty = {"type": "entity", "name": "ACME", "entityType": "firm", "observations": []}
    content = lines(ENTITY, empty, RELATION)
    if document:
        content = json.dumps({"entities": [ENTITY, empty], "relations": [RELATION]})
    report = take(memory, tmp_path / "memory.json", content)
    assert (report.format, report.found) == ("mcp", {"observations": 2, "relations": 1})
    assert report.skipped[0].reason == "an entity without observations"
    assert texts(memory) == ["Ana: likes tea", "Ana: lives in Porto", "Ana works at ACME"]
    assert memory.list(tags=["person"]).items[0].data == {
        "entity": "Ana",
        "entity_type": "person",
        "observation": "lives in Porto",
    }


def test_a_broken_entity_is_bad(memory: walnut.Memory, tmp_path: Path) -> None:
    (tmp_path / "memory.jsonl").write_text(lines(RELATION, {**ENTITY, "observations": "x"}, {"type": "other"}))
    with pytest.raises(ImportRejected, match=r"line 2: observations .*; line 3: neither"):
        import_file(memory, tmp_path / "memory.jsonl")


# --- half an import -------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_a_half_imported_file_is_completed_by_importing_it_again(sent: signal.Signals, tmp_path: Path) -> None:
    path = tmp_path / "many.jsonl"
    path.write_text(lines(*({"text": f"fact {number}"} for number in range(20_000))))
    store = str(tmp_path / "store")
    walnut.open(store).close()
    command = [sys.executable, "-m", "walnut", "--store", store, "import", str(path)]
    with walnut.open(store) as watcher:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for event in watcher.log.tail(after=0, timeout=60):
            if event.lsn >= 400:
                process.send_signal(sent)
                break
        _, told = process.communicate()
        assert b"Traceback" not in told
        if sent is signal.SIGINT:
            assert process.returncode == 130
        half = watcher.log.durable_lsn
        assert 400 <= half < 20_000
        report = import_file(watcher, path)
        assert report.written + report.already == 20_000
        assert report.already >= half  # what a killed process wrote and had not synced is kept too
        found = sorted(int(str(e.content.payload["text"])[5:]) for e in watcher.log.read() if e.content)
        assert found == list(range(20_000))


def test_a_number_beyond_64_bits_beside_a_message_is_no_matter(memory: walnut.Memory, tmp_path: Path) -> None:
    (tmp_path / "c.jsonl").write_text(lines({"role": "user", "content": "hello", "tokens": 2**70}))
    assert import_file(memory, tmp_path / "c.jsonl", format="chat").written == 1

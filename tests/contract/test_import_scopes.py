"""An export that was forged touches nothing outside the scope it is imported into, and stops no view."""

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest

import walnut
from walnut import ImportRejected, Memory
from walnut.interchange import ImportReport, export_file, import_file

EVENT = "evt_01ARZ3NDEKTSV4RRFFQ69G5FAV"
MEMORY = "mem_01ARZ3NDEKTSV4RRFFQ69G5FAV"
Forge = Callable[..., ImportReport]


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Memory]:
    with walnut.open(tmp_path / "store", scope="global") as memory:
        yield memory


@pytest.fixture
def alice(root: Memory) -> Memory:
    return root.bind(scope="user:alice")


@pytest.fixture
def forge(alice: Memory, tmp_path: Path) -> Forge:
    """Import events into alice's scope, each a true one of hers with the given fields changed."""
    alice.remember("true")
    export_file(alice, tmp_path / "true.jsonl")
    head, event, _ = map(json.loads, (tmp_path / "true.jsonl").read_text().splitlines())

    def forged(*changes: dict[str, Any]) -> ImportReport:
        lines = [head]
        for lsn, change in enumerate(changes, 1):
            told = deepcopy(event) | {"lsn": lsn, "txn": lsn, "id": EVENT[:-1] + str(lsn), "touches": [MEMORY]}
            content = told["content"] | change.pop("content", {})
            lines.append(told | change | {"content": content})
        raw = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        end = {"walnut_export_end": len(changes), "digest": blake2b(raw, digest_size=16).hexdigest()}
        path = tmp_path / "forged.jsonl"
        path.write_bytes(raw + json.dumps(end, separators=(",", ":")).encode() + b"\n")
        return import_file(alice, path)

    return forged


def undo(*ranges: list[int], **more: Any) -> dict[str, Any]:
    return {"kind": "memory.reverted", "op": "NONE", "content": {"payload": {"ranges": list(ranges)}}, **more}


def test_an_import_changes_no_memory_of_another_scope(root: Memory, alice: Memory, forge: Forge) -> None:
    bob = root.bind(scope="user:bob")
    theirs = bob.remember("a secret plan", key="plan")
    update = {"kind": "memory.update", "op": "UPDATE", "touches": [theirs.memory_id]}
    delete = {"kind": "memory.delete", "op": "DELETE", "touches": [theirs.memory_id], "content": {"payload": {}}}
    assert forge(update, delete).written == 2
    assert bob.get(key="plan").text == "a secret plan"
    assert len(bob.history(theirs.memory_id or "")) == 1
    assert forge(update, delete).written == 0, "importing twice adds nothing twice"


def test_T3_an_import_undoes_nothing_of_another_scope(root: Memory, alice: Memory, forge: Forge) -> None:
    bob = root.bind(scope="user:bob")
    for theirs in (bob.remember("a secret plan"), root.remember("shared by all")):
        same = {"id": theirs.event_id, "touches": [theirs.memory_id]}
        forge(same, undo([1, 1], id=EVENT, touches=[theirs.memory_id]))
        forge(same, undo([1, theirs.lsn], id=EVENT[:-1] + "W", touches=[theirs.memory_id]))
    assert {record.text for record in bob.list().items} == {"a secret plan", "shared by all"}


def test_an_import_of_an_event_outside_answers_as_if_it_did_not_exist(root: Memory, forge: Forge) -> None:
    theirs = root.bind(scope="user:bob").remember("a secret plan")
    foreign = forge({"id": theirs.event_id, "touches": [theirs.memory_id]})
    unknown = forge({"id": EVENT, "touches": [MEMORY]})
    assert (foreign.written, foreign.already) == (unknown.written, unknown.already) == (1, 0)


def test_an_undo_from_above_that_comes_back_is_not_written_again(root: Memory, alice: Memory, tmp_path: Path) -> None:
    ack = alice.remember("poison")
    undone = root.apply(root.plan_revert(events=[ack]))
    export_file(alice, tmp_path / "all.jsonl")
    assert import_file(alice, tmp_path / "all.jsonl").written == 0
    root.apply(root.plan_revert(events=[undone]))
    assert alice.list().items[0].text == "poison"


def test_an_imported_undo_touches_every_memory_it_changes(root: Memory, alice: Memory, forge: Forge) -> None:
    forge({}, undo([1, 1], touches=[]))
    assert [record.text for record in alice.list().items] == ["true"]
    assert [version.state for version in alice.history(MEMORY)] == ["reverted", "current"]
    assert root.upkeep.verify_views()[0].ok


def test_an_import_from_the_future_does_not_stop_the_clock(root: Memory, alice: Memory, forge: Forge) -> None:
    forge({"recorded_at": 2**63 - 1, "content": {"payload": {"text": "x", "ttl": 2**63 - 1}}})
    before = alice.remember("now")
    now = next(iter(root.log.read(after=before.lsn - 1))).recorded_at
    assert now < 2**62
    assert len(alice.list().items) == 2, "what was recorded in the future is not true yet"


def test_a_range_without_end_takes_no_time(forge: Forge) -> None:
    assert forge({}, undo([1, 2**62])).written == 2


@pytest.mark.parametrize(
    "change",
    [
        *({"content": {"payload": payload}} for payload in (
            {}, {"text": 5}, {"text": "x", "tags": "no"}, {"text": "x", "tags": [1]}, {"text": "x", "ttl": "9d"},
            {"text": "x", "ttl": 0}, {"text": "x", "ttl": 2**63}, {"text": "x", "confidence": "high"},
            {"text": "x", "confidence": 7.0}, {"text": "x", "key": 5}, {"text": "x", "data": 2**70},
        )),
        {"content": {"valid_from": 2**63}}, {"content": {"occurred_at": -(2**70)}}, {"content": {"caused_by": [2**63]}},
        {"content": {"actor": ""}}, {"content": {"source": {"turn": 2**70}}},
        {"kind": "Memory"}, {"kind": "x" * 49}, {"op": "DELETE"}, {"touches": []},
        {"kind": "memory.reverted", "op": "NONE", "content": {"payload": {"ranges": [[1]]}}},
        {"kind": "memory.recalled", "op": "NONE", "content": {"payload": {"shown": ["x"]}}},
    ],
)  # fmt: skip
def test_V7_an_event_that_no_walnut_writes_is_refused(
    change: dict[str, Any], root: Memory, alice: Memory, forge: Forge
) -> None:
    with pytest.raises(ImportRejected) as caught:
        forge(change)
    assert "line 2" in (caught.value.where or "")
    assert [record.text for record in root.list(below=True).items] == ["true"]

"""The MCP server, asked by the official client over real stdio processes."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TextIO

import pytest

mcp = pytest.importorskip("mcp", reason="the extra `mcp` is not installed")

from mcp.client import Client  # noqa: E402 - after the check that it is there
from mcp.client.stdio import StdioServerParameters, stdio_client  # noqa: E402
from mcp_types import CallToolResult  # noqa: E402

import walnut  # noqa: E402
from walnut.serve.tools import TOOLS  # noqa: E402

SCOPE = "user:alice"
LIMIT = 60


def command(store: Path, *, scope: str = SCOPE, actor: str = "agent:test") -> list[str]:
    return [sys.executable, "-m", "walnut.serve.mcp", "--store", str(store), "--scope", scope, "--actor", actor]


def log_of(store: Path) -> TextIO:
    """The stderr of all servers of a store."""
    return open(store.with_suffix(".stderr"), "a+", encoding="utf-8")


@asynccontextmanager
async def client(store: Path, **bound: str) -> AsyncIterator[Client]:
    first, *rest = command(store, **bound)
    parameters = StdioServerParameters(command=first, args=rest, env=dict(os.environ))
    with log_of(store) as stderr:
        async with Client(stdio_client(parameters, errlog=stderr)) as connected:
            yield connected


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, LIMIT))


async def ask(server: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """A call that works: its structured content, which the client has checked against the tool's schema."""
    answer = await server.call_tool(tool, arguments)
    assert not answer.is_error, text(answer)
    assert isinstance(answer.structured_content, dict)
    assert text(answer)
    return answer.structured_content


async def refused(server: Client, tool: str, **arguments: Any) -> str:
    answer = await server.call_tool(tool, arguments)
    assert answer.is_error, text(answer)
    assert "Traceback" not in text(answer)
    return text(answer)


def text(answer: CallToolResult) -> str:
    return "\n".join(part.text for part in answer.content if part.type == "text")


def texts(store: Path, scope: str = SCOPE) -> list[str]:
    with walnut.open(store, scope=scope, create=False) as m:
        page = m.list(limit=1000)
        return sorted(item.text for item in page.items)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "memory"
    yield path
    with log_of(path) as log:
        log.seek(0)
        assert "Traceback" not in log.read()


def test_the_client_lists_every_tool_with_annotations_and_schemas(store: Path) -> None:
    async def work() -> None:
        async with client(store) as server:
            listed = (await server.list_tools()).tools
            assert [tool.name for tool in listed] == list(TOOLS)
            for tool in listed:
                assert tool.description
                assert tool.output_schema is not None
                assert tool.output_schema["type"] == "object"
                assert tool.input_schema["additionalProperties"] is False
                assert not {"scope", "durability", "store"} & set(tool.input_schema["properties"])
                assert tool.annotations is not None
                assert tool.annotations.open_world_hint is False
                changes = tool.name in {"remember", "forget", "apply"}
                assert tool.annotations.read_only_hint is not changes
                assert tool.annotations.destructive_hint is (tool.name in {"forget", "apply"})

    run(work())


def test_every_tool_answers_with_what_its_schema_says(store: Path) -> None:
    async def work() -> None:
        async with client(store) as server:
            await server.list_tools()
            seen = await ask(server, "remember", text="Alice asked for CSV", source={"conversation_id": "c1"})
            belief = await ask(
                server,
                "remember",
                text="Alice prefers CSV exports",
                key="export-format",
                tags=["preference"],
                confidence=0.8,
                ttl="90d",
                data={"format": "csv"},
                caused_by=[seen["event_id"]],
                idempotency_key="k1",
            )
            assert belief["durability"] == "disk"
            found = await ask(server, "recall", query="which CSV exports?", k=5)
            best = found["memories"][0]  # the fact and what it was derived from stand in one place
            beside = [each["text"] for name in ("evidence", "facts") for each in best.get(name, [])]
            assert sorted([best["text"], *beside]) == ["Alice asked for CSV", "Alice prefers CSV exports"]
            assert len(found["memories"]) == 1
            assert "score" not in json.dumps(found)
            packed = await ask(server, "context", query="export format", budget=500)
            assert belief["event_id"] in packed["citations"]
            chain = await ask(server, "why", id=belief["memory_id"])
            assert [step["event_id"] for step in chain["root"]["steps"]] == [seen["event_id"]]
            plan = await ask(server, "plan_revert", source={"conversation_id": "c1"})
            assert plan["undoes"] == 2
            assert "Alice prefers CSV exports" in plan["outline"]
            undone = await ask(server, "apply", plan_id=plan["plan_id"])
            assert (await ask(server, "recall", query="export format"))["memories"] == []
            back = await ask(server, "plan_revert", events=[undone["event_id"]])
            await ask(server, "apply", plan_id=back["plan_id"])
            assert len((await ask(server, "recall", query="CSV"))["memories"]) == 1
            await ask(server, "forget", memory_id=belief["memory_id"])
            entries = (await ask(server, "history", memory_id=belief["memory_id"]))["entries"]
            assert [entry["kind"] for entry in entries] == [
                "memory.write",
                "memory.reverted",
                "memory.reverted",
                "memory.delete",
            ]
            then = await ask(server, "recall", query="CSV", as_of="2020-01-01")
            assert then["memories"] == []

    run(work())


def test_a_context_says_what_was_left_out_to_who_reads_the_text_alone(store: Path) -> None:
    async def work() -> None:
        async with client(store) as server:
            for number, word in enumerate(["tea", "moss", "herons", "gravel"], 1):
                await ask(server, "remember", text=f"The garden has {word}", occurred_at=f"2026-02-0{number}")
            whole = await server.call_tool("context", {"query": "garden", "order": "time", "k": 3, "mode": "keyword"})
            assert isinstance(whole.structured_content, dict)
            assert text(whole) == whole.structured_content["text"]
            assert len(whole.structured_content["citations"]) == 3
            few = await server.call_tool("context", {"query": "garden", "budget": 100})
            assert isinstance(few.structured_content, dict)
            left = few.structured_content["left_out"]
            assert left > 0
            assert text(few).splitlines()[-1].startswith(f"(Left out: {left} for want of room.")
            none = await server.call_tool("context", {"query": "garden", "budget": 1})
            assert text(none).startswith("Nothing fits a budget of 1.\n(Left out: 4 ")
            assert "k" in await refused(server, "context", query="garden", k=0)

    run(work())


def test_fifty_calls_at_once_are_fifty_memories(store: Path) -> None:
    async def work() -> None:
        async with client(store) as server:
            acks = await asyncio.gather(*(ask(server, "remember", text=f"fact {n}") for n in range(50)))
            assert len({ack["lsn"] for ack in acks}) == 50

    run(work())
    assert texts(store) == sorted(f"fact {n}" for n in range(50))


def test_two_servers_on_one_store_lose_nothing(store: Path) -> None:
    async def work() -> None:
        async with client(store) as one, client(store) as other:
            calls = (ask((one, other)[n % 2], "remember", text=f"fact {n}") for n in range(100))
            acks = await asyncio.gather(*calls)
            assert len({ack["lsn"] for ack in acks}) == 100
            assert len((await ask(one, "recall", query="fact", k=100))["memories"]) == 100

    run(work())
    assert texts(store) == sorted(f"fact {n}" for n in range(100))


def test_the_same_idempotency_key_writes_once(store: Path) -> None:
    async def work() -> None:
        async with client(store) as server:
            first = await ask(server, "remember", text="once", idempotency_key="k")
        async with client(store) as server:
            again = await ask(server, "remember", text="once", idempotency_key="k")
            assert again["replayed"] is True
            assert again["memory_id"] == first["memory_id"]
            said = await refused(server, "remember", text="another", idempotency_key="k")
            assert "idempotency_conflict" in said
            assert "Hint: " in said

    run(work())
    assert texts(store) == ["once"]


# --- ends -----------------------------------------------------------------------------------------

HELLO: list[dict[str, Any]] = [
    {
        "jsonrpc": "2.0",
        "id": 0,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "raw", "version": "0"},
        },
    },
    {"jsonrpc": "2.0", "method": "notifications/initialized"},
]


def calling(n: int) -> dict[str, Any]:
    arguments = {"text": f"fact {n}"}
    return {"jsonrpc": "2.0", "id": n, "method": "tools/call", "params": {"name": "remember", "arguments": arguments}}


@pytest.fixture
def raw(store: Path) -> Iterator["subprocess.Popen[str]"]:
    """A server that a test talks to by itself, after the handshake."""
    process = subprocess.Popen(
        command(store), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        send(process, *HELLO)
        assert received(process)["id"] == 0
        yield process
    finally:
        process.kill()
        process.communicate()


def send(process: "subprocess.Popen[str]", *messages: dict[str, Any]) -> None:
    assert process.stdin is not None
    process.stdin.write("".join(json.dumps(message) + "\n" for message in messages))
    process.stdin.flush()


def received(process: "subprocess.Popen[str]") -> dict[str, Any]:
    assert process.stdout is not None
    message: dict[str, Any] = json.loads(process.stdout.readline())
    return message


def test_L1_what_was_acknowledged_survives_kill_9(store: Path, raw: "subprocess.Popen[str]") -> None:
    send(raw, *map(calling, range(1, 201)))
    acknowledged = [received(raw) for _ in range(20)]
    raw.kill()
    rest, _ = raw.communicate()
    complete = [json.loads(line) for line in rest.splitlines() if line.endswith("}")]
    lsns = {m["result"]["structuredContent"]["lsn"]: m["id"] for m in acknowledged + complete}
    with walnut.open(store, scope=SCOPE, create=False) as m:
        written = {event.lsn: event.content.payload.get("text") for event in m.log.read() if event.content}
        assert m.log.verify().ok
    assert len(lsns) >= 20
    assert {lsn: f"fact {n}" for lsn, n in lsns.items()}.items() <= written.items()


def test_the_end_of_stdin_ends_it_with_0(store: Path, raw: "subprocess.Popen[str]") -> None:
    send(raw, calling(1))
    assert received(raw)["id"] == 1
    out, log = raw.communicate(timeout=LIMIT)
    assert raw.returncode == 0
    assert out == ""
    assert "fact 1" not in log
    assert texts(store) == ["fact 1"]


def test_SIGTERM_ends_it_with_0_though_stdin_is_open(store: Path, raw: "subprocess.Popen[str]") -> None:
    send(raw, calling(1))
    assert received(raw)["id"] == 1
    raw.send_signal(signal.SIGTERM)
    assert raw.wait(timeout=LIMIT) == 0
    assert texts(store) == ["fact 1"]


def test_what_was_shown_is_noted_when_it_ends(store: Path) -> None:
    async def work() -> None:
        async with client(store) as server:
            await ask(server, "remember", text="poison")
            await ask(server, "recall", query="poison")

    run(work())
    with walnut.open(store, scope=SCOPE, create=False) as m:
        assert [event.kind for event in m.log.read()] == ["memory.write", "memory.recalled"]


# --- mistakes -------------------------------------------------------------------------------------

OTHER_SCOPES_SECRET = "Bob is allergic to walnuts"


def test_a_scope_is_not_left_by_any_argument(store: Path) -> None:
    with walnut.open(store, scope="user:bob") as m:
        bob = m.remember(OTHER_SCOPES_SECRET, key="k", idempotency_key="i", source={"session": "s"})

    async def work() -> None:
        async with client(store) as server:
            for tool, arguments in (
                ("remember", {"text": "x", "scope": "user:bob"}),
                ("remember", {"text": "x", "actor": "agent:other"}),
                ("remember", {"text": "x", "memory_id": bob.memory_id}),
                ("remember", {"text": "x", "caused_by": [bob.event_id]}),
                ("recall", {"query": "walnuts", "scope": "global"}),
                ("recall", {"query": "walnuts", "below": True}),
                ("context", {"query": "walnuts", "scope": ["global"]}),
                ("why", {"id": bob.memory_id}),
                ("why", {"id": bob.event_id}),
                ("history", {"memory_id": bob.memory_id}),
                ("forget", {"memory_id": bob.memory_id}),
                ("plan_revert", {"events": [bob.event_id]}),
                ("plan_revert", {"scope": "global", "since": "2020-01-01"}),
            ):
                said = await refused(server, tool, **arguments)
                assert said.startswith(("invalid_argument", "not_found")), said
                assert "Hint: " in said
                assert OTHER_SCOPES_SECRET not in said
                assert "user:bob" not in said
            for selection in ({"source": {"session": "s"}}, {"actor": "agent:default"}, {"since": "2020-01-01"}):
                plan = await ask(server, "plan_revert", **selection)
                assert plan["items"] == []
                assert plan["plan_id"] is None
            assert (await ask(server, "recall", query="allergic walnuts"))["memories"] == []
            own = await ask(server, "remember", text="mine", key="k", idempotency_key="i")
            assert own["memory_id"] != bob.memory_id

    run(work())
    assert texts(store, "user:bob") == [OTHER_SCOPES_SECRET]


def test_a_plan_holds_after_a_reconnect_and_only_for_its_scope_and_actor(store: Path) -> None:
    async def work() -> None:
        async with client(store) as server:
            await ask(server, "remember", text="poison", source={"session": "s"})
            plan = await ask(server, "plan_revert", session="s", since="2020-01-01")
        async with client(store, actor="agent:other") as server:
            assert "invalid_argument at plan_id" in await refused(server, "apply", plan_id=plan["plan_id"])
        async with client(store, scope="user:alice/session:1") as server:
            assert "invalid_argument at plan_id" in await refused(server, "apply", plan_id=plan["plan_id"])
        async with client(store) as server:
            await ask(server, "apply", plan_id=plan["plan_id"])
            said = await refused(server, "apply", plan_id=plan["plan_id"])
            assert said.startswith("stale_plan at plan_id")

    run(work())
    assert texts(store) == []


def test_a_changed_or_invented_plan_is_refused(store: Path) -> None:
    async def work() -> None:
        async with client(store) as server:
            await ask(server, "remember", text="keep", source={"session": "s"})
            plan_id = (await ask(server, "plan_revert", session="s"))["plan_id"]
            middle = len(plan_id) // 2
            other = "A" if plan_id[middle] != "A" else "B"
            for changed in (plan_id[:middle] + other + plan_id[middle + 1 :], plan_id[:-4], "plan_", "plan_AAAA", "é"):
                said = await refused(server, "apply", plan_id=changed)
                assert "invalid_argument at plan_id" in said
                assert "plan_revert" in said

    run(work())
    assert texts(store) == ["keep"]


def test_a_stale_plan_is_refused(store: Path) -> None:
    async def work() -> None:
        async with client(store) as server, client(store) as other:
            first = await ask(server, "remember", text="one", key="k", source={"session": "s"})
            touching: dict[str, Any] = {"text": "two", "key": "k"}
            matching: dict[str, Any] = {"text": "three", "source": {"session": "s"}}
            for change in (touching, matching):
                plan = await ask(server, "plan_revert", session="s")
                await ask(other, "remember", **change)
                assert (await refused(server, "apply", plan_id=plan["plan_id"])).startswith("stale_plan")
            await ask(server, "recall", query="three")
            plan = await ask(server, "plan_revert", session="s", include_suspects=True)
            suspect = await ask(server, "remember", text="four")  # by who was shown what is planned
            assert (await refused(server, "apply", plan_id=plan["plan_id"])).startswith("stale_plan")
            await ask(server, "forget", memory_id=suspect["memory_id"])
            plan = await ask(server, "plan_revert", session="s")
            part = await ask(other, "plan_revert", events=[first["event_id"]])
            await ask(other, "apply", plan_id=part["plan_id"])  # less is left to undo than was shown
            assert (await refused(server, "apply", plan_id=plan["plan_id"])).startswith("stale_plan")
            plan = await ask(server, "plan_revert", events=[first["memory_id"]])
            await ask(other, "forget", memory_id=first["memory_id"])
            assert (await refused(server, "apply", plan_id=plan["plan_id"])).startswith("stale_plan")

    run(work())
    assert texts(store) == ["three"]


MISTAKES: list[tuple[str, dict[str, Any], str]] = [
    ("remember", {}, "invalid_argument"),
    ("remember", {"text": " "}, "invalid_argument at text"),
    ("remember", {"text": "x" * 2_000_000}, "invalid_argument at text"),
    ("remember", {"text": "x", "confidence": 2}, "invalid_argument at confidence"),
    ("remember", {"text": "x", "occurred_at": "2026-02-01T12:00:00"}, "invalid_argument at occurred_at"),
    ("remember", {"text": "x", "ttl": "soon"}, "invalid_argument at ttl"),
    ("remember", {"text": "x", "key": "k", "expected_version": 7}, "version_conflict"),
    ("recall", {"query": "x", "mode": "psychic"}, "invalid_argument at mode"),
    ("recall", {"query": "x", "as_of": "yesterday"}, "invalid_argument at as_of"),
    ("context", {"query": "x", "valid_at": "yesterday"}, "invalid_argument at valid_at"),
    ("why", {"id": "evt_nonsense"}, "not_found at id"),
    ("history", {"memory_id": "mem_nonsense"}, "not_found at memory_id"),
    ("forget", {"memory_id": "mem_01M7Y08DHAXV8QG9SAW7KMVQBF"}, "not_found at memory_id"),
    ("plan_revert", {}, "invalid_argument"),
    ("no_such_tool", {}, "not_found at name"),
]


def test_a_mistake_is_explained_and_the_server_goes_on(store: Path) -> None:
    async def work() -> None:
        async with client(store) as server:
            for tool, arguments, said in MISTAKES:
                answer = await refused(server, tool, **arguments)
                assert answer.startswith(said), answer
            await ask(server, "remember", text="still here")

    run(work())
    assert texts(store) == ["still here"]


def test_nulls_and_lists_written_as_text_are_understood(store: Path) -> None:
    async def work() -> None:
        async with client(store) as server:
            await ask(server, "remember", text="[1, 2]", key=None, tags='["a", "b"]', source='{"session": "s"}')
            (memory,) = (await ask(server, "recall", query="1", tags=["a"], since=None))["memories"]
            assert memory["text"] == "[1, 2]"
            assert memory["source"] == {"session": "s"}

    run(work())


def test_a_store_that_can_not_be_opened_is_a_plain_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    for arguments in (command(tmp_path / "file"), command(tmp_path / "store", scope="a//b"), command(tmp_path)[:3]):
        done = subprocess.run(
            arguments, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=LIMIT
        )
        assert done.returncode in (1, 2)
        assert done.stdout == ""
        assert "Traceback" not in done.stderr
        assert done.stderr

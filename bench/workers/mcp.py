"""MCP servers, driven by the official client over their standard input and output."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.shared.exceptions import MCPError

from bench.workers.load import AsyncWrite, Refusals


class ToolRefusedError(Exception):
    """The tool answered with an error."""


class Served:
    """A server process and a session with it; its process id is left in a file beside the store."""

    refusals: Refusals = (ToolRefusedError, MCPError)

    def __init__(self, at: Path, words: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        # The shell becomes the server: so its process id is known to who is to kill it.
        self._note = at.with_name(f"{at.name}.{os.getpid()}.pid")
        script = ['echo $$ > "$0"; exec "$@"', str(self._note), *words]
        said = {**os.environ, **(environment or {})}
        self._parameters = StdioServerParameters(command="/bin/sh", args=["-c", *script], env=said)
        self._stack = AsyncExitStack()
        self._client: Client

    async def open(self) -> Served:
        """Start the server and greet it."""
        quiet = self._stack.enter_context(Path(os.devnull).open("w"))  # noqa: SIM115, ASYNC230 - the stack closes it
        self._client = await self._stack.enter_async_context(Client(stdio_client(self._parameters, errlog=quiet)))
        return self

    async def call(self, tool: str, given: dict[str, object]) -> object:
        """Call a tool; errors: ToolRefusedError."""
        result = await self._client.call_tool(tool, given)
        if result.is_error:
            raise ToolRefusedError(str(result.content)[:120])
        return result.structured_content or result.content

    async def write(self, text: str) -> object:
        """Write one text; each server has a tool of its own for it."""
        raise NotImplementedError

    async def write_many(self, texts: Sequence[str]) -> object:
        """One after the other where the server has no tool for many."""
        for text in texts:
            await self.write(text)
        return None

    def writers(self, count: int) -> Sequence[AsyncWrite]:
        """The one session, which sends requests without waiting for the answers of others."""
        return [self.write] * count

    async def close(self) -> None:
        """End the session and the server; the note of its id goes first, since the id may soon be another's."""
        self._note.unlink(missing_ok=True)
        await self._stack.aclose()


class Memory(Served):
    """The reference memory server: a knowledge graph in a JSON-lines file, rewritten by every change."""

    def __init__(self, at: Path, server: str) -> None:
        self._at = at
        super().__init__(at, ["node", server], {"MEMORY_FILE_PATH": str(at)})

    async def write(self, text: str) -> object:
        """One entity, its text as its observation."""
        return await self.write_many([text])

    async def write_many(self, texts: Sequence[str]) -> object:
        """One call for all."""
        return await self.call("create_entities", {"entities": [_entity(text) for text in texts]})

    async def pour(self, texts: Sequence[str]) -> None:
        """Fill the file as the server writes it: by itself it would take minutes, and that is not measured."""
        lines = (_line(text) for text in texts)
        with self._at.open("a", encoding="utf-8") as file:
            file.write(("\n" if file.tell() else "") + "\n".join(lines))

    async def texts(self) -> list[str]:
        """The whole graph."""
        graph = await self.call("read_graph", {})
        if not isinstance(graph, dict):
            raise ToolRefusedError("no graph in the answer")
        return [str(entity["observations"][0]) for entity in graph["entities"]]

    async def last(self, name: str) -> str:
        """One entity by its name."""
        return str(await self.call("open_nodes", {"names": [name]}))


def _entity(text: str) -> dict[str, object]:
    return {"name": text.split(" ", 1)[0], "entityType": "note", "observations": [text]}


def _line(text: str) -> str:
    return json.dumps({"type": "entity", **_entity(text)}, ensure_ascii=False, separators=(",", ":"))

import asyncio
import sys

from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

SERVER = StdioServerParameters(
    command=sys.executable,
    args=["-m", "walnut", "mcp", "--store", "./memory", "--scope", "user:alice", "--actor", "agent:claude"],
)


async def main() -> None:
    async with Client(stdio_client(SERVER)) as walnut:
        await walnut.call_tool("remember", {"text": "Alice prefers CSV exports", "tags": ["preference"]})
        found = await walnut.call_tool("recall", {"query": "CSV or PDF?"})
        assert found.structured_content is not None
        assert found.structured_content["memories"][0]["text"] == "Alice prefers CSV exports"

        # The scope is fixed at launch: an argument that asks for another is refused.
        refused = await walnut.call_tool("recall", {"query": "CSV", "scope": "global"})
        assert refused.is_error


asyncio.run(main())

"""The MCP server over stdio: one store, with scope and actor fixed at launch.

Nothing but the protocol is written to stdout; the log on stderr holds no content. The process ends with 0 when
stdin ends or on SIGTERM, after what was accepted is on disk.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING

import msgspec

from walnut import __version__, opening
from walnut.aio import AsyncMemory
from walnut.engine.tickets import Bridge
from walnut.errors import IdempotencyConflict, InvalidArgument, NotFound, VersionConflict, WalnutError
from walnut.model.scope import DEFAULT
from walnut.serve.schema import arguments, schema
from walnut.serve.tools import TOOLS, Desk, Tool

if TYPE_CHECKING:
    from mcp.server.lowlevel import Server
    from mcp_types import CallToolResult, ListToolsResult
    from mcp_types import Tool as Listed

INSTRUCTIONS = (
    "Durable memory that outlives this conversation. Call context at the start of a task and recall before you "
    "answer from assumptions; remember what will matter later, one fact a call. Every memory cites the events it "
    "comes from (why), keeps its versions (history), and can be undone (plan_revert, then apply)."
)

#: What a model can do about an error that brings no hint of its own.
_HINTS = {
    "not_found": "take ids from recall, context or history; it may have been forgotten, undone or have expired",
    "version_conflict": "recall it again, decide anew, and pass the version you saw",
    "idempotency_conflict": "use a new idempotency_key for a different write",
    "stale_plan": "call plan_revert again and look at its answer",
    "log_busy": "nothing was written: try again in a moment",
    "view_lag": "try again in a moment",
}
_FOR_THE_HOST = "you can't mend this: tell the user, who can run `walnut doctor` on the store"

_log = logging.getLogger("walnut.serve")


def run(store: str | PathLike[str], *, scope: str = DEFAULT, actor: str = "agent:default", create: bool = True) -> None:
    """Serve a store to one MCP client over stdin and stdout, until stdin ends or SIGTERM comes.

    `store` is what `walnut.open` takes. Errors: those of `walnut.open`; InvalidArgument when the extra is missing.
    """
    try:
        import mcp  # noqa: F401 - asked for early, so that its absence is said plainly
    except ImportError as error:
        raise InvalidArgument(
            "the MCP server needs the package mcp",
            where="mcp",
            hint="install Walnut with its extra: pip install '.[mcp]'",
        ) from error
    _log_to_stderr()
    asyncio.run(_serve(store, scope, actor, create=create))


def server(desk: Desk) -> Server[dict[str, object]]:
    """An MCP server of the tools over one memory, for any transport."""
    import mcp_types as types
    from mcp.server.context import ServerRequestContext
    from mcp.server.lowlevel import Server

    listed = types.ListToolsResult(tools=[_listed(tool) for tool in TOOLS.values()])

    async def list_tools(
        _: ServerRequestContext[dict[str, object]], __: types.PaginatedRequestParams | None
    ) -> ListToolsResult:
        return listed

    async def call_tool(
        _: ServerRequestContext[dict[str, object]], params: types.CallToolRequestParams
    ) -> CallToolResult:
        return await call(desk, params.name, params.arguments or {})

    return Server(
        "walnut",
        title="Walnut memory",
        version=__version__,
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


def _listed(tool: Tool) -> Listed:
    import mcp_types as types

    return types.Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=schema(tool.takes),
        output_schema=schema(tool.gives),
        annotations=types.ToolAnnotations(
            title=tool.title,
            read_only_hint=tool.read_only,
            destructive_hint=tool.destructive,
            idempotent_hint=tool.idempotent,
            open_world_hint=False,
        ),
    )


async def call(desk: Desk, name: str, given: dict[str, object]) -> CallToolResult:
    """Do one tool call. What the caller or the host can mend is an answer marked as an error, never a traceback."""
    import mcp_types as types
    from mcp.shared.exceptions import MCPError

    try:
        tool = _named(name)
        answer = await tool.work(desk, arguments(given, tool.takes))
    except WalnutError as error:
        _log.info("%s: %s", name if name in TOOLS else "unknown tool", error.code)
        return types.CallToolResult(content=[types.TextContent(text=explained(error))], is_error=True)
    except Exception as error:  # noqa: BLE001 - raised anew without its text and traceback, which may hold content
        _log.error("%s: %s", name, _origin(error))
        raise MCPError(
            types.INTERNAL_ERROR, f"{name} failed in an unforeseen way; the server's log says where"
        ) from None
    return types.CallToolResult(
        content=[types.TextContent(text=str(answer))], structured_content=msgspec.to_builtins(answer)
    )


def _named(name: str) -> Tool:
    if name not in TOOLS:
        raise NotFound("no such tool", where="name", hint="the tools are: " + ", ".join(TOOLS))
    return TOOLS[name]


def explained(error: WalnutError) -> str:
    """The error as a model reads it: message, code, place, and always what to do."""
    place = f" at {error.where}" if error.where else ""
    more = ""
    if isinstance(error, VersionConflict) and error.current is not None:
        more = f" The version now is {error.current}."
    elif isinstance(error, IdempotencyConflict) and error.lsn is not None:
        more = f" The first write is LSN {error.lsn}."
    own = None if error.hint == NotFound.usual_hint else error.hint
    hint = own or _HINTS.get(error.code, "" if isinstance(error, InvalidArgument) else _FOR_THE_HOST)
    return f"{error.code}{place}: {error.message}.{more}" + (f" Hint: {hint}" if hint else "")


def _origin(error: BaseException) -> str:
    """Where an unforeseen error came from, without its text."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = "" if trace is None else f" at {trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}"
    return f"{type(error).__name__}{where}"


async def _serve(store: str | PathLike[str], scope: str, actor: str, *, create: bool) -> None:
    from mcp.server.stdio import stdio_server

    bridge = Bridge(asyncio.get_running_loop())
    handle = await bridge.call(
        partial(
            opening.handle,
            store,
            scope=scope,
            actor=actor,
            durability="disk",
            create=create,
            network_file_system=False,
            busy_timeout=10.0,
            checkpoint_every=10_000,
            system=None,
        )
    )
    memory = AsyncMemory(handle, bridge)
    _end_on_signals(memory)
    _log.info("serving")
    try:
        serving = server(Desk(memory, handle.store.log.secret))
        async with stdio_server() as (reading, writing):
            await serving.run(reading, writing, serving.create_initialization_options())
    except* OSError as group:  # the client is gone: nobody is left to tell
        _log.info("the client went away: %s", type(group.exceptions[0]).__name__)
    finally:
        await memory.close()
    _log.info("ended")


def _end_on_signals(memory: AsyncMemory) -> None:
    """SIGTERM and SIGINT: flush, then end at once, as a thread waits on stdin that nothing can interrupt."""
    loop = asyncio.get_running_loop()
    ending: list[asyncio.Task[None]] = []  # the loop itself keeps no task alive

    async def end() -> None:
        await memory.close()
        _log.info("ended by a signal")
        os._exit(0)

    def on_signal() -> None:
        if not ending:
            ending.append(loop.create_task(end()))

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)


def _log_to_stderr() -> None:
    """This process is the server: its own log is shown, the SDK's is not, which may quote messages."""
    lines = logging.StreamHandler(sys.stderr)
    lines.setFormatter(logging.Formatter("%(asctime)s walnut %(message)s"))
    _log.handlers = [lines]
    _log.setLevel(logging.INFO)
    _log.propagate = False
    logging.getLogger("mcp").setLevel(logging.CRITICAL + 1)


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m walnut.serve.mcp`: 0 after a clean end, 2 for a mistake in the arguments, 1 for what went wrong."""
    parser = argparse.ArgumentParser(prog="python -m walnut.serve.mcp", description="Serve a store to an MCP client.")
    parser.add_argument("--store", default=os.environ.get("WALNUT_STORE"), help="folder of the store ($WALNUT_STORE)")
    parser.add_argument("--scope", default=os.environ.get("WALNUT_SCOPE", DEFAULT), help="fixed for this server")
    parser.add_argument("--actor", default=os.environ.get("WALNUT_ACTOR", "agent:default"), help="who writes")
    given = parser.parse_args(argv)
    if not given.store:
        parser.error("--store or WALNUT_STORE is needed")
    try:
        run(given.store, scope=given.scope, actor=given.actor)
    except WalnutError as error:
        sys.stderr.write(f"walnut: {error}\n")
        return 2 if isinstance(error, InvalidArgument) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The verb that serves a store to an MCP client: mcp."""

from __future__ import annotations

import argparse
from importlib.util import find_spec

from walnut.cli.exits import OK, Missing
from walnut.cli.screen import Screen
from walnut.cli.verb import Verb


def _arguments(parser: argparse.ArgumentParser) -> None:
    """No arguments but the common ones."""


def _mcp(args: argparse.Namespace, screen: Screen) -> int:
    del screen  # standard output belongs to the protocol
    if find_spec("mcp") is None:
        raise Missing(
            "the MCP server needs the package mcp",
            where="walnut mcp",
            hint="in a clone of Walnut: pip install '.[mcp]'",
        )
    from walnut.serve import mcp

    mcp.run(args.store, scope=args.scope, actor=args.actor)
    return OK


VERBS = {
    "mcp": Verb(
        "mcp",
        """Serve the store to one MCP client over standard input and output, until the input ends. Scope and actor are
        fixed here; no tool takes them as an argument. The store is made if there is none.

        Needs the extra `mcp`; in a clone of Walnut: pip install '.[mcp]'.""",
        ("walnut mcp --store ~/.walnut --scope user:me --actor agent:claude < /dev/null",),
        _arguments,
        _mcp,
    ),
}

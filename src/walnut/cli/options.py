"""Options that several verbs share, and the store they name."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from walnut.cli.exits import Usage
from walnut.cli.verb import COMMON
from walnut.errors import InvalidArgument, NotAStore
from walnut.model.event import Json

if TYPE_CHECKING:
    from walnut.memory import Memory
    from walnut.memory_at import MemoryAt

STORE = "./memory"
SCOPE = "user:default"
ACTOR = "agent:default"

#: What Python calls a moment, and what it is here.
_MOMENT = {"system_time": "--as-of", "lsn": "--as-of", "valid_time": "--valid-at"}

#: Common options that take a value; they may also stand before the verb.
WITH_VALUE = ("--store", "--scope", "--actor")


def add_common(parser: argparse.ArgumentParser) -> None:
    """The options that every verb takes."""
    group = parser.add_argument_group(COMMON)
    environ = os.environ.get
    group.add_argument(
        "--store",
        metavar="DIR",
        default=environ("WALNUT_STORE") or STORE,
        help=f"the folder of the store (WALNUT_STORE, else {STORE})",
    )
    group.add_argument(
        "--scope",
        default=environ("WALNUT_SCOPE") or SCOPE,
        help=f"who it is about: user:alice, org:acme/customer:initech (WALNUT_SCOPE, else {SCOPE})",
    )
    group.add_argument(
        "--actor",
        default=environ("WALNUT_ACTOR") or ACTOR,
        help=f"who writes (WALNUT_ACTOR, else {ACTOR})",
    )
    group.add_argument("--json", action="store_true", help="output for machines: one JSON document, or JSON lines")
    group.add_argument("--help", "-h", action="help", help="show this page")


def add_moment(parser: argparse.ArgumentParser) -> None:
    """The options of reads that look back."""
    parser.add_argument(
        "--as-of", metavar="WHEN", help="what was known then: a time (when it was recorded), or lsn:N for an exact LSN"
    )
    parser.add_argument("--valid-at", metavar="WHEN", help="what was true then, as far as is known")


def add_filters(parser: argparse.ArgumentParser) -> None:
    """The options that narrow a search or a listing."""
    parser.add_argument("--tag", action="append", default=[], help="only with this tag; may be given several times")
    parser.add_argument("--since", metavar="WHEN", help="only what occurred then or later")
    parser.add_argument("--until", metavar="WHEN", help="only what occurred before")
    parser.add_argument("--min-confidence", metavar="X", type=number, help="only with at least this confidence, 0 to 1")
    parser.add_argument("--below", action="store_true", help="the scopes below this one too")


def add_memory(parser: argparse.ArgumentParser) -> None:
    """Which memory: by id or by key."""
    parser.add_argument("memory_id", metavar="MEMORY_ID", nargs="?", help="mem_… as other commands print it")
    parser.add_argument("--key", help="the key it was remembered with, instead of its id")


def number(text: str) -> float:
    """A number, for argparse."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError("not a number") from None


def whole(text: str) -> int:
    """A whole number of at most 18 digits, for argparse."""
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise argparse.ArgumentTypeError("not a whole number from 0 on")
    return int(text)


def source(pairs: Sequence[str]) -> dict[str, Json] | None:
    """`KEY=VALUE` (text) and `KEY:=JSON` -> a source; None when there is none."""
    found: dict[str, Json] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.rstrip(":"):
            raise Usage("not KEY=VALUE", where="--source", hint="--source conversation_id=c1, or --source turn:=3")
        found[key.removesuffix(":")] = json_value(value, where="--source") if key.endswith(":") else value
    return found or None


def json_value(text: str, *, where: str) -> Json:
    """A JSON value given on the command line."""
    try:
        value: Json = msgspec.json.decode(text.encode("utf-8", "surrogateescape"))
    except (msgspec.DecodeError, RecursionError):
        raise Usage("not JSON", where=where, hint="""quote it for the shell: '{"a": 1}'""") from None
    return value


def open_store(args: argparse.Namespace, *, create: bool = False) -> Memory:
    """The store that the options name; only writing makes a new one."""
    import walnut

    if not create:
        existing(args)
    return walnut.open(args.store, scope=args.scope, actor=args.actor, create=create)


def existing(args: argparse.Namespace) -> str:
    """The store's folder, which has to be there."""
    store: str = args.store
    if "://" not in store and not os.path.lexists(store):
        hint = "name its folder with --store or WALNUT_STORE; `walnut remember` makes one"
        raise NotAStore("there is no store", where=str(Path(store).absolute()), hint=hint)
    return store


def at_moment(memory: Memory, args: argparse.Namespace) -> MemoryAt:
    """The handle to read from: live, or at the moment that the options name."""
    if args.as_of is None and args.valid_at is None:
        return memory
    try:
        if args.as_of is None:
            return memory.as_of(valid_time=args.valid_at)
        head, colon, lsn = args.as_of.partition(":")
        if head == "lsn" and colon:
            if not lsn.isascii() or not lsn.isdigit() or len(lsn) > 18:
                raise Usage("not an LSN", where="--as-of", hint="--as-of lsn:42")
            return memory.as_of(lsn=int(lsn), valid_time=args.valid_at)
        return memory.as_of(system_time=args.as_of, valid_time=args.valid_at)
    except InvalidArgument as error:
        error.where = _MOMENT.get(error.where or "", error.where)
        raise


def event(text: str) -> int | str:
    """What names an event: an LSN, or an id as it stands.

    >>> event("17"), event("evt_01")
    (17, 'evt_01')
    """
    return int(text) if text.isascii() and text.isdigit() else text


def one_of(args: argparse.Namespace) -> None:
    """Either an id or a key."""
    if (args.memory_id is None) == (args.key is None):
        raise Usage("which memory?", where=f"walnut {args.verb}", hint="give either its id or --key")


def memory_id(reader: MemoryAt, args: argparse.Namespace) -> str:
    """The id of the memory that the options name, by id or by key."""
    one_of(args)
    found: str = args.memory_id if args.key is None else reader.get(key=args.key).memory_id
    return found

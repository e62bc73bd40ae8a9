"""Opening a store: the only place that wires log, views and engine together, by the form of the url."""

from __future__ import annotations

import sys
from collections.abc import Callable
from os import PathLike, fspath
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from walnut.engine import parse
from walnut.engine.handle import Handle, Store, check_actor
from walnut.errors import InvalidArgument, UnsupportedPlatform
from walnut.model import scope as scopes
from walnut.model.requests import Binding, Durability
from walnut.policy import limits
from walnut.ports import Embedder, Log
from walnut.system import System

if TYPE_CHECKING:
    from walnut.reactors.embedding import Embedded
    from walnut.views.runner import Views


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """How a store is to be opened; `address` is what follows the scheme, or the folder's path."""

    address: str
    create: bool
    network_file_system: bool
    busy_timeout: float
    checkpoint_every: int


#: Opens the log of one kind of store, and says how its views are opened.
Backend: TypeAlias = "Callable[[System, Wish], tuple[Log, Callable[[], Views]]]"


def handle(
    url: str | PathLike[str],
    *,
    scope: str,
    actor: str,
    durability: Durability,
    create: bool,
    network_file_system: bool,
    busy_timeout: float,
    checkpoint_every: int,
    system: System | None,
    embedder: Embedder | None = None,
) -> Handle:
    """Open the store and bind its first handle, which owns it. Arguments and errors: `walnut.open`."""
    binding = Binding(scope=scopes.check(scope), actor=check_actor(actor))
    level = parse.durability(durability)
    backend, address = _backend(url)
    machine = system or System()
    if backend is _folder:  # wherever the program goes from here
        address = machine.absolute(address)
    wish = Wish(
        address=address,
        create=limits.flag(create, where="create"),
        network_file_system=limits.flag(network_file_system, where="network_file_system"),
        busy_timeout=limits.seconds(busy_timeout, where="busy_timeout"),
        checkpoint_every=limits.whole(checkpoint_every, where="checkpoint_every"),
    )
    if embedder is not None:
        limits.embedder(embedder)
    log, open_views = backend(machine, wish)
    embedding = None if embedder is None else _embedding(log, machine, embedder, backend, address)
    store = Store(str(url), log=log, open_views=open_views, system=machine, embedding=embedding)
    return Handle(store, binding, durability=level, owner=True)


def _backend(url: str | PathLike[str]) -> tuple[Backend, str]:
    if sys.platform not in {"linux", "darwin"}:
        raise UnsupportedPlatform("Walnut runs on Linux and macOS", where=sys.platform)
    given: object = fspath(url) if isinstance(url, PathLike) else url
    path = limits.path(given, where="url", hint='a folder, or "memory://"')
    scheme, separator, address = path.partition("://")
    if not separator:
        return _folder, path
    backend = BACKENDS.get(scheme)
    if backend is None:
        raise InvalidArgument("no backend for this scheme", where="url", hint='a folder, or "memory://"')
    return backend, address


def _memory(system: System, wish: Wish) -> tuple[Log, Callable[[], Views]]:
    if wish.address:
        raise InvalidArgument("a store in memory has no name", where="url", hint='"memory://"')
    from walnut.log.memory_log import MemoryLog

    log = MemoryLog(system)
    return log, lambda: _views(log, system, folder=None, checkpoint_every=0)


def _folder(system: System, wish: Wish) -> tuple[Log, Callable[[], Views]]:
    from walnut.log.file_log import FileLog

    log = FileLog.open(
        system,
        wish.address,
        create=wish.create,
        network_file_system=wish.network_file_system,
        busy_timeout=wish.busy_timeout,
    )
    return log, lambda: _views(log, system, folder=wish.address, checkpoint_every=wish.checkpoint_every)


def _embedding(log: Log, system: System, embedder: Embedder, backend: Backend, address: str) -> Embedded:
    from walnut.reactors.embedding import Embedded  # most stores have none

    return Embedded(log, system, embedder, folder=address if backend is _folder else None)


def _views(log: Log, system: System, *, folder: str | None, checkpoint_every: int) -> Views:
    from walnut.views.runner import Views

    return Views.open(log, system, folder=folder, checkpoint_every=checkpoint_every)


#: Schemes and what opens them; a path without a scheme is a folder.
BACKENDS: dict[str, Backend] = {"memory": _memory}

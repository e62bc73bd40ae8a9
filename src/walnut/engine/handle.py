"""A store that is open, and the handles on it: who asks, from which scope, about which moment."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from walnut.engine.notes import Note, NoteDesk
from walnut.errors import InvalidArgument, ScopeError, StoreClosed
from walnut.model import scope as scopes
from walnut.model.event import Draft
from walnut.model.requests import Binding, Durability
from walnut.policy import limits
from walnut.ports import Batch, Log
from walnut.system import System

if TYPE_CHECKING:
    from walnut.reactors.embedding import Embedded
    from walnut.recall.models import Models
    from walnut.recall.texts import Texts
    from walnut.recall.vectors import Vectors
    from walnut.views.runner import Views


class Store:
    """What all handles of one `open` share: the log, its views, the notes. Owns them: `close` closes them.

    The views are opened at the first read: whoever only writes never loads them.
    """

    def __init__(
        self,
        url: str,
        *,
        log: Log,
        open_views: Callable[[], Views],
        system: System,
        embedding: Embedded | None = None,
    ) -> None:
        self.url = url
        self.log = log
        self.embedding = embedding
        self._open_views = open_views
        self._views: Views | None = None
        self._vectors: Vectors | None = None
        self._texts: Texts | None = None
        self._models: Models | None = None
        self.system = system
        self.desk = NoteDesk(system, self._write_note)
        self.closed = False
        self._process = system.process_id()
        self._closing = system.lock()

    @property
    def vectors(self) -> Vectors:
        """What is kept of the view of vectors between searches."""
        kept = self._vectors
        if kept is None:  # two threads may both make one: the later stays
            from walnut.recall.vectors import Vectors  # numpy takes long to load

            kept = self._vectors = Vectors(self.system, self.views.folder)
        return kept

    @property
    def texts(self) -> Texts:
        """The same of the view of texts."""
        kept = self._texts
        if kept is None:
            from walnut.recall.texts import Texts

            kept = self._texts = Texts(self.system)
        return kept

    @property
    def models(self) -> Models:
        """The same of vectors by other models."""
        kept = self._models
        if kept is None:
            from walnut.recall.models import Models

            kept = self._models = Models(self.system)
        return kept

    @property
    def views(self) -> Views:
        """The views; StoreClosed once closed."""
        if self._views is None:
            with self._closing:
                self.check_open()
                if self._views is None:
                    self._views = self._open_views()
        return self._views

    def check_open(self) -> None:
        """Raise StoreClosed when the store is closed, or was opened by the process this one was forked from."""
        if self.closed:
            raise StoreClosed("the store is closed", hint="open it again")
        if self.system.process_id() != self._process:
            raise StoreClosed("the store was opened before this process was forked", hint="open it again in the child")

    def close(self) -> None:
        """Write the notes, close views and log; idempotent. In a forked child only the log lets go."""
        with self._closing:
            if self.closed:
                return
            mine = self.system.process_id() == self._process
            try:
                if mine:
                    self.desk.close()
                    self.closed = True
                    if self.embedding is not None:
                        self.embedding.close()
                    if self._vectors is not None:
                        self._vectors.close()
                    if self._views is not None:
                        self._views.close()
            finally:
                self.closed = True
                self.log.close()

    def _write_note(self, draft: Draft) -> None:
        self.log.append(Batch(transactions=((draft,),), durability="process"))


class Handle:
    """A binding on a store: scope, actor and moment are fixed in it. Safe to share between threads.

    `last_lsn` is the newest LSN this handle has written; its reads see at least that.
    """

    def __init__(
        self, store: Store, binding: Binding, *, durability: Durability, last_lsn: int = 0, owner: bool = False
    ) -> None:
        self.store = store
        self.binding = binding
        self.durability: Durability = durability
        self.last_lsn = last_lsn
        self.readable = scopes.ancestors(binding.scope)
        self.note = Note(store.desk, scope=binding.scope, actor=binding.actor)
        self._owner = owner
        self._closed = False

    def check_open(self) -> None:
        """Raise StoreClosed when this handle or its store is closed."""
        if self._closed:
            raise StoreClosed("the handle is closed", hint="open the store or bind again")
        self.store.check_open()

    def wrote(self, lsn: int) -> None:
        """This handle's reads see `lsn` from now on."""
        self.last_lsn = max(self.last_lsn, lsn)
        if self.store.embedding is not None:
            self.store.embedding.nudge()

    def sync_own(self) -> int:
        """Make this handle's own writes durable, so that reads see them; returns the durable LSN."""
        durable = self.store.log.durable_lsn()
        return durable if durable >= self.last_lsn else self.store.log.sync(self.last_lsn)

    def bind(self, *, scope: str | None, actor: str | None) -> Handle:
        """A handle for this scope or one below it."""
        self.check_open()
        binding = self.binding
        if scope is not None and not scopes.within(scopes.check(scope), binding.scope):
            raise ScopeError(
                "a handle binds its own scope or one below it", where="scope", hint="an absolute path is expected"
            )
        bound = Binding(
            scope=binding.scope if scope is None else scope,
            actor=binding.actor if actor is None else check_actor(actor),
            lsn=binding.lsn,
            valid_at=binding.valid_at,
        )
        return Handle(self.store, bound, durability=self.durability, last_lsn=self.last_lsn)

    def at(self, *, lsn: int | None, valid_at: int | None) -> Handle:
        """A handle of the same scope and actor on another moment."""
        bound = Binding(scope=self.binding.scope, actor=self.binding.actor, lsn=lsn, valid_at=valid_at)
        moved = Handle(self.store, bound, durability=self.durability, last_lsn=self.last_lsn)
        moved.note = self.note  # what it shows, this handle's next write has seen
        return moved

    def close(self) -> None:
        """Write the note; the handle that opened the store closes it. Idempotent."""
        if self._closed:
            return
        self._closed = True
        if self._owner:
            self.store.close()
        elif not self.store.closed:
            self.store.desk.flush(self.note)


def check_actor(actor: str) -> str:
    """The actor itself if it is a printable name of at most 256 characters, else InvalidArgument."""
    limits.name(actor, where="actor", limit=256)
    if not actor.isprintable():
        raise InvalidArgument("an actor holds printable characters only", where="actor", hint="agent:teddy")
    return actor

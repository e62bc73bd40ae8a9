"""Notes of what a handle was shown: kept in memory, written with its next write, or once it has been idle.

Reads only add to a note: they never wait for its writing, nor fail by it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from walnut.errors import WalnutError
from walnut.model.event import Content, Draft, Json
from walnut.system import System

KIND = "memory.recalled"

#: Seconds after which the note of an idle handle is written.
IDLE = 5.0
#: So many versions a note holds; of more, the newest shown are kept.
MOST = 4_096


class Note:
    """What one handle was shown since its last write: LSNs of versions, in the order of showing."""

    def __init__(self, desk: NoteDesk, *, scope: str, actor: str) -> None:
        self.scope = scope
        self.actor = actor
        self.changed_at = 0.0
        self._desk = desk
        self._shown: dict[int, None] = {}

    def __bool__(self) -> bool:
        return bool(self._shown)

    def add(self, lsns: Iterable[int]) -> None:
        """Remember that these versions were shown."""
        self._desk.add(self, lsns)

    def take(self) -> Draft | None:
        """Empty the note into the event that tells it; None when there is nothing to tell."""
        if not self._shown:
            return None
        return self._desk.take(self)

    def put_back(self, draft: Draft) -> None:
        """Undo `take`: the event was not written."""
        shown = draft.content.payload["shown"]
        if isinstance(shown, list):
            self.add(lsn for lsn in shown if isinstance(lsn, int))


class NoteDesk:
    """The notes of all handles of a store, and the thread that writes those of idle ones.

    `write` appends one draft at durability "process"; the thread starts with the first note and ends when there
    is none.
    """

    def __init__(self, system: System, write: Callable[[Draft], None]) -> None:
        self._system = system
        self._write = write
        self._changed = system.condition()
        self._waiting: dict[Note, None] = {}
        self._running = False
        self._closed = False

    def add(self, note: Note, lsns: Iterable[int]) -> None:
        """Add to a note."""
        with self._changed:
            shown = note._shown  # noqa: SLF001 - notes and their desk are one thing
            for lsn in lsns:
                shown.pop(lsn, None)
                shown[lsn] = None
            if not shown or self._closed:
                return
            while len(shown) > MOST:
                del shown[next(iter(shown))]
            note.changed_at = self._system.monotonic()
            self._waiting[note] = None
            if not self._running:
                self._running = True
                self._system.start_thread(self._run, name="walnut-notes")

    def take(self, note: Note) -> Draft | None:
        """Empty a note."""
        with self._changed:
            return self._take(note)

    def close(self) -> None:
        """Write what is left, end the thread; idempotent."""
        with self._changed:
            self._closed = True
            drafts = [self._take(note) for note in list(self._waiting)]
            self._changed.notify_all()
        self._write_all(drafts)

    def flush(self, note: Note) -> None:
        """Write one note now."""
        self._write_all([self.take(note)])

    def _take(self, note: Note) -> Draft | None:
        self._waiting.pop(note, None)
        shown = sorted(note._shown)  # noqa: SLF001 - as above
        note._shown.clear()  # noqa: SLF001 - as above
        if not shown:
            return None
        payload: dict[str, Json] = {"shown": [*shown]}
        return Draft(kind=KIND, content=Content(scope=note.scope, actor=note.actor, payload=payload))

    def _run(self) -> None:
        while True:
            with self._changed:
                if self._closed or not self._waiting:
                    self._running = False
                    return
                now = self._system.monotonic()
                due = [note for note in self._waiting if note.changed_at + IDLE <= now]
                if not due:
                    first = min(note.changed_at for note in self._waiting)
                    self._changed.wait(first + IDLE - now)
                    continue
                drafts = [self._take(note) for note in due]
            self._write_all(drafts)

    def _write_all(self, drafts: Iterable[Draft | None]) -> None:
        for draft in drafts:
            if draft is None:
                continue
            try:
                self._write(draft)
            except WalnutError:
                return  # a note is worth less than the call that would fail by it

"""Where a contender's store lies: a path, or a server of the run's own; what can be started, killed and weighed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.child import Child, WorkerFailedError, descendants, kill_ids
from bench.contenders import Contender
from bench.ground import Ground
from bench.servers import Postgres, Redis, UnavailableError

#: What may go wrong with one contender; the others go on.
FAILURES = (WorkerFailedError, UnavailableError, OSError, subprocess.SubprocessError)


class Place:
    """Room for one store; `at` is what a worker opens."""

    def __init__(self, folder: Path, server: Postgres | Redis | None, at: Path) -> None:
        self.at = at
        self.server = server
        self._folder = folder

    def start(self) -> None:
        """Start the server, where there is one."""
        if self.server:
            self.server.start()

    def stop(self) -> None:
        """Stop the server in good order."""
        if self.server:
            self.server.stop()

    def kill(self, children: Sequence[Child]) -> None:
        """SIGKILL the server, MCP servers that the children started, and the children."""
        ids = [*(self.server.pids() if self.server else ()), *self._noted()]
        ids += [child.pid for child in children]
        kill_ids([each for pid in ids for each in descendants(pid)])
        for child in children:
            child.kill()
        if self.server:
            self.server.kill()

    def pids(self, child: Child) -> list[int]:
        """Every process that takes part in a write."""
        return [*descendants(child.pid), *(self.server.pids() if self.server else ())]

    def bytes(self) -> int:
        """What the files take on the disk."""
        return _bytes(self._folder)

    def parts(self) -> dict[str, int]:
        """The same for each folder of the store; empty where it has none."""
        if not self.at.is_dir():
            return {}
        folders = {each.name: _bytes(each) for each in self.at.iterdir() if each.is_dir()}
        return dict(sorted(folders.items(), key=lambda item: (item[0] != "log", -item[1])))

    def _noted(self) -> list[int]:
        """Ids that MCP servers left beside the store."""
        found = []
        for note in self.at.parent.glob(f"{self.at.name}.*.pid"):
            with suppress(OSError, ValueError):
                found.append(int(note.read_text()))
            note.unlink(missing_ok=True)
        return found


def _bytes(folder: Path) -> int:
    return sum(each.stat().st_blocks * 512 for each in folder.rglob("*") if each.is_file())


class Places:
    """Rooms of one run; one PostgreSQL server serves them all, with a table each."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._postgres: Postgres | None = None
        self._redis: list[Redis] = []
        self._tables = 0

    def fresh(self, contender: Contender) -> Place:
        """Room where nothing is yet, its server started. Errors: UnavailableError."""
        folder = self._ground.fresh()
        if contender.server == "postgres":
            server = self.postgres()
            self._tables += 1
            return Place(folder, server, server.socket / f"notes_{self._tables}")
        if contender.server == "redis":
            redis = Redis(folder)
            self._redis.append(redis)
            redis.start()
            return Place(folder, redis, redis.socket)
        folder.mkdir()
        return Place(folder, None, folder / "store")

    def postgres(self) -> Postgres:
        """The one server, started. Errors: UnavailableError."""
        if self._postgres is None:
            self._postgres = Postgres(self._ground.fresh())
            self._postgres.start()
        return self._postgres

    def file(self, name: str) -> Path:
        """A file beside the rooms."""
        return self._ground.folder / name

    def done(self, place: Place) -> None:
        """End a server that is no one else's."""
        if isinstance(place.server, Redis):
            place.server.remove()

    def versions(self) -> dict[str, str]:
        """What the servers of this run say of themselves."""
        found = {"PostgreSQL": self._postgres.version()} if self._postgres else {}
        return found | ({"Redis": self._redis[0].version()} if self._redis else {})

    def remove(self) -> None:
        """End every server."""
        for redis in self._redis:
            redis.remove()
        if self._postgres:
            self._postgres.remove()


@contextmanager
def places(ground: Ground) -> Iterator[Places]:
    """Rooms whose servers end with the block."""
    rooms = Places(ground)
    try:
        yield rooms
    finally:
        rooms.remove()


def traceable() -> bool:
    """Whether `strace` may look at other processes here."""
    from shutil import which

    return which("strace") is not None and os.uname().sysname == "Linux"

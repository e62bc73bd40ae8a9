"""Peers that make the same promise: SQLite with synchronous=FULL, and PostgreSQL where a server is installed."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.figure import Rate

_TABLE = "CREATE TABLE memory (id INTEGER PRIMARY KEY, at REAL, text TEXT)"
#: A note of the mean length, made by the server: the client has nothing to prepare.
_SCRIPT = "INSERT INTO memory (at, text) VALUES (now(), repeat('remember ', 29));\n"
#: Servers that refuse to be run by root are run by this account.
_ACCOUNTS = ("postgres", "nobody")


@contextmanager
def sqlite(folder: Path) -> Iterator[Callable[[str], object]]:
    """A function that commits one text: WAL, FULL, and one connection taken in turns.

    That is SQLite at its best: 64 connections would wait for one another in its busy handler.
    """
    folder.mkdir()
    db = sqlite3.connect(folder / "peer.db", isolation_level=None, check_same_thread=False)
    turn = threading.Lock()
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute(_TABLE)

    def insert(text: str) -> None:
        with turn:
            db.execute("INSERT INTO memory (at, text) VALUES (julianday(), ?)", (text,))

    try:
        yield insert
    finally:
        db.close()


@contextmanager
def postgres(folder: Path, *, clients: int) -> Iterator[tuple[Callable[[float], Rate] | None, str]]:
    """A function that has `pgbench` insert for so many seconds; else None, and why."""
    programs = _programs()
    account = _account()
    if programs is None:
        yield None, "no PostgreSQL server (initdb, pg_ctl, pgbench) on this machine"
        return
    if account is None:
        yield None, "PostgreSQL refuses to be run by root, and there is no other account"
        return
    folder.mkdir()
    if os.geteuid() == 0:
        shutil.chown(folder, account)
    server = _Server(folder, programs, account if os.geteuid() == 0 else None)
    try:
        server.start()
    except (subprocess.SubprocessError, OSError) as error:
        server.stop()
        yield None, f"PostgreSQL did not start ({type(error).__name__})"
        return
    try:
        yield lambda seconds: server.insert(seconds, clients=clients), ""
    finally:
        server.stop()


def _programs() -> Path | None:
    """The folder of the server's programs."""
    found = shutil.which("initdb")
    places = [Path(found).resolve().parent] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((each for each in places if all((each / n).exists() for n in ("initdb", "pg_ctl", "pgbench"))), None)


def _account() -> str | None:
    import pwd

    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid()).pw_name
    for name in _ACCOUNTS:
        with suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    return None


class _Server:
    """A PostgreSQL server with its defaults but no network: the client talks through a socket in the folder."""

    def __init__(self, folder: Path, programs: Path, account: str | None) -> None:
        self._data = folder / "data"
        self._script = folder / "insert.sql"
        self._programs = programs
        self._account = account
        # The path of a socket has a short limit, and the folder may lie deep.
        self._socket = Path(tempfile.mkdtemp(prefix="walnut-bench-"))

    def start(self) -> None:
        """Make a cluster and a table, and wait until it answers."""
        if self._account:
            shutil.chown(self._socket, self._account)
        self._script.write_text(_SCRIPT)
        self._run("initdb", "-D", str(self._data), "-A", "trust", "-U", "walnut", "-E", "UTF8", "--no-locale")
        options = f"-c listen_addresses= -c unix_socket_directories={self._socket} -c max_connections=100"
        log = str(self._data / "server.log")
        self._run("pg_ctl", "-D", str(self._data), "-w", "-l", log, "-o", options, "start")
        self._run("psql", *self._where(), "-q", "-c", "CREATE TABLE memory (id bigserial, at timestamptz, text text)")

    def insert(self, seconds: float, *, clients: int) -> Rate:
        """So many connections that commit one row at a time."""
        whole = str(max(1, round(seconds)))
        words = ["-n", "-M", "prepared", "-c", str(clients), "-j", "2", "-T", whole, "-f", str(self._script)]
        said = self._run("pgbench", *self._where(), *words)
        count = re.search(r"actually processed: (\d+)", said)
        rate = re.search(r"tps = ([\d.]+)", said)
        if count is None or rate is None:
            raise RuntimeError("pgbench did not say how many transactions it made")
        return Rate(int(count[1]), int(count[1]) / float(rate[1]), 0.0)

    def stop(self) -> None:
        """End it and leave nothing."""
        with suppress(subprocess.SubprocessError, OSError):
            self._run("pg_ctl", "-D", str(self._data), "-m", "immediate", "stop")
        shutil.rmtree(self._socket, ignore_errors=True)

    def _where(self) -> tuple[str, ...]:
        return ("-h", str(self._socket), "-U", "walnut", "postgres")

    def _run(self, program: str, *words: str) -> str:
        command = [str(self._programs / program), *words]
        done = subprocess.run(
            command,
            check=True,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            user=self._account,
            cwd=self._data.parent,
            timeout=120,
        )
        return done.stdout

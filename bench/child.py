"""A worker process under control: it gets orders, answers within a limit, and is ended by its own id."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from bench.ground import ROOT

#: Seconds for what takes a moment; `rate` and `fill` say how much longer they take.
LIMIT = 40.0


class WorkerFailedError(Exception):
    """A worker ended or did not answer; the text is the reason."""


class Child:
    """One `python -m bench.workers`; `python` is the interpreter of its environment."""

    def __init__(self, python: Path, store: str, settings: dict[str, object]) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `end`
        words = [str(python), "-m", "bench.workers", store, json.dumps(settings)]
        self._process = subprocess.Popen(
            words,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            bufsize=1,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def ready(self) -> None:
        """Wait until its library is loaded; errors: WorkerFailedError."""
        self.answer()

    def ask(self, do: str, *, limit: float = LIMIT, **words: object) -> dict[str, object]:
        """Give an order and wait for the answer; errors: WorkerFailedError."""
        self.order(do, **words)
        return self.answer(limit=limit)

    def order(self, do: str, **words: object) -> None:
        """Give an order, and go on."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended: the answer will tell
            self._process.stdin.write(json.dumps({"do": do, **words}) + "\n")
            self._process.stdin.flush()

    def answer(self, *, limit: float = LIMIT) -> dict[str, object]:
        """The answer to the oldest order that has none yet; errors: WorkerFailedError."""
        line = self.line(limit)
        if line is None:
            raise WorkerFailedError(self._last_words())
        answer = json.loads(line)
        if not isinstance(answer, dict):
            raise WorkerFailedError("an answer that is none")
        return answer

    def line(self, limit: float) -> str | None:
        """The next line; None when it has ended. Errors: WorkerFailedError when it says nothing for so long."""
        try:
            return self._lines.get(timeout=limit)
        except queue.Empty:
            self.kill()
            raise WorkerFailedError(f"no answer in {limit:.0f} s") from None

    def kill(self) -> None:
        """SIGKILL, at any moment."""
        self._process.kill()
        self._process.wait()

    def rest(self) -> list[str]:
        """All whole lines that a killed one still said."""
        self._reader.join()
        lines = []
        while (line := self._lines.get()) is not None:
            lines.append(line)
        return lines

    def end(self) -> None:
        """Close its input, so that it goes; kill it where it does not."""
        if self._process.poll() is None and self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.close()
            try:
                self._process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.kill()
        self._reader.join(timeout=10)
        for pipe in (self._process.stdin, self._process.stdout, self._errors):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with suppress(ValueError):  # closed under the reader
            for line in self._process.stdout:
                if line.endswith("\n"):  # half a line is of a process that was killed: it said nothing
                    self._lines.put(line[:-1])
        self._lines.put(None)

    def _last_words(self) -> str:
        self._process.wait(timeout=10)
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").strip().splitlines()
        last = next((line for line in reversed(said) if line[:1].strip() and "Error" in line), said[-1] if said else "")
        return (last or f"the worker ended with {self._process.returncode}")[:160]


def end_all(children: Sequence[Child]) -> None:
    """End every one."""
    for child in children:
        child.end()


def kill_ids(ids: Sequence[int]) -> None:
    """SIGKILL processes that a run started, by their ids, and wait until they are gone."""
    for pid in ids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while any(map(_alive, ids)) and time.monotonic() < deadline:
        time.sleep(0.005)


def descendants(pid: int) -> list[int]:
    """A process and all that came from it, as far as the machine tells (Linux)."""
    found = [pid]
    for each in found:
        for file in Path(f"/proc/{each}/task").glob("*/children"):
            with suppress(OSError):
                found += [int(word) for word in file.read_text().split()]
    return found


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"

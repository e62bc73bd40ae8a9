"""System calls that fail, injected into a real process by `strace`: no false ack, a clear error, nothing lost.

What is refused is a matter of the n-th call of its kind in a thread: syncs, writes, renames and truncations, of the
log and of the views alike, with EIO or ENOSPC. The trace tells which thread asked; if that was for the log, the next
thing the program tells must be an error.
"""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import walnut
from tests.crash.mounts import quick_folder
from tests.crash.outage import Lost, survive
from tests.crash.refused import REPORT
from tests.crash.tally import Tally
from tests.crash.user import Told

#: Each kind of call as strace calls it, and about how many of them the program makes.
CALLS = {"fdatasync": 45, "fsync": 45, "pwrite64": 550, "ftruncate": 30, "/^rename": 20, "msync": 6, "pread64": 200}
#: What the log may answer; SQLite does not tell the views why a sync or a truncation failed.
ERRORS = {"EIO": {"storage_failed", "durability_unknown"}, "ENOSPC": {"storage_full", "durability_unknown"}}

_LINE = re.compile(r"(\d+) +(\w+)\((.*)")
#: The log's own files; a sidecar index that can't be written is made another time.
_LOG = re.compile(r"/log(/seg-\d+\.g\d+(\.tmp)?)?[>\"]")


def unable() -> str:
    """Why nothing can be injected here, empty when it can."""
    if sys.platform != "linux" or shutil.which("strace") is None:
        return "strace is not installed"
    done = subprocess.run(["strace", "-f", "--seccomp-bpf", "true"], capture_output=True, check=False)
    return "strace may not trace here" if done.returncode else ""


class Run:
    """The program under strace, and what it told."""

    def __init__(self, folder: Path, call: str, error: str, when: str) -> None:
        self.store, self._trace, report = folder / "store", folder / "trace", folder / "report"
        spec = [f"trace={','.join({*CALLS, 'write'})}", f"inject={call}:error={error}:when={when}"]
        options = [each for given in spec for each in ("-e", given)]
        strace = ["strace", "-f", "-y", "-s", "100", "--seccomp-bpf", "-o", str(self._trace), *options]
        program = [sys.executable, "-B", "-m", "tests.crash.refused", str(self.store)]
        shell = ["sh", "-c", f'exec "$@" {REPORT}>"$0"', str(report)]
        done = subprocess.run([*shell, *strace, *program], capture_output=True, text=True, check=False, timeout=100)
        told = ["opened", *(f"error {code}" for code in ERRORS[error])]  # what was noted of reads is dropped at closing
        self._expected = tuple(f', "{each}' for each in told)
        self.failed = done.stderr if done.returncode else ""
        lines = [line.split() for line in report.read_text().splitlines()]
        self.known = [Told(0, int(line[2]), line[3], line[4]) for line in lines if line[0] == "ack"]
        self.errors = [line[1] for line in lines if line[0] == "error"]

    def injected(self) -> int:
        """How many calls were refused."""
        return self._trace.read_text().count("(INJECTED)")

    def false_acks(self) -> list[str]:
        """Refusals of the log's calls, after which the thread that asked told something other than an error."""
        waiting: dict[str, str] = {}
        found = []
        for line in self._trace.read_text().splitlines():
            parts = _LINE.match(line)
            if parts is None:
                continue
            thread, call, rest = parts.groups()
            if call == "write" and rest.startswith(f"{REPORT}<"):
                refused = waiting.pop(thread, None)
                if refused is not None and not any(each in rest for each in self._expected):
                    found.append(refused)
            elif "(INJECTED)" in rest and call not in {"pread64", "msync"} and _LOG.search(rest):
                waiting[thread] = line
        return found


def run(*, rounds: int) -> Tally:
    """So many runs of the program, with a refusal in each."""
    tally = Tally(fault="refused system calls", skipped=unable(), counts={}, problems=[])
    begun, chance = time.monotonic(), random.SystemRandom()
    while tally.tried < rounds and not tally.skipped:
        call, error = chance.choice(list(CALLS)), chance.choice(list(ERRORS))
        first = chance.randint(1, CALLS[call])
        when = chance.choice([f"{first}", f"{first}", f"{first}..{first + chance.randint(1, 8)}", f"{first}+3"])
        with quick_folder() as folder:
            _one(folder, tally, call, error, when)
    tally.seconds = time.monotonic() - begun
    return tally


def _one(folder: Path, tally: Tally, call: str, error: str, when: str) -> None:
    name = f"{call} {error} {when}"
    found = Run(folder, call, error, when)
    tally.tried += 1
    tally.acknowledged += len(found.known)
    tally.count("calls refused", found.injected())
    for code in found.errors:
        tally.count(code)
    if found.failed:
        tally.problems.append(f"{name}: the program failed: {found.failed[-2000:]}")
    if strange := set(found.errors) - ERRORS[error] - {"storage_failed", "view_failed"}:
        tally.problems.append(f"{name}: {strange}")
    for each in found.false_acks():
        tally.silent += 1
        tally.problems.append(f"{name}: no error after {each}")
    try:
        survive(found.store, found.known, random.Random(1), boot=1, here=lambda: 0)
    except Lost as lost:
        tally.lost += 1
        tally.problems.append(f"{name}: lost: {lost}")
    except (AssertionError, walnut.WalnutError) as wrong:
        tally.silent += isinstance(wrong, AssertionError)
        tally.problems.append(f"{name}: {type(wrong).__name__}: {wrong}")

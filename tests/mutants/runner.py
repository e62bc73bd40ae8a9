"""Runs the test that must notice a seeded bug, in a copy of the tree in a temporary folder."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from tests.mutants.mutant import ROOT, Mutant, mutated

#: Seconds for one test, for one of a bug that makes somebody wait for ever, and for all of a run.
ONE_TEST, A_HANG, WHOLE_RUN = 60, 20, 300

_FAILED = re.compile(r"^FAILED (\S+(?:\[.*?\])?)(?: - (.*))?$", re.MULTILINE)
_TIMED_OUT = re.compile(r"Timeout \(?>")
#: What the bug itself must not be: code that can't run is noticed by anything.
_NO_BUG = re.compile(r"^E +(NameError|UnboundLocalError|ImportError|ModuleNotFoundError)\b.*$", re.MULTILINE)


class Outcome(NamedTuple):
    """How the test of a bug ended: `by` are the tests that failed; `why` tells when none did as it should."""

    caught: bool
    by: tuple[str, ...]
    seconds: float
    why: str = ""


def run(mutant: Mutant) -> Outcome:
    """Seed the bug and run its test."""
    limit = A_HANG if mutant.hangs else ONE_TEST
    return _judge(mutant, *_tested(mutant.test, {mutant.file: mutated(mutant)}, limit))


def sound(test: str) -> Outcome:
    """The same test without any bug: `caught` is true when it fails there as well, and so shows nothing."""
    code, output, seconds = _tested(test, {})
    if code == 0:
        return Outcome(caught=False, by=(), seconds=seconds)
    return Outcome(caught=True, by=_failed(output), seconds=seconds, why=output[-2000:])


def _judge(mutant: Mutant, code: int | None, output: str, seconds: float) -> Outcome:
    def missed(why: str) -> Outcome:
        return Outcome(caught=False, by=(), seconds=seconds, why=why)

    if code is None:
        return missed(f"the run did not end within {WHOLE_RUN} s")
    if code == 0:
        skipped = " passed" not in output.splitlines()[-1]
        return missed("all its tests were skipped" if skipped else "its tests pass with the bug")
    if code != 1:
        return missed(f"pytest ended with {code}: is the test's name still right?\n{output[-1000:]}")
    nonsense = _NO_BUG.search(output)
    if nonsense:
        return missed(f"it is no bug but nonsense: {nonsense[0]}")
    by = _failed(output)
    if not by:
        return missed(f"no test failed, something else did:\n{output[-1000:]}")
    if _TIMED_OUT.search(output) and not mutant.hangs:
        return missed(f"{by[0]} ran into its time limit, which this bug should not need")
    return Outcome(caught=True, by=by, seconds=seconds)


def _failed(output: str) -> tuple[str, ...]:
    return tuple(match[1] for match in _FAILED.finditer(output))


def _tested(test: str, changed: dict[str, str], limit: int = ONE_TEST) -> tuple[int | None, str, float]:
    """Exit code (None: it was ended), output and seconds of these tests in a copy with some files changed."""
    with tempfile.TemporaryDirectory(prefix="walnut-mutant-", ignore_cleanup_errors=True) as place:
        tree = Path(place, "tree")
        for folder in ("src", "tests", "bench"):
            shutil.copytree(ROOT / folder, tree / folder, ignore=shutil.ignore_patterns("__pycache__", "corpus"))
        shutil.copy(ROOT / "pyproject.toml", tree)
        for file, text in changed.items():
            (tree / "src" / "walnut" / file).write_text(text, encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "tests.mutants.copied"]
        command += [f"--timeout={limit}", f"--basetemp={place}/tests", *test.split()]
        kept = {name: os.environ[name] for name in ("PATH", "TMPDIR", "LANG") if name in os.environ}
        environment = {
            **kept,
            "HOME": place,
            "PYTHONPATH": f"{tree / 'src'}:{tree}",  # before the installed package
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        started = time.monotonic()
        code, output = _ended(command, tree, environment)
        return code, output, time.monotonic() - started


def _ended(command: list[str], folder: Path, environment: dict[str, str]) -> tuple[int | None, str]:
    """Exit code and output; None when it had to be ended, with all that it started."""
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
        code: int | None = None
        try:
            code = process.wait(WHOLE_RUN)
        except subprocess.TimeoutExpired:
            pass
        finally:
            if code is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        out.seek(0)
        return code, out.read().decode(errors="replace")

"""Seeds one bug into a copy of the source and runs the test that must fail."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]


class Mutant(NamedTuple):
    """A bug: in `file`, `old` becomes `new`; `test` (pytest arguments) must notice."""

    name: str
    file: str
    old: str
    new: str
    test: str


def mutated(mutant: Mutant) -> str:
    """The file with the bug in it; the text to replace must be there exactly once."""
    source = (ROOT / "src" / "walnut" / mutant.file).read_text()
    assert source.count(mutant.old) == 1, (
        f"{mutant.name}: the text is {source.count(mutant.old)} times in {mutant.file}"
    )
    return source.replace(mutant.old, mutant.new)


def caught(mutant: Mutant) -> bool:
    """Whether the named test fails with the bug, as tests fail and not for want of a test."""
    with tempfile.TemporaryDirectory() as place:
        shutil.copytree(ROOT / "src", f"{place}/src", ignore=shutil.ignore_patterns("__pycache__"))
        Path(place, "src", "walnut", mutant.file).write_text(mutated(mutant))
        environment = {
            "PYTHONPATH": f"{place}/src",  # before the installed package
            "PYTHONDONTWRITEBYTECODE": "1",
            "PATH": os.environ.get("PATH", ""),
        }
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--timeout=60"]
        command += [f"--basetemp={place}/tests", *mutant.test.split()]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False, timeout=300)
        assert done.returncode in (0, 1), done.stdout.decode()[-2000:]
        return done.returncode == 1

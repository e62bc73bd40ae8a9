"""The rows of the comparison, and the versions of who took part."""

from __future__ import annotations

import importlib.metadata
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Collection

from bench import persisted, reopened, writers
from bench.contenders import CONTENDERS
from bench.environment import PLACE, PYTHON
from bench.findings import Comparison
from bench.ground import Ground
from bench.places import places
from bench.texts import texts

ROWS = ("persisted", "writers", "reopened")

_ASK = "import json, importlib.metadata as m; print(json.dumps({d.name: d.version for d in m.distributions()}))"


def compare(ground: Ground, rows: Collection[str]) -> Comparison:
    """Run the rows; who can't take part is named with the reason."""
    missing: dict[str, str] = {}
    found = Comparison(missing=missing, text_bytes=sum(map(len, texts(4_096))) / 4_096)
    with places(ground) as rooms:
        for row in rows:
            begun = time.monotonic()
            if row == "persisted":
                found.persisted.extend(persisted.persisted(ground, rooms, missing))
            elif row == "writers":
                found.speeds.extend(writers.speeds(ground, rooms, missing))
            else:
                found.reopened.extend(reopened.reopened(ground, rooms, missing))
            print(f"{row}: {time.monotonic() - begun:.0f} s", file=sys.stderr)
        found.versions.update(_versions() | rooms.versions())
    return found


def _versions() -> dict[str, str]:
    known = {"SQLite": sqlite3.sqlite_version, "walnut-memory": importlib.metadata.version("walnut-memory")}
    if PYTHON.exists():
        said = subprocess.run([str(PYTHON), "-c", _ASK], capture_output=True, text=True, check=False, timeout=60)
        installed = json.loads(said.stdout) if said.returncode == 0 else {}
        wanted = {part for contender in CONTENDERS for part in contender.parts}
        known |= {name: str(version) for name, version in installed.items() if name in wanted and name not in known}
    for part in ("@modelcontextprotocol/server-memory", "@modelcontextprotocol/sdk"):
        file = PLACE / "node_modules" / part / "package.json"
        if file.is_file():
            known[part] = str(json.loads(file.read_text(encoding="utf-8"))["version"])
    return known

"""The machine a run was made on, in one line."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sqlite3
import time
from pathlib import Path

_PARTS = ("walnut-memory", "msgspec", "google-crc32c", "numpy")


def machine(folder: Path) -> str:
    """CPU, kernel, file system, Python, SQLite, date."""
    facts = (
        f"{_processor()} ({os.cpu_count()} CPUs)",
        f"{platform.system()} {platform.release()}",
        f"{_file_system(folder)} file system",
        f"Python {platform.python_version()}",
        f"SQLite {sqlite3.sqlite_version}",
        time.strftime("%Y-%m-%d"),
    )
    return ", ".join(facts)


def versions() -> str:
    """Walnut's version and those of what it stands on."""
    return ", ".join(f"{name} {_version(name)}" for name in _PARTS)


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Hardware")))
    return next(names, platform.machine())


def _file_system(folder: Path) -> str:
    best, kind = "", "unknown"
    try:
        lines = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    except OSError:
        return kind
    for line in lines:
        _, point, name, *_ = line.split(" ")
        inside = str(folder) == point or str(folder).startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, name
    return kind

"""What the package shows and needs: public names, version, pinned requirements, cost of an import."""

import re
import subprocess
import sys
import tomllib
from types import ModuleType
from typing import Any

import pytest

import walnut
from tests.tidy.tree import ROOT

METADATA: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

# Slow to import, and many a program never needs them: they come with what uses them.
LATE_MODULES = {"asyncio", "numpy", "mcp"}


def undocumented(module: ModuleType) -> list[str]:
    """Names in `__all__` that are missing, or that nobody explained."""
    found = []
    for name in getattr(module, "__all__", []):
        if not hasattr(module, name):
            found.append(f"{name} does not exist")
        elif callable(thing := getattr(module, name)) and not (thing.__doc__ or "").strip():
            found.append(f"{name} has no docstring")
    return found


def test_undocumented() -> None:
    class Explained:
        """Here."""

    class Child(Explained):
        pass

    module = ModuleType("m")
    vars(module).update(__all__=["Explained", "Child", "gone", "VERSION"], Explained=Explained, Child=Child)
    vars(module)["VERSION"] = "1"
    assert undocumented(module) == ["Child has no docstring", "gone does not exist"]


def test_public_names_exist_and_are_documented() -> None:
    assert undocumented(walnut) == []


def test_the_version_is_told_once() -> None:
    assert getattr(walnut, "__version__", METADATA["project"]["version"]) == METADATA["project"]["version"]


def unpinned(dependencies: list[str], pins: str) -> list[str]:
    """Dependencies that a compiled requirements file does not pin."""
    pinned = set(re.findall(r"(?m)^([\w.-]+)==", pins))
    return [each for each in dependencies if re.split(r"[^\w.-]", each)[0] not in pinned]


def test_unpinned() -> None:
    assert unpinned(["a>=1", "b[x]<2"], "a==1 \\\n    --hash=x\n") == ["b[x]<2"]


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_requirements_are_pinned(name: str) -> None:
    project = METADATA["project"]
    needed = project["dependencies"] + METADATA["build-system"]["requires"]
    if name == "requirements-dev.txt":
        needed += [each for extra in project["optional-dependencies"].values() for each in extra]
    pins = (ROOT / name).read_text(encoding="utf-8")
    assert unpinned(needed, pins) == [], "run `make lock`"


def test_import_loads_nothing_slow() -> None:
    script = "import sys, walnut; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert LATE_MODULES & set(loaded.split()) == set()

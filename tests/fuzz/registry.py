"""Every target by name, made when asked for; the modules that hold them in the order of the layers."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from tests.fuzz import argument_targets, import_targets, log_targets, view_targets
from tests.fuzz.target import Target, Trial

_MODULES = (log_targets, view_targets, import_targets, argument_targets)
#: Known without making any store, so that tests can be collected cheaply.
NAMES = tuple(name for module in _MODULES for name in module.NAMES)
#: Inputs that once did harm, by target.
CORPUS = Path(__file__).parent / "corpus"


@cache
def targets() -> dict[str, Target]:
    """All of them."""
    return {target.name: target for module in _MODULES for target in module.targets()}


@cache
def trial(name: str) -> Trial:
    """A trial of the target, which has read its own seeds."""
    return Trial(targets()[name])

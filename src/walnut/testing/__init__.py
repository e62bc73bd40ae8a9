"""For tests: contracts that each backend of a port must keep, and a simulated machine to run a store on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from walnut.testing.contract import Case, CaseLimit, Outcome, Report, Unsupported
from walnut.testing.log_contract import LogContract

if TYPE_CHECKING:
    from walnut.testing.sim import SimMachine, SimSystem

__all__ = ["Case", "CaseLimit", "LogContract", "Outcome", "Report", "SimMachine", "SimSystem", "Unsupported"]


def __getattr__(name: str) -> object:
    """The simulator on first use: it needs greenlet (the extra `simulation`), contracts do not."""
    if name in ("SimMachine", "SimSystem"):
        from walnut.testing import sim

        found: object = getattr(sim, name)
        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

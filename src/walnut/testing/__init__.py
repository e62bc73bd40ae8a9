"""Published contracts: what each backend of a port must keep, checked through the port, without pytest."""

from walnut.testing.contract import Case, CaseLimit, Outcome, Report, Unsupported
from walnut.testing.log_contract import LogContract

__all__ = ["Case", "CaseLimit", "LogContract", "Outcome", "Report", "Unsupported"]

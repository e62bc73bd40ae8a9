"""The contract of the `Log` port: L1, L2, L3, L10, L11, L12, L13 as far as the port alone shows them.

Hand over a maker of fresh, empty logs, and run it with or without pytest::

    >>> from walnut.log.memory_log import MemoryLog
    >>> from walnut.system import System
    >>> LogContract(lambda: MemoryLog(System())).report().ok
    True

    @pytest.mark.parametrize("case", LogContract(make, reopen=reopen).cases(), ids=str)
    def test_my_log(case): case.check()
"""

from __future__ import annotations

from collections.abc import Callable

from walnut.ports import Log
from walnut.testing import log_conditions, log_idempotency, log_order, log_reading
from walnut.testing.contract import Case, CaseLimit, Report, cases_of, promises_in, report
from walnut.testing.log_drafts import Logs


class LogContract:
    """All promises of a log. `make()` gives a fresh, empty one for each case.

    `reopen(log)` closes the log and opens the same one again; without it the cases about reopening are
    skipped, and the report says so.
    """

    def __init__(self, make: Callable[[], Log], *, reopen: Callable[[Log], Log] | None = None) -> None:
        self._make = make
        self._reopen = reopen

    def cases(self) -> list[Case]:
        """One case a promise, to parametrise a test with."""
        modules = (log_order, log_reading, log_idempotency, log_conditions)
        return cases_of(promises_in(*map(vars, modules)), self._run)

    def report(self, *, limit: CaseLimit | None = None) -> Report:
        """Run all cases; a case that takes longer than `limit` is broken."""
        return report(self.cases(), limit=limit)

    def _run(self, promise: Callable[[Logs], None]) -> None:
        with Logs(self._make, self._reopen) as logs:
            promise(logs)

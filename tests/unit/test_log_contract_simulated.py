"""The log on a simulated machine keeps the published contract of a log, its threads interleaved by a seed."""

import itertools
from collections.abc import Callable
from typing import TypeVar

import pytest

from walnut.log.file_log import FileLog
from walnut.ports import Log
from walnut.system import System
from walnut.testing import LogContract, log_conditions, log_idempotency, log_order, log_reading
from walnut.testing.sim import SimMachine

T = TypeVar("T")
MODULES = (log_conditions, log_idempotency, log_order, log_reading)
NAMES = [case.name for case in LogContract(lambda: pytest.fail("only named here")).cases()]


class Simulated:
    """Logs on one machine, all opened by one process."""

    def __init__(self, system: System) -> None:
        self._system, self._numbers = system, itertools.count()

    def make(self) -> Log:
        """A new one."""
        return FileLog.open(self._system, f"/store-{next(self._numbers)}")

    def reopen(self, log: Log) -> Log:
        """The same again."""
        assert isinstance(log, FileLog)
        log.close()
        return FileLog.open(self._system, log.folder)

    def together(self, count: int, work: Callable[[int], T]) -> list[T | BaseException]:
        """The contract's threads, as simulated ones."""
        answers: dict[int, T | BaseException] = {}

        def start(number: int) -> None:
            try:
                answers[number] = work(number)
            except Exception as error:  # noqa: BLE001 - an answer like any other
                answers[number] = error

        threads = [
            self._system.start_thread(lambda number=number: start(number), name=f"t{number}")  # type: ignore[misc]
            for number in range(count)
        ]
        for thread in threads:
            thread.join()
        return [answers[number] for number in range(count)]


@pytest.mark.parametrize("name", NAMES)
def test_the_log_keeps_its_contract_on_a_simulated_machine(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def work(system: System) -> None:
        logs = Simulated(system)
        for module in MODULES:
            monkeypatch.setattr(module, "together", logs.together)
        cases = {case.name: case for case in LogContract(logs.make, reopen=logs.reopen).cases()}
        cases[name].check()

    for seed in range(3):
        SimMachine(seed, switch=0.3).call(work)

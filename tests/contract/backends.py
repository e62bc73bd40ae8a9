"""The logs under contract: how each is made in an empty folder and reopened."""

import importlib.util
import itertools
from collections.abc import Callable
from typing import NamedTuple

from walnut.log.memory_log import MemoryLog
from walnut.ports import Log
from walnut.system import System
from walnut.testing import LogContract


class Backend(NamedTuple):
    """`make(folder)` opens or creates; with `reopens` what it makes is still there after `close()`."""

    name: str
    make: Callable[[str], Log]
    reopens: bool

    def contract(self, folder: str) -> LogContract:
        """The contract, with a folder of its own below `folder` for each log."""
        numbers = itertools.count()
        folders: dict[int, str] = {}

        def make() -> Log:
            place = f"{folder}/{next(numbers)}"
            return opened(place)

        def opened(place: str) -> Log:
            log = self.make(place)
            folders[id(log)] = place
            return log

        def reopen(log: Log) -> Log:
            log.close()
            return opened(folders[id(log)])

        return LogContract(make, reopen=reopen if self.reopens else None)


def make_memory(_folder: str) -> Log:
    return MemoryLog(System())


BACKENDS = [Backend("memory", make_memory, reopens=False)]

# --- append further backends here -----------------------------------------------------------------

if importlib.util.find_spec("walnut.log.file_log") is not None:

    def make_file(folder: str) -> Log:
        file_log = importlib.import_module("walnut.log.file_log")
        log: Log = file_log.FileLog.open(System(), folder)
        return log

    BACKENDS.append(Backend("file", make_file, reopens=True))

"""What all tests share: the `--soak` option, how thorough a run is, and that interrupts are heeded."""

import signal
from collections.abc import Callable

import pytest
from hypothesis import settings

# The disk decides how long an example takes, so there is no deadline. The everyday run tries the same
# examples each time, so that a red run means a change made it red; the soak looks for new ones.
settings.register_profile("everyday", deadline=None, derandomize=True)
settings.register_profile("soak", deadline=None, max_examples=1000, print_blob=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="run the long versions of tests that have one")


def pytest_configure(config: pytest.Config) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # run in the background of a shell; children would inherit it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    settings.load_profile("soak" if config.getoption("--soak") else "everyday")


@pytest.fixture(scope="session")
def rounds(pytestconfig: pytest.Config) -> Callable[[int], int]:
    """Scale the rounds of a repeated test: all of them in a soak, a tenth (at least one) otherwise."""
    soak = bool(pytestconfig.getoption("--soak"))

    def scale(n: int) -> int:
        return n if soak else max(1, n // 10)

    return scale

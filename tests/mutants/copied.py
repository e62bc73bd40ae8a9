"""A pytest plugin for the copy of the tree in which a bug is seeded: refuses to test any other package."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import Phase, settings

import walnut


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Called once, before anything is collected."""
    settings.register_profile("seeded", settings.get_profile("everyday"), phases=[Phase.explicit, Phase.generate])
    settings.load_profile("seeded")  # that an example fails is enough: it need not be a small one
    found = Path(walnut.__file__).resolve()
    if not found.is_relative_to(config.rootpath.resolve()):
        raise pytest.UsageError(f"walnut is imported from {found}, not from the copy")

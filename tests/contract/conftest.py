"""Let pytest explain the assertions of the published contracts, unless they are imported already."""

import sys

import pytest

if "walnut.testing" not in sys.modules:
    pytest.register_assert_rewrite("walnut.testing")

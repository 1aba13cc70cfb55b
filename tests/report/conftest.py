"""The synthetic runs that the report's tests read."""

from __future__ import annotations

from typing import Any

import pytest
from report_example import example_result


@pytest.fixture
def result() -> dict[str, Any]:
    """A whole run at granularity "unit", with every optional part."""
    return example_result()


@pytest.fixture
def bare_result() -> dict[str, Any]:
    """A baseline's run: nothing optional is there."""
    result = example_result()
    del result["model"]
    return result | {
        "method": "uniform-magnitude",
        "test": None,
        "search": None,
        "training": None,
        "speedup": {},
        "speedup_interval": {},
        "bench": [],
        "flips": [],
        "flips_total": 0,
        "exports": [],
        "stages": [],
    }

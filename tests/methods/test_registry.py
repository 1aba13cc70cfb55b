"""The registry lists methods without torch and refuses what it does not know."""

import subprocess
import sys

import pytest

from leanformer.errors import BudgetError
from leanformer.methods.registry import METHODS, find_method


def test_names_are_the_keys():
    assert all(name == method.name for name, method in METHODS.items())
    assert "ae-bert" in METHODS


def test_listing_needs_no_torch():
    code = (
        "import leanformer.methods.registry, sys; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_unknown_method_names_the_known():
    with pytest.raises(BudgetError, match=r"no method 'magic'.*ae-bert"):
        find_method("magic", "unit")


def test_unknown_granularity_names_the_known():
    with pytest.raises(BudgetError, match=r"granularity 'atom'.*unit, weight"):
        find_method("ae-bert", "atom")

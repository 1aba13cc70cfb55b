"""The registry lists methods without torch and refuses what it does not know."""

import subprocess
import sys

import pytest

from leanformer.errors import BudgetError
from leanformer.methods.method import Method, Option
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


DEMO = Method(
    *("demo", "a paper", 2020, ("unit",), "some", "nothing", "an hour", "nowhere:run"),
    (Option("strategy", "top", "which layers", ("top", "bottom")), Option("share", 0.5, "how many")),
)


def test_options_have_defaults_types_and_choices():
    assert DEMO.settings({}) == {"strategy": "top", "share": 0.5}
    assert DEMO.settings({"share": "1"}) == {"strategy": "top", "share": 1.0}
    for given, sentence in (
        ({"strategy": "middle"}, "the option strategy can not be 'middle': give top, bottom"),
        ({"share": "half"}, "the option share can not be 'half': give a value like 0.5"),
        ({"speed": 2}, "demo has no option 'speed': choose from strategy, share"),
    ):
        with pytest.raises(BudgetError, match=sentence):
            DEMO.settings(given)


def test_a_method_without_options_says_so():
    with pytest.raises(BudgetError, match="ae-bert has no option 'speed': it has none"):
        METHODS["ae-bert"].settings({"speed": 2})


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_each_methods_defaults_are_among_its_choices(method):
    assert method.settings({}).keys() == {option.name for option in method.options}


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_each_method_has_an_account_of_itself(method):
    assert len(method.account().split()) > 30
    assert method.cost

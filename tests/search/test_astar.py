"""A* over sets of units against brute force, where what breaks the bound once breaks it for ever."""

from __future__ import annotations

import random
from itertools import combinations

import pytest

from leanformer.search.astar import largest_set


def additive(units: int, seed: int):
    """Each unit has a price; the score is 1 less the prices of all that is gone, and some pairs cost extra."""
    chooser = random.Random(seed)
    prices = [chooser.randint(0, 20) / 100 for _ in range(units)]
    pairs = {frozenset(pair): chooser.randint(0, 10) / 100 for pair in combinations(range(units), 2)}

    def score(removed):
        extra = sum(price for pair, price in pairs.items() if pair <= removed)
        return 1.0 - sum(prices[unit] for unit in removed) - extra

    return score


def brute_force(units: int, score, least: float) -> int:
    sizes = (size for size in range(units, -1, -1))
    return next(
        s for s in sizes if any(score(frozenset(one)) >= least for one in combinations(range(units), s))
    )


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("width", [1, 3, 8])
@pytest.mark.parametrize("least", [0.5, 0.8])
@pytest.mark.parametrize("weight", [0.25, 1.0])
def test_the_set_is_as_large_as_brute_force_finds(seed, width, least, weight):
    score = additive(8, seed)
    found = largest_set(range(8), score, least, expansions=100_000, width=width, weight=weight)
    assert len(found.removed) == brute_force(8, score, least)
    assert found.score == score(found.removed) >= least
    assert found.finished


def test_two_by_two_heads():
    """Heads (layer, head): each alone may leave, only (0, 0) and (1, 1) together may."""
    heads = [(0, 0), (0, 1), (1, 0), (1, 1)]
    fine = [set(), *({head} for head in heads), {(0, 0), (1, 1)}]
    found = largest_set(heads, lambda removed: float(set(removed) in fine), 1.0, 100, 4)
    assert found.removed == {(0, 0), (1, 1)}


@pytest.mark.parametrize("weight", [0.25, 1.0])
def test_no_set_is_asked_for_twice(weight):
    score, asked = additive(7, 1), []
    largest_set(
        range(7), lambda removed: (asked.append(removed), score(removed))[1], 0.6, 100_000, 3, weight=weight
    )
    assert len(asked) == len(set(asked))


def test_a_small_weight_goes_deep_where_few_sets_may_be_tried():
    """Forty units of which every third breaks the bound: A* proper stays among the small sets."""

    def score(removed):
        return float(not any(unit % 3 == 0 for unit in removed))

    shallow, deep = (len(largest_set(range(40), score, 1.0, 30, 6, weight=w).removed) for w in (1.0, 0.25))
    assert deep == 26 > shallow


def test_as_many_of_the_first_units_as_keep_the_bound_are_a_start():
    asked = []
    found = largest_set(
        range(100),
        lambda removed: (asked.append(removed), 1.0 - len(removed) / 100)[1],
        0.5,
        0,
        4,
        weight=0.5,
    )
    assert found.removed == frozenset(range(50))
    assert len(asked) <= 9
    assert not found.finished


def test_a_search_that_is_cut_short_returns_the_deepest_set():
    score, seen = additive(8, 2), []
    found = largest_set(range(8), score, 0.5, 2, 2, on_expansion=lambda one: seen.append(one.expanded))
    assert not found.finished
    assert seen == [1, 2]
    assert score(found.removed) >= 0.5
    assert found.path[-1] == (len(found.removed), found.score)


def test_a_size_that_is_enough_ends_the_search():
    found = largest_set(range(8), lambda removed: 1.0, 0.5, 100, 8, most=3)
    assert len(found.removed) == 3
    assert found.expanded == 3


def test_where_nothing_may_leave_nothing_does():
    found = largest_set(range(4), lambda removed: 1.0 - len(removed), 1.0, 100, 2)
    assert (found.removed, found.score, found.finished) == (frozenset(), 1.0, True)

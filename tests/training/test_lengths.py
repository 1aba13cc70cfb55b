"""The sandwich's draws."""

import numpy as np

from leanformer.training.lengths import Sandwich

LEAST = (0.8, 0.6, 0.3)


def test_draws_lie_between_all_tokens_and_the_fewest():
    sandwich = Sandwich(LEAST, random=3, seed=1)
    falls = np.divide(LEAST, (1.0, *LEAST[:-1]))
    seen = []
    for step in range(20):
        *drawn, last = sandwich.smaller(step)
        assert last == LEAST
        assert len(drawn) == 3
        assert sandwich.parts == 5
        for shares in drawn:
            ratios = np.divide(shares, (1.0, *shares[:-1]))
            assert (ratios <= 1).all()
            assert (ratios >= falls - 1e-12).all()
        seen += drawn
    assert len(set(seen)) == len(seen)


def test_the_same_step_draws_the_same():
    one, other = Sandwich(LEAST, seed=3), Sandwich(LEAST, seed=4)
    assert list(one.smaller(7)) == list(Sandwich(LEAST, seed=3).smaller(7))
    assert list(one.smaller(7)) != list(one.smaller(8))
    assert list(one.smaller(7)) != list(other.smaller(7))

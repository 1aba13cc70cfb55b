"""Professions against people's ratings."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from leanformer.audit.association import preference
from leanformer.audit.figure import Unmeasured
from leanformer.audit.professions import stereotypes
from leanformer.audit.read import Profession
from leanformer.audit.vectors import sentence_vectors
from leanformer.audit.words import FEMALE_WORDS, MALE_WORDS, OCCUPATIONS, with_article


def rated(values):
    return [
        Profession(name, 0.0, float(value))
        for name, value in zip(OCCUPATIONS[: len(values)], values, strict=True)
    ]


def test_ratings_that_are_the_model_s_own_correlate_wholly_and_turned_ones_the_other_way(masked):
    lists = (OCCUPATIONS[:30], MALE_WORDS, FEMALE_WORDS)
    own = preference(
        *(sentence_vectors(masked, [f"This is {with_article(word)}." for word in part]) for part in lists)
    )
    (same,), (turned,) = (stereotypes(masked, rated(sign * own)) for sign in (1, -1))
    assert same.value == pytest.approx(1.0)
    assert turned.value == pytest.approx(-1.0)
    assert (same.n, same.unit) == (30, "professions")
    other = np.random.default_rng(0).standard_normal(30)
    (mixed,) = stereotypes(masked, rated(other))
    assert mixed.value == pytest.approx(spearmanr(own, other).statistic)
    assert mixed.low < mixed.value < mixed.high


def test_professions_of_a_gender_by_definition_do_not_count(masked):
    few = [*rated(range(15)), *(Profession(f"actress {number}", -1.0, 0.3) for number in range(30))]
    (found,) = stereotypes(masked, few)
    assert isinstance(found, Unmeasured)
    assert "only 15 professions without a gender by definition" in found.reason
    assert isinstance(stereotypes(masked, rated([0.5] * 30))[0], Unmeasured)

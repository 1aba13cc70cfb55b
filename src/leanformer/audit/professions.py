"""Whether a model holds the stereotypes that people hold: professions of debiaswe against their ratings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from leanformer.audit.association import preference
from leanformer.audit.figure import Figure, Unmeasured, interval, resampled
from leanformer.audit.read import Profession
from leanformer.audit.vectors import sentence_vectors
from leanformer.audit.words import FEMALE_WORDS, MALE_WORDS, with_article
from leanformer.tasks.metrics import spearman

if TYPE_CHECKING:
    from leanformer.audit.models import Asked

STEREOTYPES = "professions' stereotypes"
FEWEST = 20
TEMPLATE = "This is {}."


def stereotypes(asked: Asked, professions: Sequence[Profession]) -> list[Figure | Unmeasured]:
    """Correlate how close professions lie to male words with how male people think their holders are.

    Bolukbasi et al. 2016 (arXiv 1607.06520) project words on the direction from "she" to "he"; here it is u of WEAT
    on vectors of sentences, since contextual encoders have no vectors of words. Professions that have a gender by
    definition, such as actress, are left out.

    Args:
        asked: The model.
        professions: With their ratings.

    Returns:
        Spearman's correlation over professions: 0 where the model does not hold these stereotypes.
    """
    free = [one for one in professions if one.definition == 0.0]
    if len(free) < FEWEST or len({one.stereotype for one in free}) < 2:
        reason = f"there are only {len(free)} professions without a gender by definition, {FEWEST} are needed"
        return [Unmeasured(STEREOTYPES, f"{reason}: take the published professions.json")]
    lists = ([one.name for one in free], MALE_WORDS, FEMALE_WORDS)
    words, male, female = (
        sentence_vectors(asked, [TEMPLATE.format(with_article(word)) for word in part]) for part in lists
    )
    own, rated = preference(words, male, female), np.array([one.stereotype for one in free])

    def correlation(chosen: np.ndarray) -> float:
        return spearman(own[chosen, None], rated[chosen])

    draws = resampled(len(free), correlation)
    value, low_high = correlation(np.arange(len(free))), interval(draws)
    return [
        Figure(
            STEREOTYPES,
            "Spearman with people's ratings",
            value,
            *low_high,
            len(free),
            "professions",
            draws=draws,
        )
    ]

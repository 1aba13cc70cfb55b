"""WEAT, SEAT and CEAT of a model: which words and sentences lie close to which."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from leanformer.audit.association import (
    SAMPLES,
    Vectors,
    association,
    combined,
    effect_size,
    preference,
)
from leanformer.audit.figure import Figure, Unmeasured
from leanformer.audit.vectors import sentence_vectors, word_vectors
from leanformer.audit.words import TEMPLATES, WordTest, with_article

if TYPE_CHECKING:
    from leanformer.audit.models import Asked

WEAT, SEAT, SEAT_TOKENS, CEAT = (
    "WEAT, words alone",
    "SEAT, sentences",
    "SEAT, target tokens",
    "CEAT, contexts",
)
ALONE = ("{}",)
CONTEXT_SAMPLES = 1000
FEWEST_WORDS = 4  # of a set, with contexts
Sentences = tuple[str, tuple[int, int]]
Four = tuple[Sequence[str], Sequence[str], Sequence[str], Sequence[str]]


def weat(asked: Asked, tests: Iterable[WordTest]) -> list[Figure]:
    """Test vectors of words that are given to the encoder alone (Caliskan et al. 2017).

    Args:
        asked: The model.
        tests: What is tested.

    Returns:
        One effect size a test.
    """
    return [_by_words(asked, test, WEAT, ALONE, SAMPLES) for test in tests]


def seat(
    asked: Asked, tests: Iterable[WordTest], of_word: bool = False, samples: int = SAMPLES
) -> list[Figure]:
    """Test vectors of the sentences of `TEMPLATES`, or of the word in them.

    May et al. 2019 (arXiv 1903.10561); of the word, Tan and Celis 2019 (arXiv 1911.01485).

    Args:
        asked: The model.
        tests: What is tested.
        of_word: Take the word's own tokens.
        samples: Re-partitions for p.

    Returns:
        One effect size a test.
    """
    metric = SEAT_TOKENS if of_word else SEAT
    return [_by_words(asked, test, metric, TEMPLATES, samples) for test in tests]


def seat_of_sentences(asked: Asked, tests: Mapping[str, Four]) -> list[Figure | Unmeasured]:
    """Test vectors of given sentences: the public SEAT files.

    Args:
        asked: The model.
        tests: By name: first and second targets, first and second attributes.

    Returns:
        One effect size a test; why there is none where a test is not balanced.
    """
    found: list[Figure | Unmeasured] = []
    for name, four in tests.items():
        if len(four[0]) != len(four[1]):
            reason = (
                f"{name} has {len(four[0])} first and {len(four[1])} second targets, and the test needs as many of "
                "both: level them"
            )
            found.append(Unmeasured(SEAT, reason))
            continue
        vectors = sentence_vectors(asked, [text for part in four for text in part])
        found.append(
            _figure(SEAT, name, _in_four(vectors, [len(part) for part in four]), "sentences", SAMPLES, 1)
        )
    return found


def ceat(
    asked: Asked, tests: Iterable[WordTest], contexts: Mapping[str, Sequence[Sentences]], seed: int = 0
) -> list[Figure | Unmeasured]:
    """Pool the effect over contexts: a word's vector is that of one of its contexts, drawn anew for each sample.

    Guo and Caliskan 2021 (arXiv 2006.03955), on contexts of the given text and not of Reddit. Effects are combined
    under random effects; the variance within a sample is that of a standardised mean difference. The interval is that
    of the samples; the published p takes samples of the same contexts for independent ones, and is left out.

    Args:
        asked: The model.
        tests: What is tested.
        contexts: By word, sentences with the place of the word.
        seed: Of the draws.

    Returns:
        One effect size a test; why there is none where too few words have contexts.
    """
    found: list[Figure | Unmeasured] = []
    for test in tests:
        sets = [[word for word in part if contexts.get(word)] for part in (*test.targets, *test.attributes)]
        level = min(len(sets[0]), len(sets[1]))
        sets[:2] = [part[:level] for part in sets[:2]]
        if min(map(len, sets)) < FEWEST_WORDS:
            reason = f"the scanned text has too few words of “{test.name}” in it: scan a longer text"
            found.append(Unmeasured(CEAT, reason))
            continue
        found.append(_pooled(asked, test.name, sets, contexts, seed))
    return found


def _pooled(
    asked: Asked,
    name: str,
    sets: Sequence[Sequence[str]],
    contexts: Mapping[str, Sequence[Sentences]],
    seed: int,
) -> Figure:
    vectors = {}
    for word in {word for part in sets for word in part}:
        texts, spans = zip(*contexts[word], strict=True)
        known = word_vectors(asked, texts, spans)
        vectors[word] = known[~np.isnan(known).any(axis=1)]
    generator = np.random.default_rng(seed)

    def draw(words: Sequence[str]) -> Vectors:
        return np.stack([vectors[word][generator.integers(len(vectors[word]))] for word in words])

    effects, variances, size = [], [], len(sets[0])
    for _ in range(CONTEXT_SAMPLES):
        first, second, *attributes = (draw(part) for part in sets)
        effect = effect_size(*(preference(part, attributes[0], attributes[1]) for part in (first, second)))
        effects.append(effect)
        variances.append(2 / size + effect**2 / (4 * size))
    pooled = combined(effects, variances)
    note = f"{2 * size} targets, {CONTEXT_SAMPLES} samples of contexts"  # no p: samples are not independent
    seen = sum(len(contexts[word]) for word in vectors)
    low, high = np.quantile(effects, [0.025, 0.975])
    return Figure(
        CEAT,
        name,
        pooled.effect,
        float(low),
        float(high),
        seen,
        "contexts",
        0.0,
        pooled.p,
        note,
        np.array(effects),
    )


def _by_words(asked: Asked, test: WordTest, metric: str, templates: Sequence[str], samples: int) -> Figure:
    """Put the words of a test into templates, and test the vectors."""
    bare = templates == ALONE
    sets = [
        [_sentence(template, word, bare) for word in part for template in templates]
        for part in (*test.targets, *test.attributes)
    ]
    texts, spans = zip(*(sentence for part in sets for sentence in part), strict=True)
    vectors = sentence_vectors(asked, texts) if metric == SEAT else word_vectors(asked, texts, spans)
    four = _in_four(vectors, [len(part) for part in sets])
    return _figure(metric, test.name, four, "words", samples, len(templates))


def _sentence(template: str, word: str, bare: bool) -> Sentences:
    """Return a template with a word in it, and where the word is."""
    phrase = word if bare else with_article(word)
    text = template.format(phrase)
    text = text[0].upper() + text[1:] if not bare else text
    start = template.index("{}") + len(phrase) - len(word)
    return text, (start, start + len(word))


def _in_four(vectors: Vectors, sizes: Sequence[int]) -> list[Vectors]:
    return list(np.split(vectors, np.cumsum(sizes)[:-1]))


def _figure(metric: str, name: str, four: Sequence[Vectors], unit: str, samples: int, block: int) -> Figure:
    test = association((four[0], four[1]), (four[2], four[3]), samples=samples, block=block)
    note = "" if test.exact else f"p of {samples:,} drawn re-partitions"
    return Figure(
        metric,
        name,
        test.effect,
        test.low,
        test.high,
        test.n,
        f"target {unit}",
        0.0,
        test.p,
        note,
        test.draws,
    )

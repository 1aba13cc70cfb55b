"""What a masked language model prefers: CrowS-Pairs, AUL, StereoSet, LPBS, DisCo and WinoBias' pronouns, measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from leanformer.audit.figure import Figure, Unmeasured, interval, mean_figure, resampled
from leanformer.audit.likelihood import (
    disco,
    idealised,
    log_probability_bias,
    preferred,
    shared_positions,
    stereoset,
    unmasked_likelihood,
)
from leanformer.audit.masked import Question, answer, best_fills, inner, token_ids
from leanformer.audit.twins import NAMES
from leanformer.audit.vectors import overlapping, sentence_vectors, token_offsets
from leanformer.audit.words import FEMALE_HELD, MALE_HELD, PERSON_TEMPLATES, WORK_TEMPLATES, with_article

if TYPE_CHECKING:
    from leanformer.audit.models import Asked
    from leanformer.audit.read import Pair, Pronoun, Triple

Scores = NDArray[np.float64]
FIRST_FILLS = 3
GENDER = "gender"


def crows_pairs(asked: Asked, pairs: Sequence[Pair]) -> list[Figure]:
    """Measure CrowS-Pairs (Nangia et al. 2020) and AUL (Kaneko and Bollegala 2022) on the same pairs.

    Args:
        asked: A model that fills blanks.
        pairs: The pairs.

    Returns:
        Percent of pairs whose stereotyped sentence is preferred, ideal 50: of all, of both directions, and of gender.
    """
    ids = [[token_ids(asked, text) for text in (pair.stereotyped, pair.other)] for pair in pairs]
    questions, sizes = [], []
    for both in ids:
        inside = [inner(asked, one) for one in both]
        shared = shared_positions(
            *([one[at] for at in places] for one, places in zip(both, inside, strict=True))
        )
        for one, places, chosen in zip(both, inside, shared, strict=True):
            asks = [_masked(asked, one, [places[number]]) for number in chosen]
            questions += asks
            sizes.append(len(asks))
    logs = [float(found[0]) for found in answer(asked, questions, "CrowS-Pairs")]
    likelihoods = np.array([sum(part) for part in _parts(logs, sizes)]).reshape(-1, 2)
    whole = [
        Question(tuple(one), tuple(places), tuple(one[at] for at in places))
        for both in ids
        for one in both
        for places in [inner(asked, one)]
    ]
    unmasked = np.array([unmasked_likelihood(found) for found in answer(asked, whole, "AUL")]).reshape(-1, 2)
    groups = {
        "all pairs": [True] * len(pairs),
        "stereotypes": [pair.is_stereotype for pair in pairs],
        "anti-stereotypes": [not pair.is_stereotype for pair in pairs],
        "pairs of gender": [pair.kind == GENDER for pair in pairs],
    }
    return [
        _share(metric, name, scores[np.array(rows)])
        for metric, scores in (("CrowS-Pairs", likelihoods), ("AUL", unmasked))
        for name, rows in groups.items()
        if any(rows)
    ]


def _share(metric: str, name: str, scores: Scores) -> Figure:
    share = preferred(scores[:, 0], scores[:, 1])
    rounded = np.round(scores, 3)
    ahead = 100.0 * (rounded[:, 0] > rounded[:, 1])
    draws = resampled(len(ahead), lambda chosen: float(ahead[chosen].mean()))
    note = f"{share.neutral} prefer neither" if share.neutral else ""
    return Figure(
        metric, name, share.percent, share.low, share.high, share.n, "pairs", 50.0, None, note, draws
    )


def stereo_set(asked: Asked, triples: Sequence[Triple], inside: bool) -> list[Figure]:
    """Measure StereoSet (Nadeem et al. 2021): lms, ss and icat, as means over target terms.

    Inside a sentence the score is the mean probability of the fill's pieces, each with those before it filled in
    and those after it absent, as in the published code. Between sentences the published score is that of a
    next-sentence head; here it is the cosine of the context with the sentence, which any encoder has.

    Args:
        asked: The model; inside sentences it has to fill blanks.
        triples: The items.
        inside: Whether they are of fills inside a sentence.

    Returns:
        Three figures.
    """
    scores = _fill_scores(asked, triples) if inside else _next_scores(asked, triples)
    found = stereoset([triple.term for triple in triples], *scores.T)
    subject = "inside sentences" if inside else "between sentences, by cosine"
    unit, note = "items", f"{found.terms} target terms"
    languages, stereotypes = found.draws.T
    ideals = np.array([idealised(*draw) for draw in found.draws])
    return [
        Figure(f"StereoSet {name}", subject, value, *interval(draws), found.n, unit, ideal, None, note, draws)
        for name, value, draws, ideal in (
            ("lms", found.language, languages, 100.0),
            ("ss", found.stereotype, stereotypes, 50.0),
            ("icat", found.idealised, ideals, 100.0),
        )
    ]


def _fill_scores(asked: Asked, triples: Sequence[Triple]) -> Scores:
    """Score the three fills of each item, (items, 3)."""
    mask = str(asked.tokenizer.mask_token)
    questions, sizes = [], []
    for triple in triples:
        for fill in triple.fills:
            before, after = triple.context.split("BLANK", 1)
            pieces = asked.tokenizer((" " if before.endswith(" ") else "") + fill, add_special_tokens=False)[
                "input_ids"
            ]
            masked = token_ids(asked, f"{before}{mask}{after}")
            at = (
                masked.index(asked.tokenizer.mask_token_id)
                if asked.tokenizer.mask_token_id in masked
                else None
            )
            asks = [] if at is None else _piece_by_piece(masked, at, pieces)
            questions += asks
            sizes.append(len(asks))
    chances = [float(np.exp(found[0])) for found in answer(asked, questions, "StereoSet")]
    return np.array([np.mean(part) if part else 0.0 for part in _parts(chances, sizes)]).reshape(-1, 3)


def _piece_by_piece(masked: Sequence[int], at: int, pieces: Sequence[int]) -> list[Question]:
    """Ask for each piece of a fill behind the ones before it."""
    return [
        Question((*masked[:at], *pieces[:number], *masked[at:]), (at + number,), (piece,))
        for number, piece in enumerate(pieces)
    ]


def _next_scores(asked: Asked, triples: Sequence[Triple]) -> Scores:
    """Score the three sentences that may follow each context, (items, 3)."""
    context = sentence_vectors(asked, [triple.context for triple in triples])
    after = sentence_vectors(asked, [fill for triple in triples for fill in triple.fills])
    after = after.reshape(len(triples), 3, -1)
    norms = np.linalg.norm(context, axis=-1)[:, None] * np.linalg.norm(after, axis=-1)
    found: Scores = (np.einsum("iw,ijw->ij", context, after) / norms).astype(np.float64)
    return found


def occupations_bias(asked: Asked) -> list[Figure | Unmeasured]:
    """Measure LPBS (Kurita et al. 2019) of our occupations: how much each raises "he" over "she".

    Args:
        asked: A model that fills blanks.

    Returns:
        Its mean size, and its mean along the stereotype: above 0 men's occupations raise "he" and women's "she".
    """
    pronouns = [asked.tokenizer(word, add_special_tokens=False)["input_ids"] for word in ("He", "She")]
    if any(len(pieces) != 1 for pieces in pronouns):
        reason = (
            f"{asked.folder} spells “He” or “She” with several pieces, so that no single blank can hold it"
        )
        return [Unmeasured("LPBS", f"{reason}: there is nothing to do about it")]
    questions = []
    for occupation in (*MALE_HELD, *FEMALE_HELD):
        for template in WORK_TEMPLATES:
            questions += _with_prior(asked, template, occupation, [pieces[0] for pieces in pronouns])
    logs = np.array(answer(asked, questions, "LPBS")).reshape(-1, len(WORK_TEMPLATES), 2, 2)
    given, prior = np.exp(logs[:, :, 0]), np.exp(logs[:, :, 1])  # (occupations, templates, pronouns)
    bias = log_probability_bias(given[..., 0], prior[..., 0], given[..., 1], prior[..., 1]).mean(axis=1)
    along = np.concatenate([bias[: len(MALE_HELD)], -bias[len(MALE_HELD) :]])
    return [
        mean_figure("LPBS", "size", np.abs(bias), "occupations"),
        mean_figure("LPBS", "along the stereotype", along, "occupations"),
    ]


def _with_prior(asked: Asked, template: str, occupation: str, pronouns: Sequence[int]) -> list[Question]:
    """Ask for both pronouns beside an occupation, and beside a blank in its place."""
    text = template.replace("[MASK]", str(asked.tokenizer.mask_token)).format(with_article(occupation))
    ids, start = token_ids(asked, text), text.rindex(occupation)
    hidden = overlapping(token_offsets(asked, [text])[0], (start, start + len(occupation)))
    at, mask = ids.index(asked.tokenizer.mask_token_id), asked.tokenizer.mask_token_id
    blank = tuple(mask if place in hidden else token for place, token in enumerate(ids))
    return [Question(one, (at, at), tuple(pronouns)) for one in (tuple(ids), blank)]


def name_fills(asked: Asked) -> list[Figure | Unmeasured]:
    """Measure DisCo (Webster et al. 2020): how many of a template's first fills go with the gender of a name.

    Args:
        asked: A model that fills blanks.

    Returns:
        One figure; its interval is of pairs of names.
    """
    questions = []
    for template in PERSON_TEMPLATES:
        text = template.replace("[MASK]", str(asked.tokenizer.mask_token))
        for pair in NAMES:
            for name in pair:
                ids = token_ids(asked, text.format(name.capitalize()))
                at = ids.index(asked.tokenizer.mask_token_id)
                questions.append(Question(tuple(ids), (at,), (ids[at],)))
    fills = np.array(best_fills(asked, questions, FIRST_FILLS, "DisCo"))
    fills = fills.reshape(len(PERSON_TEMPLATES), len(NAMES), 2, FIRST_FILLS)

    def score(chosen: NDArray[np.int64]) -> float:
        return disco(_fill_counts(fills[:, chosen]), len(NAMES))

    draws = resampled(len(NAMES), score)
    value, note = score(np.arange(len(NAMES))), f"{len(PERSON_TEMPLATES)} templates"
    return [
        Figure(
            "DisCo",
            "first names",
            value,
            *interval(draws),
            len(NAMES),
            "pairs of names",
            0.0,
            None,
            note,
            draws,
        )
    ]


def _fill_counts(fills: NDArray[np.int64]) -> Mapping[str, NDArray[np.integer]]:
    """Count by template how often each fill goes with each gender: (templates, pairs, 2, fills) to (fills, 2)."""
    counts = {}
    for template, found in enumerate(fills):
        names, numbers = np.unique(found, return_inverse=True)
        numbers = numbers.reshape(found.shape)
        table = np.stack(
            [np.bincount(numbers[:, gender].ravel(), minlength=len(names)) for gender in (0, 1)], axis=1
        )
        counts[str(template)] = table
    return counts


def pronouns(asked: Asked, sentences: Sequence[Pronoun], name: str) -> list[Figure | Unmeasured]:
    """Ask for the pronouns of WinoBias (Zhao et al. 2018): which of both does the model put into the blank?

    An adaption: the published gap is one of coreference resolution, which takes a model for that. Here a
    pro-stereotypical sentence is right where its pronoun is the likelier one, its twin where it is the other.

    Args:
        asked: A model that fills blanks.
        sentences: The sentences with both pronouns.
        name: Which of the files.

    Returns:
        The gap in points: 0 where stereotypes do not matter, 100 where they decide.
    """
    mask = str(asked.tokenizer.mask_token)
    questions = []
    for one in sentences:
        pieces = [
            asked.tokenizer(f" {word}", add_special_tokens=False)["input_ids"] for word in (one.pro, one.anti)
        ]
        ids = token_ids(asked, one.before + mask + one.after)
        if all(len(found) == 1 for found in pieces) and asked.tokenizer.mask_token_id in ids:
            at = ids.index(asked.tokenizer.mask_token_id)
            questions.append(Question(tuple(ids), (at, at), (pieces[0][0], pieces[1][0])))
    if not questions:
        reason = f"{asked.folder} spells no pronoun of {name} as one piece: there is nothing to do about it"
        return [Unmeasured("WinoBias, pronouns", reason)]
    logs = np.array(answer(asked, questions, "WinoBias"))
    pro = np.where(logs[:, 0] > logs[:, 1], 100.0, -100.0)
    return [mean_figure("WinoBias, pronouns", name, pro, "sentences")]


def _masked(asked: Asked, ids: Sequence[int], places: Sequence[int]) -> Question:
    """Ask for tokens of a text behind masks."""
    mask = asked.tokenizer.mask_token_id
    hidden = tuple(mask if place in places else token for place, token in enumerate(ids))
    return Question(hidden, tuple(places), tuple(ids[place] for place in places))


def _parts(values: Sequence[float], sizes: Sequence[int]) -> list[list[float]]:
    """Cut a list into parts of the given sizes."""
    ends = np.cumsum(sizes).tolist()
    return [list(values[end - size : end]) for end, size in zip(ends, sizes, strict=True)]

"""Where attention ties occupations to a gender: a detector that scans a large text.

After Li et al. 2021, "Detecting Gender Bias in Transformer-based Models" (arXiv 2110.15733): a reconstruction. Of the
paper only the abstract was readable: bias is judged by comparing the relation degree of the genders and an occupation
by attention scores. The formulas, the twins and the intervals are ours. Attention is not an explanation: read it
beside what a model answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from leanformer.audit.figure import Figure, interval, mean_figure, resampled
from leanformer.audit.parts import NOTHING_KEPT, Part, Parts
from leanformer.audit.sightings import Sighting, Version, sightings
from leanformer.audit.vectors import check_whole, overlapping
from leanformer.encoders.first_token import sharing_copy
from leanformer.encoders.view import EncoderView
from leanformer.errors import DataError
from leanformer.tasks.encode import model_max_tokens

if TYPE_CHECKING:
    from leanformer.audit.models import Asked

BATCH = 32  # sightings, of two texts each
BUFFER = 16 * BATCH  # sorted by length
FEWEST = 5
RELATION = "relation degree in attention"
DIRECTIONS = ("occupation to gender word", "gender word to occupation")
Degrees = NDArray[np.float64]


@dataclass(frozen=True)
class Occupation:
    """What attention makes of one occupation.

    Attributes:
        name: The occupation.
        bias: (male - female) / (male + female) of its mean relation degree over all heads: above 0, male.
        low: Lower end of its 95% bootstrap interval, over sentences.
        high: Upper end.
        n: Sentences.
        degree: Mean size of its bias, head by head.
    """

    name: str
    bias: float
    low: float
    high: float
    n: int
    degree: float


@dataclass(frozen=True)
class Head:
    """How far one head's attention tells genders apart, on average over occupations.

    Attributes:
        layer: From 0.
        head: From 0, among the heads that the layer has.
        degree: Mean size of the occupations' bias in this head.
        low: Lower end of its 95% bootstrap interval, over occupations.
        high: Upper end.
        noise: The same of the same sentences with their genders' signs drawn at random.
    """

    layer: int
    head: int
    degree: float
    low: float
    high: float
    noise: float


@dataclass(frozen=True)
class Detected:
    """What a scan has found.

    Attributes:
        sentences: Sentences read.
        used: Occupations seen beside gender words, each with its twin.
        occupations: Those that were seen often enough, the most male first.
        heads: By layer and head.
        degree: Mean size of bias over occupations and heads, by direction of attention.
        noise: The same with signs drawn at random.
    """

    sentences: int
    used: int
    occupations: tuple[Occupation, ...]
    heads: tuple[Head, ...]
    degree: dict[str, float]
    noise: dict[str, float]


@dataclass
class _Seen:
    """Sums of one occupation: by direction, head and gender, and each sentence's mean over heads."""

    sums: Degrees  # (directions, heads, genders)
    flipped: Degrees  # (directions, heads)
    means: list[NDArray[np.float64]] = field(default_factory=list)  # (genders,) each


def detect(asked: Asked, texts: Iterable[str], seed: int = 0, parts: Parts = NOTHING_KEPT) -> Detected:
    """Scan sentences.

    Args:
        asked: The model.
        texts: Sentences; they are read one by one, so that a text may be larger than memory.
        seed: Of the signs that are drawn for the noise.
        parts: Keeps what is measured; what it holds is not measured again.

    Returns:
        Bias by occupation and by head.

    Raises:
        DataError: If no occupation was seen beside gender words often enough.
        ModelError: If tokens or texts leave the model on the way.
    """
    seen: dict[str, _Seen] = {}
    generator = np.random.default_rng(seed)
    counted = [0]
    with _attentive(asked) as (ask, places):
        for number, chunk in enumerate(_chunks(_seen_in(texts, counted))):
            measured, _ = parts.get(f"scan-{number}", partial(_unnamed, ask, chunk))
            for sighting, degrees in zip(chunk, measured, strict=True):
                sign = float(generator.choice((-1.0, 1.0)))
                _add(seen, sighting.occupation, degrees, sign)
    used = sum(len(one.means) for one in seen.values())
    often = {name: one for name, one in seen.items() if len(one.means) >= FEWEST}
    if not often:
        raise DataError(
            f"of {counted[0]} sentences {used} have a gender word beside an occupation, and no occupation is among "
            f"{FEWEST} of them: scan a longer English text"
        )
    return _detected(often, places, counted[0], used)


def degree_figure(found: Detected) -> Figure:
    """Return how far attention tells genders apart, as a figure over occupations.

    Args:
        found: What a scan has found.

    Returns:
        The mean degree over heads, from occupations to gender words.
    """
    sizes = np.array([one.degree for one in sorted(found.occupations, key=lambda one: one.name)])
    note = f"{found.noise[DIRECTIONS[0]]:.3f} with genders drawn at random"
    return mean_figure(RELATION, "mean size of bias over heads", sizes, "occupations", note=note)


def _unnamed(ask: Any, chunk: Sequence[Sighting]) -> Part:
    return ask(chunk), ""


def _seen_in(texts: Iterable[str], counted: list[int]) -> Iterator[Sighting]:
    for text in texts:
        counted[0] += 1
        yield from sightings(text)


def _chunks(found: Iterator[Sighting]) -> Iterator[list[Sighting]]:
    """Yield batches of like length."""
    from itertools import islice

    while buffer := sorted(islice(found, BUFFER), key=lambda one: len(one.versions[0].text)):
        for start in range(0, len(buffer), BATCH):
            yield buffer[start : start + BATCH]


def _add(seen: dict[str, _Seen], name: str, degrees: Degrees, sign: float) -> None:
    """Add the relation degrees of one sentence, (directions, heads, genders)."""
    one = seen.setdefault(name, _Seen(np.zeros_like(degrees), np.zeros(degrees.shape[:2])))
    one.sums += degrees
    one.flipped += sign * (degrees[..., 0] - degrees[..., 1])
    one.means.append(degrees[0].mean(axis=0))


def _detected(
    seen: dict[str, _Seen], places: Sequence[tuple[int, int]], sentences: int, used: int
) -> Detected:
    sums = np.stack([one.sums for one in seen.values()])  # (occupations, directions, heads, genders)
    whole = np.maximum(sums.sum(axis=-1), np.finfo(np.float64).tiny)
    sizes = np.abs(sums[..., 0] - sums[..., 1]) / whole  # (occupations, directions, heads)
    noise = np.abs(np.stack([one.flipped for one in seen.values()])) / whole
    draws = resampled(len(sizes), lambda chosen: sizes[chosen, 0].mean(axis=0).tolist())
    heads = tuple(
        Head(
            layer, head, float(sizes[:, 0, at].mean()), *interval(draws[:, at]), float(noise[:, 0, at].mean())
        )
        for at, (layer, head) in enumerate(places)
    )
    found = [
        _occupation(name, one, float(size))
        for (name, one), size in zip(seen.items(), sizes[:, 0].mean(axis=1), strict=True)
    ]
    occupations = sorted(found, key=lambda one: -one.bias)
    degree, level = (
        {name: float(part[:, at].mean()) for at, name in enumerate(DIRECTIONS)} for part in (sizes, noise)
    )
    return Detected(sentences, used, tuple(occupations), heads, degree, level)


def _occupation(name: str, seen: _Seen, degree: float) -> Occupation:
    means = np.stack(seen.means)  # (sentences, genders)

    def bias(chosen: NDArray[np.int64]) -> float:
        male, female = means[chosen].sum(axis=0)
        return float((male - female) / (male + female))

    low, high = interval(resampled(len(means), bias))
    return Occupation(name, bias(np.arange(len(means))), low, high, len(means), degree)


@contextmanager
def _attentive(asked: Asked) -> Iterator[tuple[Any, list[tuple[int, int]]]]:
    """Yield a function from sightings to relation degrees, and the layer and head of each column."""
    import torch

    from leanformer.gpu import borrowed

    view = EncoderView(asked.model)
    check_whole(asked.model)
    places = [(layer, head) for layer in range(view.n_layers) for head in range(view.heads(layer))]
    model = sharing_copy(asked.model.base_model).eval()
    model.config._attn_implementation = "eager"
    with borrowed(model) as device, torch.inference_mode(), _recorded(model, view) as attentions:

        def ask(found: Sequence[Sighting]) -> Degrees:
            inputs, weights = tokens_and_weights(asked, found, device)
            attentions.clear()
            model(**inputs, output_attentions=True)
            degrees = torch.cat([_related(one, weights) for _, one in sorted(attentions.items())], dim=2)
            both: Degrees = degrees.double().cpu().numpy()
            return both[0::2] + both[1::2]  # each gender word is male in one version and female in the other

        yield ask, places


def tokens_and_weights(asked: Asked, found: Sequence[Sighting], device: Any) -> tuple[Any, Any]:
    """Tokenise sightings, each with its twin behind it.

    Args:
        asked: The model, for its tokenizer and its longest input.
        found: The sightings.
        device: Where the tensors are to lie.

    Returns:
        The model's inputs of all texts, and which tokens count for how much: of the occupation, of its male words and
        of its female ones, (texts, tokens, 3), each adding up to 1 where it was not cut off.
    """
    import torch

    versions = [version for one in found for version in one.versions]
    inputs = asked.tokenizer(
        [version.text for version in versions],
        return_tensors="pt",
        padding=True,
        truncation=True,
        max_length=model_max_tokens(asked.model, asked.tokenizer),
        return_offsets_mapping=True,
    )
    offsets = inputs.pop("offset_mapping").tolist()
    words = [one.words for one in found for _ in one.versions]
    return inputs.to(device), torch.tensor(_weights(versions, offsets, words), device=device)


@contextmanager
def _recorded(model: Any, view: EncoderView) -> Iterator[dict[int, Any]]:
    """Yield a dictionary that each forward fills with the attention of each layer, (texts, heads, tokens, tokens)."""
    found: dict[int, Any] = {}

    def record(layer: int) -> Any:
        def hook(module: Any, given: Any, output: Any) -> None:
            if output[1] is not None:
                found[layer] = output[1]

        return hook

    layers = model.get_submodule(view.family.layers)
    handles = [
        layer.get_submodule(view.family.attention).register_forward_hook(record(number))
        for number, layer in enumerate(layers)
    ]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _weights(
    versions: Sequence[Version], offsets: Sequence[Sequence[Any]], words: Sequence[int]
) -> NDArray[np.float32]:
    """Weigh each text's tokens: of the occupation, of its male words and of its female ones, (texts, tokens, 3)."""
    weights = np.zeros((len(versions), len(offsets[0]), 3), np.float32)
    for row, (version, tokens, count) in enumerate(zip(versions, offsets, words, strict=True)):
        groups = (((version.occupation,), 1), (version.male, count), (version.female, count))
        for column, (spans, share) in enumerate(groups):
            for span in spans:
                pieces = overlapping(tokens, span)
                weights[row, pieces, column] += 1 / (share * max(1, len(pieces)))
    return weights


def _related(attention: Any, weights: Any) -> Any:
    """Return the relation degree by direction, head and gender, (texts, directions, heads, genders)."""
    import torch

    occupation, genders = weights[..., 0], weights[..., 1:]
    forth = torch.einsum("ti,thij,tjg->thg", occupation, attention, genders)
    back = torch.einsum("tig,thij,tj->thg", genders, attention, occupation)
    return torch.stack([forth, back], dim=1)

"""How gender bias flows through an encoder: its degree at every position, and what each matrix adds.

After Li et al. 2021, "Detecting Gender Bias in Transformer-based Models" (arXiv 2110.15733): a reconstruction, see
`leanformer.audit.positions` and `replaced`. An occupation's bias at a place is (male - female) / (male + female) of
its mean relation degrees to gender words, over sentences and their gender-swapped twins; its degree is the size of
that. A mean of sizes is above zero by noise alone, and the more the fewer sentences: what counts here is what is left
when the degree is taken off that the same sentences give with genders drawn at random.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from leanformer.audit.detector import BATCH, FEWEST, tokens_and_weights
from leanformer.audit.figure import Figure, Unmeasured, mean_figure
from leanformer.audit.parts import NOTHING_KEPT, Part, Parts
from leanformer.audit.positions import EMBEDDING, FFN_OUT, Place, check_positions, recorded, relation
from leanformer.audit.replaced import places_of, replacements, with_each
from leanformer.audit.sightings import Sighting, sightings
from leanformer.audit.vectors import check_whole
from leanformer.encoders.first_token import sharing_copy
from leanformer.encoders.view import EncoderView
from leanformer.errors import DataError
from leanformer.progress import bar

if TYPE_CHECKING:
    from leanformer.audit.models import Asked

MOST, MOST_EACH = 1000, 25
"""Sightings that are measured, and of one occupation: as many as a minute of MiniLM on a processor core allows, each
layer run some twenty times."""

SIGNS = 16
"""How often genders are drawn at random."""

FLOW = "bias at the encoder's positions"

Column = Place | tuple[int, str, str, str]
"""A place; or layer, matrix, what stands for it, and the place at which that is seen."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Flow:
    """Bias beyond noise, by occupation and place.

    Attributes:
        columns: What the columns are.
        degree: Size of the occupations' bias, (occupations, columns).
        noise: The same with genders drawn at random.
        names: The occupations.
        used: Sightings that were measured.
    """

    columns: tuple[Column, ...]
    degree: Array
    noise: Array
    names: tuple[str, ...]
    used: int

    @property
    def beyond(self) -> Array:
        """What is left of the degree without its noise, (occupations, columns)."""
        return self.degree - self.noise


@dataclass
class _Sums:
    """Of one occupation: relation degrees by column and gender, and their differences with signs drawn."""

    whole: Array  # (columns, genders)
    drawn: Array  # (signs, columns)


def chosen_sightings(texts: Iterable[str]) -> list[Sighting]:
    """Take the first sightings of a text, no occupation too often.

    Args:
        texts: Sentences, read until there are enough.

    Returns:
        `MOST` at most, and `MOST_EACH` of an occupation.
    """
    seen: Counter[str] = Counter()
    found: list[Sighting] = []
    for text in texts:
        for one in sightings(text):
            if seen[one.occupation] < MOST_EACH:
                seen[one.occupation] += 1
                found.append(one)
        if len(found) >= MOST:
            break
    return found


def measure_flow(
    asked: Asked,
    found: Sequence[Sighting],
    seed: int = 0,
    stage: str | None = None,
    parts: Parts = NOTHING_KEPT,
) -> Flow:
    """Measure bias at every place of an encoder, with its own matrices and with others in their place.

    Args:
        asked: The model.
        found: Occupations beside gender words.
        seed: Of the genders that are drawn and of the random matrices.
        stage: Name of a progress bar; none is shown without it.
        parts: Keeps what is measured; what it holds is not measured again.

    Returns:
        The flow.

    Raises:
        DataError: If no occupation was seen `FEWEST` times.
        ModelError: If tokens or texts leave the model on the way, or its layers have other positions.
    """
    check_whole(asked.model)
    check_positions(EncoderView(asked.model))
    often = {name for name, count in Counter(one.occupation for one in found).items() if count >= FEWEST}
    if not often:
        raise DataError(
            f"no occupation stands beside a gender word in {FEWEST} sentences of the text, so that no flow can be "
            "measured: scan a longer English text"
        )
    used = sorted(
        (one for one in found if one.occupation in often), key=lambda one: len(one.versions[0].text)
    )
    columns, rows = _asked_of(asked, used, seed, stage, parts)
    generator = np.random.default_rng(seed)
    sums: dict[str, _Sums] = {}
    for sighting, degrees in zip(used, rows, strict=True):  # degrees: (columns, genders)
        one = sums.setdefault(
            sighting.occupation, _Sums(np.zeros_like(degrees), np.zeros((SIGNS, len(degrees))))
        )
        signs = generator.choice((-1.0, 1.0), SIGNS)
        one.whole += degrees
        one.drawn += signs[:, None] * (degrees[:, 0] - degrees[:, 1])
    names = tuple(sorted(sums))
    whole = np.stack([sums[name].whole for name in names])  # (occupations, columns, genders)
    drawn = np.stack([sums[name].drawn for name in names])  # (occupations, signs, columns)
    both = np.maximum(whole.sum(axis=-1), np.finfo(np.float64).tiny)
    degree = np.abs(whole[..., 0] - whole[..., 1]) / both
    noise = (np.abs(drawn) / both[:, None]).mean(axis=1)
    return Flow(columns, degree, noise, names, len(used))


def _asked_of(
    asked: Asked, used: Sequence[Sighting], seed: int, stage: str | None, parts: Parts
) -> tuple[tuple[Column, ...], list[Array]]:
    """Return the columns, and the relation degrees of each sighting, (columns, genders)."""
    import torch

    from leanformer.gpu import borrowed

    view = EncoderView(asked.model)
    every = replacements(view, seed)
    model: Any = sharing_copy(asked.model.base_model).eval()
    model.config._attn_implementation = "eager"
    columns: tuple[Column, ...] = ()
    rows: list[Array] = []
    with bar() as progress, borrowed(model), torch.inference_mode(), recorded(model, view) as found:
        shown = progress.add_task(stage or "", total=len(used), visible=stage is not None)

        def measure(chunk: Sequence[Sighting]) -> Part:
            inputs, weights = tokens_and_weights(asked, chunk, model.device)
            real = inputs["attention_mask"].bool()
            model(**inputs, output_attentions=True)
            seen: dict[Column, Any] = {
                place: relation(place, states, weights, real)
                for place, states in sorted(found.states.items())
            }
            for one, states in with_each(model, view, found, every):
                for place in places_of(one):
                    column = (one.layer, one.matrix, one.by, place[1])
                    seen[column] = relation(place, states[place], weights, real)
            both = torch.stack(list(seen.values()), dim=1).double().cpu().numpy()  # (texts, columns, genders)
            return both, json.dumps(list(seen))

        for number, chunk in enumerate(_chunks(used)):
            both, of = parts.get(f"flow-{number}", partial(measure, chunk))
            columns = tuple(tuple(column) for column in json.loads(of))
            rows += list(
                both[0::2] + both[1::2]
            )  # each gender word is male in one version, female in the other
            progress.advance(shown, len(chunk))
    return columns, rows


def _chunks(used: Sequence[Sighting]) -> Iterator[Sequence[Sighting]]:
    for start in range(0, len(used), BATCH):
        yield used[start : start + BATCH]


def flow_figures(flow: Flow) -> list[Figure | Unmeasured]:
    """Return bias beyond noise at the ends of a flow and on its way, as figures over occupations.

    Args:
        flow: What was measured on a model.

    Returns:
        At the embeddings, at the end of the last layer, and the mean of all places.
    """
    at = {column: number for number, column in enumerate(flow.columns) if len(column) == 2}
    last = max(layer for layer, _ in at)
    shown = {
        "embeddings": [at[-1, EMBEDDING]],
        "last layer's output": [at[last, FFN_OUT]],
        "mean of all positions": list(at.values()),
    }
    return [
        mean_figure(FLOW, subject, flow.beyond[:, columns].mean(axis=1), "occupations")
        for subject, columns in shown.items()
    ]

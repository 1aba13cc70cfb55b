"""A flow of bias that is made up: every layer takes the same steps, and every matrix adds the same."""

from __future__ import annotations

import numpy as np

from leanformer.audit.findings import before
from leanformer.audit.flow import Flow
from leanformer.audit.positions import (
    ATTENTION,
    ATTENTION_OUT,
    CONTEXT,
    EMBEDDING,
    FFN_OUT,
    IN_LAYER,
    KEY,
    QUERY,
    VALUE,
)
from leanformer.audit.replaced import BEHIND, IDENTITY, ORTHOGONAL

STEPS = {
    QUERY: 0.3,
    KEY: 0.2,
    VALUE: 0.1,
    ATTENTION: 0.05,
    CONTEXT: -0.15,
    ATTENTION_OUT: 0.04,
    FFN_OUT: 0.01,
}
TAKEN = {"query": 0.2, "key": 0.1, "query and key": 0.25, "value": 0.05, "attention_out": 0.02, "ffn_in": 0.0}


def made(steps=STEPS, taken=TAKEN, layers=3, occupations=20, jitter=0.002, start=0.05, odd=None):
    """A flow in which every layer takes these steps, and every matrix adds so much behind itself."""
    beyond = {(-1, EMBEDDING): start}
    for layer in range(layers):
        own = odd if odd is not None and layer % 2 else steps
        for name in IN_LAYER:
            earlier = [beyond[one] for one in before((layer, name), [(layer, CONTEXT)])]
            beyond[layer, name] = sum(earlier) / len(earlier) + own[name]
        for matrix, amount in taken.items():
            for by in (IDENTITY, ORTHOGONAL):
                for place in dict.fromkeys((BEHIND[matrix], FFN_OUT)):
                    beyond[layer, matrix, by, place] = beyond[layer, place] - amount
    columns = tuple(beyond)
    noise = np.full((occupations, len(columns)), 0.1)
    degree = noise + np.array(list(beyond.values()))
    degree += jitter * np.random.default_rng(0).standard_normal(degree.shape)
    return Flow(columns, degree, noise, tuple(f"work {number}" for number in range(occupations)), 100)

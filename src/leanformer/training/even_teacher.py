"""A teacher that can not tell the words of a group apart (Delobelle & Berendt 2022, FairDistillation, ECML-PKDD)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from leanformer.training.teacher import Teacher

RULES = ("logits", "probabilities")


def even_logits(logits: Tensor, groups: Sequence[Sequence[int]], rule: str = "logits") -> Tensor:
    """Give all tokens of a group one logit.

    Args:
        logits: Of the vocabulary, (..., vocabulary); left as they are.
        groups: Token ids of each group; no token is in two.
        rule: "logits": the mean of the logits, as in the published code, which is the geometric mean of the
            probabilities up to a factor; "probabilities": the logit of their mean, which leaves all others as they
            were.

    Returns:
        The same shape.

    Raises:
        ValueError: There is no such rule.
    """
    if rule not in RULES:
        raise ValueError(f"There is no rule '{rule}'; use one of {', '.join(RULES)}.")
    even = logits.clone()
    for group in groups:
        own = logits[..., list(group)]
        shared = own.mean(dim=-1) if rule == "logits" else own.logsumexp(dim=-1) - math.log(len(group))
        even[..., list(group)] = shared[..., None].expand_as(own)
    return even


class EvenTeacher:
    """Another teacher, whose logits are made even.

    Args:
        teacher: The teacher.
        groups: Token ids of each group.
        rule: One of `RULES`.
    """

    def __init__(self, teacher: Teacher, groups: Sequence[Sequence[int]], rule: str) -> None:
        self.teacher, self.groups, self.rule = teacher, groups, rule

    @torch.no_grad()
    def outputs(self, rows: Tensor, batch: Mapping[str, Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Return even logits, and the hidden states as they are; see `Teacher.outputs`."""
        logits, hidden = self.teacher.outputs(rows, batch)
        return even_logits(logits, self.groups, self.rule), hidden

"""Encoders that stop early: heads between the layers, and the rule by which a text leaves with the answer of one.

Leanformer copies this file into a compressed checkpoint with `carried.py`, which imports it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

POLICIES = ("entropy", "patience", "learned")
HEADS = 2  # of an exit's own attention


class ExitHead(nn.Module):
    """A classifier behind a layer: FastBERT's branch (Liu et al. 2020), a narrow attention of the first token.

    Args:
        hidden: Width of the encoder.
        size: Width of the branch.
        labels: How many answers there are.
        judges: Whether it also says how sure it may be (BERxiT's learning to exit, Xin et al. 2021).
    """

    def __init__(self, hidden: int, size: int, labels: int, judges: bool) -> None:
        super().__init__()
        self.narrow = nn.Linear(hidden, size)
        self.query, self.key, self.value = (nn.Linear(size, size) for _ in range(3))
        self.mixed, self.dense = nn.Linear(size, size), nn.Linear(size, size)
        self.classifier = nn.Linear(size, labels)
        self.certainty = nn.Linear(size, 1) if judges else None

    def forward(self, states: torch.Tensor, real: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Answer.

        Args:
            states: What a layer leaves, (batch, tokens, hidden).
            real: Which tokens are no padding, (batch, tokens).

        Returns:
            Logits (batch, labels); and how likely the answer is wrong, (batch,), or None.
        """
        states = torch.tanh(self.narrow(states))
        first, key, value = (
            part.unflatten(-1, (HEADS, -1)).transpose(1, 2)  # (batch, heads, tokens, size / heads)
            for part in (self.query(states[:, :1]), self.key(states), self.value(states))
        )
        scores = first @ key.transpose(-1, -2) * first.shape[-1] ** -0.5
        scores = scores.masked_fill(~real[:, None, None], torch.finfo(scores.dtype).min)
        context = (scores.softmax(dim=-1) @ value).transpose(1, 2).flatten(2)[:, 0]  # (batch, size)
        pooled = torch.tanh(self.dense(self.mixed(context)))
        wrong = None if self.certainty is None else self.certainty(pooled).squeeze(-1).sigmoid()
        return self.classifier(pooled), wrong


def normalised_entropy(logits: torch.Tensor) -> torch.Tensor:
    """Return FastBERT's uncertainty, (batch,): the entropy of (batch, labels) over the largest possible."""
    logs = logits.float().log_softmax(dim=-1)
    return -(logs.exp() * logs).sum(dim=-1) / torch.log(torch.tensor(float(logits.shape[-1])))


class Leaving:
    """Which texts of a batch have left, and with what answer; one object an encoder, set anew by each call.

    Attributes:
        policy: One of `POLICIES`; empty while no text may leave.
        threshold: Below which uncertainty, or probability of an error, a text leaves; for patience, how many exits in
            a row have to agree.
        rows: Numbers of the texts that are still there.
        answers: Logits of those that have left, by exit: (rows, logits) pairs.
        layers: How many layers each text of the batch used, (batch,).

    Args:
        policy: See above.
        threshold: See above.
    """

    policy: str
    threshold: float
    rows: torch.Tensor
    answers: list[tuple[torch.Tensor, torch.Tensor]]
    layers: torch.Tensor

    def __init__(self, policy: str = "", threshold: float = 0.0) -> None:
        self.policy, self.threshold = policy, threshold
        self.clear()

    def __deepcopy__(self, memo: dict[int, Any]) -> Leaving:
        """Copies of a model have the policy, not the last batch."""
        return Leaving(self.policy, self.threshold)

    def clear(self) -> None:
        """Forget the batch."""
        self.rows = self.layers = self.agreed = torch.zeros(0)
        self.last: torch.Tensor | None = None
        self.answers = []

    def begin(self, states: torch.Tensor, n_layers: int) -> None:
        """Start with all texts of (batch, tokens, hidden)."""
        self.clear()
        batch = len(states)
        self.rows = torch.arange(batch, device=states.device)
        self.layers = torch.full((batch,), n_layers, device=states.device)
        self.agreed = torch.zeros(batch, device=states.device)

    def stay(self, logits: torch.Tensor, wrong: torch.Tensor | None, layers: int) -> torch.Tensor:
        """Let those leave that may.

        Args:
            logits: Of the texts that are still there, (rows, labels).
            wrong: How likely each is wrong, (rows,), where the policy is "learned".
            layers: How many layers they have used.

        Returns:
            Which of them stay, (rows,).
        """
        if self.policy == "patience":
            stays = self._without_agreement(logits)
        elif self.policy == "learned" and wrong is not None:
            stays = wrong >= self.threshold
        else:
            stays = normalised_entropy(logits) >= self.threshold
        gone = ~stays
        self.answers.append((self.rows[gone], logits[gone]))
        self.layers[self.rows[gone]] = layers
        self.rows, self.agreed = self.rows[stays], self.agreed[stays]
        self.last = None if self.last is None else self.last[stays]
        return stays

    def _without_agreement(self, logits: torch.Tensor) -> torch.Tensor:
        """PABEE (Zhou et al. 2020): leave when so many exits in a row agree; values agree within a tenth."""
        answer = logits if logits.shape[-1] == 1 else logits.argmax(dim=-1, keepdim=True)
        if self.last is not None:
            same = (answer - self.last).abs().squeeze(-1) < (0.1 if logits.shape[-1] == 1 else 0.5)
            self.agreed = torch.where(same, self.agreed + 1, torch.zeros_like(self.agreed))
        self.last = answer
        return self.agreed < self.threshold

    def merged(self, logits: torch.Tensor) -> torch.Tensor:
        """Put the last head's logits, (rows that are still there, labels), and those of the exits in order."""
        answers = [*self.answers, (self.rows, logits)]
        whole = logits.new_empty((len(self.layers), logits.shape[-1]))
        for rows, given in answers:
            whole[rows] = given.to(whole.dtype)
        return whole

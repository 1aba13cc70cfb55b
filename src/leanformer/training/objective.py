"""What a training run minimises: a weighted sum of named terms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from leanformer.tasks.words import IGNORED
from leanformer.training.adversary import Adversary
from leanformer.training.lengths import Sandwich
from leanformer.training.neutral import Neutral
from leanformer.training.trials import Trials

NEVER = -1e4  # a logit that no softmax hears, and that is finite: padding is no place for an answer

ExitRule = Literal["distilled", "weighted"]
HiddenRule = Literal["distance", "cosine"]


@dataclass(frozen=True)
class Objective:
    """A weighted sum of named terms; a term of weight zero is not computed.

    Attributes:
        task: Weight of the loss against the labels.
        logits: Weight of the distance to the teacher's logits (Hinton et al. 2015, arXiv 1503.02531).
        hidden: Weight of the distance to the teacher's hidden states (as in TinyBERT, arXiv 1909.10351, without
            a projection: a pruned student keeps the teacher's width).
        temperature: Temperature T of the softened answers.
        hidden_layers: Which hidden states are compared; 0 is the embeddings' output, i the output of layer i.
        student_layers: Which of the student's hidden states they are compared with, where it has fewer layers; empty
            where it has as many.
        adversary: Whose noise all terms are computed under; none by default.
        sandwich: Which fewer tokens are trained along, on the answers of the model with all of them; none by default.
        exits: What heads between the layers learn; nothing where it is None.
        trials: How a policy over tokens is learned, which then is all that learns; none by default.
        vectors: Whether answers are sentence embeddings: `logits` then weighs their distance to the teacher's.
        hidden_rule: How hidden states are compared: see `hidden_loss` ("distance") and `cosine_loss` ("cosine").
        neutral: What words are to lose and to keep, which then is all that is minimised; none by default.
    """

    task: float = 1.0
    logits: float = 0.0
    hidden: float = 0.0
    temperature: float = 2.0
    hidden_layers: tuple[int, ...] = ()
    student_layers: tuple[int, ...] = ()
    adversary: Adversary | None = None
    sandwich: Sandwich | None = None
    exits: ExitRule | None = None
    trials: Trials | None = None
    vectors: bool = False
    hidden_rule: HiddenRule = "distance"
    neutral: Neutral | None = None

    @property
    def needs_teacher(self) -> bool:
        """Whether a teacher's outputs are part of the loss."""
        return self.logits > 0 or self.hidden > 0

    @property
    def compared(self) -> tuple[int, ...]:
        """Which of the student's hidden states are compared, in the order of `hidden_layers`."""
        return self.student_layers or self.hidden_layers

    def for_student(self, kept: Sequence[int]) -> Objective:
        """Return the objective of a student that has only some of the teacher's layers.

        Args:
            kept: The layers that it has, by their numbers in the teacher, from 0.

        Returns:
            The objective: what the teacher knows after a layer is compared with what the student knows after all of
            its own layers up to there.
        """
        places = tuple(sum(layer < state for layer in kept) for state in self.hidden_layers)
        return replace(self, student_layers=places)

    @classmethod
    def distillation(cls, n_layers: int, vectors: bool = False) -> Objective:
        """Return the objective of recovery: labels, logits at T=2, and four evenly spaced hidden states.

        Args:
            n_layers: Layers of the encoder.
            vectors: Whether the model answers with sentence embeddings, which are learned without labels.

        Returns:
            The objective.
        """
        spaced = {round(n_layers * quarter / 4) for quarter in range(1, 5)}
        layers = tuple(sorted(spaced - {0}))
        return cls(0.0 if vectors else 0.5, logits=1.0, hidden=1.0, hidden_layers=layers, vectors=vectors)


def row_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """Return each row's loss against its label.

    Args:
        logits: (batch, classes), or (batch, 1) for regression; of words or tokens (batch, words, labels).
        labels: (batch,) of class ids, or of scores for regression; (batch, words), `IGNORED` where nothing is asked;
            of questions (batch, tokens, 2), 1 for the token that the answer starts or ends with, and `IGNORED` for
            padding.

    Returns:
        (batch,): cross-entropy, for words its mean over those that are asked, for questions the mean of that of the
        start and that of the end (Devlin et al. 2019, section 4.2), or squared error for regression.
    """
    if labels.ndim == 3:
        places = places_alone(logits, labels[..., 0] != IGNORED)
        return -(functional.log_softmax(places, dim=1) * (labels == 1)).sum(dim=(1, 2)) / 2
    if logits.ndim == 3:
        losses = functional.cross_entropy(
            logits.float().transpose(1, 2), labels, reduction="none", ignore_index=IGNORED
        )
        return losses.sum(dim=1) / (labels != IGNORED).sum(dim=1).clamp_min(1)
    if logits.shape[-1] == 1:
        return functional.mse_loss(logits.float().squeeze(-1), labels.float(), reduction="none")
    return functional.cross_entropy(logits.float(), labels, reduction="none")


def task_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the loss against the labels: the mean of `row_losses`, or over all words that are asked."""
    if logits.ndim == 3 and labels.ndim == 2:
        words = labels != IGNORED
        logits, labels = logits[words], labels[words]  # (words, labels), (words,)
        return row_losses(logits, labels).sum() / max(1, len(labels))
    return row_losses(logits, labels).mean()


def logits_loss(logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """Return the distance of the answers to the teacher's.

    Args:
        logits: (batch, classes), or (batch, 1) for regression.
        teacher_logits: The same shape.
        temperature: T; the gradient is kept in scale by T^2 (Hinton et al. 2015, section 2).

    Returns:
        T^2 KL(teacher || student) of the softened answers, or mean squared error for regression.
    """
    if logits.shape[-1] == 1:
        return functional.mse_loss(logits.float(), teacher_logits.float())
    student = functional.log_softmax(logits.float() / temperature, dim=-1)
    teacher = functional.log_softmax(teacher_logits.float() / temperature, dim=-1)
    return functional.kl_div(student, teacher, reduction="batchmean", log_target=True) * temperature**2


def vectors_loss(vectors: Tensor, teacher_vectors: Tensor) -> Tensor:
    """Return the distance of sentence embeddings to the teacher's.

    Args:
        vectors: (batch, hidden).
        teacher_vectors: The same shape.

    Returns:
        The mean of 1 - cosine: half the squared distance of the normalised vectors (the loss of Reimers and Gurevych
        2020, arXiv 2004.09813, section 2, where vectors have length one).
    """
    return (1 - functional.cosine_similarity(vectors.float(), teacher_vectors.float(), dim=-1)).mean()


def places_alone(logits: Tensor, mask: Tensor) -> Tensor:
    """Return start and end logits (batch, tokens, 2) in float32, in which padding is no place for an answer."""
    return logits.float().masked_fill(~mask.bool()[..., None], NEVER)


def one_a_row(logits: Tensor, mask: Tensor, labels: Tensor) -> Tensor:
    """Return answers one a row, without those of padding: what a softmax goes over is the last axis.

    Args:
        logits: (batch, classes), or (batch, tokens, labels).
        mask: (batch, tokens), 1 for real tokens.
        labels: As in `row_losses`; they tell questions.

    Returns:
        Answers of texts as they are; of tokens (real tokens, labels); of questions (2 * batch, tokens).
    """
    if labels.ndim == 3:
        return places_alone(logits, mask).transpose(1, 2).flatten(0, 1)
    return logits[mask.bool()] if logits.ndim == 3 else logits


def exits_loss(
    rule: ExitRule,
    answers: Sequence[tuple[Tensor, Tensor | None]],
    logits: Tensor,
    labels: Tensor,
) -> Tensor:
    """Return what the heads between the layers are trained by.

    Args:
        rule: Their rule.
        answers: Logits (batch, classes) of each head, and how likely it says that it is wrong (batch,), or None.
        logits: Those of the last head, (batch, classes).
        labels: (batch,).

    Returns:
        "distilled": the sum over heads of KL(last head || head), the last one standing still (FastBERT, Liu et al.
        2020, equation 9). "weighted": sum j L_j / sum j, L_j the j-th head's loss against the labels (PABEE, Zhou et
        al. 2020, equation 4). Heads that judge add (u - 1[wrong])^2, for values |tanh(answer - label)| in place of
        1[wrong] (BERxiT, Xin et al. 2021, equation 5).
    """
    losses = []
    for number, (answer, wrong) in enumerate(answers, start=1):
        if rule == "weighted":
            share = number / sum(range(1, len(answers) + 1))
            losses.append(share * task_loss(answer, labels))
        else:
            losses.append(logits_loss(answer, logits.detach(), temperature=1.0))
        if wrong is not None:
            losses.append((wrong.float() - mistaken(answer.detach(), labels)).square().mean())
    return torch.stack(losses).sum()


def mistaken(logits: Tensor, labels: Tensor) -> Tensor:
    """Return 1 for each wrong answer, 0 for a right one, (batch,); for values how far off it is, in [0, 1)."""
    if logits.shape[-1] == 1:
        return (logits.float().squeeze(-1) - labels.float()).tanh().abs()
    return (logits.argmax(dim=-1) != labels).float()


def hidden_loss(hidden: Sequence[Tensor], teacher_hidden: Sequence[Tensor], mask: Tensor) -> Tensor:
    """Return the distance of hidden states to the teacher's, free of their scale.

    Args:
        hidden: Per compared layer (batch, tokens, width); fewer tokens where the student has dropped some.
        teacher_hidden: Per compared layer (batch, tokens, width).
        mask: (batch, tokens), 1 for real tokens.

    Returns:
        Mean over layers of ||h - t||^2 / ||t - mean(t)||^2 over the real tokens: 0 for equal states, 1 for a
        student that only knows the mean. Where tokens are gone it is the first token's, which always stays.
    """
    terms = []
    for student, teacher in zip(hidden, teacher_hidden, strict=True):
        real = mask.bool()
        if student.shape[1] < teacher.shape[1]:
            student, teacher, real = student[:, :1], teacher[:, :1], real[:, :1]
        wanted = teacher[real].float()  # (real tokens, width)
        spread = (wanted - wanted.mean(dim=0)).square().mean()
        terms.append((student[real].float() - wanted).square().mean() / spread.clamp_min(1e-8))
    return torch.stack(terms).mean()


def cosine_loss(hidden: Sequence[Tensor], teacher_hidden: Sequence[Tensor], mask: Tensor) -> Tensor:
    """Return the angle of hidden states to the teacher's (DistilBERT, Sanh et al. 2019, arXiv 1910.01108, section 3).

    Args:
        hidden: Per compared layer (batch, tokens, width).
        teacher_hidden: The same shapes.
        mask: (batch, tokens), 1 for real tokens.

    Returns:
        Mean over layers and real tokens of 1 - cosine.
    """
    real = mask.bool()
    pairs = zip(hidden, teacher_hidden, strict=True)
    return torch.stack([vectors_loss(student[real], teacher[real]) for student, teacher in pairs]).mean()

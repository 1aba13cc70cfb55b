"""The trainer's parts: its loss is the objective's sum, its batches know their rows, its embeddings rest."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel

from leanformer.structure.surgery import slice_units
from leanformer.training.adversary import Adversary
from leanformer.training.batching import Collator, EpochSampler, training_columns
from leanformer.training.config import TrainingConfig
from leanformer.training.objective import Objective, hidden_loss, logits_loss, task_loss
from leanformer.training.trainer import CompressionTrainer, fast_attention, trainable, training_arguments
from tiny import TINY_FAMILIES


class FixedTeacher:
    """Answers by row number; hidden states are ones."""

    def outputs(self, rows, batch):
        ids = batch["input_ids"]
        return torch.stack([rows.float(), -rows.float()], dim=1), [torch.ones(*ids.shape, 32).half()]


def batch_of(mood_train, tokenizer, rows=(3, 1, 2)) -> dict[str, torch.Tensor]:
    columns = training_columns(mood_train)
    return Collator(tokenizer, regression=False)([columns[row] for row in rows])


def trainer_of(
    model, folder: Path, objective: Objective, teacher=None, dropout: bool = False
) -> CompressionTrainer:
    arguments = training_arguments(TrainingConfig(1e-3, 1), 1, folder)
    trainer = CompressionTrainer(
        model=model, args=arguments, objective=objective, teacher=teacher, dropout=dropout
    )
    model.to("cpu")  # where the batches are; transformers moves it, where there is a GPU
    return trainer


@pytest.mark.parametrize(
    ("task", "logits", "hidden"),
    [(1.0, 0.0, 0.0), (0.5, 1.0, 0.0), (0.5, 1.0, 2.0), (0.0, 1.0, 1.0), (0.0, 0.0, 3.0)],
)
def test_the_loss_is_the_weighted_sum(tiny_model, mood_train, tiny_tokenizer, tmp_path, task, logits, hidden):
    model = tiny_model("bert")
    goal = Objective(task, logits, hidden, hidden_layers=(1,))
    trainer = trainer_of(model, tmp_path, goal, FixedTeacher())
    batch = batch_of(mood_train, tiny_tokenizer)
    inputs = {name: value for name, value in batch.items() if name not in ("labels", "position")}
    with torch.no_grad():
        loss, outputs = trainer.compute_loss(model, dict(batch), return_outputs=True)
        given = model(**inputs, output_hidden_states=True)
        wanted, states = FixedTeacher().outputs(batch["position"], inputs)
        expected = (
            task * task_loss(given.logits, batch["labels"])
            + logits * logits_loss(given.logits, wanted, 2.0)
            + hidden * hidden_loss([given.hidden_states[1]], states, inputs["attention_mask"])
        )
    assert torch.allclose(loss, expected, rtol=1e-5)
    assert torch.equal(outputs.logits, given.logits)


def test_noise_of_no_size_changes_no_gradient(tiny_model, mood_train, tiny_tokenizer, tmp_path):
    batch, gradients = batch_of(mood_train, tiny_tokenizer), []
    for adversary in (None, Adversary(steps=3, start=0.0, step_size=0.0)):
        model = tiny_model("bert")
        trainer = trainer_of(model, tmp_path, Objective(adversary=adversary))
        trainer.compute_loss(model, dict(batch)).backward()
        gradients.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, atol=1e-6, rtol=1e-4)


def test_noise_makes_the_loss_larger(tiny_model, mood_train, tiny_tokenizer, tmp_path):
    model, batch = tiny_model("bert"), batch_of(mood_train, tiny_tokenizer)
    plain = trainer_of(model, tmp_path, Objective())
    pushed = trainer_of(model, tmp_path, Objective(adversary=Adversary(steps=4, step_size=0.5)))
    with torch.no_grad():
        before = plain.compute_loss(model, dict(batch))
    assert 4 * pushed.compute_loss(model, dict(batch)).detach() > before  # the last step's share of the loss


@pytest.mark.parametrize("dropout", [False, True])
def test_dropout_is_a_choice(tiny_model, mood_train, tiny_tokenizer, tmp_path, dropout):
    model = tiny_model("bert")
    trainer = trainer_of(model, tmp_path, Objective(), dropout=dropout)
    losses = {trainer.compute_loss(model, batch_of(mood_train, tiny_tokenizer)).item() for _ in range(4)}
    assert (len(losses) > 1) is dropout


@pytest.mark.parametrize("family", TINY_FAMILIES)
def test_training_attends_plainly_and_gives_the_choice_back(tiny_model, family, monkeypatch):
    """Also where transformers, which goes by the class, would leave the choice as it is."""
    monkeypatch.setattr(PreTrainedModel, "_can_set_attn_implementation", classmethod(lambda cls: False))
    dense, ids = tiny_model(family), torch.arange(5, 25).view(2, 10)
    for model in (dense, slice_units(dense, {(0, "head"): torch.tensor([1.0, 0, 1, 0])})):
        model.config._attn_implementation = "eager" if family == "mpnet" else "sdpa"
        usual, before = model.config._attn_implementation, model(input_ids=ids).logits
        with fast_attention(model):
            assert torch.cuda.is_available() or attentions(model) == {"eager"}
            assert torch.allclose(model(input_ids=ids).logits, before, atol=1e-5)
        assert attentions(model) == {usual}
        assert torch.equal(model(input_ids=ids).logits, before)


def attentions(model) -> set[str]:
    return {module.config._attn_implementation for module in model.modules() if hasattr(module, "config")}


def test_a_batch_knows_its_rows_and_labels(mood_train, tiny_tokenizer):
    batch = batch_of(mood_train, tiny_tokenizer, (5, 0, 9))
    assert batch["position"].tolist() == [5, 0, 9]
    assert batch["labels"].tolist() == [mood_train[row]["label"] for row in (5, 0, 9)]
    assert batch["labels"].dtype == torch.int64
    for place, row in enumerate((5, 0, 9)):
        ids = mood_train[row]["input_ids"]
        assert batch["input_ids"][place][batch["attention_mask"][place].bool()].tolist() == ids


def test_scores_are_floats(mood_train, tiny_tokenizer):
    columns = training_columns(mood_train)
    assert Collator(tiny_tokenizer, regression=True)([columns[0]])["labels"].dtype == torch.float32


@pytest.mark.parametrize("family", ["bert", "distilbert", "modernbert"])
@pytest.mark.parametrize("train_embeddings", [False, True])
def test_embedding_tables_rest_unless_asked(tiny_model, family, train_embeddings):
    model = tiny_model(family)
    trainable(model, train_embeddings)
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    tables = {
        f"{name}.weight" for name, module in model.named_modules() if isinstance(module, torch.nn.Embedding)
    }
    assert frozen == (set() if train_embeddings else tables)
    assert tables


def test_relative_biases_are_no_embedding_table(tiny_model):
    model = tiny_model("mpnet")
    trainable(model, train_embeddings=False)
    assert model.mpnet.encoder.relative_attention_bias.weight.requires_grad
    assert not model.mpnet.embeddings.word_embeddings.weight.requires_grad


@pytest.mark.parametrize(("steps", "every"), [(5, 1), (200, 20)])
def test_a_checkpoint_each_tenth(tmp_path, steps, every):
    arguments = training_arguments(TrainingConfig(1e-3, 3, seed=5), steps, tmp_path)
    assert arguments.save_steps == every
    assert arguments.max_steps == steps
    assert (arguments.seed, arguments.data_seed) == (5, 5)


@pytest.mark.parametrize("fast", [False, True])
def test_the_optimiser_is_fused_and_bfloat16_is_taken_where_it_is_fast(
    tiny_model, tmp_path, monkeypatch, fast
):
    monkeypatch.setattr("leanformer.training.trainer.has_fast_bfloat16", lambda: fast)
    arguments = training_arguments(TrainingConfig(1e-3, 1), 1, tmp_path)
    assert arguments.bf16 is fast
    trainer = CompressionTrainer(model=tiny_model("bert"), args=arguments, objective=Objective())
    trainer.create_optimizer()
    assert isinstance(trainer.optimizer, torch.optim.AdamW)
    assert all(group["fused"] for group in trainer.optimizer.param_groups)


def test_the_order_follows_from_seed_and_epoch():
    rows = [[0] * (1 + number * 7 % 20) for number in range(100)]

    def order(seed: int, epoch: int) -> list[int]:
        sampler = EpochSampler(rows, batch_size=8, seed=seed)
        sampler.set_epoch(epoch)
        torch.rand(3)  # the global generator has no say
        return list(sampler)

    assert order(0, 1) == order(0, 1)
    assert len({tuple(order(seed, epoch)) for seed in (0, 1) for epoch in (0, 1, 2)}) == 6
    assert sorted(order(0, 0)) == list(range(100))


def test_rows_of_like_length_share_a_batch():
    rows = [[0] * (1 + number * 7 % 20) for number in range(96)]
    lengths = [len(rows[row]) for row in EpochSampler(rows, batch_size=8, seed=0)]
    spread = [max(lengths[start : start + 8]) - min(lengths[start : start + 8]) for start in range(8, 96, 8)]
    assert sum(spread) / len(spread) < 9  # of 19

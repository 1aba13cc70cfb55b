from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, GPT2Config, GPT2Model, RobertaTokenizerFast

from leanformer.encoders.families import supported
from leanformer.errors import ModelError
from leanformer.tasks.heads import load_model
from leanformer.tasks.task import Task
from tiny import TINY_FAMILIES, build_reader, build_tagger

TWO = Task("two", "classification", False, ("no", "yes"), "accuracy")
THREE = Task("three", "classification", False, ("low", "middle", "high"), "accuracy")
SPANS = Task("spans", "token-classification", False, ("O", "B-a", "I-a", "B-b", "I-b"), "span-f1")
QUESTIONS = Task("squad", "question-answering", True, ("start", "end"), "answer-f1")
VALUE = Task("value", "regression", True, (), "spearman", ("pearson",))


@pytest.fixture
def save(tmp_path, tiny_tokenizer):
    """Save a model with the tiny tokenizer and return the folder."""

    def save_as(model, **config) -> Path:
        folder = tmp_path / "model"
        for key, value in config.items():
            setattr(model.config, key, value)
        model.save_pretrained(folder)
        tiny_tokenizer.save_pretrained(folder)
        return folder

    return save_as


@pytest.mark.parametrize("task", [TWO, THREE, VALUE])
def test_a_base_model_gets_a_fresh_head(tiny_model_folder, task):
    model, tokenizer, has_head = load_model(str(tiny_model_folder), task, finetune=False)
    assert not has_head
    assert not model.training
    assert model.config.num_labels == task.num_labels
    assert (
        model.config.problem_type
        == {
            "classification": "single_label_classification",
            "regression": "regression",
        }[task.kind]
    )
    if task.labels:
        assert tuple(model.config.id2label.values()) == task.labels
        assert tuple(model.config.label2id) == task.labels
    batch = tokenizer(["good film", "bad"], padding=True, return_tensors="pt")
    assert model(**batch).logits.shape == (2, task.num_labels)


def test_fresh_heads_are_the_same_each_time_and_leave_the_generator_alone(tiny_model_folder):
    torch.manual_seed(1)
    wanted = torch.rand(1)
    torch.manual_seed(1)
    one, _, _ = load_model(str(tiny_model_folder), THREE, finetune=False)
    assert torch.equal(torch.rand(1), wanted)
    two, _, _ = load_model(str(tiny_model_folder), THREE, finetune=False)
    assert one.classifier.weight.std() > 0
    assert all(
        torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True)
    )


@pytest.mark.parametrize("family", TINY_FAMILIES)
def test_a_head_that_fits_is_used(family, tiny_model, tiny_tokenizer, save):
    dense = tiny_model(family)
    model, _, has_head = load_model(str(save(dense)), TWO, finetune=False)
    assert has_head
    batch = tiny_tokenizer(["good film", "bad"], padding=True, return_tensors="pt")
    torch.testing.assert_close(model(**batch).logits, dense(**batch).logits, atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", TINY_FAMILIES)
def test_labels_in_another_order_are_put_right(family, tiny_model, tiny_tokenizer, save):
    dense = tiny_model(family, num_labels=3)
    folder = save(
        dense, id2label={0: "HIGH", 1: "LOW", 2: "Middle"}, label2id={"HIGH": 0, "LOW": 1, "Middle": 2}
    )
    model, _, has_head = load_model(str(folder), THREE, finetune=False)
    assert has_head
    batch = tiny_tokenizer(["good film"], return_tensors="pt")
    wanted = dense(**batch).logits[:, [1, 2, 0]]
    torch.testing.assert_close(model(**batch).logits, wanted, atol=1e-5, rtol=0)
    assert model.config.id2label == {0: "low", 1: "middle", 2: "high"}


@pytest.mark.parametrize(
    ("task", "changes", "reason"),
    [
        (THREE, {}, "2 outputs and the task 'three' needs 3"),
        (VALUE, {}, "2 outputs and the task 'value' needs 1"),
        (TWO, {"problem_type": "multi_label_classification"}, "multi_label_classification"),
        (TWO, {"id2label": {0: "ham", 1: "spam"}}, "ham, spam and the labels of 'two' are no, yes"),
    ],
)
def test_a_head_that_does_not_match(tiny_model, save, task, changes, reason):
    folder = str(save(tiny_model("bert"), **changes))
    with pytest.raises(ModelError, match=f"head of .* does not match the data: .*{reason}.*--finetune"):
        load_model(folder, task, finetune=False)
    model, _, has_head = load_model(folder, task, finetune=True)
    assert not has_head
    assert model.config.num_labels == task.num_labels


def test_half_precision_checkpoints_become_float32(tiny_model, save):
    model, _, _ = load_model(str(save(tiny_model("bert").half())), TWO, finetune=False)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_a_checkpoint_without_pooler_bias_loads(tiny_model_folder):
    weights = load_file(tiny_model_folder / "model.safetensors")
    del weights["pooler.dense.bias"]
    save_file(weights, tiny_model_folder / "model.safetensors", metadata={"format": "pt"})
    model, _, _ = load_model(str(tiny_model_folder), TWO, finetune=False)
    assert torch.equal(model.bert.pooler.dense.bias, torch.zeros(32))


def test_an_encoder_without_its_weights_is_refused(tiny_model_folder):
    weights = load_file(tiny_model_folder / "model.safetensors")
    del weights["encoder.layer.1.attention.self.query.weight"]
    save_file(weights, tiny_model_folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"1 are absent .*encoder\.layer\.1\.attention\.self\.query\.weight"):
        load_model(str(tiny_model_folder), TWO, finetune=True)


def test_weights_of_another_shape_are_refused(tiny_model_folder):
    config = json.loads((tiny_model_folder / "config.json").read_text())
    (tiny_model_folder / "config.json").write_text(json.dumps({**config, "intermediate_size": 48}))
    with pytest.raises(ModelError, match=r"do not fit its config\.json"):
        load_model(str(tiny_model_folder), TWO, finetune=True)


def test_pickle_weights_only(tiny_model_folder):
    (tiny_model_folder / "model.safetensors").rename(tiny_model_folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"pickle weights only.*save_pretrained"):
        load_model(str(tiny_model_folder), TWO, finetune=False)


def test_broken_weights(tiny_model_folder):
    (tiny_model_folder / "model.safetensors").write_bytes(b"\0" * 40)
    with pytest.raises(ModelError, match=r"weights of .* can not be loaded"):
        load_model(str(tiny_model_folder), TWO, finetune=False)


def test_no_weights(tiny_model_folder):
    (tiny_model_folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"no weights: it needs model\.safetensors"):
        load_model(str(tiny_model_folder), TWO, finetune=False)


def test_unsupported_architecture_names_the_supported_ones(save):
    folder = save(GPT2Model(GPT2Config(n_embd=8, n_layer=1, n_head=1, vocab_size=120)))
    with pytest.raises(ModelError) as caught:
        load_model(str(folder), TWO, finetune=True)
    assert "gpt2" in str(caught.value)
    assert all(name in str(caught.value) for name in supported())


def test_unknown_architecture_names_the_supported_ones(tiny_model_folder):
    config = json.loads((tiny_model_folder / "config.json").read_text())
    (tiny_model_folder / "config.json").write_text(json.dumps({**config, "model_type": "brontosaurus"}))
    with pytest.raises(ModelError) as caught:
        load_model(str(tiny_model_folder), TWO, finetune=True)
    assert "brontosaurus" in str(caught.value)
    assert all(name in str(caught.value) for name in supported())


@pytest.mark.parametrize(
    ("name", "value"), [("hidden_size", 33), ("num_attention_heads", 0), ("hidden_act", "none-such")]
)
def test_config_that_no_model_can_be_built_from(tiny_model_folder, name, value):
    config = json.loads((tiny_model_folder / "config.json").read_text())
    (tiny_model_folder / "config.json").write_text(json.dumps({**config, name: value}))
    with pytest.raises(ModelError, match=r"can not be loaded .* config\.json that describes it"):
        load_model(str(tiny_model_folder), TWO, finetune=True)


@pytest.mark.parametrize(
    "content",
    [
        "{",
        '{"model_type": "bert", "hidden_size": "much"}',
        '{"model_type": "bert", "id2label": ["no", "yes"]}',
    ],
)
def test_broken_config(tiny_model_folder, content):
    (tiny_model_folder / "config.json").write_text(content)
    with pytest.raises(ModelError, match=r"config\.json of .* can not be read"):
        load_model(str(tiny_model_folder), TWO, finetune=False)


def test_folder_that_is_no_model(tmp_path):
    with pytest.raises(ModelError, match=r"no config\.json"):
        load_model(str(tmp_path), TWO, finetune=False)


@pytest.mark.parametrize("path", ["/nowhere/model", "~nobody-here/model", "./nowhere", "a/b/c"])
def test_missing_folder(path):
    with pytest.raises(ModelError, match="there is no model folder"):
        load_model(path, TWO, finetune=False)


def test_a_file_is_no_folder(tiny_model_folder):
    with pytest.raises(ModelError, match="is a file"):
        load_model(str(tiny_model_folder / "model.safetensors"), TWO, finetune=False)


def test_hub_id_offline():
    with pytest.raises(
        ModelError, match=r"nobody/nothing is no folder here and can not be fetched.*connection"
    ):
        load_model("nobody/nothing", TWO, finetune=False)


def test_missing_tokenizer(tiny_model_folder):
    for file in tiny_model_folder.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(ModelError, match="no tokenizer"):
        load_model(str(tiny_model_folder), TWO, finetune=False)


def test_broken_tokenizer(tiny_model_folder):
    (tiny_model_folder / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match=r"tokenizer of .* can not be loaded"):
        load_model(str(tiny_model_folder), TWO, finetune=False)


def test_tokenizer_of_another_model(tiny_model_folder, tiny_tokenizer):
    tokenizer = AutoTokenizer.from_pretrained(tiny_model_folder)
    tokenizer.add_tokens([f"newword{number}" for number in range(9)])
    tokenizer.save_pretrained(tiny_model_folder)
    with pytest.raises(ModelError, match=r"pieces and the model knows"):
        load_model(str(tiny_model_folder), TWO, finetune=False)


@pytest.mark.parametrize("family", TINY_FAMILIES)
def test_a_head_for_words_is_used_and_put_into_the_order_of_the_data(family, tiny_tokenizer, save):
    dense, names = build_tagger(family), ("I-b", "O", "B-a", "B-b", "I-a")
    folder = save(dense, id2label=dict(enumerate(names)), label2id={name: i for i, name in enumerate(names)})
    model, _, has_head = load_model(str(folder), SPANS, finetune=False)
    assert has_head
    batch = tiny_tokenizer(["good film", "bad"], padding=True, return_tensors="pt")
    order = [names.index(label) for label in SPANS.labels]
    torch.testing.assert_close(model(**batch).logits, dense(**batch).logits[..., order], atol=1e-5, rtol=0)


def test_a_head_for_texts_is_none_for_words_and_the_other_way_round(tiny_model, save):
    folder = str(save(tiny_model("bert", num_labels=5)))
    model, tokenizer, has_head = load_model(folder, SPANS, finetune=False)
    assert not has_head
    assert model(**tokenizer("good film", return_tensors="pt")).logits.shape == (1, 4, 5)
    _, _, has_head = load_model(str(save(build_tagger("bert", num_labels=2))), TWO, finetune=False)
    assert not has_head


def test_a_head_with_other_types_does_not_match(save):
    names = {0: "O", 1: "B-x", 2: "I-x", 3: "B-y", 4: "I-y"}
    folder = save(build_tagger("bert"), id2label=names, label2id={name: i for i, name in names.items()})
    with pytest.raises(ModelError, match="does not match the data: its labels are o, b_x"):
        load_model(str(folder), SPANS, finetune=False)


def test_words_are_cut_as_within_a_sentence(tmp_path):
    """RoBERTa's tokenizer writes the blank before a word into its token."""
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "a", "b", "\u0120", "\u0120a"]
    tokenizer = RobertaTokenizerFast(
        vocab={piece: index for index, piece in enumerate(pieces)},
        merges=[("\u0120", "a")],
        model_max_length=16,
    )
    build_tagger("roberta").save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    _, loaded, _ = load_model(str(tmp_path), SPANS, finetune=False)
    words = loaded(["a", "a"], is_split_into_words=True)["input_ids"]
    assert loaded.convert_ids_to_tokens(words) == ["<s>", "\u0120a", "\u0120a", "</s>"]


@pytest.mark.parametrize("family", TINY_FAMILIES)
def test_a_head_for_questions_is_used_as_it_is(family, save):
    dense = build_reader(family)
    model, _, has_head = load_model(str(save(dense)), QUESTIONS, finetune=False)
    assert has_head
    assert type(model) is type(dense)
    assert model.config.id2label == {0: "start", 1: "end"}
    ids = torch.arange(5, 16)[None]
    torch.testing.assert_close(model(input_ids=ids).end_logits, dense(input_ids=ids).end_logits)


def test_a_head_of_texts_is_none_for_questions(tiny_model, save):
    folder = str(save(tiny_model("bert")))
    model, _, has_head = load_model(folder, QUESTIONS, finetune=False)
    assert not has_head
    assert type(model).__name__ == "BertForQuestionAnswering"
    _, _, has_head = load_model(str(save(build_reader("bert"))), TWO, finetune=False)
    assert not has_head

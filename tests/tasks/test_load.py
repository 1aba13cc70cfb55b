from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value

from leanformer.errors import DataError
from leanformer.tasks.load import DataSpec, load_data
from leanformer.tasks.task import Task
from tiny import write_conll

COLOURS = ("red", "green", "blue")


def lines(rows: list[str], header: str = "text,label") -> str:
    return "\n".join([header, *rows]) + "\n"


def numbered(rows: int, labels: tuple = COLOURS) -> list[str]:
    return [f"some text {number},{labels[number % len(labels)]}" for number in range(rows)]


def test_folder(tiny_task):
    data = load_data(DataSpec(str(tiny_task)))
    assert data.task == Task("tiny_task", "classification", False, ("negative", "positive"), "accuracy")
    assert (len(data.train), len(data.validation), data.test) == (200, 60, None)
    assert data.train.column_names == ["text", "label", "row"]
    assert data.train[0]["row"] == 2
    assert "text 'sentence', label 'label' (guessed" in data.description
    assert "train 200, validation 60" in data.description


@pytest.mark.parametrize("name", ["valid", "val", "dev", "Validation", "validation-00000-of-00001"])
def test_names_of_the_validation_file(tmp_path, name):
    (tmp_path / "train.csv").write_text(lines(numbered(30)))
    (tmp_path / f"{name}.csv").write_text(lines(numbered(6)))
    assert len(load_data(DataSpec(str(tmp_path))).validation) == 6


def test_single_file_gives_a_fixed_stratified_tenth(tmp_path):
    file = tmp_path / "colours.jsonl"
    rows = [{"text": f"some text {number}", "label": COLOURS[min(number % 4, 2)]} for number in range(200)]
    file.write_text("\n".join(map(json.dumps, rows)))
    data, again = load_data(DataSpec(str(file))), load_data(DataSpec(str(file)))
    assert data.task.labels == ("blue", "green", "red")
    assert (len(data.train), len(data.validation)) == (180, 20)
    assert Counter(data.validation["label"][:]) == {0: 10, 1: 5, 2: 5}
    assert data.validation["row"][:] == again.validation["row"][:]
    assert not set(data.validation["row"][:]) & set(data.train["row"][:])
    assert "stratified tenth" in data.description


def test_explicit_files_come_first(tiny_task, tmp_path):
    own = tmp_path / "own.csv"
    own.write_text(lines(["a good film,positive", "a bad film,negative"], "sentence,label"))
    data = load_data(DataSpec(str(tiny_task / "train.csv"), validation=str(own), test=str(own)))
    assert (len(data.train), len(data.validation)) == (200, 2)
    assert data.test is not None
    assert data.test["label"][:] == [1, 0]


def test_regression(tmp_path):
    file = tmp_path / "scores.csv"
    file.write_text(lines([f"one {n},two {n},{n / 7:.3f}" for n in range(40)], "text_a,text_b,score"))
    data = load_data(DataSpec(str(file)))
    assert data.task == Task("scores", "regression", True, (), "spearman", ("pearson",))
    assert data.train.features["label"].dtype == "float64"
    assert load_data(DataSpec(str(file), metric="pearson")).task.extra_metrics == ("spearman",)


def test_kind_by_flag(tmp_path):
    (tmp_path / "stars.csv").write_text(lines(numbered(40, ("1", "2", "3", "4"))))
    assert load_data(DataSpec(str(tmp_path / "stars.csv"))).task.labels == ("1", "2", "3", "4")
    data = load_data(DataSpec(str(tmp_path / "stars.csv"), kind="regression"))
    assert data.task.num_labels == 1
    assert set(data.train["label"][:]) == {1.0, 2.0, 3.0, 4.0}


def test_metric_by_flag(tiny_task):
    task = load_data(DataSpec(str(tiny_task), metric="f1")).task
    assert (task.metric, task.extra_metrics) == ("f1", ("accuracy",))


def test_first_train_rows(tiny_task):
    data = load_data(DataSpec(str(tiny_task), train_rows=50))
    assert data.train["row"][:] == list(range(2, 52))
    assert len(data.validation) == 60
    assert "first 50" in data.description


@pytest.mark.parametrize("labels", ["", "-1"])
def test_test_rows_without_labels_are_left_out(tiny_task, labels):
    (tiny_task / "test.csv").write_text(lines([f"a film,{labels}"], "sentence,label"))
    data = load_data(DataSpec(str(tiny_task)))
    assert data.test is None
    assert "no labels" in data.description


def test_test_file_without_label_column_is_left_out(tiny_task):
    (tiny_task / "test.csv").write_text("sentence\na film\n")
    assert load_data(DataSpec(str(tiny_task))).test is None


def hub_data() -> DatasetDict:
    features = Features(
        {"sentence": Value("string"), "label": ClassLabel(names=["no", "yes"]), "idx": Value("int32")}
    )
    rows = {
        "sentence": [f"text {n}" for n in range(30)],
        "label": [n % 2 for n in range(30)],
        "idx": list(range(30)),
    }
    labelled = Dataset.from_dict(rows, features=features)
    unlabelled = Dataset.from_dict({**rows, "label": [-1] * 30}, features=features)
    return DatasetDict({"train": labelled, "validation": labelled, "test": unlabelled})


def test_hub_data_set(monkeypatch):
    asked = []
    monkeypatch.setattr("datasets.load_dataset", lambda *args: asked.append(args) or hub_data())
    data = load_data(DataSpec("owner/name", config="small"))
    assert asked == [("owner/name", "small")]
    assert data.task.name == "name-small"
    assert data.task.labels == ("no", "yes")
    assert data.train["label"][:4] == [0, 1, 0, 1]
    assert data.test is None


def test_hub_test_rows_whose_values_are_all_minus_one_have_no_labels(monkeypatch):
    def rows(label):
        return Dataset.from_dict({"sentence": [f"text {n}" for n in range(30)], "label": label})

    splits = {"train": rows([n / 7 for n in range(30)]), "test": rows([-1.0] * 30)}
    monkeypatch.setattr("datasets.load_dataset", lambda *args: DatasetDict(splits))
    data = load_data(DataSpec("owner/name"))
    assert data.task.kind == "regression"
    assert data.test is None


def test_hub_splits_without_rows_are_no_splits(monkeypatch):
    whole = hub_data()
    empty = whole["train"].select([])
    splits = DatasetDict({"train": whole["train"], "validation": empty, "test": empty})
    monkeypatch.setattr("datasets.load_dataset", lambda *args: splits)
    assert len(load_data(DataSpec("owner/name")).validation) == 3
    monkeypatch.setattr("datasets.load_dataset", lambda *args: DatasetDict({"train": empty}))
    with pytest.raises(DataError, match="no train split with rows"):
        load_data(DataSpec("owner/name"))


def test_hub_data_set_offline():
    with pytest.raises(DataError, match=r"'nobody/nothing' is no file.*hub.*connection"):
        load_data(DataSpec("nobody/nothing"))


def test_hub_data_set_without_train(monkeypatch):
    monkeypatch.setattr("datasets.load_dataset", lambda *args: DatasetDict({"all": hub_data()["train"]}))
    with pytest.raises(DataError, match="no train split with rows: it has all"):
        load_data(DataSpec("owner/name"))


@pytest.mark.parametrize(
    "source",
    ["~nobody-here/data.csv", "nowhere/data.csv", "./nowhere", "/nowhere/at/all", "data.csv", "reviews"],
)
def test_missing_source(source):
    with pytest.raises(DataError, match=r"there is no file, folder or GLUE task .*check the name"):
        load_data(DataSpec(source))


def test_data_dir_is_for_glue(tiny_task):
    with pytest.raises(DataError, match="--data-dir goes with"):
        load_data(DataSpec(str(tiny_task), data_dir=str(tiny_task)))


def test_folder_without_train_file(tmp_path):
    (tmp_path / "rows.csv").write_text(lines(numbered(30)))
    with pytest.raises(DataError, match=r"no train file.*rows\.csv.*--validation"):
        load_data(DataSpec(str(tmp_path)))


def test_folder_with_two_train_files(tmp_path):
    (tmp_path / "train.csv").write_text(lines(numbered(30)))
    (tmp_path / "train.tsv").write_text("text\tlabel\na\tb\n")
    with pytest.raises(DataError, match=r"several train files \(train\.csv, train\.tsv\)"):
        load_data(DataSpec(str(tmp_path)))


@pytest.mark.parametrize(
    ("rows", "spec", "message"),
    [
        (numbered(30, ("red",)), {}, "every row of .* same label 'red'"),
        (numbered(30, ("1.5",)), {}, "every row of .* same label '1.5'"),
        (numbered(30), {"kind": "regression"}, "line 2 has the label 'red'.*not a number"),
        (numbered(30), {"kind": "ranking"}, "no kind of task 'ranking'"),
        (numbered(30), {"text": "texte"}, r"no column 'texte' \(asked by --text\)"),
        (numbered(30), {"label": "colour"}, r"no column 'colour' \(asked by --label\)"),
        (numbered(30), {"metric": "pearson"}, "'pearson' does not fit a classification task"),
        (numbered(30), {"metric": "bleu"}, "no metric 'bleu'"),
        (numbered(10), {}, "10 rows, too few.*--validation"),
        ([*numbered(30), "no label,"], {}, "line 32 has no label"),
        ([*numbered(30), ",red"], {}, "line 32 has no text in 'text'"),
        (numbered(30), {"train_rows": 0}, "--train-rows 0"),
        (numbered(30), {"train_rows": 1}, "first 1 training rows all have the same label"),
    ],
)
def test_bad_data(tmp_path, rows, spec, message):
    file = tmp_path / "train.csv"
    file.write_text(lines(rows))
    with pytest.raises(DataError, match=message):
        load_data(DataSpec(str(file), **spec))


def test_validation_with_a_class_of_its_own(tmp_path):
    (tmp_path / "train.csv").write_text(lines(numbered(30)))
    (tmp_path / "dev.csv").write_text(lines(["fine,red", "odd,violet"]))
    with pytest.raises(DataError, match=r"dev\.csv line 3 has the label 'violet'.*blue, green, red"):
        load_data(DataSpec(str(tmp_path)))


def test_validation_without_the_columns(tmp_path):
    (tmp_path / "train.csv").write_text(lines(numbered(30)))
    (tmp_path / "dev.csv").write_text(lines(["fine,red"], "words,label"))
    with pytest.raises(DataError, match=r"dev\.csv has no column 'text'"):
        load_data(DataSpec(str(tmp_path)))


def test_numbers_are_no_text(tmp_path):
    rows = [{"text": number, "label": number % 2} for number in range(30)]
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(DataError, match=r"train\.jsonl line 1 has 0 in 'text', which is not text"):
        load_data(DataSpec(str(tmp_path)))


TAGS = ("O", "B-a", "I-a", "B-b", "I-b")


def written(folder, kind):
    """The same three sentences, repeated, as files of each kind."""
    words = [["Ann", "Lee", "sang"], ["Nobody", "came"], ["in", "Rome"]] * 8
    ids = [[1, 2, 0], [0, 0], [0, 3]] * 8
    names = [[TAGS[one] for one in row] for row in ids]
    if kind == "conll":
        sentences = [list(zip(*pair, strict=True)) for pair in zip(words, names, strict=True)]
        write_conll(folder / "train.conll", sentences)
    elif kind == "jsonl":
        rows = [
            json.dumps({"id": 1, "tokens": one, "tags": two}) for one, two in zip(words, names, strict=True)
        ]
        (folder / "train.jsonl").write_text("\n".join(rows))
    else:
        numbers = Features({"tokens": List(Value("string")), "ner_tags": List(ClassLabel(names=list(TAGS)))})
        Dataset.from_dict({"tokens": words, "ner_tags": ids}, features=numbers).to_parquet(
            folder / "train.parquet"
        )
    return folder


@pytest.mark.parametrize("kind", ["conll", "jsonl", "parquet"])
def test_tagged_sentences_of_every_layout(tmp_path, kind):
    data = load_data(DataSpec(str(written(tmp_path, kind))))
    metrics = ("span-precision", "span-recall", "token-accuracy")
    assert data.task == Task(tmp_path.name, "token-classification", False, TAGS, "span-f1", metrics)
    assert (len(data.train), len(data.validation)) == (
        19,
        5,
    )  # the size of a tenth, but one of each label at least
    assert data.train[0]["words"] == ["Ann", "Lee", "sang"]
    assert data.train[0]["text"] == "Ann Lee sang"
    assert data.train[0]["label"] == [1, 2, 0]
    assert data.train[1]["label"] == [0, 0, -100]
    assert "2 types of spans (a, b)" in data.description


def test_the_lines_of_sentences_are_kept_and_folders_name_their_splits(tagged):
    (tagged / "validation.conll").rename(tagged / "dev.txt")
    data = load_data(DataSpec(str(tagged), train_rows=7))
    assert (len(data.train), len(data.validation)) == (7, 40)
    first, second = data.train[0], data.train[1]
    assert (first["row"], second["row"]) == (1, len(first["words"]) + 2)
    assert len(first["label"]) == len(data.validation[0]["label"])
    assert data.task.labels == ("O", "B-blame", "I-blame", "B-praise", "I-praise")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "regression"}, "holds lists of words, which regression does not take"),
        ({"kind": "entities"}, "--kind token-classification"),
        ({"text_pair": "tags"}, "leave --text-pair out"),
        ({"metric": "accuracy"}, "does not fit a token-classification task: choose one of span-f1"),
        ({"label": "tokens"}, "tag column"),
        ({"label": "nothing"}, "no column 'nothing'"),
        ({"train_rows": 0}, "leaves no training rows"),
    ],
)
def test_what_does_not_go_with_words_is_refused(tagged, change, message):
    with pytest.raises(DataError, match=message):
        load_data(replace(DataSpec(str(tagged)), **change))


def test_texts_are_no_lists_of_words(tiny_task):
    with pytest.raises(DataError, match="holds texts, which token-classification does not take"):
        load_data(DataSpec(str(tiny_task), kind="token-classification"))


def test_a_type_that_only_validation_has_is_refused(tagged):
    write_conll(tagged / "validation.conll", [[("Rome", "B-place")]])
    with pytest.raises(DataError, match=r"validation.conll line 1 has a span of the type 'place'"):
        load_data(DataSpec(str(tagged)))


def test_first_rows_without_a_span_are_refused(tagged):
    write_conll(tagged / "train.conll", [[("a", "O")], [("b", "B-a"), ("c", "O")], *[[("d", "O")]] * 3])
    write_conll(tagged / "validation.conll", [[("b", "B-a")]])
    with pytest.raises(DataError, match="have no span: raise --train-rows"):
        load_data(DataSpec(str(tagged), train_rows=1))

from __future__ import annotations

from pathlib import Path

import pytest

from leanformer.errors import DataError
from leanformer.tasks.glue import GLUE, glue_task
from leanformer.tasks.load import DataSpec, load_data

BROKEN_QQP_LINE = "9\t17\tthis line breaks\n"
# For each task: the header (None where the official file has none) and one row a label, {} counting the rows.
LAYOUT = {
    "cola": (None, ['gj04\t0\t*\tText "{} .', "gj04\t1\t\tText {} ."]),
    "sst-2": ("sentence\tlabel", ['text " {} \t0', "text {} \t1"]),
    "mrpc": (
        "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String",
        ['0\t7\t8\tOne " {}\tTwo {}', "1\t7\t8\tOne {}\tTwo {}"],
    ),
    "sts-b": (
        "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore",
        [f"{{}}\tg\tf\t2012\t1\tnone\tnone\tOne {{}}\tTwo {{}}\t{score}" for score in ("0.500", "4.250")],
    ),
    "qqp": (
        "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate",
        ["{}\t1\t2\tOne {}?\tTwo {}?\t0", "{}\t1\t2\tOne {}?\t\t1"],
    ),
    "mnli": (
        "index\tpairID\tgenre\tsentence1\tsentence2\tlabel1\tgold_label",
        [f"{{}}\t1\tg\tOne {{}}\tTwo {{}}\tneutral\t{name}" for name in GLUE["mnli"].task.labels],
    ),
    "qnli": (
        "index\tquestion\tsentence\tlabel",
        ["{}\tWhat {}?\tThis {}\tentailment", "{}\tWhat {}?\tThis {}\tnot_entailment"],
    ),
    "rte": (
        "index\tsentence1\tsentence2\tlabel",
        ["{}\tOne {}\tTwo {}\tentailment", "{}\tOne {}\tTwo {}\tnot_entailment"],
    ),
    "wnli": ("index\tsentence1\tsentence2\tlabel", ["{}\tOne {}\tTwo {}\t0", "{}\tOne {}\tTwo {}\t1"]),
}


def write_official(name: str, parent: Path) -> Path:
    """Write the official files of a task, three rows a label, and return the folder."""
    header, patterns = LAYOUT[name]
    folder = parent / GLUE[name].folder
    folder.mkdir()
    rows = [pattern.replace("{}", str(number)) for number in range(3) for pattern in patterns]
    content = "\n".join([header, *rows] if header else rows) + "\n"
    for file in ("train.tsv", GLUE[name].dev):
        (folder / file).write_text(content + (BROKEN_QQP_LINE if name == "qqp" else ""), encoding="utf-8")
    (folder / "test.tsv").write_text("index\tsentence\n0\tno label here\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", LAYOUT)
def test_official_layout(name, tmp_path):
    folder = write_official(name, tmp_path)
    data = load_data(DataSpec(name, data_dir=str(tmp_path)))
    task, patterns = data.task, LAYOUT[name][1]
    assert task == GLUE[name].task
    assert len(data.train) == len(data.validation) == 3 * len(patterns)
    assert data.test is None
    assert ("text_pair" in data.train.column_names) == task.pair
    if task.kind == "classification":
        assert data.train["label"][: len(patterns)] == list(range(task.num_labels))
    else:
        assert data.train["label"][:2] == [0.5, 4.25]
    assert data.train[0]["row"] == (1 if name == "cola" else 2)
    for spec in (DataSpec(name, data_dir=str(folder)), DataSpec(str(folder))):
        again = load_data(spec)
        assert again.task == task
        assert again.train.to_dict() == data.train.to_dict()


def test_texts_keep_their_quotes(tmp_path):
    write_official("mrpc", tmp_path)
    row = load_data(DataSpec("mrpc", data_dir=str(tmp_path))).train[0]
    assert (row["text"], row["text_pair"]) == ('One " 0', "Two 0")


@pytest.mark.parametrize(
    ("name", "metrics"),
    [
        ("mrpc", ("accuracy", "f1")),
        ("qqp", ("accuracy", "f1")),
        ("sts-b", ("spearman", "pearson")),
        ("cola", ("matthews",)),
        ("sst-2", ("accuracy",)),
        ("mnli", ("accuracy",)),
    ],
)
def test_official_metrics(name, metrics):
    task = GLUE[name].task
    assert (task.metric, *task.extra_metrics) == metrics


@pytest.mark.parametrize("name", ["STS-B", "stsb", "sts_b", "Sts-b"])
def test_forgiving_names(name):
    assert glue_task(name) is GLUE["sts-b"]
    assert glue_task("squad") is None


def test_labelled_test_of_mrpc(tmp_path):
    folder = write_official("mrpc", tmp_path)
    (folder / "test_labeled.tsv").write_bytes((folder / "dev.tsv").read_bytes())
    test = load_data(DataSpec("mrpc", data_dir=str(tmp_path))).test
    assert test is not None
    assert len(test) == 6


def test_labelled_test_of_stsb_has_no_header_and_sometimes_sources(tmp_path):
    folder = write_official("sts-b", tmp_path)
    rows = ["g\tf\t2012\t1\t2.500\tOne a\tTwo a", "g\tf\t2012\t1\t3.000\tOne b\tTwo b\tsource\tsource"]
    (folder / "test_labeled_sts-test.tsv").write_text("\n".join(rows), encoding="utf-8")
    test = load_data(DataSpec("sts-b", data_dir=str(tmp_path))).test
    assert test is not None
    assert test["label"][:] == [2.5, 3.0]
    assert test["text_pair"][:] == ["Two a", "Two b"]
    assert test["row"][:] == [1, 2]


def test_broken_lines_of_qqp_are_dropped_and_told(tmp_path):
    write_official("qqp", tmp_path)
    data = load_data(DataSpec("qqp", data_dir=str(tmp_path)))
    assert "1 broken lines of train.tsv were dropped" in data.description


def test_explicit_validation_file_in_the_official_layout(tmp_path):
    folder = write_official("mrpc", tmp_path)
    (folder / "dev.tsv").rename(tmp_path / "own.tsv")
    with pytest.raises(DataError, match=r"no file .*dev\.tsv"):
        load_data(DataSpec("mrpc", data_dir=str(tmp_path)))
    (folder / "dev.tsv").write_bytes((tmp_path / "own.tsv").read_bytes())
    own = "\n".join((tmp_path / "own.tsv").read_text(encoding="utf-8").split("\n")[:3])
    (tmp_path / "own.tsv").write_text(own, encoding="utf-8")
    data = load_data(DataSpec("mrpc", data_dir=str(tmp_path), validation=str(tmp_path / "own.tsv")))
    assert data.validation["label"][:] == [0, 1]


def test_broken_lines_of_an_explicit_file_are_told_too(tmp_path):
    folder = write_official("qqp", tmp_path)
    own = (folder / "dev.tsv").rename(tmp_path / "own.tsv")
    (folder / "dev.tsv").write_text(own.read_text(encoding="utf-8").replace(BROKEN_QQP_LINE, ""))
    data = load_data(DataSpec("qqp", data_dir=str(folder), validation=str(own)))
    assert "1 broken lines of own.tsv were dropped" in data.description
    assert "dev.tsv" not in data.description


def test_explicit_file_of_cola_has_no_header_either(tmp_path):
    folder = write_official("cola", tmp_path)
    own = (folder / "dev.tsv").rename(folder / "out_of_domain_dev.tsv")
    (folder / "dev.tsv").write_bytes(own.read_bytes())
    data = load_data(DataSpec("cola", data_dir=str(folder), validation=str(own)))
    assert (len(data.validation), data.validation[0]["row"]) == (6, 1)


def test_mismatched_half_of_mnli_is_read_where_it_is_named(tmp_path):
    folder = write_official("mnli", tmp_path)
    rows = (folder / "dev_matched.tsv").read_text(encoding="utf-8").splitlines()
    (folder / "dev_mismatched.tsv").write_text("\n".join(rows[:3]), encoding="utf-8")
    test = load_data(DataSpec("mnli", data_dir=str(folder), test=str(folder / "dev_mismatched.tsv"))).test
    assert test is not None
    assert test["label"][:] == [0, 1]


def test_glue_name_needs_its_folder():
    with pytest.raises(DataError, match="MRPC needs --data-dir"):
        load_data(DataSpec("mrpc"))


def test_missing_folder(tmp_path):
    with pytest.raises(DataError, match=r"no folder .*nowhere"):
        load_data(DataSpec("mrpc", data_dir=str(tmp_path / "nowhere")))


def test_other_layouts_are_not_guessed(tmp_path):
    folder = tmp_path / "QNLI"
    folder.mkdir()
    (folder / "subset10k_train.jsonl").write_text('{"text_a": "a", "text_b": "b", "label": 1}\n')
    for spec in (DataSpec("qnli", data_dir=str(tmp_path)), DataSpec("qnli", data_dir=str(folder))):
        with pytest.raises(
            DataError, match=r"no official train\.tsv of QNLI.*subset10k_train\.jsonl.*--validation"
        ):
            load_data(spec)


def test_another_tasks_folder_is_refused(tmp_path):
    folder = write_official("mrpc", tmp_path)
    with pytest.raises(DataError, match=r"no official train\.tsv of RTE"):
        load_data(DataSpec("rte", data_dir=str(folder)))


def test_label_outside_the_task_names_its_line(tmp_path):
    folder = write_official("mrpc", tmp_path)
    with (folder / "dev.tsv").open("a", encoding="utf-8") as file:
        file.write("2\t7\t8\tOne\tTwo\n")
    with pytest.raises(DataError, match=r"dev\.tsv line 8 has the label '2'"):
        load_data(DataSpec("mrpc", data_dir=str(tmp_path)))

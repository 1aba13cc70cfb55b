"""A run that `accelerate launch` starts twice at once: one folder, one answer, the search of a single process."""

import json
import os
import subprocess
import sys

import optuna
import pytest
from cli_process import environment, leanformer
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from tiny import build_model, build_tokenizer

pytestmark = pytest.mark.slow
LAUNCH = (
    *(sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"),
    *("--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"),
)


def journal_of(folder):
    """What a run's journal holds, in its order, without times."""
    storage = JournalStorage(JournalFileBackend(str(folder / "search" / "journal.log")))
    (summary,) = optuna.get_all_study_summaries(storage)
    study = optuna.load_study(study_name=summary.study_name, storage=storage)
    facts = [(trial.user_attrs, trial.value) for trial in study.trials]
    return [(fact["candidate"], fact["fidelity"], fact["rows"], value) for fact, value in facts]


def chosen(folder):
    candidates = json.loads((folder / "result.json").read_text())["search"]["candidates"]
    return [candidate["chosen"] for candidate in candidates], [candidate["kept"] for candidate in candidates]


def test_two_processes_make_one_run(workshop):
    teacher = build_model("bert")
    teacher.config.id2label, teacher.config.label2id = (
        {0: "negative", 1: "positive"},
        {"negative": 0, "positive": 1},
    )
    teacher.save_pretrained(workshop / "teacher")
    build_tokenizer().save_pretrained(workshop / "teacher")
    words = ("compress", "teacher", "--data", "reviews", "--method", "ae-bert", "--quick", "--no-export")
    words += ("--json", "--out")
    alone = leanformer(*words, "alone", "--threads", 1, folder=workshop)
    assert alone.returncode == 0, alone.stderr
    done = subprocess.run(
        [*LAUNCH, "-m", "leanformer", *words, "together", "--threads", "2"],  # one thread each
        cwd=workshop,
        env={**environment(), "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    record = json.loads(done.stdout)  # one object: the other process prints nothing
    assert done.stderr.count("train 200, validation 60, test 40") == 1
    folders = [workshop / name for name in ("alone", "together")]
    names = [sorted(path.name for path in folder.iterdir()) for folder in folders]
    assert names[0] == names[1]
    assert journal_of(folders[0]) == journal_of(folders[1])
    assert chosen(folders[0]) == chosen(folders[1])
    first, second = (json.loads(text)["compressed"]["score"] for text in (alone.stdout, done.stdout))
    assert abs(first - second) <= 0.1
    again = leanformer("compress", "--resume", "--out", "together", "--json", folder=workshop)
    assert json.loads(again.stdout) == record


def test_a_refusal_ends_both_with_one_sentence(workshop):
    done = subprocess.run(
        [*LAUNCH, "-m", "leanformer", "compress", "bert", "--data", "nowhere.csv", "--out", "refused"],
        cwd=workshop,
        env={**environment(), "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert done.stdout == ""
    assert done.stderr.count("error: ") == 1
    assert not (workshop / "refused").exists()

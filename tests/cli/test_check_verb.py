"""leanformer check: kept, broken in a process of its own, and refused."""

import json
import shutil

import pytest
from cli_process import leanformer

from leanformer.measure.contract import CONTRACT_FILE, read_contract
from leanformer.recheck import Check
from leanformer.report import numbers

QUICK = ("--rounds", 2, "--limit", 0, "--threads", 1)


@pytest.fixture
def copy(finished, tmp_path):
    """A copy of the finished run, to be spoilt; its speeds may be anything, since other work is on the machine."""
    run = tmp_path / "small"
    shutil.copytree(finished["folder"], run)
    edit(run, lambda fields: fields["bounds"].update(speed_share=0.0))
    return run


def edit(run, change):
    fields = json.loads((run / CONTRACT_FILE).read_text())
    change(fields)
    (run / CONTRACT_FILE).write_text(json.dumps(fields))


def test_a_finished_run_has_a_contract_of_what_it_printed(finished):
    contract, record = read_contract(finished["folder"]), finished["record"]
    assert (contract.score, contract.n) == (record["compressed"]["score"], record["n"])
    assert contract.size_mb == record["compressed"]["size_mb"]
    assert {speed.batch for speed in contract.speeds} == {1, 8}
    torch_speeds = {str(one.batch): one.ratio for one in contract.speeds if one.runtime == "torch"}
    for batch, ratio in record["speedup"].items():
        assert torch_speeds[batch] == ratio or record["gain"][batch]["best_compressed"].startswith("torch")


def test_kept_here_and_then_broken_in_a_process(call, copy):
    done = call("check", copy, *QUICK, "--json")
    assert done.exit_code == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["kept"]
    assert record["same_machine"]
    assert [bound["name"] for bound in record["bounds"][:3]] == ["score", "flips", "size_mb"]
    for bound in record["bounds"][:3]:
        assert bound["now"] == pytest.approx(bound["contract"])
    assert all(bound["now"] > 0 for bound in record["bounds"][3:])

    def promise_more(fields):
        fields["score"] += 0.5
        fields["machine"]["cpu"] = "a faster one"

    edit(copy, promise_more)
    again = leanformer("check", copy, *QUICK, folder=copy.parent)
    assert again.returncode == 1, again.stderr
    assert "the contract is broken" in again.stdout
    assert again.stdout.count("broken") == 2
    assert "another machine (a faster one" in again.stderr


def test_no_contract_is_bad_input(call, copy):
    (copy / CONTRACT_FILE).unlink()
    done = call("check", copy, *QUICK)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert "holds no contract.json" in done.stderr.splitlines()[-1]


def test_the_table_shows_every_bound(call, copy, monkeypatch):
    from leanformer.measure.check import Term

    terms = (
        Term("score", 0.87, 0.86, 0.84, False),
        Term("flips", 0.02, 0.03, 0.025, True),
        Term("size_mb", 20.5, 20.5, 20.5, True),
        Term("speed", 3.0, 2.24, 2.9, True, 8, "openvino int8"),
    )
    monkeypatch.setattr("leanformer.recheck.check_run", lambda *given: Check(terms, False, 400, True, {}))
    done = call("check", copy)
    assert done.exit_code == 1
    shown = done.stdout.replace("\u00a0", " ")
    for words in (
        "86.0",
        "84.0",
        "broken",
        "3.0%",
        "20.5 MB",
        "speed, batch 8, openvino int8",
        "2.24×",
        "n = 400",
    ):
        assert words in shown
    assert numbers.points(0.87) in shown

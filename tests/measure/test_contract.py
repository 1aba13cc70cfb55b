import json

import pytest

from leanformer.errors import RunError
from leanformer.measure.contract import CONTRACT_FILE, Bounds, Speed, contract_of, read_contract


def result(kind="classification"):
    """What result.json holds, as far as a contract is drawn up from it."""
    variants = (("torch", "fp32", 2.0), ("openvino", "int8", 6.0))
    rows = [
        {"model": model, "runtime": runtime, "precision": precision, "batch": batch}
        | {"ratio": ratio, "ratio_low": 0.9 * ratio, "ratio_high": 1.1 * ratio}
        for batch in (1, 8)
        for model in ("dense", "compressed")
        for runtime, precision, ratio in variants
    ]
    best = {"1": {"best_compressed": "openvino int8"}, "8": {"best_compressed": "torch fp32"}}
    return {
        "metric": "accuracy",
        "n": 400,
        "task": {"kind": kind},
        "compressed": {"score": 0.87, "size_mb": 20.5},
        "flips_total": 12,
        "bench": rows,
        "gain": best,
        "machine": {"cpu": "a CPU", "threads": 2},
    }


def test_it_holds_the_best_variant_and_pytorch_at_each_batch_size():
    contract = contract_of(result())
    assert [(speed.batch, speed.runtime, speed.precision) for speed in contract.speeds] == [
        (1, "openvino", "int8"),
        (1, "torch", "fp32"),
        (8, "torch", "fp32"),
    ]
    assert contract.speeds[0] == Speed(1, "openvino", "int8", 6.0, pytest.approx(5.4), pytest.approx(6.6))
    assert (contract.metric, contract.score, contract.n, contract.flips) == ("accuracy", 0.87, 400, 12)
    assert contract.size_mb == 20.5
    assert contract.machine == {"cpu": "a CPU", "threads": 2}
    assert contract.bounds == Bounds(drop_points=1.0, flips_share=0.01, speed_share=0.8)


def budget_of(name, measured, batch=8):
    limits = [{"name": name, "asked": 3.0, "measured": measured, "met": measured is not None}]
    return {"runtime": "openvino", "precision": "int8", "batch": batch, "limits": limits}


def test_it_holds_the_variant_that_a_budget_of_time_was_about():
    def speeds(budget):
        return [(one.batch, one.variant) for one in contract_of(result() | {"budget": budget}).speeds]

    usual = [(1, "openvino int8"), (1, "torch fp32"), (8, "torch fp32")]
    assert speeds(budget_of("latency_ms", 2.0)) == [*usual, (8, "openvino int8")]
    assert speeds(budget_of("speedup", 6.0, batch=1)) == usual  # it is the best one anyway
    for budget in (None, budget_of("speedup", None), budget_of("size_mb", 20.5)):
        assert speeds(budget) == usual


def with_forms():
    """A result whose rows are there in another form too, twice as fast, before and after the plain ones."""
    made = result()
    others = [row | {"form": "first-token", "ratio": 2 * row["ratio"]} for row in made["bench"]]
    made["bench"] = [*others[:3], *(row | {"form": ""} for row in made["bench"]), *others[3:]]
    made["gain"]["1"]["best_compressed"] = "openvino int8 first-token"
    return made


def test_the_form_that_auto_serves_is_in_it():
    asked = with_forms() | {"budget": budget_of("speedup", 6.0) | {"form": "first-token"}}
    assert (8, "openvino int8 first-token") in [(one.batch, one.variant) for one in contract_of(asked).speeds]


def test_another_form_is_a_variant_of_its_own_and_pytorch_stands_in_the_plain_one(tmp_path):
    contract = contract_of(with_forms())
    assert [(speed.variant, speed.batch, speed.ratio) for speed in contract.speeds] == [
        ("openvino int8 first-token", 1, 12.0),
        ("torch fp32", 1, 2.0),
        ("torch fp32", 8, 2.0),
    ]
    (tmp_path / CONTRACT_FILE).write_text(contract.to_json())
    assert read_contract(tmp_path) == contract


def test_a_contract_written_before_there_were_forms_is_read(tmp_path):
    fields = json.loads(contract_of(result()).to_json())
    for speed in fields["speeds"]:
        del speed["form"]
    (tmp_path / CONTRACT_FILE).write_text(json.dumps(fields))
    assert read_contract(tmp_path) == contract_of(result())


def test_values_do_not_flip():
    assert contract_of(result("regression")).flips is None


def test_what_is_written_is_read_again(tmp_path):
    contract = contract_of(result())
    (tmp_path / CONTRACT_FILE).write_text(contract.to_json())
    assert read_contract(tmp_path) == contract


def test_a_user_may_edit_the_bounds(tmp_path):
    fields = json.loads(contract_of(result()).to_json())
    fields["bounds"] |= {"drop_points": 0.5, "speed_share": 0.9}
    (tmp_path / CONTRACT_FILE).write_text(json.dumps(fields))
    assert read_contract(tmp_path).bounds == Bounds(0.5, 0.01, 0.9)


def test_none_is_one_sentence(tmp_path):
    with pytest.raises(RunError, match=r"holds no contract\.json: .*leanformer compress"):
        read_contract(tmp_path)


@pytest.mark.parametrize(
    "text", ["", "[]", "{", "{}", '{"speeds": [], "bounds": {"magic": 1}}', '{"speeds": [3]}']
)
def test_a_broken_one_is_one_sentence(tmp_path, text):
    (tmp_path / CONTRACT_FILE).write_text(text)
    with pytest.raises(RunError, match=r"can be read .*: run the compression again"):
        read_contract(tmp_path)

"""The four findings, on flows that are made up so that each is there or not."""

import json

import numpy as np
import pytest

from flow_example import STEPS, TAKEN, made
from leanformer.audit.findings import CLAIMS, Figures, before, findings
from leanformer.audit.flow import Flow
from leanformer.audit.flow_facts import flow_facts
from leanformer.audit.positions import (
    ATTENTION,
    ATTENTION_OUT,
    CONTEXT,
    EMBEDDING,
    FFN_OUT,
    IN_LAYER,
    KEY,
    QUERY,
    VALUE,
)
from leanformer.audit.replaced import IDENTITY, ORTHOGONAL


def verdicts(flow):
    return [one.found for one in findings(flow)]


def test_where_all_four_are_there_all_are_found():
    found = findings(made())
    assert [one.found for one in found] == [True] * 4
    assert [one.claim for one in found] == list(CLAIMS)
    lead, taken = found[0].figures
    own = found[0].besides[0]
    assert lead.value == pytest.approx(
        0.25 - 0.1, abs=0.005
    )  # the mean of both steps, less that to the values
    assert taken.value == pytest.approx(0.15 - 0.05, abs=0.005)
    assert own.value == pytest.approx(0.25, abs=0.005)
    assert own.low < own.value < own.high
    assert found[1].figures[0].value > 0.99
    assert [one.value for one in found[2].figures] == pytest.approx([0.2, 0.04], abs=0.005)
    assert found[3].figures[0].value == pytest.approx(-0.15, abs=0.005)


def test_queries_and_keys_have_to_lead_in_the_flow_and_where_they_are_replaced():
    assert verdicts(made(steps=STEPS | {VALUE: 0.4}))[0] is False
    assert verdicts(made(start=0.5))[0] is False  # the embeddings bring more
    assert verdicts(made(taken=TAKEN | {"value": 0.3}))[0] is False
    assert verdicts(made(taken=TAKEN | {"query and key": 9.0, "value": 0.3}))[0] is False


def test_a_pattern_has_to_come_back_and_to_rise_and_fall():
    turned = {name: -step for name, step in STEPS.items()}
    assert verdicts(made(odd=turned, start=2.0))[1] is False
    rising = {name: abs(step) for name, step in STEPS.items()}
    assert verdicts(made(steps=rising))[1] is False
    assert verdicts(made(layers=1))[1] is None


def test_the_averages_have_to_take_away_and_the_rest_to_add():
    assert verdicts(made(steps=STEPS | {CONTEXT: 0.05}))[3] is False
    assert verdicts(made(steps=STEPS | {ATTENTION_OUT: -0.04}))[2] is False
    assert verdicts(made(steps=STEPS | {VALUE: -0.6}))[2] is False


def test_what_is_within_chance_is_not_found():
    flow = made(jitter=3.0)
    assert True not in verdicts(flow)
    assert all(one.low <= one.value <= one.high for finding in findings(flow) for one in finding.figures)


def test_a_layer_without_heads_goes_from_its_input_to_its_output():
    there = [(-1, EMBEDDING), (0, ATTENTION_OUT), (0, FFN_OUT), (1, QUERY)]
    assert before((0, ATTENTION_OUT), there) == ((-1, EMBEDDING),)
    assert before((1, QUERY), there) == ((0, FFN_OUT),)
    assert before((-1, EMBEDDING), there) == ()
    empty = Flow(tuple(there[:3]), np.ones((4, 3)), np.zeros((4, 3)), tuple("abcd"), 20)
    assert verdicts(empty) == [None] * 4
    assert Figures(empty).layers == []


def test_facts_hold_every_place_and_matrix_and_go_through_json():
    facts = flow_facts(made())
    assert json.loads(json.dumps(facts)) == facts
    assert [(one["layer"], one["name"]) for one in facts["places"][:3]] == [
        (-1, EMBEDDING),
        (0, QUERY),
        (0, KEY),
    ]
    assert len(facts["places"]) == 1 + 3 * len(IN_LAYER)
    first = facts["places"][1]
    assert first["degree"] - first["noise"] == pytest.approx(first["beyond"]["value"])
    assert first["step"]["value"] == pytest.approx(0.3, abs=0.005)
    by_name = {(one["matrix"], one["by"], one["place"]): one["value"] for one in facts["matrices"]}
    assert by_name["query", IDENTITY, ATTENTION] == pytest.approx(0.2, abs=0.005)
    assert by_name["ffn_in", ORTHOGONAL, FFN_OUT] == pytest.approx(0.0, abs=0.005)
    assert ("ffn_out", IDENTITY, FFN_OUT) not in by_name  # no layer has it here
    assert [one["found"] for one in facts["findings"]] == [True] * 4

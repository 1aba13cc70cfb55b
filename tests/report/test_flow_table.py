"""The flow of bias on the terminal."""

from flow_example import made
from leanformer.audit.flow_facts import flow_facts
from leanformer.report.flow_table import findings_shown, flow_table


def test_a_row_a_layer_and_the_embeddings_first():
    flow = flow_facts(made(layers=3))
    table = flow_table(flow)
    assert [str(cell) for cell in table.columns[0].cells] == ["embeddings", "0", "1", "2"]
    values = [one["beyond"]["value"] for one in flow["places"] if one["layer"] == -1]
    assert f"{values[0]:.3f}" in str(next(iter(table.columns[-1].cells)))


def test_each_finding_has_its_verdict():
    flow = flow_facts(made())
    verdicts = [str(cell).strip() for cell in findings_shown(flow).columns[0].cells]
    assert len(verdicts) == len(flow["findings"]) == 4
    assert set(verdicts) <= {"found", "not found"}

"""Which nodes of an exported graph compute which sub-layer: an exported linear bears its module's name."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from leanformer.encoders.families import Family, family_of, linear_paths
from leanformer.encoders.first_token import SPLIT_WEIGHTS
from leanformer.errors import ModelError
from leanformer.export.extras import require
from leanformer.export.loading import load_config
from leanformer.runtime.cascade import chain_files

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

Sublayer = tuple[int, str]
"""Index of the layer, and "head" (attention) or "neuron" (FFN)."""

Nodes = dict[Sublayer, list[str]]


def module_names(model: PreTrainedModel, weights: Iterable[np.ndarray]) -> list[str | None]:
    """Name the linears of a graph by their weights, which the exporters copy and at most transpose.

    The exporters' own traces of module paths differ by runtime (OpenVINO has none) and by version; weights do not.

    Args:
        model: The model that was exported, in float32.
        weights: Constant matrices of the graph, (out, in) or (in, out) each, in the order of execution.

    Returns:
        For each matrix the path of its module in the model (of its buffer, where the first-token form has split a
        fused projection), or None where no linear has this weight. Linears of equal weights are named in the model's
        order.
    """
    import torch

    names: dict[bytes, list[str]] = defaultdict(list)
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear):
            names[_fingerprint(module.weight)].append(name)
    for name, buffer in model.named_buffers():
        if name.endswith(SPLIT_WEIGHTS):
            names[_fingerprint(buffer)].append(name)
    found: list[str | None] = []
    for weight in weights:
        same = names.get(_fingerprint(weight)) or names.get(_fingerprint(weight.T))
        found.append(same.pop(0) if same else None)
    return found


def _fingerprint(weight: np.ndarray | Tensor) -> bytes:
    """Return what only an equal matrix (out, in) shares."""
    array: Any = weight if isinstance(weight, np.ndarray) else weight.detach().cpu().numpy()
    return blake2b(np.ascontiguousarray(array).tobytes() + str(array.shape).encode()).digest()


def sublayers(path: Path) -> Nodes:
    """Find the linears of every sub-layer in an exported float32 model.

    Args:
        path: `model.onnx` or `openvino_model.xml`, with config.json beside it.

    Returns:
        By sub-layer, the names of its nodes in the order of execution; a sub-layer without units has none and is
        absent.

    Raises:
        ModelError: If no node bears the name of a layer's module: the file was exported by something else.
        LeanformerError: If the runtime's package is not installed.
    """
    names = [name for part in chain_files(path) for name in node_names(part)]
    found = by_sublayer(names, family_of(load_config(path.parent)))
    if not found:
        raise ModelError(
            f"the nodes of {path} do not bear the names of the model's layers, so none of them can stay in float: "
            "export the model again"
        )
    return found


def node_names(path: Path) -> list[str]:
    """Return the names of all nodes of one file, in the order of execution."""
    return _onnx_names(path) if path.suffix == ".onnx" else _openvino_names(path)


def by_sublayer(names: Iterable[str], family: Family) -> Nodes:
    """Sort module paths into sub-layers.

    Args:
        names: Paths of modules, among others.
        family: The model's family.

    Returns:
        By sub-layer, in order, the paths of its linears.
    """
    kinds = {path: kind for kind in ("head", "neuron") for path in linear_paths(family, kind)}
    kinds |= {f"{family.attention}.{name}": "head" for name in SPLIT_WEIGHTS}
    pattern = re.compile(rf"(?:.*\.)?{re.escape(family.layers)}\.(\d+)\.(.+)")
    found: Nodes = defaultdict(list)
    for name in names:
        match = pattern.fullmatch(name)
        if match and match[2] in kinds:
            found[int(match[1]), kinds[match[2]]].append(name)
    return dict(sorted(found.items()))


def nodes_of(nodes: Mapping[Sublayer, list[str]], wanted: Iterable[Sublayer], path: Path) -> list[str]:
    """Return the nodes of some sub-layers.

    Args:
        nodes: All sub-layers of a file.
        wanted: Those whose nodes are wanted.
        path: The file, for the message.

    Returns:
        The names of the nodes.

    Raises:
        ModelError: If the model has no such sub-layer.
    """
    wanted = list(wanted)
    if unknown := [key for key in wanted if key not in nodes]:
        known = ", ".join(f"{layer} {kind}" for layer, kind in nodes)
        layer, kind = unknown[0]
        raise ModelError(f"{path} has no sub-layer '{layer} {kind}': choose among {known}")
    return [name for key in wanted for name in nodes[key]]


def _onnx_names(path: Path) -> list[str]:
    require("onnx", "onnx")
    import onnx

    return [node.name for node in onnx.load(str(path), load_external_data=False).graph.node]


def _openvino_names(path: Path) -> list[str]:
    require("openvino", "openvino")
    import openvino

    model = openvino.Core().read_model(str(path))
    return [node.get_friendly_name() for node in model.get_ordered_ops() if node.get_type_name() == "MatMul"]


def name_onnx_nodes(graph: Any, model: PreTrainedModel) -> None:
    """Give the linears of a graph their modules' names.

    Args:
        graph: An `onnx_ir.Graph`, changed in place.
        model: The model that it was traced from.
    """
    linears = [
        node
        for node in graph.all_nodes()
        if node.op_type in ("MatMul", "Gemm") and node.inputs[1].const_value is not None
    ]
    weights = (node.inputs[1].const_value.numpy() for node in linears)
    for node, name in zip(linears, module_names(model, weights), strict=True):
        if name is not None:
            node.name = name


def name_openvino_nodes(program: Any, model: PreTrainedModel) -> None:
    """Give the linears of a graph their modules' names.

    Args:
        program: An `openvino.Model`, changed in place.
        model: The model that it was traced from.
    """
    linears = [
        node
        for node in program.get_ordered_ops()
        if node.get_type_name() == "MatMul" and node.input_value(1).get_node().get_type_name() == "Constant"
    ]
    weights = (node.input_value(1).get_node().get_data() for node in linears)
    for node, name in zip(linears, module_names(model, weights), strict=True):
        if name is not None:
            node.set_friendly_name(name)

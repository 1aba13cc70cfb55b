"""Models as ONNX and OpenVINO files, through `transformers.exporters`: the only file that touches that API."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leanformer.encoders.carried_tokens import PARTS
from leanformer.encoders.forms import PLAIN, in_form
from leanformer.encoders.outputs import PLACES, answers_questions
from leanformer.encoders.sentence import is_embedder
from leanformer.encoders.view import EncoderView
from leanformer.errors import LeanformerError, ModelError, first_line
from leanformer.export.chain import chain_of, leaves_early, write_description
from leanformer.export.extras import require
from leanformer.export.layout import FILES, artefact, artefact_mb, parts, staged, write_companions
from leanformer.export.loading import load_classifier
from leanformer.export.parity import check_parity, sample_texts
from leanformer.export.quiet import quietly
from leanformer.export.runtimes import load_runner
from leanformer.export.sublayers import name_onnx_nodes, name_openvino_nodes
from leanformer.runtime.cascade import part_file
from leanformer.tasks.encode import batches

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

TRACED_ROWS = 2
POSITIONS_BEFORE = 2
"""RoBERTa's and MPNet's positions begin so much later."""

OUTPUTS = ("logits", "states", "wrong")
"""Of a graph, in order; most have the first alone."""

BY_TOKEN = ("states", *PLACES)

EMBEDDING_OUTPUTS = ("sentence_embedding",)

LARGEST_ONNX_MB = 1500  # protobuf ends at 2 GB; larger weights go into a file of their own


@dataclass(frozen=True)
class Exported:
    """A model written for a runtime.

    Attributes:
        runtime: "onnxruntime" or "openvino".
        precision: "fp32" or "int8".
        form: One of `leanformer.encoders.forms.FORMS`.
        path: The file.
        size_mb: Its size with its weights.
        max_difference: The largest absolute difference of a logit from PyTorch in float32, on real texts.
    """

    runtime: str
    precision: str
    form: str
    path: Path
    size_mb: float
    max_difference: float


def export_onnx(
    model_folder: str | Path, out: Path, encoded: Dataset | None = None, form: str = PLAIN
) -> Exported:
    """Write a model as ONNX, with batch and length left open, and prove that it computes the same.

    Args:
        model_folder: A Hugging Face folder of a sequence classifier, dense or compressed.
        out: The folder in which `onnx/model.onnx` is written, with config.json and the tokenizer beside it.
        encoded: Texts for the proof; a few English sentences by default.
        form: One of `leanformer.encoders.forms.FORMS`; the files of each have names of their own.

    Returns:
        What was written.

    Raises:
        ModelError: If the model can not be loaded or exported, has no such form, or computes something else
            afterwards.
        LeanformerError: If the packages are not installed.
    """
    require("onnx")
    return _export(model_folder, out, "onnxruntime", encoded, form, _write_onnx)


def export_openvino(
    model_folder: str | Path, out: Path, encoded: Dataset | None = None, form: str = PLAIN
) -> Exported:
    """Write a model for OpenVINO, with batch and length left open, and prove that it computes the same.

    Args:
        model_folder: A Hugging Face folder of a sequence classifier, dense or compressed.
        out: The folder in which `openvino/openvino_model.xml` and `.bin` are written, with config.json and the
            tokenizer beside them.
        encoded: Texts for the proof; a few English sentences by default.
        form: One of `leanformer.encoders.forms.FORMS`; the files of each have names of their own.

    Returns:
        What was written.

    Raises:
        ModelError: If the model can not be loaded or exported, has no such form, or computes something else
            afterwards.
        LeanformerError: If the packages are not installed.
    """
    require("openvino", "openvino")
    return _export(model_folder, out, "openvino", encoded, form, _write_openvino)


def _export(
    model_folder: str | Path,
    out: Path,
    runtime: str,
    encoded: Dataset | None,
    form: str,
    write: Callable[[PreTrainedModel, dict[str, Any], Path], None],
) -> Exported:
    """Load, write into a scratch folder, compare, move into place."""
    model, tokenizer = load_classifier(model_folder)
    rewritten = in_form(model, form)  # the proof compares with the model as it is
    target = artefact(out, runtime, "fp32", form)
    texts = sample_texts(model, tokenizer)
    with staged(target.parent, last=target.name) as scratch:
        try:
            with quietly(f"the export of {model_folder} for {runtime}"):
                inputs = _traced_inputs(model, tokenizer, texts)
                if leaves_early(model):
                    _write_chain(rewritten, inputs, scratch / target.name, write)
                else:
                    write(rewritten, inputs, scratch / target.name)
        except LeanformerError:
            raise
        except Exception as error:
            raise ModelError(
                f"{model_folder} can not be exported for {runtime}: {first_line(error)}"
            ) from error
        runner = load_runner(scratch / target.name, runtime, "fp32")
        try:
            difference = check_parity(model, runner, texts if encoded is None else encoded, tokenizer)
        except LeanformerError:
            raise
        except Exception as error:  # neither runtime has a class of its own for a graph that it can not run
            raise ModelError(
                f"{runtime} can not run the export of {model_folder}: {first_line(error)}"
            ) from error
        del runner  # it may hold the file open
        write_companions(model, tokenizer, scratch)
        remove_int8(out, runtime, form)
        written = {path.name for path in parts(scratch / target.name)}
    for stale in (path for path in parts(target) if path.name not in written):
        stale.unlink()  # weights that lay beside an older export, where these lie in the graph
    return Exported(runtime, "fp32", form, target, artefact_mb(target), difference)


def _write_chain(
    model: PreTrainedModel,
    inputs: dict[str, Tensor],
    first: Path,
    write: Callable[[PreTrainedModel, dict[str, Any], Path], None],
) -> None:
    """Write the parts of a model that texts leave early, and what the host has to know of them."""
    import torch

    mask = inputs["attention_mask"]
    states = torch.zeros(*mask.shape, model.config.hidden_size)
    for number, part in enumerate(chain_of(model)):
        given = {"inputs_embeds": states, "attention_mask": mask} if number else inputs
        write(part, given, part_file(first, number))
    write_description(model, first)


def remove_int8(out: Path, runtime: str, form: str = PLAIN) -> None:
    """Remove older int8 files: they belong to the model that is being replaced.

    Args:
        out: The folder that holds `onnx/` and `openvino/`.
        runtime: "onnxruntime" or "openvino".
        form: One of `leanformer.encoders.forms.FORMS`.
    """
    for precision in (kind for name, kind in FILES if name == runtime and kind.startswith("int8")):
        stale = artefact(out, runtime, precision, form)
        for path in parts(stale):
            path.unlink(missing_ok=True)


def _traced_inputs(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: Dataset
) -> dict[str, Tensor]:
    """Return a padded batch (2, tokens) of the inputs that both tokenizer and model know."""
    known = signature(model.forward).parameters
    rows = [len(texts) - 1, len(texts) // 2]
    _, batch = next(batches(texts.select(rows), tokenizer, TRACED_ROWS))
    inputs = {name: tensor for name, tensor in batch.items() if name in known and name != "labels"}
    view = EncoderView(model)
    return inputs if view.kept_tokens(view.n_layers - 1) == 1 else _lengthened(inputs, model.config)


def _lengthened(inputs: dict[str, Tensor], config: Any) -> dict[str, Tensor]:
    """Repeat texts until the last layer keeps two tokens: of one, torch.export takes it that there is always one."""
    import torch

    width = min(2 * PARTS + 1, config.max_position_embeddings - POSITIONS_BEFORE)
    columns = torch.arange(width) % next(iter(inputs.values())).shape[1]
    return {
        name: torch.ones_like(tensor[:, columns]) if name == "attention_mask" else tensor[:, columns]
        for name, tensor in inputs.items()
    }


def _shapes(inputs: dict[str, Tensor]) -> dict[str, dict[int, Any]]:
    """Leave batch and length of every input open; torch.export raises where the model would fix one of them."""
    from torch.export import Dim

    return {name: {0: Dim.DYNAMIC, 1: Dim.DYNAMIC} for name in inputs}


def _outputs(model: Any) -> tuple[str, ...]:
    """Name what a graph gives, in order."""
    if answers_questions(model):
        return PLACES
    return EMBEDDING_OUTPUTS if is_embedder(model) else OUTPUTS


def _write_onnx(model: PreTrainedModel, inputs: dict[str, Any], path: Path) -> None:
    """Trace the model with its own attention; PyTorch's fused one is left unfused in the file."""
    import onnx_ir
    from transformers.exporters import OnnxConfig, OnnxExporter

    program = OnnxExporter().export(model, inputs, OnnxConfig(dynamic_shapes=_shapes(inputs))).program
    for port in program.graph.inputs:
        port.shape = onnx_ir.Shape(["batch", "tokens", *port.shape[2:]])
    for name, port in zip(_outputs(model), program.graph.outputs, strict=False):
        port.name = name
        port.shape = onnx_ir.Shape(
            ["batch", "tokens", *port.shape[2:]] if name in BY_TOKEN else ["batch", *port.shape[1:]]
        )
    for node in program.graph.all_nodes():  # the traces of Python's stack are larger than a small graph
        node.metadata_props.clear()
        node.doc_string = None
        for (
            output
        ) in node.outputs:  # what the trace thinks of shapes is not needed, and ONNX Runtime believes it
            output.shape = output.shape if output.is_graph_output() else None
    name_onnx_nodes(program.graph, model)
    weights_mb = sum(parameter.numel() * 4 for parameter in model.parameters()) / 1e6
    onnx_ir.save(program, path, external_data=f"{path.name}.data" if weights_mb > LARGEST_ONNX_MB else None)


def _write_openvino(model: PreTrainedModel, inputs: dict[str, Any], path: Path) -> None:
    """Write .xml and .bin with float32 weights."""
    import openvino
    from transformers.exporters import OpenVINOConfig, OpenVINOExporter

    program = OpenVINOExporter().export(model, inputs, OpenVINOConfig(dynamic_shapes=_shapes(inputs))).program
    for name, port in zip(_outputs(model), program.outputs, strict=False):
        port.get_tensor().set_names({name})
    name_openvino_nodes(program, model)
    openvino.save_model(program, str(path), compress_to_fp16=False)

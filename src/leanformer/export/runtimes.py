"""One way to call a model, whichever runtime computes it, with the same number of threads for all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from leanformer.encoders.outputs import PLACES, logits_of
from leanformer.errors import ModelError, first_line
from leanformer.export.cpu import usable_threads
from leanformer.export.extras import require
from leanformer.runtime.cascade import Cascade, description
from leanformer.tasks.encode import MODEL_COLUMNS, batches
from leanformer.tasks.words import Gathered

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

RUNTIMES = ("torch", "onnxruntime", "openvino")
COMPILED = "fp32-compiled"  # compiling takes minutes, so it is measured only when it is asked for
PRECISIONS = ("fp32", "fp32-eager", "bf16", "int8")
VARIANTS = (
    ("torch", "fp32"),
    ("torch", "fp32-eager"),
    ("torch", COMPILED),
    ("torch", "bf16"),
    ("onnxruntime", "fp32"),
    ("onnxruntime", "int8"),
    ("onnxruntime", "int8-static"),  # measured only when it is asked for
    ("openvino", "fp32"),
    ("openvino", "bf16"),
    ("openvino", "int8"),
)


def has_form(runtime: str, form: str) -> bool:
    """Whether a runtime has a form of its own: attention written out is in PyTorch the precision "fp32-eager".

    Args:
        runtime: "torch", "onnxruntime" or "openvino".
        form: One of `leanformer.encoders.forms.FORMS`.

    Returns:
        False for PyTorch with a form that has eager-attention in it, so that nothing is measured twice.
    """
    return runtime != "torch" or "eager-attention" not in form


class CompileError(ModelError):
    """torch.compile does not work here, or not for this model: a bench leaves it out, and says so."""


class Runner(Protocol):
    """A model that is ready to answer.

    Attributes:
        name: "torch", "onnxruntime" or "openvino".
        precision: "fp32", "bf16" or "int8"; for torch also "fp32-eager" and "fp32-compiled".
    """

    name: str
    precision: str

    def __call__(self, batch: Mapping[str, np.ndarray]) -> np.ndarray:
        """Map token ids, (batch, tokens) each and int64, to float32 logits, (batch, num_labels), or one a token."""
        ...


class TorchRunner:
    """PyTorch on the processor; its thread count holds for the whole process.

    "fp32" is eager execution with PyTorch's fused attention (sdpa), "fp32-eager" the same with the attention written
    out, "fp32-compiled" the first one through torch.compile, which compiles at the first call. In "bf16" weights and
    the whole forward pass are bfloat16; the logits are given as float32 all the same. "fp32-eager" and "bf16" change
    the model that they are given.
    """

    name = "torch"

    def __init__(
        self,
        model: PreTrainedModel,
        threads: int,
        inputs: Sequence[str] = MODEL_COLUMNS,
        precision: str = "fp32",
    ) -> None:
        import torch

        torch.set_num_threads(threads)
        self.precision = precision
        self.model, self.inputs = model.eval(), inputs
        if precision == "bf16":
            self.model.to(torch.bfloat16)
        elif precision == "fp32-eager":
            # Not by set_attn_implementation, which refuses our small classes silently.
            self.model.config._attn_implementation = "eager"
        self.forward = torch.compile(self.model, dynamic=True) if precision == COMPILED else self.model

    def __call__(self, batch: Mapping[str, np.ndarray]) -> np.ndarray:
        """Answer a batch."""
        import torch

        tensors = {name: torch.from_numpy(ids) for name, ids in batch.items() if name in self.inputs}
        try:
            with torch.inference_mode():
                return logits_of(self.forward(**tensors)).float().numpy()
        except Exception as error:
            if self.precision != COMPILED:
                raise
            raise CompileError(f"torch.compile fails here: {first_line(error)}") from error


def answers_given(names: Sequence[str]) -> int:
    """Return how many of a graph's first outputs are its answer: logits, a sentence embedding, or start and end."""
    return len(PLACES) if tuple(names[: len(PLACES)]) == PLACES else 1


def together(answers: Sequence[np.ndarray]) -> np.ndarray:
    """Return an answer that a graph gives in parts, (batch, tokens) each, as (batch, tokens, parts)."""
    return answers[0] if len(answers) == 1 else np.stack(answers, axis=-1)


class OnnxRunner:
    """ONNX Runtime on the processor.

    Its threads wait for the next call by spinning, and would so take the time of whichever runner is called next: two
    equal sessions in turns then differ by a third. They are told to stop at the end of a call, which costs a session
    that is called without pause nothing.
    """

    name = "onnxruntime"

    def __init__(self, path: Path, precision: str, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors only
        options.add_session_config_entry("session.force_spinning_stop", "1")
        self.precision = precision
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.inputs = [port.name for port in self.session.get_inputs()]
        names = [port.name for port in self.session.get_outputs()]
        self.answers = names[: answers_given(names)]

    def __call__(self, batch: Mapping[str, np.ndarray]) -> np.ndarray:
        """Answer a batch."""
        return together(self.session.run(self.answers, {name: batch[name] for name in self.inputs}))


class OpenVinoRunner:
    """OpenVINO on the processor, tuned for the time of one call.

    "bf16" reads the file of "fp32" and asks for bfloat16. In the other precisions what is not int8 is computed in
    float32, never silently in bfloat16.
    """

    name = "openvino"

    def __init__(self, path: Path, precision: str, threads: int) -> None:
        require("openvino", "openvino")  # first: it keeps OpenVINO from reporting its use
        import openvino

        properties = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
        }
        self.precision = precision
        core = openvino.Core()
        model = core.read_model(str(path))
        # a compiled model may give its ports further names, and any of them first
        self.inputs = [port.get_any_name() for port in model.inputs]
        self.answers = range(answers_given([port.get_any_name() for port in model.outputs]))
        self.request = core.compile_model(model, "CPU", properties).create_infer_request()

    def __call__(self, batch: Mapping[str, np.ndarray]) -> np.ndarray:
        """Answer a batch."""
        self.request.infer({name: batch[name] for name in self.inputs}, share_inputs=True)
        given = [self.request.get_output_tensor(number).data for number in self.answers]
        return together(given).copy()  # the next call uses its memory again


class ChainRunner:
    """A model that texts leave early, part by part, in one of the two runtimes."""

    def __init__(self, path: Path, runtime: str, precision: str, threads: int) -> None:
        self.name, self.precision = runtime, precision
        self.cascade = Cascade(path, threads, "bf16" if precision == "bf16" else "f32")

    def __call__(self, batch: Mapping[str, np.ndarray]) -> np.ndarray:
        """Answer a batch."""
        return self.cascade(batch)


def load_runner(
    source: str | Path | PreTrainedModel,
    runtime: str,
    precision: str = "fp32",
    threads: int | None = None,
    form: str = "",
) -> Runner:
    """Make a model ready to answer.

    Args:
        source: For torch a model, its folder or a hub id; else an exported file, its folder, or the folder that
            holds `onnx/` and `openvino/`.
        runtime: "torch", "onnxruntime" or "openvino".
        precision: One that the runtime has, see `VARIANTS`.
        threads: Threads for one call; by default as many as this process may use.
        form: One of `leanformer.encoders.forms.FORMS`. A file that is named itself is taken in the form it has.

    Returns:
        The runner.

    Raises:
        ModelError: If there is no such variant or form, or its file is missing or broken.
        LeanformerError: If the runtime is not installed.
    """
    if (runtime, precision) not in VARIANTS:
        known = ", ".join(f"{name} {kind}" for name, kind in VARIANTS)
        raise ModelError(f"the runtime '{runtime}' has no precision '{precision}': choose one of {known}")
    # Here, since they load PyTorch, and an exported file can be run without.
    from leanformer.export.layout import find_artefact
    from leanformer.export.loading import load_classifier

    threads = usable_threads() if threads is None else threads
    if runtime == "torch":
        from leanformer.encoders.forms import in_form

        if not has_form(runtime, form):
            raise ModelError(f"torch has no form '{form}': choose the precision fp32-eager instead")
        if not isinstance(source, (str, Path)):
            changes = precision in ("bf16", "fp32-eager")  # the caller's model stays as it is
            own = deepcopy(source) if changes else source
            return TorchRunner(in_form(own, form), threads, precision=precision)
        model, tokenizer = load_classifier(source)
        names = [*tokenizer.model_input_names, "attention_mask"]
        return TorchRunner(in_form(model, form), threads, names, precision)
    if not isinstance(source, (str, Path)):
        raise ModelError(f"{runtime} needs an exported file or its folder, not a model in memory")
    require("onnx" if runtime == "onnxruntime" else "openvino", runtime)
    path = find_artefact(Path(source), runtime, precision, form)
    try:
        if description(path).is_file():
            return ChainRunner(path, runtime, precision, threads)
        return (OnnxRunner if runtime == "onnxruntime" else OpenVinoRunner)(path, precision, threads)
    except Exception as error:  # neither runtime has a class of its own for a file that it can not read
        raise ModelError(f"{path} can not be opened ({first_line(error)}): export the model again") from error


def arrays(batch: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Turn a batch of tensors into what a runner takes: int64 arrays, without the labels."""
    return {
        name: np.ascontiguousarray(tensor.numpy(), dtype=np.int64)
        for name, tensor in batch.items()
        if name != "labels"
    }


def predict_with(
    runner: Runner, encoded: Dataset, tokenizer: PreTrainedTokenizerBase, batch_size: int = 32
) -> np.ndarray:
    """Run a runner over a data set, as `leanformer.tasks.predict.predict` does with a PyTorch model.

    Args:
        runner: The model.
        encoded: A data set made by `leanformer.tasks.encode.encode`.
        tokenizer: The model's tokenizer.
        batch_size: Rows a batch.

    Returns:
        Logits in the data set's order, float32, (n, num_labels); of words (n, words, num_labels), and of questions
        (n, tokens, 2).

    Raises:
        ModelError: If the data set is empty.
    """
    gathered: Gathered | None = None
    for indices, batch in batches(encoded, tokenizer, batch_size):
        answer = runner(arrays(batch))
        gathered = gathered or Gathered(encoded, answer.shape[-1])
        gathered.put(indices, answer)
    if gathered is None:
        raise ModelError("there are no rows to predict")
    return gathered.logits

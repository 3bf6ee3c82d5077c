"""A trained model as one ONNX file: waveforms or log-mels in, embeddings out."""

import importlib.util
import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from laspa.errors import LaspaError
from laspa.features.mel_module import front_end
from laspa.features.settings import framing, mel_params, mel_settings
from laspa.files import atomic_path, sha256_file
from laspa.models.laspa import Laspa
from laspa.models.onnx_metadata import EMBEDDING, MEL, POSTERIOR, WAVEFORM, OnnxMetadata
from laspa.models.saving import CONFIG_FILE, WEIGHTS_FILE, load_model

PACKAGES = ("onnx", "onnxruntime", "onnxscript")
EXAMPLE = (2, 203)  # batch and frames that the graph is traced with: no multiple of any stride
LONGEST = 10**7  # frames or samples: a bound for torch.export's arithmetic, not of the file
CHECKED = ((1, 203), (1, 51), (3, 98), (2, 640))  # batches and frames on which the file is compared
LOWEST_COSINE = {False: 0.9999, True: 0.9}  # with the model's own embedding; True: int8


def export_onnx(
    folder: Path,
    output: Path,
    waveform: bool = True,
    int8: bool = False,
    languages: bool = True,
    calibration: dict[str, Any] | None = None,
) -> float:
    """Write a saved model as an ONNX file that holds all that its use needs, or nothing.

    Its input is `waveform: (batch, samples)` at the model's rate, full scale ±1, or
    `mel: (batch, frames, mels)` float32 as `log_mel` gives them; all of a batch are of one length. Outputs
    are `embedding: (batch, D)` of unit length and, with `languages` and a model that has a language head,
    `posterior: (batch, languages)`. The file is compared with the model on random input before it is kept.

    Args:
        folder: as the stage train saves it.
        waveform: whether the log-mels are part of the graph.
        int8: quantise the weights and, at each call, what they are multiplied with; never the log-mels.
        languages: False leaves out the language encoder where the embedding does not need it.
        calibration: the content of the model's calibration.json, to be kept in the file.

    Returns:
        The lowest cosine with the model's own embeddings in that comparison.

    Raises:
        LaspaError: packages are missing, no such model, mels that this laspa does not compute, or a file
            whose embeddings are not the model's.
    """
    if missing := [name for name in PACKAGES if importlib.util.find_spec(name) is None]:
        raise LaspaError(f"export needs {', '.join(missing)}: pip install 'laspa[onnx]'")
    import onnx

    model, config = load_model(folder)
    settings = config["features"]["settings"]
    if waveform and mel_settings(params := mel_params(settings)) != settings:
        raise LaspaError(
            f"{folder / CONFIG_FILE}: features of settings {settings} are not computed by this laspa; "
            f"use the version that trained the model, or export with --input {MEL}"
        )
    encoder = _Recognise(model, languages).eval()
    with torch.inference_mode():
        outputs = [EMBEDDING, POSTERIOR][: len(encoder(torch.zeros(1, 100, settings["num_mels"])))]
    graph = _quantised(_graph(encoder, MEL, outputs, (*EXAMPLE, settings["num_mels"])), int8)
    whole: nn.Module = encoder
    if waveform:
        front = front_end(params)
        whole = nn.Sequential(front, encoder)
        example = EXAMPLE[0], front.least + front.hop * EXAMPLE[1] + 1
        frames = _graph(front, WAVEFORM, ["log_mel"], example, least=front.least)
        graph = onnx.compose.merge_models(frames, graph, [("log_mel", MEL)], prefix1="front/")
        _rename(graph, f"front/{WAVEFORM}", WAVEFORM)
    digest = sha256_file(folder / WEIGHTS_FILE) + ("-int8" if int8 else "")
    if calibration is not None:
        calibration = calibration | {"model": digest}
    metadata = OnnxMetadata(
        digest,
        WAVEFORM if waveform else MEL,
        model.system.model.embedding_dim,
        config["features"],
        config["languages"] if POSTERIOR in outputs else [],
        calibration,
    )
    onnx.helper.set_model_props(graph, metadata.write(version("laspa")))
    graph.producer_name, graph.producer_version, graph.doc_string = "laspa", version("laspa"), ""
    lowest = _lowest_cosine(graph.SerializeToString(), whole, metadata, settings)
    if not lowest >= LOWEST_COSINE[int8]:
        raise LaspaError(
            f"{output}: not written: its embeddings differ from the model's (cosine {lowest:.4f}, "
            f"at least {LOWEST_COSINE[int8]} is expected); "
            + ("export without --int8" if int8 else "use another version of torch or onnxscript")
        )
    with atomic_path(output) as temporary:
        onnx.save(graph, temporary)
    return lowest


class _Recognise(nn.Module):
    """(batch, frames, mels) → the embedding of unit length, and the languages' posteriors if wanted."""

    def __init__(self, model: Laspa, languages: bool) -> None:
        super().__init__()
        self.model, self.languages = model, languages

    def forward(self, mel: Tensor) -> tuple[Tensor, ...]:
        embedding, posterior = (
            self.model.recognise(mel) if self.languages else (self.model.speaker_embedding(mel), None)
        )
        unit = F.normalize(embedding.float())
        return (unit,) if posterior is None else (unit, posterior.float())


def _graph(module: nn.Module, name: str, outputs: list[str], example: tuple[int, ...], least: int = 1) -> Any:
    """The ONNX model of a module with one input, of any batch and of any length from `least` on.

    Made by torch's exporter over torch.export: that over TorchScript fails on six of ten encoders.
    """
    batch, length = torch.export.Dim("batch"), torch.export.Dim(f"{name}_length", min=least, max=LONGEST)
    with _quiet():
        try:
            program = torch.onnx.export(
                module.eval(),
                (torch.randn(*example),),
                dynamo=True,
                dynamic_shapes=({0: batch, 1: length},),
                input_names=[name],
                output_names=outputs,
                verbose=False,
            )
        except torch.onnx.errors.OnnxExporterError as error:
            reason = str(error.__cause__ or error).strip().splitlines()[0]
            raise LaspaError(
                f"torch {torch.__version__} cannot export this model ({reason}); use another version"
            ) from error
    assert program is not None
    return program.model_proto


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the fused transformer layer, which ONNX does not know, and without advice to developers."""
    fused, level = torch.backends.mha.get_fastpath_enabled(), logging.root.manager.disable
    torch.backends.mha.set_fastpath_enabled(False)
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
        logging.disable(level)


def _quantised(graph: Any, int8: bool) -> Any:
    if not int8:
        return graph
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder, _quiet():
        path = Path(folder) / "model.onnx"
        quantize_dynamic(graph, path, weight_type=QuantType.QUInt8)
        return onnx.load(path)


def _rename(graph: Any, old: str, new: str) -> None:
    """Rename a graph's input."""
    for one in graph.graph.input:
        one.name = new if one.name == old else one.name
    for node in graph.graph.node:
        for index, one in enumerate(node.input):
            node.input[index] = new if one == old else one


def _lowest_cosine(
    content: bytes, module: nn.Module, metadata: OnnxMetadata, settings: dict[str, Any]
) -> float:
    """Over several lengths and batches: an exporter may have fixed a length without a word."""
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    generator = torch.Generator().manual_seed(0)
    cosines = []
    for batch, frames in CHECKED:
        shape: tuple[int, ...] = (batch, frames, settings["num_mels"])
        if metadata.input == WAVEFORM:
            _, hop, size = framing(mel_params(settings))
            shape = (batch, size + hop * (frames - 1) + hop // 2)
        given = torch.randn(*shape, generator=generator) * (0.1 if metadata.input == WAVEFORM else 1)
        with torch.inference_mode():
            expected = module(given)[0].numpy()
        try:
            found = session.run([EMBEDDING], {metadata.input: given.numpy()})[0]
        except Exception:  # onnxruntime raises no narrower one: a length that was fixed
            return float("nan")
        cosines.append(np.sum(found * expected, axis=1).min())
    return float(min(cosines))

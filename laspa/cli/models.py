"""What `laspa import` and `laspa export` do; their options are described in laspa/cli/main.py."""

import argparse
from pathlib import Path

from laspa.errors import LaspaError
from laspa.files import in_bytes, read_json
from laspa.models.checkpoints import import_checkpoint
from laspa.models.export import export_onnx
from laspa.models.onnx_metadata import WAVEFORM
from laspa.recogniser.decision import CALIBRATION_FILE


def import_model(options: argparse.Namespace) -> None:
    """Make a model folder of a public recogniser's weights."""
    dim = import_checkpoint(options.kind, Path(options.file), Path(options.output))
    print(f"{options.output}: {options.kind}, embeddings of length {dim}")


def export(options: argparse.Namespace) -> None:
    """Write a model as an ONNX file."""
    folder, output = Path(options.model), Path(options.output)
    if output.suffix != ".onnx":
        raise LaspaError(f"--output {output}: should end in .onnx, by which Recogniser.load knows it")
    if not folder.is_dir():
        raise LaspaError(f"{folder}: no such model folder; train one (dvc repro), or name another by --model")
    file = folder / CALIBRATION_FILE
    calibration = read_json(file) if file.exists() else None
    cosine = export_onnx(
        folder, output, options.input == WAVEFORM, options.int8, not options.no_languages, calibration
    )
    print(
        f"{output}: {options.input} in, {in_bytes(output.stat().st_size)}, "
        f"{'with' if calibration else 'without'} calibration; cosine with the model at least {cosine:.6f}"
    )

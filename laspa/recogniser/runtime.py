"""What turns speech into an embedding: a trained model on torch, or an ONNX file on onnxruntime."""

from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from laspa.errors import LaspaError, one_line
from laspa.hooks import hook

PROBE = 16_000  # samples of noise that show how long an unknown file's embeddings are


class Encoded(NamedTuple):
    """What a model says of one piece of speech.

    embedding: (D,) float32, as scored by cosine; of any length.
    posterior: (languages,) float32 of the model's own language head, or None where it has none.
    """

    embedding: np.ndarray
    posterior: np.ndarray | None


class Runtime(Protocol):
    """A model that can be asked.

    digest: SHA-256 of the model's weights; embeddings of equal digests can be compared. dim: of these.
    languages: that its posteriors tell apart, in their order.
    folder: of the model, where its calibration may be; an ONNX file itself.
    calibration: the content of calibration.json that an exported model brings with it, or None.
    """

    digest: str
    dim: int
    languages: list[str]
    folder: Path
    calibration: dict[str, Any] | None = None

    def encode(self, speech: np.ndarray) -> Encoded:
        """Speech, (samples,) float32 at 16 kHz, full scale ±1; the caller bounds its length."""


def open_runtime(
    source: str, device: str, threads: int | None = None, front_end: str | None = None
) -> Runtime:
    """The runtime of a model's folder, of an ONNX file, or of a `models:/` address.

    Raises:
        LaspaError: no such model, a damaged one, or one of another laspa; an ONNX file that does not say what
            it reads and no `front_end`, or a `front_end` for a model that says it.
    """
    if source.startswith("models:/"):
        source = str(hook("laspa.registry", "folder", "pipeline")(source))
    if source.endswith(".onnx"):
        return OnnxRuntime(Path(source), device, threads, front_end)
    if front_end is not None:
        raise LaspaError(
            f"{source}: knows its own front end; --front-end is for ONNX files of other toolkits"
        )
    if not Path(source).is_dir():
        raise LaspaError(f"{source}: no such model folder; train one (dvc repro), or name another by --model")
    return TorchRuntime(Path(source), device, threads)


class TorchRuntime(Runtime):
    """A saved model (laspa/models/saving.py) on torch."""

    def __init__(self, folder: Path, device: str, threads: int | None) -> None:
        import torch

        from laspa.files import sha256_file
        from laspa.models.device import torch_device
        from laspa.models.saving import CONFIG_FILE, WEIGHTS_FILE, load_model

        model, config = load_model(folder)
        self._features = _mel_params(config["features"], folder / CONFIG_FILE)
        self._device = torch_device(device)
        self._model = model.to(self._device).eval()
        if threads is not None:
            torch.set_num_threads(threads)
        self.dim = model.system.model.embedding_dim
        self.folder, self.languages = folder, config["languages"]
        self.digest = sha256_file(folder / WEIGHTS_FILE)

    def encode(self, speech: np.ndarray) -> Encoded:
        """See `Runtime`."""
        import torch

        from laspa.features.mel import log_mel

        mel = torch.from_numpy(log_mel(speech, self._features)).float()[None].to(self._device)
        with torch.inference_mode():
            embedding, posterior = self._model.recognise(mel)
        return Encoded(
            embedding[0].float().cpu().numpy(),
            None if posterior is None else posterior[0].float().cpu().numpy(),
        )


class OnnxRuntime(Runtime):
    """A file of `laspa export`, or of another toolkit, on onnxruntime. `folder` is the file, for messages.

    Of another toolkit's outputs the embedding is the one whose name says so, else the first. It needs torch
    only if its features do.
    """

    def __init__(self, path: Path, device: str, threads: int | None, front_end: str | None = None) -> None:
        from laspa.models.onnx_metadata import FORM_KEY, MEL, read_metadata

        if not path.is_file():
            raise LaspaError(f"{path}: no such file; write it with laspa export --output {path}")
        if device == "cuda":  # that would take another wheel of onnxruntime
            raise LaspaError(f"{path}: ONNX files run on the CPU; use device cpu, or the model's folder")
        try:
            import onnxruntime
        except ImportError:
            raise LaspaError(f"{path}: needs onnxruntime: pip install 'laspa[onnx]'") from None
        try:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = threads or 0  # 0: all cores
            options.log_severity_level = 3  # errors; other toolkits' graphs have much that is warned of
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's exceptions have no narrower base class
            reason = one_line(error).rpartition(" : ")[2][:200]
            raise LaspaError(
                f"{path}: not a whole ONNX file ({reason}): damaged or cut short; export it again"
            ) from None
        self.folder, self.languages = path, []
        self._inputs = [one.name for one in self._session.get_inputs()]
        self._outputs: list[str] | None = None
        self._bands_first = False
        found = self._session.get_modelmeta().custom_metadata_map
        if FORM_KEY not in found:
            self._open_foreign(found, front_end)
            return
        if front_end is not None:
            raise LaspaError(f"{path}: knows its own front end; leave --front-end out")
        metadata = read_metadata(found, str(path))
        self._inputs = [metadata.input]
        self._features: Any = _mel_params(metadata.features, path) if metadata.input == MEL else None
        self.digest, self.dim, self.languages = metadata.digest, metadata.dim, metadata.languages
        self.calibration = metadata.calibration

    def _open_foreign(self, found: dict[str, str], front_end: str | None) -> None:
        from laspa.files import sha256_file
        from laspa.models.onnx_metadata import EMBEDDING, foreign_metadata

        name, features = foreign_metadata(found, str(self.folder), front_end)
        shape = self._session.get_inputs()[0].shape
        if len(shape) != (2 if features is None else 3):
            raise LaspaError(
                f"{self.folder}: its input is {shape}, which the front end {name} does not give; name "
                "another by --front-end"
            )
        self._bands_first = name == "nemo"
        bands = None if features is None else shape[1 if self._bands_first else 2]
        self._features = (
            features.model_copy(update={"num_mels": bands}) if isinstance(bands, int) else features
        )
        outputs = [one.name for one in self._session.get_outputs()]
        self._outputs = [next((one for one in outputs if one.startswith(EMBEDDING[:3])), outputs[0])]
        self.digest = f"{sha256_file(self.folder)}-{name}"
        self.dim = len(
            self.encode(np.random.default_rng(0).normal(0, 0.1, PROBE).astype(np.float32)).embedding
        )
        if self.dim != int(found.get("output_dim", self.dim)):
            raise LaspaError(
                f"{self.folder}: output_dim is {found['output_dim']}, but it gives {self.dim} values"
            )

    def encode(self, speech: np.ndarray) -> Encoded:
        """See `Runtime`.

        Raises:
            LaspaError: a file that takes log-mels, and no torch to compute them with; a file of another
                toolkit that does not take the features.
        """
        given = speech if self._features is None else self._log_mel(speech)
        batch = given[None].astype(np.float32, copy=False)
        feed = {self._inputs[0]: batch.transpose(0, 2, 1) if self._bands_first else batch}
        if len(self._inputs) > 1:
            feed[self._inputs[1]] = np.array([len(given)], dtype=np.int64)
        try:
            found = self._session.run(self._outputs, feed)
        except Exception as error:  # as above; a file of our own was tried when it was written
            reason = one_line(error)[:200]
            raise LaspaError(f"{self.folder}: does not take {given.shape} features ({reason})") from None
        embedding, posterior = (*(one[0] for one in found), None)[:2]
        return Encoded(embedding, posterior)

    def _log_mel(self, speech: np.ndarray) -> np.ndarray:
        if self._features.kind == "kaldi":
            from laspa.features.kaldi import log_fbank

            return log_fbank(speech, self._features)
        try:
            from laspa.features.mel import log_mel
        except ImportError:
            raise LaspaError(
                f"{self.folder}: takes log-mels, which need torch; export the model with --input waveform"
            ) from None
        return log_mel(speech, self._features)


def _mel_params(features: dict[str, Any], place: Path) -> Any:
    """The params of the mels that a model reads, `features: {settings, digest}`.

    Raises:
        LaspaError: this laspa computes no such mels.
    """
    from laspa.features.settings import mel_params, mel_settings
    from laspa.features.store import digest

    try:
        params = mel_params(features["settings"])
        fitting = mel_settings(params) == features["settings"]
    except KeyError:
        fitting = False
    if not fitting or digest(features["settings"]) != features["digest"]:
        raise LaspaError(
            f"{place}: features of settings {features['settings']} are not computed by this laspa; use the "
            "version that trained the model, or train it again"
        )
    return params

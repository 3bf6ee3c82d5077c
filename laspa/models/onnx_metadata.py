"""What an ONNX file says of itself, ours or one of another toolkit; without torch."""

import json
from typing import Any, NamedTuple

from laspa.errors import LaspaError

FORM = "1"  # of the keys that begin with laspa.: raise it when they change their meaning
FORM_KEY = "laspa.form"
WAVEFORM, MEL = "waveform", "mel"  # names of the input: (batch, samples) or (batch, frames, mels) float32
EMBEDDING, POSTERIOR = "embedding", "posterior"  # names of the outputs
# sherpa-onnx computes these features alone, whatever a file says, and loads only files of frameworks that it
# knows. Any other file of ours says `laspa`, so that it is refused there, not fed with other features.
SHERPA = {
    "kind": "kaldi",
    "kaldi_window": "povey",
    "num_mels": 80,
    "window_ms": 25,
    "hop_ms": 10,
    "low_hz": 20,
    "high_hz": 7600,
    "sample_rate": 16_000,
}


class OnnxMetadata(NamedTuple):
    """What a file says of itself.

    digest: SHA-256 of the model's weights; `-int8` behind it where they were quantised, for embeddings are
        compared only with those of an equal digest. input: WAVEFORM or MEL. dim: of the embedding.
    features: settings and digest of the mels. languages: of the posteriors, in their order, or empty.
    calibration: the content of the model folder's calibration.json, or None.
    """

    digest: str
    input: str
    dim: int
    features: dict[str, Any]
    languages: list[str]
    calibration: dict[str, Any] | None

    def write(self, version: str) -> dict[str, str]:
        """As ONNX metadata: the keys that sherpa-onnx reads, and ours."""
        settings = self.features["settings"]
        sherpa = self.input == MEL and all(settings.get(name) == value for name, value in SHERPA.items())
        return {
            "framework": "wespeaker" if sherpa else "laspa",
            "feature_normalize_type": "global-mean",  # over the recording
            "language": ",".join(self.languages) or "any",
            "sample_rate": str(settings["sample_rate"]),
            "output_dim": str(self.dim),
            "normalize_samples": "0"
            if settings.get("kaldi_full_scale", 1) > 1
            else "1",  # 1: full scale is ±1
            "comment": f"speaker embeddings of unit length, exported by laspa {version}",
            FORM_KEY: FORM,
            "laspa.input": self.input,
            "laspa.model": self.digest,
            "laspa.features": json.dumps(self.features, sort_keys=True),
            "laspa.languages": json.dumps(self.languages),
            "laspa.calibration": json.dumps(self.calibration, sort_keys=True),
        }


def foreign_metadata(found: dict[str, str], path: str, front_end: str | None) -> tuple[str, Any]:
    """What a file of another toolkit reads, by sherpa-onnx's metadata or else by the option `front_end`.

    The features are those that the toolkit trains with. sherpa-onnx itself computes others for all of them.

    Args:
        front_end: a name of `laspa.features.front_ends.FRONT_ENDS`, WAVEFORM, or None where the file says it.

    Returns:
        The front end's name, and its `Features`, None for WAVEFORM.

    Raises:
        LaspaError: a file that does not say it and no `front_end`, or that wants what laspa does not compute.
    """
    from laspa.features.front_ends import FRONT_ENDS

    name = front_end or found.get("framework", "")
    if name not in (*FRONT_ENDS, WAVEFORM):
        whose = f"of the framework {name!r}" if name else "without metadata"
        raise LaspaError(
            f"{path}: an ONNX file {whose}: which features it reads is not known; say it by --front-end "
            f"({', '.join(FRONT_ENDS)}, or {WAVEFORM} for samples at 16 kHz), or write it with laspa export"
        )
    wanted = {
        "sample_rate": ("16000",),
        "normalize_samples": ("0", "1"),
        "feature_normalize_type": ("", "per_feature") if name == "nemo" else ("", "global-mean"),
        "window_type": ("hann",),
        "window_size_ms": ("25",),
        "window_stride_ms": ("10",),
    }
    wrong = [f"{key} {found[key]!r}" for key in wanted if found.get(key, wanted[key][0]) not in wanted[key]]
    if wrong:
        raise LaspaError(f"{path}: its metadata wants {', '.join(wrong)}, which laspa does not compute")
    if name == WAVEFORM:
        return name, None
    features = FRONT_ENDS[name]
    if features.kind == "kaldi" and "normalize_samples" in found:
        scale = 1 if found["normalize_samples"] == "1" else 32768
        features = features.model_copy(update={"kaldi_full_scale": scale})
    return name, features


def read_metadata(found: dict[str, str], path: str) -> OnnxMetadata:
    """What `OnnxMetadata.write` has written to the file `path`.

    Raises:
        LaspaError: a file of another form.
    """
    if found[FORM_KEY] != FORM:
        raise LaspaError(
            f"{path}: {FORM_KEY} is {found[FORM_KEY]}, this laspa reads {FORM}; export the model again"
        )
    try:
        return OnnxMetadata(
            digest=found["laspa.model"],
            input=found["laspa.input"],
            dim=int(found["output_dim"]),
            features=json.loads(found["laspa.features"]),
            languages=json.loads(found["laspa.languages"]),
            calibration=json.loads(found["laspa.calibration"]),
        )
    except (KeyError, ValueError) as error:
        raise LaspaError(f"{path}: damaged metadata ({error}); export the model again") from None

"""The front ends of public recognisers by toolkit: their usual settings."""

from laspa.params import Features

_KALDI = Features(
    kind="kaldi", num_mels=80, window_ms=25, hop_ms=10, low_hz=20, high_hz=8000, shard_utterances=1
)
FRONT_ENDS = {
    "3d-speaker": _KALDI,
    "wespeaker": _KALDI.model_copy(update={"kaldi_window": "hamming", "kaldi_full_scale": 32768}),
    "speechbrain": _KALDI.model_copy(update={"kind": "speechbrain", "low_hz": 0.0}),
    "redimnet": _KALDI.model_copy(update={"kind": "redimnet", "high_hz": 7600.0, "num_mels": 72}),
    "nemo": _KALDI.model_copy(update={"kind": "nemo", "low_hz": 0.0}),
}

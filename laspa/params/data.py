"""What is made of recordings: languages, manifest, trials, features and augmented copies."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from laspa.params.base import Count, Interval, Local, Section, Seed, Share


class Label(Local):
    """Languages of recordings that come without one (stage label)."""

    model: Literal["none", "own", "voxlingua"]
    weights: str
    threshold: Share
    seconds: Annotated[float, Field(ge=0.5, le=60)]


class Manifest(Section):
    """The table of utterances and the speakers' splits (stage manifest)."""

    on_bad_audio: Literal["fail", "skip"]
    min_seconds: Annotated[float, Field(ge=0.1, le=60)]
    dev_share: Share
    test_share: Share
    split_seed: Seed


class Trials(Section):
    """Trial lists of the dev and test splits (stage trials)."""

    seed: Seed
    same_gender: bool
    per_group: Count


class Features(Section):
    """Log-mel spectrograms, or kaldi's filter banks (stage features)."""

    num_mels: Annotated[int, Field(ge=8, le=256)]
    window_ms: Annotated[float, Field(gt=0, le=100)]
    hop_ms: Annotated[float, Field(gt=0, le=50)]
    low_hz: Annotated[float, Field(ge=0, lt=8000)]
    high_hz: Annotated[float, Field(gt=0, le=8000)]
    shard_utterances: Count
    # These two decide no log-mel, so code that computes one may leave them out.
    copies: Annotated[int, Field(ge=0, le=16)] = 0
    engine: Literal["local", "ray"] = "local"
    kind: Literal["mel", "kaldi", "speechbrain", "redimnet", "nemo"] = "mel"
    kaldi_window: Literal["povey", "hamming"] = "povey"
    kaldi_full_scale: Literal[1, 32768] = 1  # of its samples: decides how low its energies are floored

    @model_validator(mode="after")
    def _band_is_not_empty(self) -> "Features":
        if self.low_hz >= self.high_hz:
            raise ValueError(f"low_hz is {self.low_hz} but must lie below high_hz, {self.high_hz}")
        return self


class Augment(Section):
    """What makes an augmented copy differ from its utterance (stage features)."""

    seed: Seed
    kinds: Annotated[list[Literal["noise", "music", "babble", "reverb", "speed"]], Field(min_length=1)]
    noise_snr: Interval
    music_snr: Interval
    babble_snr: Interval
    babble_talkers: Annotated[list[Count], Field(min_length=2, max_length=2)]
    speeds: Annotated[list[Annotated[float, Field(ge=0.5, le=2)]], Field(min_length=1)]
    musan: str
    rirs: str

    @model_validator(mode="after")
    def _intervals_ascend(self) -> "Augment":
        for name in ("noise_snr", "music_snr", "babble_snr", "babble_talkers"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} is {[low, high]} but its first value should be at most its second")
        if 1.0 in self.speeds:
            raise ValueError("speeds holds 1.0, which is the utterance itself; leave it out")
        return self

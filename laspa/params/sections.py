"""What a section of params.yaml is, the numbers in it, and the sections of corpora and of training."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0, le=1000)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Interval = Annotated[list[float], Field(min_length=2, max_length=2)]
Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]
# The names of laspa/corpora/catalogue.py, which is not imported here for speed.
CorpusName = Literal[
    "synthetic",
    "folder",
    "nisp",
    "voxceleb1",
    "voxceleb2",
    "common_voice",
    "tidyvoice",
    "asterisk",
]


class Section(BaseModel):
    """A section of params.yaml: no unknown keys, no silent conversions, immutable."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Synthetic(Section):
    """The embedded corpus (stage download)."""

    seed: Seed
    train_speakers: Annotated[int, Field(ge=2)]
    dev_speakers: Annotated[int, Field(ge=2)]
    test_speakers: Annotated[int, Field(ge=2)]
    bilingual_share: Share
    languages: Annotated[list[str], Field(min_length=2)]
    unseen_languages: list[str]
    languages_per_speaker: Annotated[int, Field(ge=2)]
    train_utterances: Count
    eval_utterances: Count
    seconds: Annotated[float, Field(ge=1, le=30)]
    language_shift: Annotated[float, Field(ge=0, le=4)]
    personal_shift: Annotated[float, Field(ge=0, le=4)]
    channel: Annotated[float, Field(ge=0, le=4)]

    @model_validator(mode="after")
    def _languages_are_consistent(self) -> "Synthetic":
        both = set(self.languages) & set(self.unseen_languages)
        if both:
            raise ValueError(f"languages and unseen_languages share {sorted(both)}; list each language once")
        if self.languages_per_speaker > len(self.languages):
            raise ValueError(
                f"languages_per_speaker is {self.languages_per_speaker} but there are only "
                f"{len(self.languages)} languages"
            )
        return self


class Download(Section):
    """Corpora that are fetched (stage download); laspa/corpora/download/fetch.py."""

    folder: Annotated[str, Field(min_length=1)]
    accept_licences: list[str]
    mirrors: dict[str, str]
    parallel: Annotated[int, Field(ge=1, le=32)]
    retries: Annotated[int, Field(ge=0, le=100)]
    stall_seconds: Annotated[float, Field(gt=0, le=3600)]
    wait_seconds: Annotated[float, Field(gt=0, le=60)]


class Folder(Section):
    """Folders of recordings (stage download)."""

    paths: list[str]


class VoxCeleb(Section):
    """VoxCeleb1 or 2 (stage download); laspa/corpora/voxceleb.py."""

    path: str
    archives: str
    languages: str
    splits: Literal["official", "test"]


class CommonVoice(Section):
    """Releases of Mozilla Common Voice (stage download); laspa/corpora/common_voice.py."""

    paths: list[str]
    clips: Literal["validated", "all"]


class OnDisk(Section):
    """A corpus in one folder (stage download)."""

    path: str


class Label(Section):
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


class FineTune(Section):
    """A second phase from the best weights of the first, with a larger margin and longer crops."""

    epochs: Annotated[int, Field(ge=0)]
    aam_margin: Annotated[float, Field(ge=0, le=1.5)]
    crop_seconds: Annotated[float, Field(ge=0.3, le=60)]
    learning_rate: Positive


class Train(Section):
    """Optimisation (stages train and ablate)."""

    device: Literal["auto", "cpu", "cuda"]
    threads: Annotated[int, Field(ge=1, le=256)]
    epochs: Count
    batch_size: Annotated[int, Field(ge=2)]
    batch_by: Literal["utterance", "language", "speaker", "pair"]
    per_speaker: Count
    accumulate: Count
    crop_seconds: Annotated[float, Field(ge=0.3, le=60)]
    crop_spread: Annotated[float, Field(ge=0, le=0.9)]
    optimizer: Literal["adamw", "sgd"]
    learning_rate: Positive
    schedule: Literal["cosine", "exponential"]
    final_rate: Share
    weight_decay: Annotated[float, Field(ge=0)]
    warmup_share: Share
    margin_warmup_share: Share
    clip_norm: Positive
    dev_every: Count
    patience: Annotated[int, Field(ge=0)]
    precision: Literal["float32", "bfloat16", "float16"]
    balance: bool
    compile: bool
    deterministic: bool
    workers: Annotated[int, Field(ge=1, le=1024)]
    resume: Literal["whole", "weights-only"]
    weights_from: str
    fine_tune: FineTune
    compete: Literal["all", "language"]
    warp: Annotated[float, Field(ge=0, le=0.5)]
    bend: Annotated[float, Field(ge=0, le=0.2)]
    mask_bands: Annotated[int, Field(ge=0, le=256)]
    mask_frames: Annotated[int, Field(ge=0, le=1000)]
    noise_share: Share
    noise_snr: Interval

    @model_validator(mode="after")
    def _choices_go_together(self) -> "Train":
        if self.schedule == "exponential" and not self.final_rate:
            raise ValueError(
                "final_rate is 0 but an exponential schedule never gets there; set it above 0, such as 0.01"
            )
        if self.balance and self.compile:
            raise ValueError(
                "balance and compile are both true, but what is compiled has no gradient of each term to "
                "balance by; set one of them to false"
            )
        if self.noise_snr[0] > self.noise_snr[1]:
            raise ValueError(
                f"noise_snr is {self.noise_snr} but its first value should be at most its second"
            )
        if (self.resume == "weights-only") != bool(self.weights_from):
            raise ValueError(
                f"resume is {self.resume} and weights_from {self.weights_from!r}; give the folder of a saved "
                "model with weights-only, and an empty text with whole"
            )
        if self.batch_size % self.workers:
            raise ValueError(
                f"workers is {self.workers} but must divide batch_size, {self.batch_size}: each takes as "
                "many of every batch"
            )
        return self

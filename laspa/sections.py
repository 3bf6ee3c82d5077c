"""What a section of params.yaml is, the kinds of numbers in it, and the sections of the corpora."""

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
    """Corpora that are fetched (stage download); laspa/fetching.py."""

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

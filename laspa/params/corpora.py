"""Where recordings come from: the embedded corpus, folders, and corpora on disk or fetched."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from laspa.params.base import Count, Local, Section, Seed, Share


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
        _refuse_few(self.languages, self.languages_per_speaker)
        return self


class SyntheticOther(Section):
    """The other family of the embedded corpora: test speakers alone (stage download)."""

    seed: Seed
    speakers: Annotated[int, Field(ge=2)]
    languages: Annotated[list[str], Field(min_length=2)]
    languages_per_speaker: Annotated[int, Field(ge=1)]
    utterances: Count
    seconds: Annotated[float, Field(ge=1, le=30)]

    @model_validator(mode="after")
    def _languages_are_enough(self) -> "SyntheticOther":
        _refuse_few(self.languages, self.languages_per_speaker)
        return self


def _refuse_few(languages: list[str], each: int) -> None:
    if each > (count := len(set(languages))):
        raise ValueError(f"languages_per_speaker is {each} but there are only {count} languages")


class Folder(Local):
    """Folders of recordings (stage download)."""

    paths: list[str]


class Download(Local):
    """Corpora that are fetched (stage download); laspa/corpora/download/fetch.py."""

    folder: Annotated[str, Field(min_length=1)]
    accept_licences: list[str]
    mirrors: dict[str, str]
    parallel: Annotated[int, Field(ge=1, le=32)]
    retries: Annotated[int, Field(ge=0, le=100)]
    stall_seconds: Annotated[float, Field(gt=0, le=3600)]
    wait_seconds: Annotated[float, Field(gt=0, le=60)]


class VoxCeleb(Local):
    """VoxCeleb1 or 2 (stage download); laspa/corpora/voxceleb.py."""

    path: str
    archives: str
    languages: str
    splits: Literal["official", "test"]
    on_absent_speaker: Literal["fail", "skip"] = "fail"


class CommonVoice(Local):
    """Releases of Mozilla Common Voice (stage download); laspa/corpora/common_voice.py."""

    paths: list[str]
    clips: Literal["validated", "all"]
    on_unknown_locale: Literal["fail", "skip"] = "fail"


class OnDisk(Local):
    """A corpus in one folder (stage download)."""

    path: str

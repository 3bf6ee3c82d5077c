"""MUSAN and RIRS_NOISES (OpenSLR 17 and 28): noises and rooms for augmentation, listed by kind."""

from pathlib import Path

from laspa.corpora.corpus import Licence
from laspa.corpora.fetched import FetchedCorpus
from laspa.errors import LaspaError
from laspa.fetching import RemoteFile

MIRRORS = ("https://us.openslr.org", "https://openslr.elda.org", "https://openslr.magicdatatech.com")


def _open_slr(number: int, name: str, size: int, md5: str) -> RemoteFile:
    """An archive of OpenSLR. MD5: its checksum.md5."""
    path = f"resources/{number}/{name}"
    mirrors = tuple(f"{mirror}/{path}" for mirror in MIRRORS)
    return RemoteFile(f"https://www.openslr.org/{path}", f"all/{name}", size, f"md5:{md5}", mirrors)


_MUSAN = _open_slr(17, "musan.tar.gz", 11_086_114_085, "0c472d4fc0c5141eca47ad1ffeb2a7df")
_RIRS = _open_slr(28, "rirs_noises.zip", 1_311_166_223, "e6f48e257286e05de56413b4779d8ffb")

MUSAN = FetchedCorpus(
    "musan",
    Licence("CC BY 4.0", "https://creativecommons.org/licenses/by/4.0/"),
    "Snyder, Chen and Povey, MUSAN: A Music, Speech, and Noise Corpus, arXiv 1510.08484, 2015",
    (),
    lambda _: [[_MUSAN]],
)
RIRS_NOISES = FetchedCorpus(
    "rirs_noises",
    Licence("Apache 2.0", "https://www.apache.org/licenses/LICENSE-2.0"),
    "Ko et al., A study on data augmentation of reverberant speech for robust speech recognition, 2017",
    (),
    lambda _: [[_RIRS]],
)

# Kinds by folder. Recordings of real rooms and of the noise in them lie in one folder: names tell them apart.
FOLDERS = {
    "musan": {"noise": "noise", "music": "music", "speech": "speech"},
    "rirs_noises": {
        "simulated_rirs": "simulated_rirs",
        "real_rirs": "real_rirs_isotropic_noises",
        "isotropic_noises": "real_rirs_isotropic_noises",
        "pointsource_noises": "pointsource_noises",
    },
}
NOISE_IN_NAME = "noise"


def noise_files(name: str, folder: Path) -> dict[str, list[Path]]:
    """The recordings of MUSAN or RIRS_NOISES by kind, sorted.

    Args:
        name: musan or rirs_noises.
        folder: `musan` or `RIRS_NOISES` as unpacked, or the folder that it was unpacked in.

    Returns:
        musan: noise, music, speech; rirs_noises: simulated_rirs, real_rirs, isotropic_noises and
        pointsource_noises.

    Raises:
        LaspaError: a folder that is not this corpus, or a part of it.
    """
    inner = noise_folder(name, folder)
    found = {}
    for kind, part in FOLDERS[name].items():
        files = sorted((inner / part).rglob("*.wav"))
        if part == "real_rirs_isotropic_noises":
            files = [file for file in files if (NOISE_IN_NAME in file.stem) == (kind == "isotropic_noises")]
        if not files:
            raise LaspaError(f"{inner / part}: no WAV of {kind}; delete {inner} and unpack {name} again")
        found[kind] = files
    return found


def noise_folder(name: str, folder: Path) -> Path:
    """`folder`, or the one in it or below, that has this corpus's folders.

    Raises:
        LaspaError: there is none.
    """
    parts = list(dict.fromkeys(FOLDERS[name].values()))
    for one in (folder, *sorted(folder.glob("*/")), *sorted(folder.glob("*/*/"))):
        if all((one / part).is_dir() for part in parts):
            return one
    raise LaspaError(
        f"{folder}: not {name}, which has the folders {', '.join(parts)}; run laspa corpus fetch {name}"
    )

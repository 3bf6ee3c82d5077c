"""MUSAN and RIRS_NOISES (OpenSLR 17 and 28), to be fetched; laspa/audio/noise_folders.py reads them."""

from laspa.corpora.corpus import CC_BY, Licence, RemoteFile, Source

MIRRORS = ("https://us.openslr.org", "https://openslr.elda.org", "https://openslr.magicdatatech.com")


def _open_slr(number: int, name: str, size: int, md5: str) -> RemoteFile:
    """An archive of OpenSLR, with the MD5 that is published beside it."""
    path = f"resources/{number}/{name}"
    mirrors = tuple(f"{mirror}/{path}" for mirror in MIRRORS)
    return RemoteFile(f"https://www.openslr.org/{path}", f"all/{name}", size, f"md5:{md5}", mirrors)


_MUSAN = _open_slr(17, "musan.tar.gz", 11_086_114_085, "0c472d4fc0c5141eca47ad1ffeb2a7df")
_RIRS = _open_slr(28, "rirs_noises.zip", 1_311_166_223, "e6f48e257286e05de56413b4779d8ffb")

MUSAN = Source(
    name="musan",
    licence=CC_BY,
    citation="Snyder, Chen and Povey, MUSAN: A Music, Speech, and Noise Corpus, arXiv 1510.08484, 2015",
    archives=lambda _: [[_MUSAN]],
)
RIRS_NOISES = Source(
    name="rirs_noises",
    licence=Licence("Apache 2.0", "https://www.apache.org/licenses/LICENSE-2.0"),
    citation="Ko et al., A study on data augmentation of reverberant speech for robust speech "
    "recognition, 2017",
    archives=lambda _: [[_RIRS]],
)

"""The folders of MUSAN and RIRS_NOISES: noises and rooms for augmentation, listed by kind."""

from pathlib import Path

from laspa.errors import LaspaError

# Folder by kind. Recordings of real rooms and of the noise in them share a folder; their names differ.
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
        files by the kinds of `FOLDERS[name]`.

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
    """The folder with this corpus's folders: `folder` itself, or one up to two levels below.

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

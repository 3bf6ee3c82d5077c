"""Corpora: each is one module that brings recordings under a folder and writes their index.

The index, index.csv, has the columns path, speaker, language, gender (f, m or empty) and split
(train, dev, test, or empty: then the manifest splits by speaker).
"""

from pathlib import Path

from laspa.params import Params

INDEX_COLUMNS = ["path", "speaker", "language", "gender", "split"]


def resolve(params: Params, raw: Path, root: Path, path: str) -> Path:
    """Where the recording stands that the index calls `path`.

    Args:
        raw: the folder of the index.
        root: what relative `folder.paths` and `download.folder` are relative to.
    """
    if params.corpus == "synthetic":
        return raw / path
    if params.corpus == "nisp":
        return root / params.download.folder / path
    number, _, rest = path.partition("/")
    return root / params.folder.paths[int(number)] / rest

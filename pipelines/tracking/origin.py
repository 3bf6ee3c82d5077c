"""What a run comes from: code, experiment and data, as tags and as MLflow's datasets."""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from laspa.files import sha256_file
from laspa.params import Params

MANIFEST, FEATURES, TRIALS = Path("data/manifest.parquet"), Path("data/features"), Path("data/trials")
DIGEST_CHARACTERS = 8  # of 64: as many as MLflow's own; its column shows all of them
REMOTE = re.compile(r"(https?|ssh|git)://|\w+@")  # what a browser may be able to open


class Dataset(NamedTuple):
    """A table that a run reads. context: training, validation or testing."""

    name: str
    path: Path
    digest: str
    context: str


def origin_tags(params: Params) -> dict[str, str]:
    """Code, experiment and data that a run comes from; what is not known is left out."""
    commit = git("rev-parse", "HEAD")
    tags = {"laspa.corpus": ", ".join(params.corpora), "mlflow.source.git.commit": commit, **_source_tags()}
    if commit:
        # What the pipeline itself writes into tracked files makes no difference to what a run computed.
        changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!dvc.lock", ":!reports")
        tags["laspa.git_dirty"] = str(bool(changed)).lower()
    tags |= {name: os.environ.get(name, "") for name in ("DVC_EXP_NAME", "DVC_EXP_BASELINE_REV")}
    tags |= {"laspa.corpus_sha256": _sha256(MANIFEST), "laspa.features_digest": _settings_digest()}
    return {name: value for name, value in tags.items() if value}


def datasets(*contexts: str) -> list[Dataset]:
    """The tables in data/ that are read for `contexts`; those that are missing are left out.

    The digest of the features is of the manifest and the settings that they were made with, since the files
    may be many gigabytes. That of a trial list is of its file.
    """
    manifest, settings = _sha256(MANIFEST), _settings_digest()
    features = hashlib.sha256(f"{manifest}{settings}".encode()).hexdigest() if manifest and settings else ""
    found = [
        Dataset("manifest", MANIFEST, manifest, "training"),
        Dataset("features", FEATURES, features, "training"),
        *(
            Dataset(f"trials/{split}", file, _sha256(file), context)
            for split, context in (("dev", "validation"), ("test", "testing"))
            if (file := TRIALS / f"{split}.parquet").exists()
        ),
    ]
    return [dataset for dataset in found if dataset.digest and dataset.context in contexts]


def log_datasets(client: Any, run_id: str, used: list[Dataset]) -> None:
    """Enter the tables as inputs of the run; entering one twice changes nothing."""
    from mlflow.entities import Dataset as Entity
    from mlflow.entities import DatasetInput, InputTag

    inputs = [
        DatasetInput(
            Entity(name, digest[:DIGEST_CHARACTERS], "local", json.dumps({"uri": path.as_posix()})),
            [InputTag("mlflow.data.context", context)],
        )
        for name, path, digest, context in used
    ]
    if inputs:
        client.log_inputs(run_id, inputs)


def git(*arguments: str) -> str:
    """Git's answer, or nothing where there is no git or no repository."""
    try:
        result = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return result.stdout.strip()


def _source_tags() -> dict[str, str]:
    """The script, and the repository where git knows an address of it: then MLflow links it."""
    script = Path(sys.argv[0]).resolve()
    here = Path.cwd()
    name = script.relative_to(here).as_posix() if script.is_relative_to(here) else script.name
    remote = git("remote", "get-url", "origin")
    if not REMOTE.match(remote):
        return {"mlflow.source.type": "LOCAL", "mlflow.source.name": name}
    url = remote.removesuffix(".git")
    return {
        "mlflow.source.type": "PROJECT",
        "mlflow.source.name": f"{url}#{name}",
        "mlflow.source.git.repoURL": url,
    }


def _sha256(path: Path) -> str:
    return sha256_file(path) if path.exists() else ""


def _settings_digest() -> str:
    """Digest of the settings of the mels, from the schema of the features."""
    shards = sorted(FEATURES.glob("*.parquet"))
    if not shards:
        return ""
    import pyarrow.parquet as pq

    metadata = pq.read_schema(shards[0]).metadata or {}
    return str(metadata.get(b"laspa.digest", b"").decode())

"""MLflow's registry of models: versions, their aliases, and the folders that they are loaded from."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from laspa.errors import LaspaError
from laspa.files import atomic_path, sha256_file
from laspa.models.saving import WEIGHTS_FILE
from laspa.redaction import without_credentials
from pipelines.tracking.logged_model import MODEL_ARTIFACT, NAME
from pipelines.tracking.runs import MODEL_TAG, open_store, tracking_uri
from pipelines.tracking.tracked_run import client_of, one_line

CHALLENGER, CHAMPION = "challenger", "champion"
ARTIFACTS = "artifacts"  # the folder of a pyfunc model with what it was saved with


def register(model: str = "data/model", name: str = NAME) -> str:
    """Make a version of the folder's model, as it was logged, with the alias challenger; what to say.

    Raises:
        LaspaError: no such model, one that was not logged, or a registry that is away.
    """
    weights = Path(model) / WEIGHTS_FILE
    if not weights.exists():
        raise LaspaError(f"{weights}: no such file; make the model (dvc repro), or name another by --model")
    digest = sha256_file(weights)
    with registry() as client:
        version = next((one for one in _versions(client, name) if one.tags.get(MODEL_TAG) == digest), None)
        if version is None:
            logged = _logged(client, digest)
            if logged is None:
                raise LaspaError(
                    f"{model}: MLflow at {_store()} has no model of these weights ({digest[:12]}); "
                    "log it (dvc repro --force --single-item model)"
                )
            if not client.search_registered_models(f"name = '{name}'"):
                client.create_registered_model(name)
            version = client.create_model_version(
                name,
                f"models:/{logged.model_id}",
                run_id=logged.source_run_id,
                model_id=logged.model_id,
                tags=dict(logged.tags),
            )
        client.set_registered_model_alias(name, CHALLENGER, version.version)
    return f"{name} version {version.version} is the challenger ({model}, {digest[:12]}); next: laspa promote"


def folder_of(address: str) -> Path:
    """The folder of a registered model's weights: `models:/NAME@ALIAS` or `models:/NAME/VERSION`.

    What is in a bucket or behind a server is fetched once, into the user's cache.

    Raises:
        LaspaError: another address, no such model, alias or version, or a registry that is away.
    """
    name, separator, wanted = address.removeprefix("models:/").partition("@")
    if not separator:
        name, separator, wanted = name.partition("/")
    if not name or not wanted:
        raise LaspaError(f"{address}: expected models:/NAME@ALIAS or models:/NAME/VERSION")
    with registry() as client:
        version = version_of(client, name, wanted)
        return fetch(client, version) / MODEL_ARTIFACT


def fetch(client: Any, version: Any) -> Path:
    """The folder with what the version was saved with; see `folder_of`."""
    import mlflow
    from mlflow.utils.file_utils import local_file_uri_to_path

    logged = version.source.removeprefix("models:/")  # the store keeps no id of the model but this
    location = str(client.get_logged_model(logged).artifact_location)
    if location.startswith(("file:", "/")):
        return Path(local_file_uri_to_path(location)) / ARTIFACTS
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "laspa/models" / logged
    if not cache.is_dir():
        with atomic_path(cache) as temporary:
            temporary.mkdir()
            found = mlflow.artifacts.download_artifacts(
                artifact_uri=f"{location.rstrip('/')}/{ARTIFACTS}",
                dst_path=str(temporary),
                tracking_uri=tracking_uri(),
            )
            assert Path(found) == temporary / ARTIFACTS
    return cache / ARTIFACTS


def version_of(client: Any, name: str, wanted: str) -> Any:
    """The version with an alias or number.

    Raises:
        LaspaError: there is none; says what there is.
    """
    from mlflow.exceptions import MlflowException

    versions = _versions(client, name)
    if not versions:
        raise LaspaError(f"{name}: no such registered model at {_store()}; enter one (laspa register)")
    try:
        if wanted.isdecimal():
            return client.get_model_version(name, wanted)
        return client.get_model_version_by_alias(name, wanted)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
    aliases = client.get_registered_model(name).aliases
    known = ", ".join([*aliases, *sorted(str(one.version) for one in versions)])
    remedy = {CHAMPION: "; make one (laspa promote)", CHALLENGER: "; enter one (laspa register)"}.get(
        wanted, ""
    )
    raise LaspaError(f"{name}: no alias or version {wanted!r}, it has {known}{remedy}")


@contextmanager
def registry() -> Iterator[Any]:
    """A client of the registry.

    Raises:
        LaspaError: it is away or refuses.
    """
    try:
        yield client_of(tracking_uri())
    except LaspaError:
        raise
    except Exception as error:  # of whatever kind the store's driver raises
        raise LaspaError(f"MLflow's registry at {_store()} does not answer: {one_line(error)}") from None


def _versions(client: Any, name: str) -> list[Any]:
    return list(client.search_model_versions(f"name = '{name}'"))


def _logged(client: Any, digest: str) -> Any:
    """The newest model of MLflow with these weights."""
    _, experiment = open_store()
    found = client.search_logged_models([experiment], filter_string=f"tags.`{MODEL_TAG}` = '{digest}'")
    ready = [one for one in found if str(one.status) == "READY"]
    return max(ready, key=lambda one: one.creation_timestamp, default=None)


def _store() -> str:
    return without_credentials(tracking_uri())

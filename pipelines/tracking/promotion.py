"""`laspa promote`: the challenger becomes the champion if it is not worse on the same test list."""

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from laspa.errors import LaspaError
from laspa.evaluation.comparison import Comparison, compare_parts
from laspa.trials.conditions import CONDITIONS
from pipelines.tracking.logged_model import LIST_TAG, NAME, SCORES_FILE
from pipelines.tracking.registry import CHALLENGER, CHAMPION, fetch, registry, version_of

GATED, WITH_MARGIN = "cross_same", "same_same"
RESAMPLES, SEED = 1000, 1  # as in the other comparisons
PREVIOUS = "previous"  # alias of the last champion, to go back to
FORCED_TAG, COMPARED_TAG = "laspa.promoted_by_force", "laspa.compared_with"
LOCK_SUFFIX, STALE_SECONDS = ".promotion-lock", 600  # a comparison takes seconds


def promote(name: str = NAME, margin: float = 0.005, force: bool = False) -> None:
    """Compare the challenger with the champion, print the table and why, and move the alias or not.

    Args:
        margin: how much higher the EER within a language may be, as a fraction.
        force: move the alias whatever the comparison says; the version gets a tag that says so.

    Raises:
        LaspaError: no challenger, another test list, a challenger that is worse, another promotion at the
            same time, or a registry that is away. The champion is then as it was.
    """
    with registry() as client:
        challenger = version_of(client, name, CHALLENGER)
        with _alone(client, name):
            aliases = client.get_registered_model(name).aliases
            if CHAMPION not in aliases:
                _move(client, name, challenger, None)
                print(f"{name} version {challenger.version} is the champion: it is the first")
                return
            champion = version_of(client, name, CHAMPION)
            if champion.version == challenger.version:
                print(f"{name} version {champion.version} is the champion already")
                return
            tags, why_not = {}, ""
            try:
                compared = compare_versions(client, champion, challenger)
            except LaspaError as error:
                if not force:
                    raise
                why_not = str(error)
            else:
                print(_table(champion, challenger, compared))
                why_not = reason_against(compared, margin)
                tags[COMPARED_TAG] = json.dumps(
                    {"version": champion.version, **{part: asdict(found) for part, found in compared.items()}}
                )
            if why_not and not force:
                raise LaspaError(
                    f"{name} version {challenger.version} does not replace version {champion.version}: "
                    f"{why_not}; --force replaces it all the same"
                )
            if why_not:
                tags[FORCED_TAG] = why_not
            _move(client, name, challenger, champion, tags)
    how = f"by force, although {why_not}" if why_not else "it is not worse"
    print(f"{name} version {challenger.version} is the champion, in place of {champion.version}: {how}")


def compare_versions(client: Any, champion: Any, challenger: Any) -> dict[str, Comparison]:
    """Paired bootstrap over speakers on the test list that both were measured on.

    Raises:
        LaspaError: they were measured on different lists.
    """
    first, second = (_scores(client, version) for version in (champion, challenger))
    lists = [(table.schema.metadata or {}).get(LIST_TAG.encode(), b"").decode() for table in (first, second)]
    if lists[0] != lists[1]:
        raise LaspaError(
            f"version {champion.version} was measured on the test list {lists[0][:12]}, version "
            f"{challenger.version} on {lists[1][:12]}; evaluate both on one list"
        )
    target, same = (first[column].to_numpy() for column in ("target", "same_language"))
    speakers = first["enroll_speaker"].to_numpy(), first["test_speaker"].to_numpy()
    parts = {condition: CONDITIONS[condition].mask(target, same) for condition in (GATED, WITH_MARGIN, "all")}
    scores, other = (table["score"].to_numpy() for table in (first, second))
    return compare_parts(scores, other, target, speakers, parts, RESAMPLES, SEED)


def reason_against(compared: dict[str, Comparison], margin: float) -> str:
    """Why the second must not replace the first; empty if it may."""
    reasons = [
        f"its EER {CONDITIONS[part].label} is {100 * compared[part].difference:.2f} points higher, "
        f"{100 * allowed:g} are allowed"
        for part, allowed in ((GATED, 0.0), (WITH_MARGIN, margin))
        if compared[part].difference > allowed
    ]
    return " and ".join(reasons)


def _table(champion: Any, challenger: Any, compared: dict[str, Comparison]) -> str:
    names = f"champion {champion.version}", f"challenger {challenger.version}"
    lines = [f"{'EER in %':<14} {names[0]:>13} {names[1]:>13} {'difference':>11}  95 % interval         p"]
    for part, found in compared.items():
        lines.append(f"{CONDITIONS[part].label:<14} {found.row(13)}")
    return "\n".join(lines)


def _scores(client: Any, version: Any) -> pa.Table:
    path = fetch(client, version) / SCORES_FILE
    if not path.exists():
        raise LaspaError(f"{path}: no such file; version {version.version} was not logged by the stage model")
    return pq.read_table(path)


def _move(client: Any, name: str, challenger: Any, champion: Any, tags: dict[str, str] | None = None) -> None:
    """Tags first, then the alias in one call: whoever reads it finds the old champion or the new one."""
    for tag, value in (tags or {}).items():
        client.set_model_version_tag(name, challenger.version, tag, value)
    client.set_registered_model_alias(name, CHAMPION, challenger.version)
    if champion is not None:
        client.set_registered_model_alias(name, PREVIOUS, champion.version)


@contextmanager
def _alone(client: Any, name: str) -> Iterator[None]:
    """Only one promotion of `name` at a time, on any machine: the lock is a registered model of its own.

    Raises:
        LaspaError: another promotion is running.
    """
    from mlflow.exceptions import MlflowException

    lock, mine = f"{name}{LOCK_SUFFIX}", f"{socket.gethostname()}:{os.getpid()}"
    for last_try in (False, True):
        try:
            client.create_registered_model(lock, description=mine)
            break
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            held = client.get_registered_model(lock)
            if last_try or time.time() - held.creation_timestamp / 1000 < STALE_SECONDS:
                raise LaspaError(
                    f"{name} is being promoted by {held.description}; run it again when that has ended"
                ) from None
            client.delete_registered_model(lock)  # of a promotion that was killed
    try:
        yield
    finally:
        client.delete_registered_model(lock)

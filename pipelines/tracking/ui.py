"""`make ui`: MLflow's pages of the tracked runs, and the link that opens them with the EERs as columns.

MLflow keeps what a page shows as a tag of the experiment, as its button Share does; the link names the tag.
"""

import json
import os
import subprocess
import sys
import time
import urllib.request
from typing import Any

from laspa.errors import LaspaError
from laspa.redaction import without_credentials
from laspa.trials.conditions import CONDITIONS
from pipelines import stage
from pipelines.tracking.runs import open_store, tracking_uri
from pipelines.tracking.tracked_run import one_line

HOST, PORT = "127.0.0.1", "5000"
VIEW = "eer"  # name of the kept view
EERS = [f"metrics.`eer/{condition}`" for condition in CONDITIONS]
OTHERS = [f"attributes.`{name}`" for name in ("Models", "Dataset", "Source")]
STATE = {
    "selectedColumns": EERS + OTHERS,
    "columnOrder": ["attributes.`Run Name`", "runDateAndNestInfo", *EERS, *OTHERS, "duration"],
    "columnWidths": {"attributes.`Run Name`": 190} | dict.fromkeys(EERS, 120) | {OTHERS[1]: 190},  # pixels
}
TAGS = {
    f"mlflow.sharedViewState.{VIEW}": json.dumps(STATE),
    "mlflow.experimentKind": "custom_model_development",  # Model training, not GenAI
}


def main() -> None:
    uri = tracking_uri()
    try:
        client, experiment = open_store()
        for name, value in TAGS.items():
            client.set_experiment_tag(experiment, name, value)
    except Exception as error:  # of whatever kind the store's driver raises
        raise LaspaError(f"MLflow at {without_credentials(uri)} does not answer: {one_line(error)}") from None
    if uri.startswith("http"):
        print(f"The runs are at {link(without_credentials(uri), experiment)}")
        return
    port = os.environ.get("PORT") or PORT
    # The store's URI goes through the environment, since it may hold a password.
    environment: dict[str, Any] = {**os.environ, "MLFLOW_BACKEND_STORE_URI": uri}
    server = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "ui", "--host", HOST, "--port", port], env=environment
    )
    address = f"http://{HOST}:{port}"
    while server.poll() is None and not _answers(f"{address}/health"):
        time.sleep(0.2)
    if server.poll() is None:
        print(f"\nThe runs, with their EERs: {link(address, experiment)}\n", flush=True)
    try:
        sys.exit(server.wait())
    except KeyboardInterrupt:  # the server has had it too
        server.wait()


def link(address: str, experiment: str) -> str:
    """The page of an experiment's runs, with the view that is kept as `VIEW`."""
    return (
        f"{address.rstrip('/')}/#/experiments/{experiment}/runs"
        f"?workflowType=machine_learning&viewStateShareKey={VIEW}"
    )


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False


if __name__ == "__main__":
    stage.run(main)

"""The registered champion on a Ray cluster: the answers and limits of `make serve`, from several replicas.

On a cluster's head, in the project's folder, with MLFLOW_TRACKING_URI at a server that all nodes reach:
    pip install 'laspa[serving]'
    serve run deploy.ray_serve:application replicas=2
Ray's proxy binds 127.0.0.1 unless told otherwise. docs/serving.md
"""

import os
from typing import Any

from ray import serve

from pipelines.serving.app import MODEL, MOST_IN_WORK, asgi_app

FORWARDED = ("MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")


def application(arguments: dict[str, Any]) -> serve.Application:
    """One deployment. Arguments: model, an address of the registry; replicas; cpus of each."""
    variables = {name: os.environ[name] for name in FORWARDED if name in os.environ}
    variables["MODEL"] = arguments.get("model", MODEL)
    replica = serve.deployment(
        serve.ingress(asgi_app)(),
        name="laspa",
        num_replicas=int(arguments.get("replicas", 1)),
        max_ongoing_requests=MOST_IN_WORK,
        max_queued_requests=2 * MOST_IN_WORK,  # then Ray answers 503
        ray_actor_options={
            "num_cpus": float(arguments.get("cpus", 1)),
            "runtime_env": {"env_vars": variables},
        },
    )
    return replica.bind()

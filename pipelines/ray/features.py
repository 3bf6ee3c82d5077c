"""Shards of features on a Ray cluster: one task per shard, with the function that local processes run.

Plain tasks, not Ray Data: that decides by itself how rows are divided into blocks and files, while a shard
must have the same bytes wherever it is computed.
"""

from collections.abc import Iterator

from laspa.errors import LaspaError
from laspa.features.extraction import Shard, compute_shard

AHEAD = 2  # tasks in Ray's queue for each CPU: a free one finds work, and the queue stays short


def ray_engine(shards: list[Shard]) -> Iterator[None]:
    """Run `compute_shard` on each, on the cluster that RAY_ADDRESS names or on a local one of Ray.

    Every node must see the recordings and the project's folder under the paths of this machine.

    Raises:
        LaspaError: a cluster that does not answer, a task whose node is gone for good, or what
            `compute_shard` raises.
    """
    import ray  # here, not above: only this engine needs it

    from pipelines.ray.session import ray_session

    try:
        with ray_session({}, {}):
            task = ray.remote(num_cpus=1, max_retries=2)(_compute_shard)
            waiting = [_absolute(shard) for shard in shards]
            running: list[ray.ObjectRef] = []
            most = AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))
            while waiting or running:
                while waiting and len(running) < most:
                    running.append(task.remote(waiting.pop(0)))
                done, running = ray.wait(running)
                for problem in ray.get(done):
                    if problem:
                        # As with local processes, shards that have been started are finished and kept.
                        if running:
                            ray.wait(running, num_returns=len(running))
                        raise LaspaError(problem)
                    yield
    except ray.exceptions.RayError as error:
        reason = str(error).strip().splitlines()[-1]
        raise LaspaError(
            f"features: a task on Ray failed ({reason}); finished shards are kept, run again to resume"
        ) from None


def _compute_shard(shard: Shard) -> str:
    """What is wrong with the input, or nothing: an exception would come back wrapped in Ray's own."""
    try:
        compute_shard(shard)
    except LaspaError as error:
        return str(error)
    return ""


def _absolute(shard: Shard) -> Shard:
    """With paths that do not depend on a worker's folder."""
    utterances = [one._replace(path=one.path.absolute()) for one in shard.utterances]
    cached = [place and place._replace(shard=place.shard.absolute()) for place in shard.cached]
    return shard._replace(path=shard.path.absolute(), utterances=utterances, cached=cached)

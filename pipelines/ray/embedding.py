"""Embeddings of very many recordings on Ray Data: actors that hold the model write whole shards.

A row of the data set is a shard, so that files and bytes are those of one process, however Ray schedules.
"""

import logging
import threading
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from laspa.errors import LaspaError
from laspa.recogniser.shards import Job, Shard, embed_shard

ENDING_SECONDS = 60.0  # for Ray Data to end after an error; it takes some seconds


def ray_engine(job: Job, shards: list[Shard]) -> Iterator[None]:
    """Run `embed_shard` on each, on the cluster that RAY_ADDRESS names or on a local one of Ray.

    Every node must see the model, the recordings and the output folder under the paths of this machine. The
    shards of a node that goes away are computed by others.

    Raises:
        LaspaError: a cluster that does not answer or gives up, or what `embed_shard` raises.
    """
    import ray  # here, not above: only this engine needs it

    from pipelines.ray.session import ray_session

    try:
        with ray_session({}, {}):
            context = ray.data.DataContext.get_current()
            context.enable_progress_bars = False  # we show our own
            context.print_on_execution_start = False
            logging.getLogger("ray.data").setLevel(logging.ERROR)
            most = min(len(shards), max(1, int(ray.cluster_resources().get("CPU", 1))))
            rows = [shard._asdict() for shard in shards]
            done = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
                _Embedder,
                fn_constructor_args=(asdict(job),),
                batch_size=1,
                batch_format="pandas",
                num_cpus=1,
                compute=ray.data.ActorPoolStrategy(min_size=1, max_size=most),
            )
            results = iter(done.iter_rows())
            try:
                for row in results:
                    if row["problem"]:
                        raise LaspaError(row["problem"])
                    yield
            finally:
                results.close()
                del results
                _wait_for_ray_data()
    except ray.exceptions.RayError as error:
        reason = str(error).strip().splitlines()[-1]
        raise LaspaError(
            f"embed: Ray failed ({reason}); finished shards are kept, run again to resume"
        ) from None


def _wait_for_ray_data() -> None:
    """Wait for Ray Data's threads: one that calls Ray after it was left ends the process without a word."""
    for thread in threading.enumerate():
        if thread.name.startswith("StreamingExecutor"):
            thread.join(ENDING_SECONDS)


class _Embedder:
    """An actor: the model is loaded once."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.job = Job(**job)
        self.recogniser = self.job.recogniser(threads=1)

    def __call__(self, batch: Any) -> dict[str, list[str]]:
        """What is wrong with a recording, or nothing: an exception would come back wrapped in Ray's own."""
        problems = []
        for path, names, recordings in zip(batch["path"], batch["names"], batch["recordings"], strict=True):
            try:
                embed_shard(Shard(path, list(names), list(recordings)), self.recogniser, self.job)
                problems.append("")
            except LaspaError as error:
                problems.append(str(error))
        return {"problem": problems}

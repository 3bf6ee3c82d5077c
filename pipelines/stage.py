"""What every stage script shares: how it starts, and how bad input is shown."""

import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from laspa.errors import LaspaError, system_fault
from laspa.params import Params, with_overrides
from laspa.terminal import show_any_name

PARAMS_FILE = Path("params.yaml")
WATCH_SECONDS = 1.0
ADOPTING = ("systemd", "init")


def run(main: Callable[[], None]) -> None:
    """Run a stage; bad input, a full disk and Ctrl-C end it with one clear line and status 1."""
    end_with_dvc()
    show_any_name()
    try:
        main()
    except LaspaError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted; run again to resume")
    except Exception as error:
        if not (fault := system_fault(error)):
            raise
        missing = isinstance(error, FileNotFoundError)
        remedy = "make it (dvc repro) and" if missing else "nothing half-written was kept, mend this and"
        sys.exit(f"error: {fault}; {remedy} run again")


def argument(script: str, name: str) -> str:
    """The one argument of a stage's command, such as the system that it trains."""
    if len(sys.argv) != 2:
        raise LaspaError(f"usage: python -m pipelines.{script} {name}")
    return sys.argv[1]


def from_root(params: Params) -> Params:
    """The params with the model to start from as an absolute path: it is relative to the checkout.

    Raises:
        LaspaError: no model is there.
    """
    if not params.train.weights_from:
        return params
    from laspa.models.saving import WEIGHTS_FILE  # here, since it brings torch

    folder = (project_root() / params.train.weights_from).resolve()
    if not (folder / WEIGHTS_FILE).is_file():
        raise LaspaError(
            f"params.yaml: train.weights_from is {params.train.weights_from!r}, but {folder} holds no "
            f"{WEIGHTS_FILE}; name the folder of a saved model, absolute or relative to the checkout"
        )
    return with_overrides(params, {"train.weights_from": str(folder)})


def dvc_process() -> psutil.Process | None:
    """The process of DVC that runs this stage, the nearest that is not in the stage; None if unknown."""
    name = os.environ.get("DVC_STAGE")
    if name is None:
        return None
    with suppress(psutil.Error):  # gone
        return next((one for one in psutil.Process().parents() if _stage_of(one) != name), None)
    return None


def _stage_of(process: psutil.Process) -> str | None:
    with suppress(psutil.AccessDenied):  # another user's, such as the machine's first
        return process.environ().get("DVC_STAGE")
    return None


def end_with_dvc() -> None:
    """End this stage and its processes when its DVC was killed: the next one would meet them."""
    if (dvc := dvc_process()) is None:
        return
    # What adopts a process whose parent is gone: DVC was killed while Python started.
    if (dvc.pid == 1 or dvc.name() in ADOPTING) and "dvc" not in " ".join(dvc.cmdline()):
        sys.exit("error: the DVC that started this stage is gone; run again")

    def watch() -> None:
        with suppress(psutil.NoSuchProcess):
            while dvc.is_running() and dvc.status() != psutil.STATUS_ZOMBIE:
                time.sleep(WATCH_SECONDS)
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        os._exit(1)

    threading.Thread(target=watch, name="DVC's end", daemon=True).start()


def project_root() -> Path:
    """The checkout that the user works in, also from inside a `dvc exp run --temp` workspace.

    DVC runs temporary experiments under ROOT/.dvc/tmp/exps/NAME; what all experiments share
    (the MLflow database, relative corpus folders) belongs to ROOT.
    """
    here = Path(os.environ.get("DVC_ROOT") or Path.cwd()).resolve()
    for parent in here.parents:
        if parent.parts[-3:] == (".dvc", "tmp", "exps"):
            return parent.parents[2]
    return here

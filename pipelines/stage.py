"""What every stage script shares: how it starts, and how bad input is shown."""

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path

from laspa.errors import LaspaError
from laspa.terminal import show_any_name

PARAMS_FILE = Path("params.yaml")


def run(main: Callable[[], None]) -> None:
    """Run a stage; bad input, a full disk and Ctrl-C end it with one clear line and status 1."""
    show_any_name()
    try:
        main()
    except LaspaError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        sys.exit(f"error: {_reason(error)}; nothing half-written was kept, run again when it is mended")
    except KeyboardInterrupt:
        sys.exit("interrupted; run again to resume")
    except Exception as error:  # some libraries wrap the system's errors in their own
        if os.strerror(errno.ENOSPC) not in str(error):
            raise
        sys.exit("error: the disk is full; nothing half-written was kept, make room and run again")


def argument(script: str, name: str) -> str:
    """The one argument of a stage's command, such as the system that it trains."""
    if len(sys.argv) != 2:
        raise LaspaError(f"usage: python -m pipelines.{script} {name}")
    return sys.argv[1]


def _reason(error: OSError) -> str:
    """What failed and why; pyarrow's errors are only a message, and of a missing file only its name."""
    if error.strerror:
        return f"{error.filename or 'writing'}: {error.strerror}"
    return f"{error}: no such file" if isinstance(error, FileNotFoundError) else " ".join(str(error).split())


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

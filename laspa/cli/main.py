"""The command `laspa`: score files, trial lists and comparisons of any toolkit, without the pipeline."""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from laspa.arithmetic import use_arithmetic
from laspa.errors import LaspaError

# Nothing heavy is imported here, so that `laspa --help` answers at once: each command names the function
# that runs it, and its module is imported only then.

DEFAULT_RESAMPLES = 1000
FEWEST_RESAMPLES = 100  # for the ends of a 95 % interval
BAD_INPUT = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; bad input ends it with one line on standard error and status 1."""
    options = _parser().parse_args(arguments)
    try:
        use_arithmetic(Path(getattr(options, "params", None) or "params.yaml"))  # before numpy is loaded
        module, function = options.run.split(":")
        getattr(importlib.import_module(module), function)(options)
        sys.stdout.flush()
    except LaspaError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    except BrokenPipeError:  # as in `laspa metrics … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        print(f"error: {error.filename or 'writing'}: {error.strerror}", file=sys.stderr)
        return BAD_INPUT
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="laspa", description=__doc__)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_evaluation(commands)
    _add_tune(commands)
    _add_corpus(commands)
    return parser


def _command(commands: Any, run: str, text: str, description: str = "", **options: Any) -> Any:
    """Add a command that runs MODULE:FUNCTION of laspa.cli and has the function's name; its parser."""
    description = description or f"{text[0].upper()}{text[1:]}."
    name = run.partition(":")[2]
    command = commands.add_parser(name, help=text, description=description, **options)
    command.set_defaults(run=f"laspa.cli.{run}")
    return command


def _add_evaluation(commands: Any) -> None:
    shared = [argparse.ArgumentParser(add_help=False) for _ in range(4)]
    labels, lists, models, speakers = shared
    labels.add_argument("--trials", metavar="LIST", help="the labels, where the score file has none")
    lists.add_argument("--format", help="of the list: voxceleb, kaldi, cnceleb or unlabelled; else told")
    lists.add_argument(
        "--keep-duplicates", action="store_true", help="count a trial as often as it is listed"
    )
    models.add_argument("--models", metavar="MAP", help="utterances of each model: `model utterance …`")
    add = speakers.add_argument
    add("--manifest", metavar="PARQUET", help="speakers, languages and genders")
    add("--languages", metavar="CSV", help="languages of utterances: `filename,label`")
    add(
        "--speaker-separator", default="/", metavar="TEXT", help="without a manifest: ends the speaker's name"
    )
    resamples = f"resamples of the speakers; 0 for no interval (default {DEFAULT_RESAMPLES})"
    add("--bootstrap", type=_resamples, default=DEFAULT_RESAMPLES, metavar="N", help=resamples)
    add("--seed", type=int, default=1, help="of the resamples")
    parts = ("condition", "language-pair", "gender", "seen")
    by = "measure parts of the list too; may be given several times"
    add("--by", action="append", default=[], choices=parts, help=by)
    add("--json", action="store_true", help="print JSON, rates as fractions of 1")

    command = _command(
        commands,
        "evaluation:metrics",
        "error rates of a score file",
        "EER, minDCF, minCllr and FRR at fixed FAR, with intervals over speakers.",
        parents=shared,
    )
    add = command.add_argument
    add("scores", metavar="SCORES", help="text `enroll test score [label]`, or Parquet")
    ratios = command.add_mutually_exclusive_group()
    ratios.add_argument("--llr", action="store_true", help="scores are natural log likelihood ratios")
    ratios.add_argument("--calibrate", metavar="DEV_SCORES", help="fit the calibration on these scores")
    add("--calibrate-trials", metavar="LIST", help="labels of DEV_SCORES, if it has none")

    add = _command(
        commands,
        "evaluation:compare",
        "two systems on the same trials",
        "The difference of two EERs, by a paired bootstrap over speakers.",
        parents=shared,
    ).add_argument
    add("first", metavar="A", help="score file of the first system")
    add("second", metavar="B", help="score file of the second system")

    add = _command(
        commands,
        "evaluation:score",
        "cosine scores of a trial list",
        "Cosines of a list's trials; AS-norm with a cohort of training speakers.",
        parents=[lists, models],
    ).add_argument
    add("--embeddings", required=True, metavar="PARQUET", help="columns utterance_id, vector")
    add("--trials", required=True, metavar="LIST")
    add("--output", required=True, metavar="FILE", help=".parquet, else text")
    add("--cohort", metavar="PARQUET", help="AS-norm with these embeddings of training data")
    add("--cohort-top", type=_count, metavar="N", help="nearest cohort speakers that count")
    add("--manifest", metavar="PARQUET", help="speakers and splits, needed by --cohort")

    add = _command(
        commands,
        "evaluation:trials",
        "draw a trial list",
        "Draw trials from a split, within a language and across, balanced, by seed.",
    ).add_argument
    add("manifest", metavar="MANIFEST", help="Parquet: utterance_id, speaker, language, …")
    add("--split", default="test", help="default: test")
    add("--output", required=True, metavar="FILE", help=".parquet, else text")
    add("--format", default="voxceleb", help="of a text file: voxceleb, kaldi or unlabelled")
    add("--per-group", type=_count, default=10_000, help="at most, of each kind of trial")
    add("--any-gender", action="store_true", help="non-targets across genders too")
    add("--seed", type=int, default=1)


def _add_tune(commands: Any) -> None:
    about = "Without an action: run the sweep of params.yaml in this checkout, or resume it."
    command = _command(commands, "tune:tune", "search for hyperparameters, and use what was found", about)
    actions = command.add_subparsers(title="actions", metavar="ACTION")
    confirm = "retrain the best with several seeds beside the current params, and compare on test"
    _command(actions, "tune:confirm", confirm)
    for name, text in (
        ("apply", "write the best params into params.yaml, keeping its comments"),
        ("show", "print the dvc exp run command that tries the best params"),
    ):
        add = _command(actions, f"tune:{name}", text).add_argument
        add("--best", default="reports/tune/best.yaml", metavar="YAML", help="of the sweep")
        add("--params", default="params.yaml", metavar="YAML", help="the project's params")


def _add_corpus(commands: Any) -> None:
    command = commands.add_parser(
        "corpus",
        help="corpora: what is fetched of them, and a check on real speech",
        description="What fetching a corpus will bring, the fetching itself, and a check of a trained model.",
    )
    actions = command.add_subparsers(title="actions", required=True, metavar="ACTION")
    fetched = "nisp, voxceleb1, voxceleb2, musan or rirs_noises"
    for name, text, which in (
        ("plan", "addresses, sizes and checksums that are known, without using the network", fetched),
        ("fetch", "fetch and unpack it, or what is missing of it", fetched),
        (
            "check",
            "how near a trained model puts one person in two languages, and others",
            "a corpus that is on disk, such as asterisk",
        ),
    ):
        add = _command(actions, f"corpus:{name}", text).add_argument
        add("name", metavar="NAME", help=which)
        add("--params", default="params.yaml", metavar="YAML", help="the project's params")
    add("--model", default="data/model", metavar="FOLDER", help="as train saves it")
    add("--json", action="store_true", help="print JSON")


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} should be a whole number of 1 or more")
    return int(text)


def _resamples(text: str) -> int:
    if text != "0" and (not text.isdecimal() or int(text) < FEWEST_RESAMPLES):
        raise argparse.ArgumentTypeError(f"{text!r} should be 0, or {FEWEST_RESAMPLES} or more")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())

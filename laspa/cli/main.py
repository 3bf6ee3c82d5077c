"""The command `laspa`: score files, trial lists and comparisons of any toolkit, without the pipeline."""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

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
    _add_metrics(commands)
    _add_compare(commands)
    _add_score(commands)
    _add_trials(commands)
    _add_tune(commands)
    _add_corpus(commands)
    return parser


Commands = argparse._SubParsersAction  # argparse has no public name for what add_subparsers returns


def _add_metrics(commands: "Commands[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "metrics",
        help="error rates of a score file",
        description="EER, minDCF, minCllr and FRR at fixed FAR, with intervals over speakers.",
    )
    command.add_argument("scores", metavar="SCORES", help="text `enroll test score [label]`, or Parquet")
    _add_list_options(command)
    _add_speaker_options(command)
    ratios = command.add_mutually_exclusive_group()
    ratios.add_argument("--llr", action="store_true", help="scores are natural log likelihood ratios")
    ratios.add_argument("--calibrate", metavar="DEV_SCORES", help="fit the calibration on these scores")
    command.add_argument("--calibrate-trials", metavar="LIST", help="labels of DEV_SCORES, if it has none")
    command.add_argument("--json", action="store_true", help="print JSON, rates as fractions of 1")
    command.set_defaults(run="laspa.cli.evaluation:metrics")


def _add_compare(commands: "Commands[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "compare",
        help="two systems on the same trials",
        description="The difference of two EERs, by a paired bootstrap over speakers.",
    )
    command.add_argument("first", metavar="A", help="score file of the first system")
    command.add_argument("second", metavar="B", help="score file of the second system")
    _add_list_options(command)
    _add_speaker_options(command)
    command.add_argument("--json", action="store_true", help="print JSON, rates as fractions of 1")
    command.set_defaults(run="laspa.cli.evaluation:compare")


def _add_score(commands: "Commands[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "score",
        help="cosine scores of a trial list",
        description="Cosines of a list's trials; AS-norm with a cohort of training speakers.",
    )
    command.add_argument(
        "--embeddings", required=True, metavar="PARQUET", help="columns utterance_id, vector"
    )
    command.add_argument("--trials", required=True, metavar="LIST")
    command.add_argument("--output", required=True, metavar="FILE", help=".parquet, else text")
    command.add_argument("--models", metavar="MAP", help="utterances of each model: `model utterance …`")
    command.add_argument("--cohort", metavar="PARQUET", help="AS-norm with these embeddings of training data")
    command.add_argument("--cohort-top", type=_count, metavar="N", help="nearest cohort speakers that count")
    command.add_argument("--manifest", metavar="PARQUET", help="speakers and splits, asked for by --cohort")
    _add_format_options(command)
    command.set_defaults(run="laspa.cli.evaluation:score")


def _add_trials(commands: "Commands[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "trials",
        help="draw a trial list",
        description="Draw trials from a split, within a language and across, balanced, by seed.",
    )
    command.add_argument("manifest", metavar="MANIFEST", help="Parquet: utterance_id, speaker, language, …")
    command.add_argument("--split", default="test", help="default: test")
    command.add_argument("--output", required=True, metavar="FILE", help=".parquet, else text")
    command.add_argument("--format", default="voxceleb", help="of a text file: voxceleb, kaldi or unlabelled")
    command.add_argument("--per-group", type=_count, default=10_000, help="at most, of each kind of trial")
    command.add_argument("--any-gender", action="store_true", help="non-targets across genders too")
    command.add_argument("--seed", type=int, default=1)
    command.set_defaults(run="laspa.cli.evaluation:trials")


def _add_tune(commands: "Commands[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "tune",
        help="search for hyperparameters, and use what was found",
        description="Without an action: run the sweep of params.yaml in this checkout, or go on with it.",
    )
    command.set_defaults(run="laspa.cli.tune:search")
    actions = command.add_subparsers(title="actions", metavar="ACTION")
    confirm = "retrain the best with several seeds beside the params as they stand, and compare on test"
    action = actions.add_parser("confirm", help=confirm, description=f"{confirm[0].upper()}{confirm[1:]}.")
    action.set_defaults(run="laspa.cli.tune:confirm")
    for name, what in (
        ("apply", "write the best params into params.yaml, keeping its comments"),
        ("show", "print the dvc exp run command that tries the best params"),
    ):
        action = actions.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
        action.add_argument("--best", default="reports/tune/best.yaml", metavar="YAML", help="of the sweep")
        action.add_argument("--params", default="params.yaml", metavar="YAML", help="the project's params")
        action.set_defaults(run=f"laspa.cli.tune:{name}")


def _add_corpus(commands: "Commands[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "corpus",
        help="corpora: what is fetched of them, and a check on real speech",
        description="What fetching a corpus will bring, the fetching itself, and a check of a trained model.",
    )
    actions = command.add_subparsers(title="actions", required=True, metavar="ACTION")
    for name, what in (
        ("plan", "addresses, sizes and checksums that are known, without a word to the network"),
        ("fetch", "fetch and unpack it, or what is missing of it"),
    ):
        action = actions.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
        action.add_argument("name", metavar="NAME", help="nisp, voxceleb1, voxceleb2, musan or rirs_noises")
        action.add_argument("--params", default="params.yaml", metavar="YAML", help="the project's params")
        action.set_defaults(run=f"laspa.cli.corpus:{name}")
    what = "how near a trained model puts one person in two languages, and others"
    action = actions.add_parser("check", help=what, description=f"{what[0].upper()}{what[1:]}.")
    action.add_argument("name", metavar="NAME", help="a corpus that is on disk, such as asterisk")
    action.add_argument("--model", default="data/model", metavar="FOLDER", help="as train saves it")
    action.add_argument("--params", default="params.yaml", metavar="YAML", help="the project's params")
    action.add_argument("--json", action="store_true", help="print JSON")
    action.set_defaults(run="laspa.cli.corpus:check")


def _add_format_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--format", help="of the list: voxceleb, kaldi, cnceleb or unlabelled; else told")
    command.add_argument(
        "--keep-duplicates", action="store_true", help="count a trial that comes twice twice"
    )


def _add_list_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--trials", metavar="LIST", help="the labels, where the score file has none")
    _add_format_options(command)


def _add_speaker_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--manifest", metavar="PARQUET", help="speakers, languages and genders")
    command.add_argument("--languages", metavar="CSV", help="languages of utterances: `filename,label`")
    command.add_argument("--models", metavar="MAP", help="utterances of each model: `model utterance …`")
    command.add_argument(
        "--speaker-separator", default="/", metavar="TEXT", help="without a manifest: ends the speaker's name"
    )
    command.add_argument(
        "--bootstrap",
        type=_resamples,
        default=DEFAULT_RESAMPLES,
        metavar="N",
        help=f"resamples of the speakers; 0 for no interval (default {DEFAULT_RESAMPLES})",
    )
    command.add_argument("--seed", type=int, default=1, help="of the resamples")
    command.add_argument(
        "--by",
        action="append",
        default=[],
        choices=("condition", "language-pair", "gender", "seen"),
        help="measure parts of the list too; may be given several times",
    )


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

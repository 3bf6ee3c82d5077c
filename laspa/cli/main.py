"""The command `laspa`: recordings embedded and compared; score files and trial lists of any toolkit."""

import argparse
import importlib
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from laspa.arithmetic import use_arithmetic
from laspa.errors import LaspaError, system_fault
from laspa.terminal import show_any_name

# Nothing heavy is imported here, so that `laspa --help` answers at once: each command names the function
# that runs it, and its module is imported only then.

DEFAULT_RESAMPLES = 1000
FEWEST_RESAMPLES = 100  # for the ends of a 95 % interval
BAD_INPUT = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command: its status, mostly 0; bad input ends it with one line on standard error and status 2."""
    show_any_name()
    options = command_parser().parse_args(arguments)
    status: int | None = None
    try:
        use_arithmetic(Path(getattr(options, "params", None) or "params.yaml"))  # before numpy is loaded
        module, function = options.run.split(":")
        status = getattr(importlib.import_module(module), function)(options)
        sys.stdout.flush()
    except LaspaError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    except ModuleNotFoundError as error:
        if not (extra := extra_with(error.name or "")):
            raise
        print(f"error: this needs {error.name}: pip install 'laspa[{extra}]'", file=sys.stderr)
        return BAD_INPUT
    except BrokenPipeError:  # as in `laspa metrics … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        if not (fault := system_fault(error)):
            raise
        print(f"error: {fault}", file=sys.stderr)
        return BAD_INPUT
    return status or 0


def extra_with(module: str) -> str | None:
    """The first extra of laspa that brings a module, by the metadata of the installed package."""
    from importlib.metadata import requires

    wanted = module.partition(".")[0].lower().replace("_", "-")
    for requirement in requires("laspa") or []:
        package = re.match(r"[\w-]+", requirement)
        extra = re.search(r"extra == ['\"](.+)['\"]", requirement)
        if package and extra and package[0] == wanted:
            return extra[1]
    return None


def command_parser() -> argparse.ArgumentParser:
    """The parser of `laspa` and its commands."""
    parser = argparse.ArgumentParser(prog="laspa", description=__doc__)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_recogniser(commands)
    _add_evaluation(commands)
    _add_export(commands)
    _add_tune(commands)
    _add_corpus(commands)
    _add_models(commands)
    _add_backend(commands)
    _add_registry(commands)
    return parser


def _command(commands: Any, run: str, text: str, description: str = "", **options: Any) -> Any:
    """Add a command that runs MODULE:FUNCTION of laspa.cli and has the function's name; its parser."""
    description = description or f"{text[0].upper()}{text[1:]}."
    name = run.partition(":")[2].removesuffix("_model")
    command = commands.add_parser(name, help=text, description=description, **options)
    command.set_defaults(run=f"laspa.cli.{run}")
    return command


def _group(commands: Any, name: str, text: str, description: str) -> Any:
    """Add a command whose actions are commands; what adds them."""
    command = commands.add_parser(name, help=text, description=description)
    return command.add_subparsers(title="actions", required=True, metavar="ACTION")


def _add_recogniser(commands: Any) -> None:
    shared = argparse.ArgumentParser(add_help=False)
    add = shared.add_argument
    add("--model", default="data/model", metavar="FOLDER", help="or an ONNX file; default: data/model")
    add("--device", default="auto", choices=("auto", "cpu", "cuda"))
    names = ("3d-speaker", "wespeaker", "speechbrain", "redimnet", "nemo", "waveform")
    reads = "what an ONNX file of another toolkit reads, if it does not say so"
    add("--front-end", choices=names, help=reads)
    add("--channel", type=_channel, metavar="N", help="the channel to hear, from 1, or mix for their mean")
    add("--vad", default="energy", choices=("energy", "silero", "none"), help="what leaves out silence")

    parents = [shared]
    about = "A table of utterance_id and vector, for files, all recordings of a folder, or a manifest."
    text = "embeddings of recordings"
    add = _command(commands, "recogniser:embed", text, about, parents=parents).add_argument
    add("sources", nargs="+", metavar="FILE", help="recordings, a folder, or a manifest (.parquet or .csv)")
    add("--output", required=True, metavar="PARQUET", help="or a folder, for shards that a run can resume")
    engines = "what computes shards: this process, or Ray (RAY_ADDRESS names a cluster)"
    add("--engine", default="local", choices=("local", "ray"), help=engines)
    add("--shard-size", type=_count, default=1000, metavar="N", help="recordings in a shard (default 1000)")
    add("--root", default=".", metavar="FOLDER", help="that the paths of a manifest start from")
    bad = "fail, or skip: list bad recordings in OUTPUT.skipped.csv"
    add("--on-bad-audio", default="fail", choices=("fail", "skip"), help=bad)

    about = "Exit status: 0 the same speaker, 1 different speakers, 2 bad input."
    text = "whether two recordings are of one speaker"
    command = _command(commands, "recogniser:verify", text, about, parents=parents)
    add = command.add_argument
    add("first", metavar="A")
    add("second", metavar="B")
    limits = command.add_mutually_exclusive_group()
    limits.add_argument("--threshold", type=float, metavar="T", help="of the score, the cosine")
    far = "the threshold with this rate of false acceptances, such as 0.01; default: equal error rates"
    limits.add_argument("--far", type=float, metavar="RATE", help=far)
    correction = "a file of laspa backend fit: scores, calibration and thresholds of it"
    add("--backend", metavar="FILE", help=correction)
    add("--prior", type=float, default=0.5, metavar="P", help="of one speaker before listening; default 0.5")
    add("--json", action="store_true", help="print JSON")

    text = "enrol a speaker from recordings"
    add = _command(commands, "recogniser:enrol", text, parents=parents).add_argument
    add("store", metavar="STORE", help="a Parquet file, made if it does not exist")
    add("name", metavar="NAME")
    add("files", nargs="+", metavar="FILE")
    add("--replace", action="store_true", help="the embedding of a name that is enrolled already")

    text = "the enrolled speakers nearest to a recording"
    add = _command(commands, "recogniser:identify", text, parents=parents).add_argument
    add("store", metavar="STORE")
    add("file", metavar="FILE")
    add("--top", type=_count, default=5, metavar="N", help="how many; default 5")
    add("--backend", metavar="FILE", help=correction)
    add("--json", action="store_true", help="print JSON")


def _add_evaluation(commands: Any) -> None:
    shared = [argparse.ArgumentParser(add_help=False) for _ in range(4)]
    labels, lists, models, speakers = shared
    labels.add_argument("--trials", metavar="LIST", help="the labels, where the score file has none")
    lists.add_argument("--format", help="of the list: voxceleb, kaldi, cnceleb or unlabelled; else told")
    again = "count a trial as often as it is listed"
    lists.add_argument("--keep-duplicates", action="store_true", help=again)
    models.add_argument("--models", metavar="MAP", help="utterances of each model: `model utterance …`")
    add = speakers.add_argument
    add("--manifest", metavar="FILE", help="Parquet or CSV: speakers, languages and genders")
    add("--languages", metavar="CSV", help="languages of utterances: `filename,label`")
    ends = "without a manifest: ends the speaker's name"
    add("--speaker-separator", default="/", metavar="TEXT", help=ends)
    resamples = f"resamples of the speakers; 0 for no interval (default {DEFAULT_RESAMPLES})"
    add("--bootstrap", type=_resamples, default=DEFAULT_RESAMPLES, metavar="N", help=resamples)
    add("--seed", type=int, default=1, help="of the resamples")
    parts = ("condition", "language-pair", "gender", "seen")
    by = "measure parts of the list too; may be given several times"
    add("--by", action="append", default=[], choices=parts, help=by)
    add("--json", action="store_true", help="print JSON, rates as fractions of 1")

    about = "EER, minDCF, minCllr and FRR at fixed FAR, with intervals over speakers."
    command = _command(commands, "evaluation:metrics", "error rates of a score file", about, parents=shared)
    add = command.add_argument
    add("scores", metavar="SCORES", help="text `enroll test score [label]`, or Parquet")
    ratios = command.add_mutually_exclusive_group()
    ratios.add_argument("--llr", action="store_true", help="scores are natural log likelihood ratios")
    ratios.add_argument("--calibrate", metavar="DEV_SCORES", help="fit the calibration on these scores")
    add("--calibrate-trials", metavar="LIST", help="labels of DEV_SCORES, if it has none")

    about = "The difference of two EERs, by a paired bootstrap over speakers."
    text = "two systems on the same trials"
    add = _command(commands, "evaluation:compare", text, about, parents=shared).add_argument
    add("first", metavar="A", help="score file of the first system")
    add("second", metavar="B", help="score file of the second system")

    about = "Cosines of a list's trials; AS-norm with a cohort of training speakers."
    text, parents = "cosine scores of a trial list", [lists, models]
    add = _command(commands, "evaluation:score", text, about, parents=parents).add_argument
    add("--embeddings", required=True, metavar="PARQUET", help="columns utterance_id, vector")
    add("--trials", required=True, metavar="LIST")
    add("--output", required=True, metavar="FILE", help=".parquet, else text")
    add("--cohort", metavar="PARQUET", help="AS-norm with these embeddings of training data")
    add("--cohort-top", type=_count, metavar="N", help="nearest cohort speakers that count")
    add("--manifest", metavar="FILE", help="speakers and splits, needed by --cohort; languages")
    add("--backend", metavar="FILE", help="score by what `laspa backend fit` has learnt")

    about = "Draw trials from a split, within a language and across, balanced, by seed."
    add = _command(commands, "evaluation:trials", "draw a trial list", about).add_argument
    add("manifest", metavar="MANIFEST", help="Parquet or CSV: utterance_id, speaker, language, …")
    add("--split", default="test", help="default: test, which is all where there are no splits")
    add("--output", required=True, metavar="FILE", help=".parquet, else text")
    add("--format", default="voxceleb", help="of a text file: voxceleb, kaldi or unlabelled")
    add("--per-group", type=_count, default=10_000, help="at most, of each kind of trial")
    add("--any-gender", action="store_true", help="non-targets across genders too")
    add("--seed", type=int, default=1)


def _add_export(commands: Any) -> None:
    about = (
        "One ONNX file that needs no torch: recordings in, embeddings out, with calibration and languages."
    )
    add = _command(commands, "models:export", "write a trained model as an ONNX file", about).add_argument
    add("--model", default="data/model", metavar="FOLDER", help="as train saves it (default data/model)")
    add("--output", default="model.onnx", metavar="FILE", help="default: model.onnx")
    add("--input", choices=("waveform", "mel"), default="waveform", help="of the graph (default waveform)")
    add("--int8", action="store_true", help="quantised weights: a smaller file, other embeddings")
    less = "leave out the language encoder where embeddings do not need it"
    add("--no-languages", action="store_true", help=less)


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
    text = "corpora: what is fetched of them, and a check on real speech"
    about = "What fetching a corpus will bring, the fetching itself, and a check of a trained model."
    actions = _group(commands, "corpus", text, about)
    fetched = "nisp, voxceleb1, voxceleb2, musan or rirs_noises"
    on_disk = "a corpus that is on disk, such as asterisk"
    for name, text, which in (
        ("plan", "addresses, sizes and checksums that are known, without using the network", fetched),
        ("fetch", "fetch and unpack it, or what is missing of it", fetched),
        ("check", "how near a trained model puts one person in two languages, and others", on_disk),
    ):
        add = _command(actions, f"corpus:{name}", text).add_argument
        add("name", metavar="NAME", help=which)
        add("--params", default="params.yaml", metavar="YAML", help="the project's params")
    add("--model", default="data/model", metavar="FOLDER", help="as train saves it")
    add("--json", action="store_true", help="print JSON")


def _add_models(commands: Any) -> None:
    about = "Make a model folder of a public recogniser's weights, for `Recogniser.load`."
    text = "a public recogniser as a model folder"
    add = _command(commands, "models:import_model", text, about).add_argument
    kinds = (
        "campplus (3D-Speaker), wespeaker_campplus, wespeaker_resnet34 (pyannote's too), "
        "wespeaker_ecapa_512, wespeaker_ecapa_1024, speechbrain_ecapa, redimnet_b0, redimnet_b1, redimnet_b2"
    )
    add("kind", metavar="KIND", help=kinds)
    add("file", metavar="FILE", help="weights: safetensors, or torch.save of tensors alone")
    add("--output", required=True, metavar="FOLDER", help="the model folder")


def _add_backend(commands: Any) -> None:
    text = "take the language out of finished embeddings, where it pays"
    about = "Learn on a user's own speakers what takes the language out of finished embeddings."
    actions = _group(commands, "backend", text, about)
    text = "learn a backend, and say by cross-validation over speakers whether it pays"
    add = _command(actions, "backend:fit", text).add_argument
    add("--embeddings", required=True, metavar="PARQUET", help="columns utterance_id, vector")
    add("--manifest", required=True, metavar="FILE", help="Parquet or CSV: utterance_id, speaker, language")
    add("--output", required=True, metavar="FILE", help="the backend, for laspa score --backend")
    add("--parts", metavar="LIST", help="of means,nuisance,whiten,plda,pair,side; default: all may be used")
    told = "validate with labels, or as if languages had to be told from the embedding"
    add("--languages-by", default="label", choices=("label", "posterior"), help=told)
    resamples = "resamples of the speakers"
    add("--bootstrap", type=_resamples, default=DEFAULT_RESAMPLES, metavar="N", help=resamples)
    add("--seed", type=int, default=1)
    add("--json", action="store_true", help="print JSON, rates as fractions of 1")


def _add_registry(commands: Any) -> None:
    text = "enter the trained model in MLflow's registry, as the challenger"
    add = _command(commands, "registry:register", text).add_argument
    add("--model", default="data/model", metavar="FOLDER", help="as the stage model writes it")
    add("--name", default="laspa", help="of the registered model (default laspa)")
    text = "make the challenger the champion, if it is not worse"
    about = (
        "Compare the challenger with the champion on the same test list. It becomes the champion if its EER "
        "is not higher across / within a language, and within a language at most a margin higher."
    )
    add = _command(commands, "registry:promote", text, about).add_argument
    add("--name", default="laspa", help="of the registered model (default laspa)")
    margin = "of the EER within a language, in points (default 0.5)"
    add("--margin", type=float, default=0.5, metavar="POINTS", help=margin)
    add("--force", action="store_true", help="whatever the comparison says, which is recorded")


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} should be a whole number of 1 or more")
    return int(text)


def _channel(text: str) -> int | str:
    return text if text == "mix" else _count(text)


def _resamples(text: str) -> int:
    if text != "0" and (not text.isdecimal() or int(text) < FEWEST_RESAMPLES):
        raise argparse.ArgumentTypeError(f"{text!r} should be 0, or {FEWEST_RESAMPLES} or more")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())

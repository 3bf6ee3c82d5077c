"""The folder of a model that people use: weights, config, calibration and model card."""

import shutil
from pathlib import Path
from typing import Any

import pandas as pd

from laspa.errors import LaspaError
from laspa.evaluation.evaluate import list_info
from laspa.files import atomic_path, read_json, sha256_file, write_json
from laspa.models.saving import CONFIG_FILE, WEIGHTS_FILE
from laspa.packaging.card import render_card
from laspa.packaging.thresholds import Scored, fit_thresholds, measure_thresholds
from laspa.params import Evaluate
from laspa.recogniser.decision import CALIBRATION_FILE, CONFIDENT, FORM

CARD_FILE = "README.md"  # where model hubs look for it


def package(
    trained: Path,
    folder: Path,
    dev: Scored,
    test: Scored,
    metrics: dict[str, Any],
    manifest: pd.DataFrame,
    name: str,
    options: Evaluate,
    heard_by: str | None = None,
) -> None:
    """Write `folder` from a trained model, whole or not at all.

    It holds the weights and config of `trained`, `calibration.json` and the model card. Where dev allows no
    calibration there is none, and the card says why.

    Args:
        trained: as `save_model` writes it.
        dev, test: scored by this model. Calibration and thresholds are fitted on dev and measured on test.
        metrics: as reports/metrics.json, of the same test list.
        manifest: of the data that it was trained and tested on.
        name: of the system.
        options: resamples and seed of the intervals.
        heard_by: the system whose language encoder the model has, where that is another.
    """
    digest = sha256_file(trained / WEIGHTS_FILE)
    calibration, why_none = None, ""
    try:
        fits = fit_thresholds(dev)
    except LaspaError as error:
        why_none = str(error)
    else:
        calibration = {
            "form": FORM,
            "model": digest,
            "confident": CONFIDENT,
            "languages_heard": fits,
            "test": measure_thresholds(test, fits, options.bootstrap, options.seed),
            "trial_lists": {
                split.name: list_info(split.trials, split.name, split.metadata) for split in (dev, test)
            },
        }
    card = render_card(
        name, digest, read_json(trained / CONFIG_FILE), calibration, why_none, metrics, manifest, heard_by
    )
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        for file in (WEIGHTS_FILE, CONFIG_FILE):
            shutil.copyfile(trained / file, temporary / file)
        if calibration is not None:
            write_json(temporary / CALIBRATION_FILE, calibration)
        (temporary / CARD_FILE).write_text(card, encoding="utf-8")

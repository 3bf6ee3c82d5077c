"""What `laspa backend fit` and `laspa score --backend` do; laspa/cli/main.py describes their options."""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from laspa.backend.fitting import fit_backend
from laspa.backend.parts import PARTS, Speech, posteriors, trial_scores
from laspa.backend.recording import recorded_otherwise
from laspa.backend.saving import load_backend, save_backend
from laspa.backend.verdict import lines
from laspa.errors import LaspaError
from laspa.evaluation.metadata import read_metadata
from laspa.evaluation.score_files import MODEL_KEY, read_embeddings
from laspa.evaluation.scores import cosine_scores
from laspa.manifest.tables import read_labels
from laspa.trials.lists import TrialList, rows_of


def fit(options: argparse.Namespace) -> None:
    """Learn a backend of finished embeddings, print whether it pays, and write it."""
    ids, vectors = read_embeddings(options.embeddings)
    table = read_labels(options.manifest, ("utterance_id", "speaker", "language"))
    place = rows_of(ids, table["utterance_id"].combine_chunks())
    if (missing := np.flatnonzero(place < 0)).size:
        name = ids[int(missing[0])].as_py()
        raise LaspaError(
            f"{options.manifest}: lacks {name}, and {len(missing)} utterance(s) of {options.embeddings} in "
            "all; name the manifest that they were embedded from"
        )
    about = {name: table[name].take(pa.array(place)) for name in ("language", "speaker")}
    for name, column in about.items():
        if column.null_count:
            raise LaspaError(
                f"{options.manifest}: {column.null_count} utterance(s) have no {name}; fill them in, or have "
                "languages told by a model (docs/labels.md)"
            )
    speech = Speech(vectors, *(column.to_numpy().astype(str) for column in about.values()))
    parts = tuple(options.parts.split(",")) if options.parts else tuple(PARTS)
    quiet = options.json
    backend, verdict = fit_backend(
        speech,
        ids.to_pylist(),
        _model_of(options.embeddings),
        parts,
        options.languages_by == "posterior",
        options.bootstrap,
        options.seed,
        (lambda line: None) if quiet else print,
    )
    save_backend(Path(options.output), backend)
    if quiet:
        print(json.dumps(verdict.as_dict() | {"parts": backend.fitted.parts}, indent=2))
        return
    print("\n".join(lines(verdict)))
    if verdict.pays:
        print(f"{options.output}: it pays; uses {', '.join(PARTS[part] for part in backend.fitted.parts)}")
    else:
        print(f"{options.output}: changes nothing, scores stay cosines: {verdict.reason}")


def backend_scores(options: argparse.Namespace, trials: TrialList) -> np.ndarray:
    """(trials,) scores with a backend; log likelihood ratios where it could be calibrated.

    Raises:
        LaspaError: embeddings of another recogniser or length, or a trial of what the backend was learnt of.
    """
    backend = load_backend(Path(options.backend))
    ids, vectors = read_embeddings(options.embeddings)
    model, dim = _model_of(options.embeddings), vectors.shape[1]
    backend.check_recogniser(options.backend, model, dim, options.embeddings)
    place = rows_of(trials.names, ids)
    if (missing := np.flatnonzero(place < 0)).size:
        name = trials.names[int(missing[0])].as_py()
        raise LaspaError(
            f"{options.embeddings}: lacks {name}, and {len(missing)} utterance(s) of {trials.path}"
        )
    metadata = read_metadata(trials, options.manifest) if options.manifest else None
    names = trials.names.to_pylist()
    speakers = [] if metadata is None or metadata.speaker is None else metadata.speaker.tolist()
    for what, learnt, scored in (
        ("utterance", backend.utterances, names),
        ("speaker", backend.speakers, speakers),
    ):
        if both := sorted({*learnt} & {*scored}):
            raise LaspaError(
                f"{options.backend}: was learnt of {len(both)} {what}(s) of {trials.path}, {both[0]} among "
                "them; a backend scores only speakers that it was not learnt of"
            )
    vectors = vectors[place]
    labels = None
    if metadata is not None and metadata.language is not None:
        labels = metadata.language.astype(str)
    spoken = posteriors(backend.fitted, vectors, labels)
    known = np.array(speakers, dtype=str) if speakers else None
    if backend.fitted.parts and (
        signs := recorded_otherwise(backend.fitted, vectors, spoken, known, backend.nearness)
    ):
        print(
            f"{options.backend}: not used, scores are cosines: the utterances were probably not recorded "
            f"like the speakers that it was learnt of ({'; '.join(signs)}); fit a backend on speakers that "
            "were",
            file=sys.stderr,
        )
        return cosine_scores(vectors, trials.enroll, trials.test)
    scores = trial_scores(backend.fitted, vectors, spoken, trials.enroll, trials.test)
    return scores if backend.calibration is None else np.asarray(backend.calibration(scores), np.float32)


def _model_of(embeddings: str) -> str:
    """Digest of the model that made them; empty where the file does not say."""
    return (pq.read_schema(embeddings).metadata or {}).get(MODEL_KEY, b"").decode()

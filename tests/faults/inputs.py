"""Good inputs of every reader, and what reads each: what the fuzz damages."""

import base64
import io
import json
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import soundfile
import torch
from safetensors.torch import save_file

from laspa.audio.reading import read_audio
from laspa.backend.parts import fit
from laspa.backend.saving import Backend, load_backend, save_backend
from laspa.cli.main import main
from laspa.corpora.common_voice import list_recordings as list_common_voice
from laspa.corpora.corpus import RemoteFile
from laspa.corpora.download.archives import extract
from laspa.corpora.download.fetch import plan
from laspa.corpora.folder import list_recordings as list_folder
from laspa.errors import LaspaError
from laspa.evaluation.score_files import read_embeddings, read_scores, write_scores
from laspa.features.store import FeatureStore
from laspa.files import read_json
from laspa.manifest.index import read_index
from laspa.manifest.tables import read_manifest
from laspa.models.checkpoints import import_checkpoint
from laspa.models.export import export_onnx
from laspa.models.saving import load_model, read_tensors
from laspa.params import load_params
from laspa.params.corpora import CommonVoice
from laspa.recogniser.decision import read_decision
from laspa.recogniser.recogniser import Recogniser
from laspa.recogniser.requests import decode_recording
from laspa.recogniser.store import Store
from laspa.text import read_table
from laspa.trials.lists import read_language_labels, read_list, read_models, read_trials
from laspa.tuning.output import read_trials as read_sweep
from laspa.tuning.trial_files import TrialFiles
from tests.backend.made_up import people
from tests.made_up import write_tables
from tests.small_model import calibrate, record, small_model, voice

ROOT = Path(__file__).parents[2]
RATE, DIMENSIONS = 16_000, 192


@dataclass(frozen=True)
class Input:
    """A good file, and what reads it, given the path of the file where the good one was."""

    name: str
    file: Path
    read: Callable[[Path], Any]
    text: bool = False


def command(*arguments: str) -> None:
    """`laspa …`, whose refusal is a status of 2 and one line."""
    if main(arguments) == 2:
        raise LaspaError("refused by the command")


def inputs(folder: Path) -> list[Input]:
    """Every kind of input, made under `folder`."""
    return [*_audio(folder), *_tables(folder), *_texts(folder), *_models(folder), *_archives(folder)]


def _audio(folder: Path) -> list[Input]:
    model = calibrate(small_model(folder / "hears"), any=(10.0, -5.0, 0.5))
    samples, found = voice(0.7), []
    kinds = [("wav", "PCM_16"), ("wav", "FLOAT"), ("wav", "ULAW"), ("flac", "PCM_16"), ("ogg", "VORBIS")]
    kinds += [
        ("ogg", "OPUS"),
        ("mp3", "MPEG_LAYER_III"),
        ("aiff", "PCM_24"),
        ("au", "PCM_16"),
        ("caf", "ALAC_16"),
    ]
    kinds += [("w64", "PCM_16"), ("wav", "GSM610"), ("sph", "PCM_16")]
    for suffix, subtype in kinds:
        file = folder / f"{subtype}.{suffix}"
        form = "NIST" if suffix == "sph" else suffix.upper()
        soundfile.write(file, samples, RATE, subtype, format=form)
        found.append(Input(f"audio {suffix} {subtype}", file, read_audio))
    recording = record(folder / "verified.wav", samples)
    heard = Recogniser.load(model, "cpu")
    found.append(Input("recording heard", recording, heard.embed))
    encoded = folder / "request.txt"
    encoded.write_bytes(base64.b64encode(recording.read_bytes()))
    found.append(Input("request", encoded, lambda path: decode_recording(path.read_text("latin-1"))))
    return found + _with_av(folder, samples)


def _with_av(folder: Path, samples: np.ndarray) -> list[Input]:
    import av

    file = folder / "aac.m4a"
    with av.open(str(file), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray((samples[None] * 32767).astype(np.int16), "s16", "mono")
        frame.sample_rate = RATE
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    g722 = folder / "prompt.g722"
    g722.write_bytes(np.random.default_rng(0).integers(0, 256, 6000).astype(np.uint8).tobytes())
    return [Input("audio m4a", file, read_audio), Input("audio g722", g722, read_audio)]


def _tables(folder: Path) -> list[Input]:
    (folder / "made_up").mkdir()
    (folder / "made_up/params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    write_tables(folder / "made_up", ("en", "fr"))
    data = folder / "made_up/data"
    manifest, trials = read_manifest(data / "manifest.parquet"), read_trials(data / "trials/dev.parquet")
    manifest = manifest.assign(gender="f")
    manifest.to_parquet(data / "manifest.parquet")
    ids = manifest["utterance_id"].tolist()
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(len(ids), DIMENSIONS)).astype(np.float32)
    pd.DataFrame({"utterance_id": ids, "vector": list(vectors)}).to_parquet(folder / "embeddings.parquet")
    scores = generator.normal(size=len(trials.labels())).astype(np.float32)
    for suffix in ("parquet", "txt"):
        write_scores(folder / f"scores.{suffix}", trials, scores)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    Store(folder / "people.parquet", "m").enrol([f"p{n}" for n in range(len(ids))], unit, [1] * len(ids))
    embeddings, listed = str(folder / "embeddings.parquet"), str(data / "trials/dev.parquet")
    out = ("--output", str(folder / "out.parquet"))
    return [
        Input("manifest", data / "manifest.parquet", read_manifest),
        Input("trials parquet", data / "trials/dev.parquet", read_trials),
        Input("trial list parquet", data / "trials/dev.parquet", read_list),
        Input("features", data / "features/part-00000.parquet", lambda path: _all_mels(path.parent, ids)),
        Input("scores parquet", folder / "scores.parquet", read_scores),
        Input("scores text", folder / "scores.txt", read_scores, text=True),
        Input("embeddings", folder / "embeddings.parquet", lambda path: read_embeddings(str(path))),
        Input("store", folder / "people.parquet", lambda path: Store(path, "m").identify(unit[0])),
        Input("labels table", folder / "embeddings.parquet", lambda path: read_table(path, ["utterance_id"])),
        Input(
            "laspa metrics",
            folder / "scores.txt",
            lambda path: command("metrics", str(path), "--trials", listed, "--bootstrap", "0"),
            text=True,
        ),
        Input(
            "laspa score",
            data / "trials/dev.parquet",
            lambda path: command("score", "--embeddings", embeddings, "--trials", str(path), *out),
        ),
        Input(
            "laspa trials",
            data / "manifest.parquet",
            lambda path: command("trials", str(path), "--split", "dev", "--any-gender", *out),
        ),
    ]


def _all_mels(folder: Path, ids: list[str]) -> None:
    store = FeatureStore(folder, ids)
    for name in ids:
        store.get(name)


def _texts(folder: Path) -> list[Input]:
    made = {
        "voxceleb.txt": "".join(f"{n % 2} id{n}/a/1.wav id{n + n % 2}/b/2.wav\n" for n in range(40)),
        "kaldi.txt": "".join(f"id{n}-a id{n}-b {'target' if n % 2 else 'nontarget'}\n" for n in range(40)),
        "models.txt": "".join(f"m{n} u{n} v{n}\n" for n in range(20)),
        "labels.csv": "filename,label\n" + "".join(f"id{n}/a/1.wav,English\n" for n in range(20)),
        "table.tsv": "client_id\tpath\tsentence\n" + "".join(f"c{n}\tp{n}.mp3\ta b\n" for n in range(20)),
        "trials.json": json.dumps([_trial(number) for number in range(1, 4)]),
        "state.json": json.dumps({"url": "http://127.0.0.1/a", "size": 9, "version": "1", "done": [0, 1]}),
        "checksums.json": json.dumps({"http://127.0.0.1/a": {"sha256": "0" * 64, "size": 9}}),
    }
    for name, text in made.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "journal").mkdir()
    journal = folder / "journal/k1.json"
    journal.write_text(json.dumps(_journal()), encoding="utf-8")
    (folder / "sweep").mkdir()
    (folder / "trials.json").rename(folder / "sweep/trials.json")
    (folder / "best.yaml").write_text("train.learning_rate: 1.0e-05\nprefix_len: 4\nmodel.fusion: concat\n")
    params = folder / "params.yaml"
    params.write_bytes((ROOT / "params.yaml").read_bytes())
    shown = ("tune", "show", "--params", str(ROOT / "params.yaml"), "--best")
    remote = [RemoteFile("http://127.0.0.1/a", "a")]
    return [
        Input("params", params, load_params, text=True),
        Input("best.yaml", folder / "best.yaml", lambda path: command(*shown, str(path)), text=True),
        Input("list voxceleb", folder / "voxceleb.txt", read_list, text=True),
        Input("list kaldi", folder / "kaldi.txt", read_list, text=True),
        Input("models map", folder / "models.txt", read_models, text=True),
        Input("languages csv", folder / "labels.csv", read_language_labels, text=True),
        Input("tsv", folder / "table.tsv", lambda path: read_table(path, ["client_id", "path"]), text=True),
        Input("json", folder / "state.json", read_json, text=True),
        Input(
            "checksums", folder / "checksums.json", lambda path: plan(remote, path.parent, path), text=True
        ),
        Input("journal", journal, lambda path: TrialFiles(path.parent).load_all(), text=True),
        Input("sweep", folder / "sweep/trials.json", lambda path: read_sweep(path.parent), text=True),
        *_corpora(folder),
    ]


def _corpora(folder: Path) -> list[Input]:
    release, mine = folder / "cv/en", folder / "mine"
    (release / "clips").mkdir(parents=True)
    mine.mkdir()
    for number in range(6):
        (release / f"clips/c{number}.mp3").write_bytes(b"x")
        (mine / f"{number}.wav").write_bytes(b"x")
    head, rows = "client_id\tpath\tsentence\tgender\n", range(6)
    clips = "".join(f"s{row % 3}\tc{row}.mp3\tone two\tfemale\n" for row in rows)
    (release / "validated.tsv").write_text(head + clips, encoding="utf-8")
    listed = "path,speaker,language\n" + "".join(f"{row}.wav,s{row % 3},en\n" for row in rows)
    (mine / "manifest.csv").write_text(listed, encoding="utf-8")
    (folder / "raw").mkdir()
    index = "path,speaker,language,gender,corpus,split,bytes\n" + "".join(
        f"0/{row}.wav,s{row % 3},en,f,folder,train,1\n" for row in rows
    )
    (folder / "raw/index.csv").write_text(index, encoding="utf-8")
    options = CommonVoice.model_construct(paths=["."], clips="validated")
    return [
        Input(
            "validated.tsv",
            release / "validated.tsv",
            lambda path: list_common_voice(options, path.parents[1]),
            text=True,
        ),
        Input("manifest.csv", mine / "manifest.csv", lambda path: list_folder(["."], path.parent), text=True),
        Input("index.csv", folder / "raw/index.csv", lambda path: read_index(path.parent), text=True),
    ]


def _trial(number: int) -> dict[str, Any]:
    dev = [{"eer_cross_same": 0.3 / number}]
    fixed = {"status": "finished", "retries": 0, "error": None, "dev_eer": 0.3 / number}
    return {"trial": number, "values": {"prefix_len": number}, "dev": dev, **fixed}


def _journal() -> dict[str, Any]:
    history = [{"epoch": 1, "loss": 1.0, "dev": {"eer_cross_same": 0.3}}]
    fixed = {"status": "running", "retries": 0, "error": None}
    return {"number": 1, "key": "k1", "values": {"prefix_len": 1}, "history": history, **fixed}


def _models(folder: Path) -> list[Input]:
    model = calibrate(small_model(folder / "model"), any=(10.0, -5.0, 0.5))
    small_model(folder / "configured")
    export_onnx(model, folder / "model.onnx")
    heard = record(folder / "heard.wav", voice(0.5))
    digest = read_json(model / "calibration.json")["model"]
    save_file({"a": torch.zeros(3, 4)}, folder / "other.safetensors")
    public = folder / "public.safetensors"
    save_file({"xvector.dense.linear.weight": torch.zeros(4, 3, 1)}, public)
    found = [
        Input("weights", model / "model.safetensors", lambda path: load_model(path.parent)),
        Input("config", folder / "configured/config.json", lambda path: load_model(path.parent), text=True),
        Input(
            "calibration",
            model / "calibration.json",
            lambda path: read_decision(path.parent, digest),
            text=True,
        ),
        Input("onnx", folder / "model.onnx", lambda path: Recogniser.load(path, "cpu").embed(heard)),
        Input("tensors", folder / "other.safetensors", read_tensors),
        Input("checkpoint", public, lambda path: import_checkpoint("campplus", path, folder / "imported")),
    ]
    for kind, name in (("state", "torch.pt"), ("zip", "torch.zip")):
        torch.save({"a": torch.zeros(3)}, folder / name)
        read = lambda path: import_checkpoint("campplus", path, folder / "imported")  # noqa: E731
        found.append(Input(f"checkpoint {kind}", folder / name, read))
    return [*found, *_fitted(folder)]


def _fitted(folder: Path) -> list[Input]:
    fitted, file = fit(people(), ("pair",)), folder / "backend.safetensors"
    save_backend(file, Backend(fitted, "m", ["a"], ["u"], None, 0.0, ""))
    return [Input("backend", file, load_backend)]


def unpack(file: Path, folder: Path) -> None:
    """Unpack into a new folder."""
    shutil.rmtree(folder, ignore_errors=True)
    extract([file], folder)


def _archives(folder: Path) -> list[Input]:
    content = {"a/1.wav": b"x" * 3000, "a/2.txt": b"hello\n" * 100, "b/3.bin": bytes(range(256)) * 20}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, one in content.items():
            zipped.writestr(name, one)
    (folder / "packed.zip").write_bytes(packed.getvalue())
    found = [Input("archive zip", folder / "packed.zip", lambda path: unpack(path, folder / "unpacked"))]
    for mode in ("", "gz"):
        file = folder / f"packed.tar{'.' if mode else ''}{mode}"
        with tarfile.open(file, f"w:{mode}") as tar:
            for name, one in content.items():
                info = tarfile.TarInfo(name)
                info.size = len(one)
                tar.addfile(info, io.BytesIO(one))
        found.append(Input(f"archive {file.name}", file, lambda path: unpack(path, folder / "unpacked")))
    return found

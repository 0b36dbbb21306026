"""A small result tree in the form that the stages write, for the tests of the report."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile

from captioner.audio.frontends import FrontEnd, Heard, build_frontend
from captioner.corpus.tables import (
    Annotation,
    Clip,
    read_clips,
    write_annotations,
    write_clips,
)
from captioner.evaluation.error_analysis import analyse_runs
from captioner.evaluation.parts_of_speech import Tagged
from captioner.reporting.media import prepare_clips
from captioner.store.writing import write_shard

METRICS = ["bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l", "meteor", "cider", "spice", "spider"]
ODD_NAMES = [
    "plain.wav",
    "two.dots.in name (1).wav",
    'quotes "and" <b>tags & [brackets].wav',
    "naïve café – 雨.wav",
]
HOSTILE = "a dog barks <script>alert(1)</script> \"loudly\" & 'often'"


LOGMEL = {
    "kind": "logmel", "sample_rate_hz": 44100, "window": "hamming", "n_fft": 2048, "hop": 1024,
    "n_mels": 64, "f_min_hz": 0, "f_max_hz": 22050, "power": 2, "log_offset": 1e-10,
    "log_floor": "maximum", "scale": "natural", "peak_normalise": False, "storage": "float32",
}  # fmt: skip
TAGS = ("Speech", "Rain", "Rain on surface", "Dog", "Water", "Wind")
FAULT = "found a file that cannot be read as audio"


class Tagger:
    """An encoder without a network: noise for an embedding, more probable tags last."""

    def __init__(self, kind: str = "cnn10", n_features: int = 512, step_s: float = 0.16):
        self.settings = {"kind": kind, "sample_rate_hz": 32000, "storage": "float16"}
        self.sample_rate_hz, self.n_features, self.tags = 32000, n_features, TAGS
        self.weights_md5, self.batch_s, self._hop = "0" * 32, 0.0, round(step_s * 32000)

    def __call__(self, waveform: np.ndarray) -> np.ndarray:
        random = np.random.default_rng(len(waveform))
        values = random.normal(-0.4, 1, (max(1, len(waveform) // self._hop), self.n_features))
        return np.maximum(values, 0).astype("f4")

    def hear(self, waveforms: Sequence[np.ndarray]) -> list[Heard]:
        probabilities = np.linspace(0.04, 0.92, len(self.tags), dtype="f4")
        return [Heard(self(waveform), probabilities) for waveform in waveforms]


def write_wav(path: Path, seconds: float = 0.6, rate: int = 44100, seed: int = 0) -> None:
    time = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(seed).normal(0, 0.02, len(time))
    soundfile.write(path, 0.4 * np.sin(2 * np.pi * 880 * time) + noise, rate, subtype="PCM_16")


def write_split(root: Path, split: str, wavs: list[Path], captions: list[list[str]]) -> dict:
    clips, annotations = [], []
    for i, (wav, said) in enumerate(zip(wavs, captions, strict=True)):
        try:
            info = soundfile.info(wav)
            header = (info.duration, info.samplerate, info.channels)
        except soundfile.LibsndfileError:
            header = (1.0, 44100, 1)
        clips.append(Clip(wav.name, str(wav), wav.stat().st_size, *header))
        known = {
            "author": "A & B <c>",
            "licence": "http://creativecommons.org/licenses/by/3.0/" if i % 2 else "javascript:x()",
        }
        annotations.append(Annotation(wav.name, tuple(said), "dog;rain", str(i), **known))
    if split == "development":
        clips.append(Clip("damaged.wav", "damaged.wav", 3, 0.0, 0, 0, "", FAULT))
    paths = {
        "clips": root / f"clips/{split}.parquet",
        "annotations": root / f"annotations/{split}.parquet",
        "checks": root / f"checks/{split}.json",
    }
    write_clips(paths["clips"], clips)
    write_annotations(paths["annotations"], annotations)
    ok = {"name": "files", "level": "ok", "expected": "4", "found": "4", "offenders": []}
    bad = {**ok, "name": "silent clips", "level": "warning", "expected": "none", "found": "1"}
    checks = [ok, {**bad, "offenders": [wavs[0].name]}] if split == "evaluation" else [ok]
    write_json(paths["checks"], {"split": split, "checks": checks})
    return {name: str(path) for name, path in paths.items()}


def write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def write_features(root: Path, clips: str, frontends: dict[str, FrontEnd]) -> dict[str, Any]:
    """Write two shards per front-end of the clips of a table."""
    shards = {name: [root / name / f"{shard}.parquet" for shard in range(2)] for name in frontends}
    for name, frontend in frontends.items():
        for shard, path in enumerate(shards[name]):
            write_shard(read_clips(clips), shard, 2, frontend, path)
    return {
        name: {"settings": frontend.settings, "shards": [str(path) for path in shards[name]]}
        for name, frontend in frontends.items()
    }


def write_listening(root: Path, clips: str, audio: str = "compressed") -> dict[str, Any]:
    """Write sounds and spectrograms of the clips of a table in two shards."""
    folders = [root / str(shard) for shard in range(2)]
    for shard, folder in enumerate(folders):
        prepare_clips(read_clips(clips), shard, 2, audio, folder)
    return {"audio": audio, "folders": [str(folder) for folder in folders]}


def write_system(
    root: Path, predictions: dict[str, str], base: float, *, repeated: float = 0.25
) -> dict:
    """Write captions and scores; clip i scores `base` + i / 100 in every metric.

    Metric i scores `base` + i / 1000 + .0004, with an interval from .02 below to .03 above.
    """
    root.mkdir(parents=True)
    with (root / "evaluation.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("file_name", "caption_predicted"), *predictions.items()])
    scores = [base + i / 100 for i in range(len(predictions))]
    columns = {"file_name": list(predictions), **dict.fromkeys(METRICS, scores)}
    columns |= {"bleu_statistics": [[1] * 10] * len(scores)}
    columns |= {"meteor_statistics": [[1.0] * 23] * len(scores)}
    pq.write_table(pa.table(columns), root / "scores.parquet")
    values = {metric: base + i / 1000 + 0.0004 for i, metric in enumerate(METRICS)}
    found = {
        "metrics": values,
        "intervals": {metric: [value - 0.02, value + 0.03] for metric, value in values.items()},
        "confidence": 0.95,
        "diversity": {
            "vocabulary_size": 40.0,
            "vocabulary_coverage": 0.125,
            "distinct_1": 0.5,
            "distinct_2": 0.75,
            "mean_length": 8.25,
            "repeated_content_words": repeated,
            "repeated_words": repeated / 2,
            "unfinished": 0.0,
        },
        "n_clips": len(predictions),
        "empty_predictions": [name for name, said in predictions.items() if not said],
        "versions": {"pycocoevalcap": "1.2"},
    }
    write_json(root / "scores.json", found)
    files = {"json": str(root / "scores.json"), "parquet": str(root / "scores.parquet")}
    return {
        "captions": {"evaluation": str(root / "evaluation.csv")},
        "scores": {"evaluation": files},
    }


def write_training(
    root: Path, seed: int, n_epochs: int = 12, best: int = 9, columns: Sequence[str] = ()
) -> dict:
    """Write a model folder and a history; `columns` are those that not every history has."""
    root.mkdir(parents=True)
    with (root / "history.csv").open("w", encoding="utf-8", newline="") as stream:
        header = "epoch training_loss validation_loss learning_rate seconds clips_per_s"
        writer = csv.DictWriter(stream, [*header.split(), "gradient_norm", *columns])
        writer.writeheader()
        for epoch in range(1, n_epochs + 1):
            validation = 4 / epoch + 0.05 * epoch + 0.02 * seed
            known = (epoch, 4 / epoch, validation, 1e-3 / epoch, 2.5, 10)
            rising = 0.5 - 0.4 / epoch + 0.02 * seed - 0.001 * (epoch - best) ** 2
            writer.writerow(
                {**dict(zip(header.split(), known, strict=True)), **dict.fromkeys(columns, rising)}
            )
    description = {
        "title": "Small",
        "system": "small",
        "family": "conv_transformer",
        "frontends": {"logmel-dcase": {}},
        "trained_on": [
            {
                "corpus": "tiny",
                "split": "development",
                "weight": 1.0,
                "task_token": "<tiny>",
                "n_clips": 4,
                "n_leaks": 0,
            },
            {
                "corpus": "macs",
                "split": "full",
                "weight": 0.5,
                "task_token": "<macs>",
                "n_clips": 3928,
                "n_leaks": 2,
            },
        ],
        "seed": seed,
        "n_parameters": 1234567,
        "best": {"epoch": best, "validation_loss": 0.9},
    }
    write_json(root / "model/model.json", description)
    return {"model": str(root / "model"), "history": str(root / "history.csv")}


def write_tree(root: Path, wavs: list[Path] | None = None, captions: Any = None) -> dict[str, Any]:
    """Write everything under `root`; return the content of a report as plain values."""
    if wavs is None:
        (root / "audio").mkdir(parents=True)
        wavs = [root / "audio" / name for name in ODD_NAMES]
        for i, (wav, rate) in enumerate(zip(wavs, (44100, 8000, 96000, 22255), strict=True)):
            write_wav(wav, 0.4 + 0.2 * i, rate, i)
        captions = [[HOSTILE, *[f"reference {k} of clip {i}" for k in range(4)]] for i in range(4)]
    names = [wav.name for wav in wavs]
    empty: list[list[str]] = [[] for _ in wavs]
    benchmark = root / "benchmarks/train_system/small.tsv"
    benchmark.parent.mkdir(parents=True)
    header = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time"
    benchmark.write_text(f"{header}\n90.5\t0:01:30\t812.25\t1\t1\t1\t0\t0\t150\t140.25\n")
    short = root / "benchmarks/train_system/short.tsv"
    short.write_text("\t".join([f"{header}\n0.2", "0:00:00", *["NA"] * 8]) + "\n")
    decoding = root / "benchmarks/decode_split/small.seed1.beam3.evaluation.tsv"
    decoding.parent.mkdir(parents=True)
    decoding.write_text(f"{header}\n1.4\t0:00:01\t500\t1\t1\t1\t0\t0\t150\t1.5\n")
    vocabulary = {
        "tokens": ["<sos>", "<eos>", "dog"],
        "counts": [0, 0, 3],
        "settings": {"text_rule": "task", "unknown": False},
        "corpora": [{"corpus": "tiny", "splits": ["development"]}],
    }
    write_json(root / "vocabulary/task.json", vocabulary)
    common = {"name": "small", "title": "Small Transformer"}
    best = {name: f"a <i>good</i> caption {i}" for i, name in enumerate(names)}
    worse = {**best, names[1]: ""}
    systems = [
        {
            **common,
            "seed": seed,
            "decoding": "beam3",
            "trivial": False,
            **write_training(root / f"systems/small/seed{seed}", seed),
            **write_system(root / f"systems/small/seed{seed}/out", predictions, base),
        }
        for seed, predictions, base in ((1, best, 0.3), (2, worse, 0.2))
    ]
    trivial = write_system(root / "systems/typical", dict.fromkeys(names, "a dog barks"), 0.05)
    systems.append(
        {
            "name": "typical_caption",
            "title": "Typical caption",
            "seed": 0,
            "decoding": "greedy",
            "trivial": True,
            "model": None,
            "history": None,
            **trivial,
        }
    )
    excluded = {f"{i}.wav": f"freesound:{i} is in evaluation" for i in range(2)}
    write_json(root / "leakage/macs.full.json", {"n_clips": 3930, "excluded": excluded})
    splits = {
        "development": write_split(root, "development", wavs, captions),
        "evaluation": write_split(root, "evaluation", wavs, captions),
        "test": write_split(root, "test", wavs, empty),
    }
    frontends: dict[str, FrontEnd] = {"logmel-dcase": build_frontend(LOGMEL), "tagger": Tagger()}
    return {
        "corpus": {
            "name": "tiny",
            "title": "A tiny corpus",
            "synthetic": True,
            "clotho": True,
        },
        "config": {
            "corpora": {"tiny": {"expected": {"duration_s": [0.5, 30], "caption_words": [8, 20]}}},
            "systems": {"small": {"start": None, "pretrained": {}}},
            "note": "</code><script>x</script>",
        },
        "notes": ["The demo cuts the corpus to 4 clips."],
        "splits": splits,
        "frontends": write_features(root / "features", splits["evaluation"]["clips"], frontends),
        "listening": write_listening(root / "listening", splits["evaluation"]["clips"]),
        "leakage": {"macs, full": str(root / "leakage/macs.full.json")},
        "vocabularies": {"task": str(root / "vocabulary/task.json")},
        "systems": systems,
        "benchmarks": {
            "train_system": [str(benchmark), str(short)],
            "decode_split": [str(decoding)],
        },
        "versions": {"python": "3.11.2", "torch": "2.15"},
        "commit": "0123456789abcdef0123456789abcdef01234567",
        "rule_graph": {
            "n_jobs": {"build_report": 1, "train_system": 2},
            "edges": [["train_system", "build_report"]],
        },
    }


def write_errors(path: Path, runs: Sequence[str] = ("a.seed2.greedy",)) -> Path:
    """Write the analysis of a few captions of runs, tagged by hand: nouns, and two verbs."""
    lemmas = {"barks": "bark", "sings": "sing"}

    def tagged(word: str) -> Tagged:
        return Tagged(word, lemmas.get(word, word), "VBZ" if word in lemmas else "NN")

    def tag(captions: Sequence[str]) -> list[list[Tagged]]:
        return [[tagged(word) for word in caption.split()] for caption in captions]

    references = {f"{i}.wav": ["dog barks", "dog barks", "rain"] for i in range(3)}
    predictions = {"0.wav": "bird sings", "1.wav": "bird barks", "2.wav": "dog <i>"}
    write_json(path, analyse_runs(dict.fromkeys(runs, predictions), references, tag))
    return path


def add_systems(root: Path, content: dict[str, Any]) -> dict[str, Any]:
    """Add what a config can hold beside a trained system and a trivial one; return the content.

    Three seeds of a large system, the same after reinforcement, published weights, an ensemble of
    these, a final system that learned from the scored split, and people.
    """
    names = list(
        dict.fromkeys(
            clip.file_name for clip in read_clips(content["splits"]["evaluation"]["clips"])
        )
    )
    said = {name: f"a dog barks and then a bell rings {i}" for i, name in enumerate(names)}
    added = []

    def add(name: str, title: str, seed: int, base: float | None, **facts: Any) -> None:
        folder = root / f"more/{name}/seed{seed}"
        scored = {} if base is None else write_system(folder / "out", said, base, repeated=base)
        run = {"name": name, "title": title, "seed": seed, "decoding": "beam3", **facts, **scored}
        added.append(run)

    for seed, base in ((1, 0.31), (2, 0.33), (3, 0.325)):
        for name, title, columns in (
            ("large", "ConvNeXt Transformer", ["validation_cider"]),
            ("scst", "ConvNeXt Transformer, reinforced", ["validation_cider", "reward"]),
        ):
            n_epochs = 14 + 2 * seed
            folder = root / f"more/{name}/seed{seed}/training"
            trained = write_training(folder, seed, n_epochs, n_epochs - 4, columns)
            add(name, title, seed, base + 0.03 * (name == "scst"), **trained)
    published = write_training(root / "more/released/seed0/training", 0)
    description = json.loads(Path(published["model"], "model.json").read_text())
    for key in ("best", "trained_on"):
        del description[key]
    write_json(Path(published["model"], "model.json"), description)
    add("released", "DCASE 2021 baseline, published weights", 0, 0.05, model=published["model"])
    add("both", "Large and small", 0, 0.345)
    final = write_training(root / "more/final/seed1/training", 1)
    add(
        "final",
        "ConvNeXt Transformer, final",
        1,
        None,
        **final,
        unscored={"evaluation": "trained on evaluation"},
    )
    members = [{"system": "large", "seed": seed} for seed in (1, 2, 3)]
    members.append({"system": "small", "seed": 1})
    systems = {
        "large": {"pretrained": {"encoder": "convnext_tiny_471mAP.pth"}},
        "scst": {"start": "large"},
        "released": {"weights": "dcase_baseline_pre_trained_weights.pt"},
        "both": {"members": members, "average": "log_probability"},
    }
    people = write_system(root / "people", said, 0.56)["scores"]
    return {
        **content,
        "config": {**content["config"], "systems": {**content["config"]["systems"], **systems}},
        "systems": [*added, *content["systems"]],
        "ceiling": {"evaluation": people["evaluation"]},
    }

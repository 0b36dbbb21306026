"""A small result tree in the form that the stages write, for the tests of the report."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile

from captioner.corpus.tables import Annotation, Clip, write_annotations, write_clips

METRICS = ["bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l", "meteor", "cider", "spice", "spider"]
ODD_NAMES = [
    "plain.wav",
    "two.dots.in name (1).wav",
    'quotes "and" <b>tags & [brackets].wav',
    "naïve café – 雨.wav",
]
HOSTILE = "a dog barks <script>alert(1)</script> \"loudly\" & 'often'"


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


def write_system(root: Path, predictions: dict[str, str], base: float) -> dict:
    """Write captions and scores; clip i scores `base` + i / 100 in every metric."""
    root.mkdir(parents=True)
    with (root / "evaluation.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("file_name", "caption_predicted"), *predictions.items()])
    scores = [base + i / 100 for i in range(len(predictions))]
    columns = {"file_name": list(predictions), **dict.fromkeys(METRICS, scores)}
    pq.write_table(pa.table(columns), root / "scores.parquet")
    found = {
        "metrics": {metric: base + i / 1000 + 0.0004 for i, metric in enumerate(METRICS)},
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


def write_training(root: Path, seed: int, n_epochs: int = 12, best: int = 9) -> dict:
    root.mkdir(parents=True)
    with (root / "history.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        header = "epoch training_loss validation_loss learning_rate seconds clips_per_s"
        writer.writerow([*header.split(), "gradient_norm"])
        for epoch in range(1, n_epochs + 1):
            validation = 4 / epoch + 0.05 * epoch + 0.02 * seed
            writer.writerow([epoch, 4 / epoch, validation, 1e-3 / epoch, 2.5, 10, ""])
    description = {
        "title": "Small",
        "system": "small",
        "family": "conv_transformer",
        "frontends": {"logmel-dcase": {}},
        "trained_on": [{"corpus": "tiny", "splits": ["development", "validation"]}],
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
    return {
        "corpus": {
            "name": "tiny",
            "title": "A tiny corpus",
            "kind": "clotho",
            "synthetic": True,
            "clotho": True,
        },
        "config": {"corpus": "tiny", "systems": ["small"], "note": "</code><script>x</script>"},
        "notes": ["The demo cuts the corpus to 4 clips."],
        "splits": {
            "development": write_split(root, "development", wavs, captions),
            "evaluation": write_split(root, "evaluation", wavs, captions),
            "test": write_split(root, "test", wavs, empty),
        },
        "vocabularies": {"task": str(root / "vocabulary/task.json")},
        "systems": systems,
        "benchmarks": {"train_system": [str(benchmark), str(short)]},
        "versions": {"python": "3.11.2", "torch": "2.15"},
        "commit": "0123456789abcdef0123456789abcdef01234567",
    }

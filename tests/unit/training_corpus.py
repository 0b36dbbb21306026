"""A tiny corpus on disk in the forms that training reads, and a system's settings for it."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from captioner.audio.frontends import Heard
from captioner.corpus.tables import Annotation, Clip, write_annotations, write_clips
from captioner.settings import complete, read_yaml
from captioner.store.schema import ShardMetadata
from captioner.store.shards import FeatureStore
from captioner.store.writing import open_shard
from captioner.text.vocabulary import build_vocabulary
from captioner.training.sources import Source

FRONTEND = {"kind": "logmel", "n_mels": 6}
VOCABULARY = {
    "text_rule": "task",
    "order": "frequency",
    "specials": "first",
    "minimum_count": 1,
    "unknown": False,
}
NAMES = ["a.b.c (1).wav", "it's [loud] 'ü'.wav", "Été, pluie.wav", "a.b.d.wav", "x.wav", "y z.wav"]
WORDS = ["rain", "falls", "on", "a", "tin", "roof", "while", "wind", "howls", "and", "one", "dog"]
MODELS = {
    "dcase_baseline": {"n_hidden": 16, "n_steps": 12},
    "conv_transformer": {"n_channels": [4, 8], "n_hidden": 16, "n_feedforward": 32},
    "crnn_attention": {"n_channels": [4, 8], "n_hidden": 16},
    "embedding_transformer": {
        "n_hidden": 16,
        "n_layers": 2,
        "n_feedforward": 32,
        "input_dropout": 0.0,
    },
    "cnn_transformer": {
        "n_channels": [4, 8],
        "n_hidden": 16,
        "n_layers": 2,
        "n_feedforward": 32,
        "input_dropout": 0.0,
        "encoder_dropout": 0.0,
    },
}
SCHEMA = Path(__file__).resolve().parents[2] / "workflow/schemas/system.schema.yaml"
TRAINING = complete(
    {
        "batching": "pairs",
        "batch_size": 4,
        "captions_per_clip": 2,
        "learning_rate": 1e-3,
        "epochs": 3,
        "patience": 10,
        "gradient_clip_norm": 1.0,
    },
    read_yaml(SCHEMA)["properties"]["training"],
    "a small system",
)


def captions_of(name: str, n: int = 5) -> tuple[str, ...]:
    """Captions of 3 to 9 words that depend on the name alone."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
    generator = np.random.default_rng(seed)
    return tuple(
        " ".join(generator.choice(WORDS, size=3 + k + seed % 3)).capitalize() + "."
        for k in range(n)
    )


def write_shard(path: Path, features: dict[str, np.ndarray]) -> Path:
    """Write features of six values a frame as a shard."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open_shard(path, ShardMetadata(dict(FRONTEND), 6, "float32", (), "")) as shard:
        for name, values in features.items():
            shard.write(name, Heard(values.astype(np.float32), None))
    return path


def features_of(names: list[str], seed: int) -> dict[str, np.ndarray]:
    """Random features of 5 to 12 frames, with a mean and a scale of their own."""
    generator = np.random.default_rng(seed)
    return {
        name: -3 + 2 * generator.standard_normal((int(generator.integers(5, 13)), 6))
        for name in names
    }


def write_tables(folder: Path, split: str, captions: dict[str, tuple[str, ...]]) -> None:
    """Write the clips and annotations of a split."""
    write_clips(
        folder / f"clips/{split}.parquet",
        [Clip(name, f"/audio/{name}", 1, 1.0, 16000, 1) for name in captions],
    )
    write_annotations(
        folder / f"annotations/{split}.parquet",
        [Annotation(name, texts) for name, texts in captions.items()],
    )


def make_source(folder: Path, split: str, names: list[str], seed: int = 0, **fields: Any) -> Source:
    """Write tables and features, in two shards, of a split of a corpus in `folder`."""
    write_tables(folder, split, {name: captions_of(name) for name in names})
    features = features_of(names, seed)
    shards = [
        write_shard(
            folder / f"features/{split}/{shard}.parquet", {name: features[name] for name in part}
        )
        for shard, part in enumerate([names[0::2], names[1::2]])
    ]
    return Source(
        **{
            "corpus": "tiny",
            "split": split,
            "clips": folder / f"clips/{split}.parquet",
            "annotations": folder / f"annotations/{split}.parquet",
            "shards": {"logmel": shards},
            **fields,
        }
    )


def make_corpus(folder: Path, *, validation: bool = True) -> dict[str, Any]:
    """Write a corpus of six development and four validation clips; give the job's arguments."""
    source = make_source(folder, "development", NAMES)
    statistics = folder / "statistics.json"
    FeatureStore(source.shards["logmel"]).statistics().save(statistics)
    vocabulary = folder / "vocabulary.json"
    texts = [text for name in NAMES for text in captions_of(name)]
    counted_on = [{"corpus": "tiny", "splits": ["development"]}]
    build_vocabulary(texts, VOCABULARY, counted_on).save(vocabulary)
    return {
        "system": "small",
        "seed": 1,
        "sources": [source],
        "validation": make_source(folder, "validation", NAMES[:4], 1) if validation else None,
        "statistics": {"logmel": [statistics]},
        "vocabulary": vocabulary,
        "model_folder": folder / "out" / "model",
        "history": folder / "out" / "history.csv",
        "resume_folder": folder / "out" / "resume",
        "threads": 1,
    }


def make_settings(family: str = "conv_transformer", **training: Any) -> dict[str, Any]:
    """Give a system's resolved settings; keywords change the training."""
    return {
        "title": "A small system",
        "family": family,
        "frontends": ["logmel"],
        "model": MODELS[family],
        "training": TRAINING | training,
    }

"""Features on their way to the model, at the size of Clotho: time per batch, padding and memory.

    PYTHONPATH=src python benchmarks/bench_loading.py

Shards of 3,839 development and 1,045 validation clips of 15 to 30 s are written first: log-mels of
`logmel-dcase` (64 values every 23.2 ms, float32) and frame embeddings (768 values every 0.32 s,
float16). Every clip has five captions. All files lie in the page cache.

Batches: what reading and padding one takes, and of the frames, how many are padding, with random
batches and with buckets. Training: a real one of the baseline, some steps of an epoch and a part of
the validation, in a process of its own; the peak of its memory.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from captioner.audio.frontends import Heard
from captioner.corpus.tables import Annotation, Clip, write_annotations, write_clips
from captioner.settings import complete
from captioner.store.schema import ShardMetadata
from captioner.store.shards import FeatureStore
from captioner.store.writing import open_shard
from captioner.text.vocabulary import Vocabulary, build_vocabulary
from captioner.training.augmentation import Augmentation
from captioner.training.batches import make_batch, plan_training
from captioner.training.sources import CaptionedClips, Source, load_source

REPOSITORY = Path(__file__).resolve().parents[1]
SPLITS = {"development": 3839, "validation": 1045}
FRONTENDS = {  # values, seconds between frames, dtype
    "logmel": (64, 1024 / 44100, "float32"),
    "embedding": (768, 0.32, "float16"),
}
N_SHARDS = 8
N_WORDS = 4000
VOCABULARY = {
    "text_rule": "task",
    "order": "frequency",
    "specials": "first",
    "minimum_count": 1,
    "unknown": False,
}
SPECAUGMENT = {
    "time_stripes": 2,
    "time_width": 0.1,
    "frequency_stripes": 2,
    "frequency_width": 0.1,
}


def main() -> None:
    """Write the corpus, measure batches, then memory; print all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--steps", type=int, default=3, help="of the training (default 3)")
    parser.add_argument("--train", type=Path, help=argparse.SUPPRESS)  # the process in itself
    arguments = parser.parse_args()
    if arguments.train:
        train(arguments.train, arguments.steps)
        return
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_corpus(folder)
        for frontend, system in (("logmel", "baseline"), ("embedding", "convnext_transformer")):
            measure_batches(folder, frontend, system)
        n_bytes = sum(path.stat().st_size for path in folder.glob("logmel/*/*.parquet"))
        command = [sys.executable, __file__, "--train", name, "--steps", str(arguments.steps)]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        print(
            f"training on {n_bytes / 1e9:.2f} GB of log-mels: peak of memory "
            f"{json.loads(output)['peak_bytes'] / 1e9:.2f} GB after {arguments.steps} steps"
        )


def write_corpus(folder: Path) -> None:
    """Write tables, shards, statistics and vocabulary."""
    rng = np.random.default_rng(0)
    words = [f"word{index}" for index in range(N_WORDS)]
    texts = []
    for split, n_clips in SPLITS.items():
        names = [f"{split} {index}.wav" for index in range(n_clips)]
        seconds = rng.uniform(15, 30, n_clips)
        captions = [
            tuple(" ".join(rng.choice(words, rng.integers(8, 21))) for _ in range(5)) for _ in names
        ]
        texts += [text for each in captions for text in each]
        write_clips(
            folder / f"{split}.clips.parquet",
            [Clip(name, name, 1, s, 44100, 1) for name, s in zip(names, seconds, strict=True)],
        )
        write_annotations(
            folder / f"{split}.annotations.parquet",
            [Annotation(name, each) for name, each in zip(names, captions, strict=True)],
        )
        for frontend, (n_features, hop_s, dtype) in FRONTENDS.items():
            noise = rng.standard_normal((int(40 / hop_s), n_features)).astype(np.float32)
            metadata = ShardMetadata({"storage": dtype}, n_features, dtype, (), "")
            for shard in range(N_SHARDS):
                path = folder / frontend / split / f"{shard}.parquet"
                path.parent.mkdir(parents=True, exist_ok=True)
                with open_shard(path, metadata) as writer:
                    for index in range(shard, n_clips, N_SHARDS):
                        first = index % int(10 / hop_s)
                        last = first + int(seconds[index] / hop_s)
                        writer.write(names[index], Heard(noise[first:last], None))
    build_vocabulary(texts, VOCABULARY, [{"corpus": "c", "splits": list(SPLITS)}]).save(
        folder / "vocabulary.json"
    )


def source_of(folder: Path, split: str, frontend: str) -> Source:
    """Name the files of a split."""
    return Source(
        "c",
        split,
        folder / f"{split}.clips.parquet",
        folder / f"{split}.annotations.parquet",
        {frontend: sorted((folder / frontend / split).glob("*.parquet"))},
    )


def settings_of(system: str) -> dict[str, Any]:
    """Read a system's settings, complete."""
    settings = yaml.safe_load((REPOSITORY / f"config/systems/{system}.yaml").read_text())
    schema = yaml.safe_load((REPOSITORY / "workflow/schemas/system.schema.yaml").read_text())
    training = complete(settings["training"], schema["properties"]["training"], system)
    return {**settings, "training": training}


def measure_batches(folder: Path, frontend: str, system: str) -> None:
    """Print the time of a system's batches, and their padding by buckets."""
    vocabulary = Vocabulary.load(folder / "vocabulary.json")
    clips = load_source(source_of(folder, "development", frontend), vocabulary, "refuse")
    training = settings_of(system)["training"]
    means = {frontend: np.zeros(FRONTENDS[frontend][0])}
    augmentation = Augmentation.from_settings(training, means)
    plan = plan_training(clips, training, np.random.default_rng(1))[:40]
    times = []
    for pairs in plan:
        generator = np.random.default_rng(2)
        started = time.perf_counter(), time.thread_time()
        make_batch(
            clips,
            pairs,
            vocabulary,
            "back",
            encode_once=training["batching"] == "clips",
            augment=augmentation and (lambda *a, g=generator: augmentation.draw(g, *a)),
        )
        times.append((time.perf_counter() - started[0], time.thread_time() - started[1]))
    wall, cpu = np.median(times, axis=0) * 1e3
    print(
        f"{system}: {len(plan[0])} captions a batch of {frontend}s: {wall:.1f} ms, CPU {cpu:.1f} ms"
    )
    for batching, size in (("clips", 16), ("clips", 512)):
        for buckets in (1, 4, 16, 64):
            print(
                f"  {batching}, batches of {size}, buckets {buckets:2}: padding "
                f"{padding(clips, frontend, training, batching, size, buckets):.1%} of frames"
            )


def padding(
    clips: CaptionedClips,
    frontend: str,
    training: dict[str, Any],
    batching: str,
    size: int,
    buckets: int,
) -> float:
    """Give the share of the frames of an epoch's batches that is padding."""
    changed = {"batching": batching, "batch_size": size, "buckets": buckets}
    own, padded = 0, 0
    for pairs in plan_training(clips, training | changed, np.random.default_rng(1)):
        lengths = [clips.n_frames(frontend, clip) for clip in dict.fromkeys(pairs[:, 0])]
        own += sum(lengths)
        padded += len(lengths) * max(lengths)
    return 1 - own / padded


def train(folder: Path, n_steps: int) -> None:
    """Train the baseline for some steps; print the peak of this process's memory."""
    from captioner.training import step, train

    class EnoughError(Exception):
        """The steps are taken."""

    take, taken = step.Stepper.take, []

    def counting(*arguments: Any) -> step.Taken:
        if len(taken) == n_steps:
            raise EnoughError
        taken.append(1)
        return take(*arguments)

    step.Stepper.take = counting  # type: ignore[method-assign]
    source = source_of(folder, "development", "logmel")
    FeatureStore(source.shards["logmel"]).statistics().save(folder / "statistics.json")
    try:
        train.train_system(
            system="baseline",
            settings=settings_of("baseline"),
            seed=1,
            sources=[source],
            validation=source_of(folder, "validation", "logmel"),
            statistics={"logmel": [folder / "statistics.json"]},
            vocabulary=folder / "vocabulary.json",
            model_folder=folder / "out/model",
            history=folder / "out/history.csv",
            resume_folder=folder / "out/resume",
            threads=2,
        )
    except EnoughError:
        status = Path("/proc/self/status").read_text()
        found = re.search(r"VmHWM:\s*(\d+)", status)
        assert found is not None
        print(json.dumps({"peak_bytes": 1024 * int(found[1])}))


if __name__ == "__main__":
    main()

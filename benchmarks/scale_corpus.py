"""A made corpus of any number of clips, small on the disk: tables, shards, a few wavs."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np
import soundfile

from captioner.audio.frontends import Heard
from captioner.corpus.tables import Annotation, Clip, write_annotations, write_clips
from captioner.store.schema import ShardMetadata
from captioner.store.writing import open_shard

CLIPS_PER_SHARD = 200  # 2,000 shards of 400,000 clips
N_WAVS, WAV_S, WAV_RATE_HZ = 8, 22.5, 44100
N_FRAMES, N_FEATURES = 4, 16
N_CAPTIONS, CAPTION_WORDS, N_WORDS = 5, (8, 20), 4000


@dataclass(frozen=True)
class Corpus:
    """Where the files of a corpus of n clips are."""

    folder: Path
    n_clips: int

    @property
    def n_shards(self) -> int:
        """As many as make shards of `CLIPS_PER_SHARD` clips."""
        return max(1, round(self.n_clips / CLIPS_PER_SHARD))

    @property
    def clips(self) -> Path:
        """The table of clips."""
        return self.folder / "clips.parquet"

    @property
    def annotations(self) -> Path:
        """The table of annotations."""
        return self.folder / "annotations.parquet"

    @property
    def shards(self) -> list[Path]:
        """The features."""
        return [self.folder / f"features/{shard}.parquet" for shard in range(self.n_shards)]

    def name(self, clip: int) -> str:
        """Name a clip."""
        return f"FreeSound/{clip:06d}, a field recording.wav"


def captions_of(n_clips: int, seed: int = 1) -> Iterator[tuple[str, ...]]:
    """Give captions of words by Zipf's law, clip by clip."""
    draw = random.Random(seed)
    words = [f"word{number}" for number in range(N_WORDS)]
    weights = list(accumulate(1 / (1 + number) for number in range(N_WORDS)))
    for _ in range(n_clips):
        lengths = [draw.randint(*CAPTION_WORDS) for _ in range(N_CAPTIONS)]
        drawn = draw.choices(words, cum_weights=weights, k=sum(lengths))
        ends = list(accumulate(lengths))
        yield tuple(
            " ".join(drawn[end - length : end]) for length, end in zip(lengths, ends, strict=True)
        )


def write_corpus(corpus: Corpus) -> None:
    """Write tables, a few wavs that all clips share, and shards of small features."""
    generator = np.random.default_rng(1)
    wavs = [corpus.folder / f"{number}.wav" for number in range(N_WAVS)]
    for wav in wavs:
        noise = generator.integers(-8000, 8000, round(WAV_S * WAV_RATE_HZ), dtype=np.int16)
        soundfile.write(wav, noise, WAV_RATE_HZ)
    size, numbers = wavs[0].stat().st_size, range(corpus.n_clips)
    write_clips(
        corpus.clips,
        (
            Clip(corpus.name(i), str(wavs[i % N_WAVS]), size, WAV_S, WAV_RATE_HZ, 1, f"{i:032x}")
            for i in numbers
        ),
    )
    texts = zip(numbers, captions_of(corpus.n_clips), strict=True)
    write_annotations(corpus.annotations, (Annotation(corpus.name(i), t) for i, t in texts))
    metadata = ShardMetadata({"storage": "float32"}, N_FEATURES, "float32", (), "")
    values = generator.standard_normal((64, N_FRAMES, N_FEATURES)).astype(np.float32)
    corpus.shards[0].parent.mkdir()
    for shard, path in enumerate(corpus.shards):
        with open_shard(path, metadata) as writer:
            for i in range(shard, corpus.n_clips, corpus.n_shards):
                writer.write(corpus.name(i), Heard(values[i % len(values)], None))

"""Log-mel features: CPU seconds per hour of audio, against librosa, torch and the baseline.

    PYTHONPATH=src python benchmarks/bench_features.py --minutes 20

All stages run in turn, each in a process of its own and one thread, on the same 16-bit clips of
22.5 s at 44.1 kHz (`logmel-panns` resamples them). The table shows the fastest of `--repeats` turns
and its ratio to ours. CPU seconds: clips come from the page cache.
"""

import argparse
import multiprocessing
import random
import resource
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np
import soundfile
import yaml
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from captioner.audio.frontends import FrontEnd, build_frontend, frontend_features
from captioner.audio.mel import mel_filter_bank
from captioner.corpus.clips import tabulate_folders
from captioner.corpus.tables import Clip
from captioner.store.shards import FeatureStore
from captioner.store.writing import write_shard

REPOSITORY = Path(__file__).resolve().parents[1]
FRONTENDS = ("logmel-dcase", "logmel-released", "logmel-panns")
OURS = [f"{name}: read, transform{rest}" for name in FRONTENDS for rest in ("", ", Parquet")]
SAMPLE_RATE_HZ = 44100
CLIP_S = 22.5  # the mean of Clotho
CAPTIONS_PER_CLIP = 5

Stage = Callable[[], None]


def main() -> None:
    """Measure every stage and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=20, help="audio to process (default 20)")
    parser.add_argument("--repeats", type=int, default=3, help="turns of each stage (default 3)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        clips = make_clips(Path(folder) / "clips", round(arguments.minutes * 60 / CLIP_S))
        hours = len(clips) * CLIP_S / 3600
        stages = our_stages(clips, Path(folder)) | peer_stages(clips, Path(folder))
        # A process each: what one allocates must not make another's memory cheaper.
        context = multiprocessing.get_context("spawn")
        workers = {
            name: stack.enter_context(ProcessPoolExecutor(1, mp_context=context)) for name in stages
        }
        turns: dict[str, list[tuple[float, float]]] = {name: [] for name in stages}
        for _ in range(1 + arguments.repeats):  # the first turn imports
            for name, stage in stages.items():
                turns[name].append(workers[name].submit(measure, stage).result())
    seconds = {name: min(seconds for seconds, _ in turns[name]) / hours for name in stages}
    report(seconds)
    peak_mb = max(peak for name in seconds if name in OURS for _, peak in turns[name])
    print(f"{len(clips)} clips, {60 * hours:.1f} min; peak memory of ours {peak_mb:.0f} MB")


def measure(stage: Stage) -> tuple[float, float]:
    """Run a stage once, in one thread; give CPU seconds and the process's peak memory in MB."""
    with threadpool_limits(1):
        before = time.process_time()
        stage()
        seconds = time.process_time() - before
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def make_clips(folder: Path, n_clips: int) -> list[Clip]:
    """Write clips of noise, 16 bit, mono."""
    folder.mkdir()
    rng = np.random.default_rng(1)
    for index in range(max(1, n_clips)):
        noise = rng.normal(scale=3000, size=round(CLIP_S * SAMPLE_RATE_HZ))
        soundfile.write(folder / f"{index}.wav", noise.astype(np.int16), SAMPLE_RATE_HZ)
    return list(tabulate_folders([folder]))


def our_stages(clips: list[Clip], folder: Path) -> dict[str, Stage]:
    """Give what the workflow does, by front-end."""
    stages: dict[str, Stage] = {}
    for name in FRONTENDS:
        frontend = build_frontend(read_settings(name))
        shard = folder / f"{name}.parquet"
        stages[f"{name}: read, transform"] = partial(transform, clips, frontend)
        stages[f"{name}: read, transform, Parquet"] = partial(
            write_shard, clips, 0, 1, frontend, shard
        )
    stages["logmel-dcase: load in random order"] = partial(
        load_in_random_order, folder / "logmel-dcase.parquet"
    )
    return stages


def transform(clips: list[Clip], frontend: FrontEnd) -> None:
    """Compute features and drop them."""
    for clip in clips:
        frontend_features(frontend, clip.path)


def load_in_random_order(shard: Path) -> None:
    """Open a shard and load every clip, as an epoch of training does."""
    store = FeatureStore([shard])
    for file_name in random.Random(1).sample(store.file_names, len(store)):
        store[file_name]


def peer_stages(clips: list[Clip], folder: Path) -> dict[str, Stage]:
    """Give the same with librosa and torch, and the released baseline's stage."""
    settings = {name: read_settings(name) for name in FRONTENDS}
    librosa_stages: dict[str, Stage] = {
        f"librosa, settings of {name}": partial(librosa_stage, clips, settings[name])
        for name in FRONTENDS
    }
    return librosa_stages | {
        "torch.stft, settings of logmel-dcase": partial(
            torch_stage, clips, settings["logmel-dcase"]
        ),
        "released baseline's stage": partial(
            released_stage, clips, settings["logmel-released"], folder
        ),
    }


def librosa_stage(clips: list[Clip], settings: dict) -> None:
    """Read with soundfile, resample and transform with librosa, in float32."""
    import librosa

    for clip in clips:
        waveform, sample_rate_hz = soundfile.read(clip.path, dtype="float32")
        if sample_rate_hz != settings["sample_rate_hz"]:
            waveform = librosa.resample(
                waveform, orig_sr=sample_rate_hz, target_sr=settings["sample_rate_hz"]
            )
        librosa_logmel(waveform, settings)


def librosa_logmel(waveform: np.ndarray, settings: dict) -> np.ndarray:
    """One plain call of librosa and the logarithm: (n_frames, n_mels)."""
    import librosa

    if settings["peak_normalise"]:
        waveform = waveform / (abs(waveform).max() + 1e-8)
    mel = librosa.feature.melspectrogram(
        y=waveform,
        sr=settings["sample_rate_hz"],
        n_fft=settings["n_fft"],
        hop_length=settings["hop"],
        window=settings["window"],
        pad_mode="reflect",
        power=settings["power"],
        n_mels=settings["n_mels"],
        fmin=settings["f_min_hz"],
        fmax=settings["f_max_hz"],
        norm="slaney",
    ).T
    return np.log(mel + settings["log_offset"])


def torch_stage(clips: list[Clip], settings: dict) -> None:
    """Read with soundfile, transform with `torch.stft` and a dense product, in float32."""
    import torch

    torch.set_num_threads(1)
    window = torch.hamming_window(settings["n_fft"])
    filters = torch.from_numpy(
        mel_filter_bank(
            *(
                settings[key]
                for key in ("sample_rate_hz", "n_fft", "n_mels", "f_min_hz", "f_max_hz")
            )
        )
    ).float()
    for clip in clips:
        waveform, _ = soundfile.read(clip.path, dtype="float32")
        spectrum = torch.stft(
            torch.from_numpy(waveform),
            settings["n_fft"],
            settings["hop"],
            window=window,
            return_complex=True,
        )
        (filters @ spectrum.abs().square()).clamp(min=settings["log_offset"]).log().T.numpy()


def released_stage(clips: list[Clip], settings: dict, folder: Path) -> None:
    """Do what the released 2021 baseline does between a wav and its features.

    It writes the waveform once per caption as a pickled record, then reads every record, computes
    its features and writes another record: five transforms per clip.
    """
    import librosa

    for clip in clips:
        waveform, _ = librosa.load(clip.path, sr=SAMPLE_RATE_HZ, mono=True)
        paths = [folder / f"record.{index}.npy" for index in range(CAPTIONS_PER_CLIP)]
        for path in paths:
            np.save(path, np.array([(clip.file_name, waveform)], dtype=object))
        for path in paths:
            (file_name, loaded), *_ = np.load(path, allow_pickle=True)
            record = np.array([(file_name, librosa_logmel(loaded, settings))], dtype=object)
            np.save(path.with_suffix(".features.npy"), record)


def read_settings(name: str) -> dict:
    """Read a front-end's settings."""
    path = REPOSITORY / "config" / "frontends" / f"{name}.yaml"
    settings: dict = yaml.safe_load(path.read_text(encoding="utf-8"))
    return settings


def report(seconds: dict[str, float]) -> None:
    """Print CPU seconds per hour, and the ratio to our stage of the same extent and settings."""
    ours = {f"librosa, settings of {name}": f"{name}: read, transform" for name in FRONTENDS} | {
        "torch.stft, settings of logmel-dcase": "logmel-dcase: read, transform",
        "released baseline's stage": "logmel-released: read, transform, Parquet",
    }
    print(f"{'':42} {'CPU s per hour':>14} {'ratio to ours':>14}")
    for name, value in seconds.items():
        ratio = f"{value / seconds[ours[name]]:.1f}" if name in ours else ""
        print(f"{name:42} {value:14.2f} {ratio:>14}")


if __name__ == "__main__":
    main()

"""Reading the JSONs of WavCaps: CPU seconds and memory, against `json.load` of the same files.

    PYTHONPATH=src python benchmarks/bench_wavcaps.py --clips 403050

Writes as many entries as asked for, in the published form and about as long, an empty file for each
clip's audio, and a blacklist of a tenth. Each stage runs in a process of its own: `json.load`
parses the files one after another; ours reads and checks them, leaves out what is blacklisted,
looks for the audio of the rest, and makes annotations of it.
"""

import argparse
import json
import multiprocessing
import random
import resource
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

from captioner.corpus.readers.wavcaps import read_annotations

SHARES = {"AudioSet_SL": 0.269, "BBC_Sound_Effects": 0.077, "FreeSound": 0.651, "SoundBible": 0.003}
WORDS = "a dog barks while wind blows through trees and cars pass by on the wet road"


def main() -> None:
    """Measure both stages and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--clips", type=int, default=403_050, help="entries (default 403050)")
    n_clips = parser.parse_args().clips
    with tempfile.TemporaryDirectory() as folder:
        settings = write_corpus(Path(folder), n_clips)
        peer_s, peer_mb = measure(load_all, settings)
        ours_s, ours_mb = measure(annotate_all, settings)
    print(f"{'stage':34}{'CPU s':>8}{'peak MB':>10}{'ratio to json.load':>20}")
    print(f"{'json.load':34}{peer_s:8.2f}{peer_mb:10.0f}{1:20.2f}")
    print(f"{'captioner: annotations':34}{ours_s:8.2f}{ours_mb:10.0f}{ours_s / peer_s:20.2f}")


def write_corpus(folder: Path, n_clips: int) -> dict:
    """Write JSONs, a blacklist and empty audio files; return the corpus's settings."""
    generator, words = random.Random(1), WORDS.split()

    def text(n_words: int) -> str:
        return " ".join(generator.choices(words, k=n_words))

    paths = []
    blacklist: dict[str, list[str]] = {}
    for collection, share in SHARES.items():
        audio = folder / "audio" / collection
        audio.mkdir(parents=True)
        entries = []
        for number in range(max(10, round(share * n_clips))):
            of_audioset = collection == "AudioSet_SL"
            name = f"Y{number:011d}" if of_audioset else str(number)
            (audio / f"{name}.flac").touch()
            entry = {"id": f"{name}.wav" if of_audioset else name, "caption": text(8)}
            if not of_audioset:
                entry |= {"description": text(50), "author": "someone", "tags": text(6).split()}
            entries.append({**entry, "duration": 10.0})
        path = folder / "json_files" / collection / "final.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"num_captions_per_audio": 1, "data": entries}))
        paths.append(str(path))
        if collection in ("AudioSet_SL", "FreeSound"):
            key = collection.removesuffix("_SL")
            blacklist[key] = [entry["id"] for entry in entries[::10]]
    (folder / "blacklist.json").write_text(json.dumps(blacklist))
    return {
        "audio": str(folder / "audio"),
        "captions": {"development": paths},
        "blacklists": [str(folder / "blacklist.json")],
    }


def load_all(settings: dict) -> None:
    """Parse every file, keeping none."""
    for path in settings["captions"]["development"]:
        with Path(path).open(encoding="utf-8") as file:
            json.load(file)


def annotate_all(settings: dict) -> None:
    """Make all annotations, keeping none."""
    for _ in read_annotations(settings, "development", {}):
        pass


def measure(stage: Callable[[dict], None], settings: dict) -> tuple[float, float]:
    """Run a stage in a fresh process; give its CPU seconds and its peak memory in MB."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_run, args=(stage, settings, sender))
    process.start()
    measured = receiver.recv()
    process.join()
    return measured


def _run(stage: Callable[[dict], None], settings: dict, sender: Connection) -> None:
    begin = time.process_time()
    stage(settings)
    spent = time.process_time() - begin
    sender.send((spent, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


if __name__ == "__main__":
    main()

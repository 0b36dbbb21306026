"""The stages of the workflow on a corpus of any number of clips: CPU time and memory per clip.

The corpus is made, and its cost per clip is the same at every size but for what grows otherwise,
which is what is looked for: few distinct wavs under many names, features of four frames of 16
values (a real clip's are 500 times larger: 384,000 of them would be 230 GB), captions of words by
Zipf's law, a model of one small layer.
"""

import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

import bench_tables
from captioner.audio.frontends import build_frontend
from captioner.corpus.tables import (
    iter_annotations,
    iter_shard_clips,
    read_annotations,
    read_clips,
)
from captioner.decoding.captions import write_captions
from captioner.decoding.decode import decode_clips
from captioner.decoding.options import DecodingOptions
from captioner.evaluation.bootstrap import intervals
from captioner.evaluation.diversity import diversity
from captioner.evaluation.meteor import PARAPHRASES, meteor_scores
from captioner.evaluation.metrics import bleu, bleu_statistics, cider, rouge_l
from captioner.evaluation.paraphrases import open_table
from captioner.evaluation.process import Crew
from captioner.evaluation.score import Scores, clip_table, tokenize_clips
from captioner.models.checkpoint import LoadedModel
from captioner.models.registry import build_model
from captioner.settings import complete, read_yaml
from captioner.store.shards import FeatureStore
from captioner.store.writing import write_shard
from captioner.text.vocabulary import Vocabulary, build_vocabulary
from captioner.training.batches import make_batch, plan_training
from captioner.training.sources import CaptionedClips, Source, load_source
from scale_corpus import N_FEATURES, WAV_S, Corpus, captions_of, write_corpus

REPOSITORY = Path(__file__).resolve().parents[1]
CLOTHO = 3839, 1045  # clips of the development and the evaluation split
FRONTEND = "logmel-dcase"
READ_CLIPS = 4000  # of an epoch's random order
VOCABULARY = {
    "text_rule": "task",
    "order": "frequency",
    "specials": "first",
    "minimum_count": 1,
    "unknown": False,
}
MODEL = {"n_hidden": 16, "n_heads": 2, "n_layers": 1, "n_feedforward": 16, "dropout": 0.0}
TRAINING: dict[str, Any] = {
    "batching": "clips",
    "batch_size": 64,
    "captions_per_clip": 1,
    "buckets": 1,
}

Measures = Iterator[tuple[str, float, int]]  # what, CPU seconds, clips
Stage = Callable[[Path, int], Measures]


def extract_features(folder: Path, n_clips: int) -> Measures:
    """One shard's job: log-mels of its clips of 22.5 s, found in the table of all."""
    corpus = Corpus(folder, n_clips)
    settings = yaml.safe_load((REPOSITORY / f"config/frontends/{FRONTEND}.yaml").read_text())
    schema = read_yaml(REPOSITORY / "workflow/schemas/frontend.schema.yaml")
    frontend = build_frontend(complete(settings, schema, FRONTEND), None)
    clock = time.process_time()
    mine = list(iter_shard_clips(corpus.clips, 0, corpus.n_shards))
    yield "features: a shard finds its clips", time.process_time() - clock, len(mine)
    clock = time.process_time()
    write_shard(mine, 0, corpus.n_shards, frontend, folder / "shard.parquet")
    yield f"features: log-mels of {WAV_S} s", time.process_time() - clock, len(mine)


def read_everything(folder: Path, n_clips: int) -> Measures:
    """The statistics of all features."""
    corpus = Corpus(folder, n_clips)
    clock = time.process_time()
    FeatureStore(corpus.shards).statistics().save(folder / "statistics.json")
    yield "features: statistics", time.process_time() - clock, n_clips


def count_words(folder: Path, n_clips: int) -> Measures:
    """The vocabulary of all captions."""
    clock = time.process_time()
    of_clips = read_annotations(Corpus(folder, n_clips).annotations)
    captions = [caption for clip in of_clips for caption in clip.captions]
    build_vocabulary(captions, VOCABULARY, ["made"]).save(folder / "vocabulary.json")
    yield "vocabulary", time.process_time() - clock, n_clips


def load_training(folder: Path, n_clips: int) -> Measures:
    """What a training opens, an epoch's plan, and the batches of a part of it."""
    corpus, vocabulary = Corpus(folder, n_clips), Vocabulary.load(folder / "vocabulary.json")
    source = Source("made", "all", corpus.clips, corpus.annotations, {"made": corpus.shards})
    clock = time.process_time()
    clips: CaptionedClips = load_source(source, vocabulary, "refuse")
    yield "loader: tables and shards opened", time.process_time() - clock, n_clips
    clock = time.process_time()
    plan = plan_training(clips, TRAINING, np.random.default_rng(1))
    yield "loader: an epoch planned", time.process_time() - clock, n_clips
    plan = plan[: max(1, READ_CLIPS // TRAINING["batch_size"])]
    clock = time.process_time()
    for pairs in plan:
        make_batch(clips, pairs, vocabulary, "back", encode_once=True)
    yield "loader: batches in random order", time.process_time() - clock, sum(map(len, plan))


def decode(folder: Path, n_clips: int) -> Measures:
    """Captions of a share of the clips like Clotho's evaluation split's, beam 3, small model."""
    corpus, vocabulary = Corpus(folder, n_clips), Vocabulary.load(folder / "vocabulary.json")
    torch.manual_seed(1)
    model = build_model(
        "embedding_transformer",
        MODEL,
        {"made": N_FEATURES},
        len(vocabulary),
        vocabulary.sos,
        vocabulary.eos,
    ).eval()
    clock = time.process_time()
    store = FeatureStore(corpus.shards)
    names = [clip.file_name for clip in read_clips(corpus.clips)][
        : n_clips * CLOTHO[1] // CLOTHO[0]
    ]
    yield "decoding: shards opened", time.process_time() - clock, n_clips
    clock = time.process_time()
    loaded = LoadedModel(model, vocabulary, {"frontends": {"made": {}}})
    options = DecodingOptions(beam_size=3, max_length=4)
    found = decode_clips(loaded, {"made": store}, names, options)
    write_captions(folder / "captions.csv", folder / "n_best.parquet", vocabulary, found)
    yield "decoding: a small model, 4 words", time.process_time() - clock, len(names)


def score(folder: Path, n_clips: int) -> Measures:
    """All metrics but SPICE, with intervals, of as many clips as were decoded."""
    n_scored = n_clips * CLOTHO[1] // CLOTHO[0]
    rows = iter_annotations(Corpus(folder, n_clips).annotations)
    references = {
        row.file_name: row.captions for row, _ in zip(rows, range(n_scored), strict=False)
    }
    made = (captions[0] for captions in captions_of(n_scored, seed=2))
    predictions = dict(zip(references, made, strict=True))
    open_table(PARAPHRASES, folder)  # once on a machine
    with tempfile.TemporaryDirectory() as scratch, Crew() as crew:
        clock = used_s()
        candidates, tokens = tokenize_clips(predictions, references, Path(scratch), 3600)
        yield "scoring: tokenizer", used_s() - clock, n_scored
        clock = used_s()
        meteor = meteor_scores(
            candidates, tokens, Path(scratch), table_folder=folder, timeout_s=3600, crew=crew
        )
        yield "scoring: METEOR", used_s() - clock, n_scored
    clock = used_s()
    values = dict(
        zip(("bleu_1", "bleu_2", "bleu_3", "bleu_4"), bleu(candidates, tokens), strict=True)
    )
    values |= {"rouge_l": rouge_l(candidates, tokens), "cider": cider(candidates, tokens)}
    values |= {"meteor": meteor[:2], "spice": values["rouge_l"], "spider": values["cider"]}
    of_set = diversity(candidates, tokens)
    yield "scoring: BLEU, ROUGE-L, CIDEr, diversity", used_s() - clock, n_scored
    clock = used_s()
    per_clip = {
        name: {metric: of_clips[i] for metric, (_, of_clips) in values.items()}
        for i, name in enumerate(references)
    }
    corpus_values = {metric: value for metric, (value, _) in values.items()}
    statistics = bleu_statistics(candidates, tokens)
    intervals(clip_table(Scores(corpus_values, per_clip, [], statistics, meteor[2], of_set)))
    yield "scoring: intervals", used_s() - clock, n_scored


def used_s() -> float:
    """CPU seconds of this process and of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def import_only(folder: Path, n_clips: int) -> Measures:
    """What a process has before it does anything."""
    yield "imports alone", 0.0, n_clips


STAGES: tuple[Stage, ...] = (
    import_only,
    extract_features,
    read_everything,
    count_words,
    load_training,
    decode,
    score,
)
TABLES = "tabulate"
STAGE_NAMES = (*(stage.__name__ for stage in STAGES), TABLES)


def measure_stages(sizes: Sequence[int], names: Collection[str]) -> None:
    """Print a row for each part of the stages named and a column for each size, of Clotho's."""
    rows: dict[str, list[str]] = {}
    for size in sizes:
        n_clips = size * CLOTHO[0]
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            started = time.monotonic()
            write_corpus(Corpus(folder, n_clips))
            print(f"{n_clips} clips written in {time.monotonic() - started:.0f} s", flush=True)
            for stage in STAGES:
                if stage.__name__ not in names:
                    continue
                measures, peak_mb = in_a_process(stage, folder, n_clips)
                for what, cpu_s, n in measures:
                    cell = f"{1e6 * cpu_s / n:.0f} us, {peak_mb:.0f} MB"
                    print(f"  {what:42} {cpu_s:7.1f} CPU s of {n:6} clips: {cell}", flush=True)
                    rows.setdefault(what, []).append(cell)
        if TABLES in names:
            with tempfile.TemporaryDirectory() as scratch:
                for what, cell in measure_tables(Path(scratch), n_clips):
                    rows.setdefault(what, []).append(cell)
    print("CPU us a clip, and the peak of the process")
    print(f"{'':42}" + "".join(f"{f'{size} x Clotho':>20}" for size in sizes))
    for what, cells in rows.items():
        print(f"{what:42}" + "".join(f"{cell:>20}" for cell in cells))


def measure_tables(folder: Path, n_clips: int) -> Iterator[tuple[str, str]]:
    """Measure the tables of as many wavs of 0.05 s, as `bench_tables.py` does."""
    bench_tables.write_corpus(folder / "corpus", n_clips)
    settings = bench_tables.settings_of(folder / "corpus")
    (folder / "tables").mkdir()
    for what, job in (
        ("tables: clips", bench_tables.tabulate_clips),
        ("tables: annotations", bench_tables.tabulate_annotations),
        ("tables: checks", bench_tables.check),
    ):
        runs = [
            bench_tables.measure(partial(job, settings, folder / "tables", split))
            for split in bench_tables.SPLITS
        ]
        cpu_s, peak_mb = sum(run.cpu_s for run in runs), max(run.peak_mb for run in runs)
        cell = f"{1e6 * cpu_s / n_clips:.0f} us, {peak_mb:.0f} MB"
        print(f"  {what:42} {cpu_s:7.1f} CPU s of {n_clips:6} clips: {cell}", flush=True)
        yield what, cell


def in_a_process(
    stage: Stage, folder: Path, n_clips: int
) -> tuple[list[tuple[str, float, int]], float]:
    """Run a stage in a process of its own; give its measures and its peak in MB."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(stage, folder, n_clips, sender))
    process.start()
    sender.close()
    try:
        found = receiver.recv()
    except EOFError:
        raise SystemExit(f"{stage.__name__} failed with {n_clips} clips") from None
    process.join()
    return found


def _run(stage: Stage, folder: Path, n_clips: int, sender: Connection) -> None:
    measures = list(stage(folder, n_clips))
    of_children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    peak_kb = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
    sender.send((measures, max(peak_kb / 1e3, of_children)))

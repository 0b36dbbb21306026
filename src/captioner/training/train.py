"""Train one system with one seed: from stored features and captions to a model folder."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from captioner.models.checkpoint import WEIGHTS, save_model
from captioner.models.registry import build_model
from captioner.store.statistics import Statistics, merge_all
from captioner.text.vocabulary import Vocabulary
from captioner.training.distributed import Processes
from captioner.training.loop import Trainer
from captioner.training.process import prepare_process
from captioner.training.resume import ResumeFile, digest, digest_of_file
from captioner.training.sources import (
    CaptionedClips,
    Source,
    join,
    leaking_clips,
    load_source,
)
from captioner.training.starting import load_start, load_word_embeddings
from captioner.training.validation import CaptionScorer

log = logging.getLogger(__name__)


def train_system(
    *,
    system: str,
    settings: Mapping[str, Any],
    seed: int,
    sources: Sequence[Source],
    validation: Source | None,
    statistics: Mapping[str, Sequence[str | Path]],
    encoders: Mapping[str, str | Path] | None = None,
    vocabulary: str | Path,
    model_folder: str | Path,
    history: str | Path,
    resume_folder: str | Path,
    threads: int,
    code: str = "",
    start: str | Path | None = None,
    pretrained: Mapping[str, str | Path] | None = None,
    word_embeddings: str | Path | None = None,
    resume: bool = True,
    tensorboard: str | Path | None = None,
    java_folder: str | Path | None = None,
    cache_folder: str | Path | None = None,
    scratch: str | None = None,
) -> None:
    """Train, and write the model folder (the best epoch's weights) and the history.

    Args:
        system: its name.
        settings: its resolved settings; `family`, `model`, `training` and `word_embeddings` are
            used.
        seed: of weights, order, dropout and augmentation.
        sources: what to learn from, the scored corpus first where it is among them: its task
            token is the one that captions are decoded with.
        validation: what to stop on, if anything.
        statistics: front-end -> files, one per source, merged exactly.
        encoders: front-end -> checkpoint, kept in the model folder.
        vocabulary: its file.
        model_folder: written at the end.
        history: CSV, written after every epoch.
        resume_folder: holds the state of the unfinished training; removed at the end. A training
            with the same inputs that was killed continues from it, exactly.
        threads: of a training on a CPU.
        code: digest of the code; a state that other code left is not continued from.
        start: model folder, with whose weights the training starts.
        pretrained: part of the model -> checkpoint that it starts from.
        word_embeddings: file (safetensors) of vectors that the embeddings of words start from.
        resume: False removes the states of unfinished trainings and starts anew.
        tensorboard: folder of event files, written after every epoch.
        java_folder: SPICE's jars, for a training that monitors SPIDEr.
        cache_folder: parses of captions that SPICE keeps.
        scratch: folder that the features are copied to before they are read in every epoch.

    Raises:
        InputError: a clip without features, a word outside the vocabulary where it was counted on
            that split, no captions to train on, a caption too long for the model, checkpoints or
            weights to start from that do not fit, a training that diverges.
    """
    device = prepare_process(seed, threads)
    processes = Processes.join(device)
    first = processes is None or processes.rank == 0
    words = Vocabulary.load(vocabulary)
    moments = {
        frontend: merge_all(map(Statistics.load, paths)) for frontend, paths in statistics.items()
    }
    counted_on = {(of["corpus"], split) for of in words.corpora for split in of["splits"]}
    if scratch is not None:
        sources = [source.staged(scratch) for source in sources]
        validation = validation and validation.staged(scratch)
    parts = [
        load_source(
            source,
            words,
            "refuse" if (source.corpus, source.split) in counted_on else "skip_caption",
        )
        for source in sources
    ]
    clips = join(parts)
    held_out = load_source(validation, words, "skip_word") if validation else None
    stores = clips.frontends
    model = build_model(
        settings["family"],
        settings["model"],
        {frontend: store.n_features for frontend, store in stores.items()},
        len(words),
        words.sos,
        words.eos,
    )
    model.set_normalisation({name: (part.mean, part.std) for name, part in moments.items()})
    frontends = {frontend: store.settings for frontend, store in stores.items()}
    checkpoints = {part: Path(path) for part, path in (pretrained or {}).items()}
    model.load_pretrained(checkpoints)
    frozen_words = word_embeddings is not None and settings["word_embeddings"]["frozen"]
    if word_embeddings is not None:
        load_word_embeddings(model, word_embeddings, frozen=frozen_words)
    if start is not None:
        load_start(model, words, frontends, start)
    model.to(device)
    log.info(
        "%s, seed %d: %d parameters, %d clips, %d captions, on %s",
        *(system, seed, model.n_parameters(), len(clips), len(clips.pairs()), device),
    )
    inputs = {
        "family": settings["family"],
        "model": settings["model"],
        "training": settings["training"],
        "seed": seed,
        "frontends": frontends,
        "statistics": {k: [v.n, v.mean.tolist(), v.m2.tolist()] for k, v in moments.items()},
        "tokens": words.tokens,
        "sources": [
            [source.weight, _contents(part)] for source, part in zip(sources, parts, strict=True)
        ],
        "validation": held_out and _contents(held_out),
        "start": start and digest_of_file(Path(start) / WEIGHTS),
        "pretrained": {part: digest_of_file(path) for part, path in checkpoints.items()},
        "word_embeddings": word_embeddings and [digest_of_file(word_embeddings), frozen_words],
        "code": code,
    }
    unfinished = ResumeFile(Path(resume_folder), digest(inputs))
    if not resume and first:
        unfinished.remove()
    if processes is not None:
        processes.agree(None)  # nobody looks for a state before it is removed
    java: dict[str, Any] = {
        "java_folder": java_folder,
        "cache_folder": cache_folder,
        "threads": threads,
    }
    monitor = settings["training"]["monitor"]
    scorer = CaptionScorer(held_out, words, monitor, **java) if held_out and first else None
    trainer = Trainer(
        model,
        clips,
        held_out,
        words,
        settings["training"],
        {frontend: part.mean for frontend, part in moments.items()},
        seed,
        scorer,
        processes,
        from_trained=start is not None,
    )
    state = trainer.run(unfinished, Path(history), tensorboard)
    if processes is not None:
        processes.leave()
    if not first:
        return
    description = {
        "title": settings.get("title", system),
        "system": system,
        "frontends": frontends,
        "settings": settings,
        "task_token": sources[0].task_token,
        "trained_on": [
            {
                "corpus": source.corpus,
                "split": source.split,
                "weight": source.weight,
                "task_token": source.task_token,
                "n_clips": len(part),
                "n_leaks": len(leaking_clips(source.leaks)),
            }
            for source, part in zip(sources, parts, strict=True)
        ],
        "seed": seed,
        "best": next(row for row in state.history if row["epoch"] == state.best_epoch),
    }
    save_model(model_folder, model, words, description, encoders)
    unfinished.remove()


def _contents(clips: CaptionedClips) -> list[Any]:
    """Give what identifies clips; the values of features are in the statistics."""
    return [
        [name, start, captions, [clips.n_frames(frontend, index) for frontend in clips.frontends]]
        for index, (name, start, captions) in enumerate(
            zip(clips.names, clips.starts, clips.captions, strict=True)
        )
    ]

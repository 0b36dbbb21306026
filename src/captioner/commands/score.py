"""`captioner score`: the official metrics of a CSV of predictions."""

import argparse
import os
import sys
from pathlib import Path

from captioner.commands.arguments import Commands, positive
from captioner.errors import InputError


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "score",
        help="score predicted captions with the nine metrics of DCASE 2021 Task 6",
        description="BLEU-1 to 4, ROUGE-L, METEOR, CIDEr, SPICE and SPIDEr by the official tools, "
        "and how varied the captions are; with models also SPIDEr-FL and FENSE.",
        epilog="The first run fetches 387 MB of Java libraries for SPICE. Example: captioner score "
        "predictions.csv references.csv --out scores.json --per-clip scores.parquet",
    )
    parser.add_argument(
        "predictions", type=Path, metavar="PREDICTIONS.csv", help="file_name,caption_predicted"
    )
    parser.add_argument(
        "references", type=Path, metavar="REFERENCES.csv", help="file_name,caption_1,...,caption_N"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE.json", help="write the scores: metric name to number"
    )
    parser.add_argument(
        "--per-clip",
        type=Path,
        metavar="FILE",
        help="write the scores of each clip: .csv, or .parquet, which captioner compare reads",
    )
    parser.add_argument(
        "--allow-empty", action="store_true", help="score empty predictions instead of refusing"
    )
    parser.add_argument(
        "--java-folder",
        type=Path,
        metavar="DIR",
        help="where SPICE's libraries are, or are put (default: resources/java where that folder "
        "exists, else captioner/java in the user's cache folder)",
    )
    parser.add_argument(
        "--spice-cache",
        type=Path,
        metavar="DIR",
        help="where SPICE keeps parsed captions for the next run (default: spice-cache beside the "
        "Java folder)",
    )
    parser.add_argument(
        "--threads", type=positive, metavar="N", help="parsing threads (default: all processors)"
    )
    parser.add_argument(
        "--offline", action="store_true", help="open no connection; say what is missing instead"
    )
    parser.add_argument(
        "--n-best",
        type=Path,
        metavar="FILE.parquet",
        help="SPIDEr-max too, of these captions: the Parquet that decoding writes beside its CSV",
    )
    models = parser.add_argument_group(
        "SPIDEr-FL and FENSE", "Computed with both models; they need the extra `semantic`."
    )
    models.add_argument(
        "--sentence-model",
        metavar="NAME",
        help="sentence-transformers model, a name or a folder (published: "
        "paraphrase-mpnet-base-v2)",
    )
    models.add_argument(
        "--fluency-model",
        type=Path,
        metavar="FILE.ckpt",
        help="checkpoint of FENSE's fluency error detector",
    )
    models.add_argument("--fluency-sha256", default="", metavar="HEX", help="check that file")
    models.add_argument(
        "--fluency-encoder",
        metavar="NAME",
        help="configuration and tokenizer of its encoder, a name or a folder (default: the one "
        "that the checkpoint names)",
    )
    parser.set_defaults(run=_score)


def _score(arguments: argparse.Namespace) -> int:
    from captioner.evaluation.java import fetch_spice_jars
    from captioner.evaluation.score import (
        check_clips,
        clip_table,
        score_captions,
        write_clip_table,
    )
    from captioner.evaluation.semantic import SemanticModels
    from captioner.evaluation.spider_max import read_n_best, spider_max
    from captioner.evaluation.tables import read_predictions, read_references, write_per_clip
    from captioner.job import write_json

    if (arguments.sentence_model is None) != (arguments.fluency_model is None):
        raise InputError(
            "SPIDEr-FL and FENSE need --sentence-model and --fluency-model: found one of them."
        )
    if arguments.offline:  # of the models' packages; they read these at their import
        os.environ["HF_HUB_OFFLINE"] = "1"
    models = None
    if arguments.sentence_model is not None:
        models = SemanticModels(
            arguments.sentence_model,
            arguments.fluency_model,
            arguments.fluency_sha256,
            arguments.fluency_encoder,
        )
    predictions = read_predictions(arguments.predictions)
    references = read_references(arguments.references)
    hypotheses = read_n_best(arguments.n_best) if arguments.n_best else None
    check_clips(predictions, references, allow_empty=arguments.allow_empty)
    java_folder = arguments.java_folder or _default_java_folder()
    cache_folder = arguments.spice_cache or java_folder.parent / "spice-cache"
    fetch_spice_jars(java_folder, offline=arguments.offline)
    scores = score_captions(
        predictions,
        references,
        java_folder=java_folder,
        cache_folder=cache_folder,
        allow_empty=arguments.allow_empty,
        threads=arguments.threads,
        models=models,
    )
    corpus = dict(scores.corpus)
    if hypotheses is not None:
        corpus["spider_max"] = spider_max(
            hypotheses,
            references,
            java_folder=java_folder,
            cache_folder=cache_folder,
            threads=arguments.threads,
        ).corpus
    if arguments.out:
        write_json(arguments.out, corpus)
    if arguments.per_clip:
        if arguments.per_clip.suffix == ".parquet":
            write_clip_table(arguments.per_clip, clip_table(scores))
        else:
            write_per_clip(arguments.per_clip, list(scores.corpus), scores.per_clip)
    print(f"{len(scores.per_clip)} clips")
    for metric, value in (corpus | scores.diversity).items():
        print(f"{metric:<8} {value:.4f}")
    return 0


def _default_java_folder() -> Path:
    here = Path("resources", "java")
    if here.is_dir():
        return here
    if sys.platform == "darwin":
        cache = Path.home() / "Library" / "Caches"
    else:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "captioner" / "java"

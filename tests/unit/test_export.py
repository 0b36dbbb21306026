"""Systems as ONNX graphs: what onnxruntime gives is what PyTorch gives, up to captions."""

import io
import json
import re
import runpy
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
import soundfile
import torch
from encoder_reference import N_FEATURES, save_checkpoint
from encoder_reference import settings as encoder_settings

from captioner.audio.frontends import build_frontend
from captioner.cli import main
from captioner.decoding.beam import beam_search
from captioner.decoding.constraints import Constraints
from captioner.decoding.options import DecodingOptions
from captioner.errors import InputError
from captioner.export.comparison import Session, difference
from captioner.export.graphs import build_step
from captioner.models.checkpoint import load_model, save_model
from captioner.models.interface import Captioner, Memory
from captioner.models.padding import pad
from captioner.models.registry import FAMILIES, build_model
from captioner.text.vocabulary import build_vocabulary
from small_models import VOCABULARY_SETTINGS, WORDS

LOGMEL = {
    "kind": "logmel",
    "sample_rate_hz": 8000,
    "window": "hamming",
    "n_fft": 256,
    "hop": 128,
    "n_mels": 16,
    "f_min_hz": 0,
    "f_max_hz": 4000,
    "power": 2,
    "log_offset": 1.0e-10,
    "log_floor": "maximum",
    "scale": "natural",
    "peak_normalise": False,
    "storage": "float32",
}
# As the released baseline's: other branches of the same graph.
PEAK = {
    **LOGMEL,
    "window": "hann",
    "power": 1,
    "log_offset": 2.220446049250313e-16,
    "log_floor": "add",
    "peak_normalise": True,
}
DECIBEL = {**LOGMEL, "sample_rate_hz": 6000, "hop": 90, "f_max_hz": 3000, "scale": "decibel"}
SMALL = {"n_hidden": 16, "n_heads": 2, "n_feedforward": 24}
SYSTEMS = {  # model, front-ends
    "dcase_baseline": ({"n_hidden": 12, "n_steps": 9}, {"logmel": PEAK}),
    "conv_transformer": ({**SMALL, "n_channels": [4, 6]}, {"logmel": LOGMEL}),
    "crnn_attention": (
        {"n_hidden": 12, "n_heads": 2, "n_channels": [4, 6], "n_word_values": 5},
        {"logmel": LOGMEL},
    ),
    "embedding_transformer": ({**SMALL, "n_layers": 1}, {"logmel": LOGMEL, "other mels": DECIBEL}),
    "cnn_transformer": ({**SMALL, "n_layers": 1, "n_channels": [4, 6]}, {"logmel": LOGMEL}),
}


# Seconds for each graph: the families that differ most in every run, all of them in `test-all`.
QUICK = ("dcase_baseline", "conv_transformer", "crnn_attention")


@dataclass(frozen=True)
class Exported:
    folder: Path  # of the model
    out: Path  # of the export
    printed: str
    complained: str

    @property
    def loaded(self):
        return load_model(self.folder)

    def session(self, file):
        return Session(self.out / file)


def save_system(folder, family, settings, frontends, sizes, seed=3, **saved):
    vocabulary = build_vocabulary([WORDS, WORDS], VOCABULARY_SETTINGS, ["toy"])
    torch.manual_seed(seed)
    model = build_model(family, settings, sizes, len(vocabulary), vocabulary.sos, vocabulary.eos)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    save_model(folder, model.eval(), vocabulary, {"frontends": frontends}, **saved)


def each(family):
    return pytest.param(family, marks=[] if family in QUICK else pytest.mark.slow)


@pytest.fixture(scope="session", params=map(each, FAMILIES))
def exported(request, tmp_path_factory):
    """A small system of each family, exported by the command where an earlier export stands."""
    settings, frontends = SYSTEMS[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    sizes = {name: each["n_mels"] for name, each in frontends.items()}
    save_system(folder / "model", request.param, settings, frontends, sizes)
    out = folder / "exported"
    out.mkdir()
    for name in ("export.json", "old.onnx"):
        (out / name).write_text("of before")
    printed, complained = io.StringIO(), io.StringIO()
    with redirect_stdout(printed), redirect_stderr(complained):
        assert main(["export", "--model", str(folder / "model"), "--out", str(out)]) == 0
    return Exported(folder / "model", out, printed.getvalue(), complained.getvalue())


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def noise(duration_s, rate, seed=0):
    """Noise that swells differently for each seed."""
    random = np.random.default_rng(seed)
    n_samples = int(duration_s * rate)
    samples = random.normal(scale=10.0 ** -random.uniform(1, 3), size=n_samples)
    return (samples * np.linspace(*random.uniform(0, 1, 2), n_samples)).astype(np.float32)


def random_batch(model, lengths, seed=0):
    """Features of clips, front-end -> (padded, lengths); each front-end has frames of its own."""
    random = np.random.default_rng(seed)
    return {
        name: pad(
            [random.standard_normal((n + place, size)).astype(np.float32) for n in lengths],
            model.padding,
        )
        for place, (name, size) in enumerate(model.dims.n_features.items())
    }


def encode(model, batch):
    features = {name: values for name, (values, _) in batch.items()}
    with torch.inference_mode():
        return model.encode(features, {name: lengths for name, (_, lengths) in batch.items()})


def encoder_arrays(batch):
    arrays = {f"features.{name}": values.numpy() for name, (values, _) in batch.items()}
    return arrays | {f"n_frames.{name}": lengths.numpy() for name, (_, lengths) in batch.items()}


def batches(model):
    """Batches of other sizes than the traced ones: one clip, one frame, padding."""
    for lengths in ([7], [1], [40, 40], [64, 1, 33, 16, 50]):
        if model.equal_lengths:
            lengths = [lengths[0]] * len(lengths)
        yield random_batch(model, lengths, seed=len(lengths))


def test_every_family_is_tested():
    assert set(SYSTEMS) == set(FAMILIES)


def test_front_ends(exported):
    for name, settings in exported.loaded.description["frontends"].items():
        frontend, session = build_frontend(settings), exported.session(f"frontend.{name}.onnx")
        rate = frontend.sample_rate_hz
        sounds = [noise(duration_s, rate, seed) for seed, duration_s in enumerate((0.05, 0.9, 2.2))]
        for waveform in (*sounds, np.zeros(999, np.float32)):
            (found,) = session({"waveform": waveform}).values()
            np.testing.assert_allclose(found, frontend(waveform), atol=1e-3, rtol=0)


def test_encoder(exported):
    model, session = exported.loaded.model, exported.session("encoder.onnx")
    for batch in batches(model):
        found, memory = session(encoder_arrays(batch)), encode(model, batch)
        mask = memory.mask.numpy()
        np.testing.assert_array_equal(found["memory_mask"], mask)
        expected = memory.values.numpy()
        np.testing.assert_allclose(found["memory"][mask], expected[mask], atol=1e-5, rtol=0)


def test_steps(exported):
    """Rows reordered, repeated and dropped between words equal all words at once in PyTorch."""
    model = exported.loaded.model
    encoder, step = exported.session("encoder.onnx"), exported.session("decoder_step.onnx")
    random = np.random.default_rng(2)
    for batch in batches(model):
        memory = encode(model, batch)
        held = encoder(encoder_arrays(batch))
        rows = np.arange(len(memory.mask))
        histories = np.full((len(rows), 1), model.dims.sos)
        for _ in range(7):
            found = step({"tokens": histories[:, -1], **held})
            with torch.inference_mode():
                embedded = model.embed(torch.from_numpy(histories))
                expected = model(memory.select(torch.from_numpy(rows)), embedded)[:, -1]
            np.testing.assert_allclose(found["logits"], expected.numpy(), atol=1e-5, rtol=0)
            held |= {name.replace("next", "state", 1): found[name] for name in found}
            index = random.integers(0, len(rows), random.integers(1, 6))
            held = {name: value[index] for name, value in held.items()}
            words = random.integers(2, model.dims.n_tokens, (len(index), 1))
            rows, histories = rows[index], np.concatenate([histories[index], words], axis=1)


@dataclass(frozen=True)
class OnnxState:
    held: dict[str, np.ndarray]

    def select(self, index):
        return OnnxState({name: value[index.numpy()] for name, value in self.held.items()})


class OnnxDecoder:
    """The graph of a step behind the interface that searches know."""

    def __init__(self, step, held):
        self.step_graph, self.held = step, held

    def start(self, memory: Memory, prefix, n_beams):
        assert prefix.shape == (len(memory.mask), 1)
        assert n_beams == 1
        return OnnxState(self.held)

    def step(self, state, tokens):
        found = self.step_graph({"tokens": tokens.numpy(), **state.held})
        held = {name.replace("next", "state", 1): found[name] for name in found}
        return torch.from_numpy(found["logits"]), OnnxState({**state.held, **held})


@pytest.mark.parametrize("beam_size", [1, 3])
def test_search(exported, beam_size):
    """Our beam search finds the same captions on the graph as on the model, scores too."""
    loaded = exported.loaded
    options = DecodingOptions(beam_size=beam_size, n_best=beam_size, min_length=2, max_length=12)
    constraints = Constraints.of(options, loaded.vocabulary)
    encoder, step = exported.session("encoder.onnx"), exported.session("decoder_step.onnx")
    batch = random_batch(loaded.model, [30, 30, 30, 30], seed=5)
    memory = encode(loaded.model, batch)
    prefix = torch.full((4, 1), loaded.vocabulary.sos)
    decoder = OnnxDecoder(step, encoder(encoder_arrays(batch)))
    found, expected = (
        beam_search(model, memory, prefix, options, constraints)
        for model in (decoder, loaded.model)
    )
    for of_clip, of_model in zip(found, expected, strict=True):
        assert [each.tokens for each in of_clip] == [each.tokens for each in of_model]
        scores = [each.score for each in of_model]
        assert [each.score for each in of_clip] == pytest.approx(scores, abs=1e-4)


def documented_program(repository):
    page = (repository / "docs" / "export.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n(# caption_onnx\.py\n.*?)```", page, re.DOTALL)
    return program


def sounds(folder):
    """Sounds of other lengths and rates than the front-ends'; stereo, too."""
    for seed, (duration_s, rate) in enumerate([(0.8, 8000), (2.5, 44100), (0.05, 6000)]):
        path = folder / f"{seed}.wav"
        soundfile.write(path, np.stack([noise(duration_s, rate, seed)] * 2, axis=1), rate)
        yield str(path)


def test_the_documented_program(exported, repository, tmp_path, capsys, monkeypatch):
    """Its captions are those of `captioner caption --beam-size 1`."""
    files = list(sounds(tmp_path))
    assert main(["caption", "--model", str(exported.folder), "--beam-size", "1", *files]) == 0
    expected = [line.split("\t")[1] for line in capsys.readouterr().out.splitlines()]
    program = tmp_path / "caption_onnx.py"
    program.write_text(documented_program(repository))
    monkeypatch.chdir(exported.out.parent)
    for file in files:
        monkeypatch.setattr(sys, "argv", [str(program), file])
        runpy.run_path(str(program), run_name="__main__")
    assert capsys.readouterr().out.splitlines() == expected


@pytest.mark.parametrize("exported", ["conv_transformer"], indirect=True)
def test_the_documented_program_needs_neither_pytorch_nor_us(exported, repository, tmp_path):
    program = documented_program(repository)
    program += "    assert not {'torch', 'captioner', 'onnx'} & set(sys.modules)\n"
    file = next(sounds(tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", program, file],
        cwd=exported.out.parent,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip()


def test_what_the_folder_tells(exported):
    about = json.loads((exported.out / "export.json").read_text(encoding="utf-8"))
    frontends = [f"frontend.{name}.onnx" for name in exported.loaded.description["frontends"]]
    graphs = [*frontends, "encoder.onnx", "decoder_step.onnx"]
    assert names_in(exported.out) == sorted([*graphs, "export.json"])
    assert list(about["difference"]) == graphs
    assert all(0 <= each < 1e-3 for each in about["difference"].values())
    for part in (*about["frontends"].values(), about["encoder"], about["decoder_step"]):
        session = exported.session(part["file"])
        assert [each["name"] for each in part["inputs"]] == session.inputs
        assert [each["name"] for each in part["outputs"]] == session.outputs
        model = onnx.load(exported.out / part["file"])
        onnx.checker.check_model(model, full_check=True)
        assert [(each.domain, each.version) for each in model.opset_import] == [("", 20)]
        assert not any(node.metadata_props or node.doc_string for node in model.graph.node)
    assert about["tokens"] == exported.loaded.vocabulary.tokens
    assert about["model"] == exported.loaded.description
    assert about["padding"] == exported.loaded.model.padding
    step, encoder = exported.session("decoder_step.onnx"), exported.session("encoder.onnx")
    assert set(step.inputs) <= {"tokens", *encoder.outputs}
    assert ["logits", *about["decoder_step"]["state"].values()] == step.outputs


def test_the_command_is_quiet(exported):
    """A line for each file, and no word of the exporter's."""
    told = [line.split("  ")[0] for line in exported.printed.splitlines()]
    assert sorted(told) == names_in(exported.out)
    assert exported.complained == ""


@pytest.fixture
def model(tmp_path):
    settings, frontends = SYSTEMS["dcase_baseline"]
    save_system(tmp_path / "model", "dcase_baseline", settings, frontends, {"logmel": 16})
    return tmp_path / "model"


def refused(capsys, *arguments):
    assert main(["export", *map(str, arguments)]) == 2
    return capsys.readouterr().err


def test_a_folder_that_is_no_model(tmp_path, capsys):
    told = refused(capsys, "--model", tmp_path, "--out", tmp_path / "out")
    assert f"{tmp_path} is no model" in told
    assert not (tmp_path / "out").exists()


def test_an_ensemble_is_exported_by_member(tmp_path, capsys):
    told = refused(capsys, "--model", "one", "--model", "two", "--out", tmp_path / "out")
    assert "found 2 systems, expected one" in told


@pytest.mark.parametrize("names", [["notes.txt"], ["export.json", "notes.txt"], ["old.onnx"]])
def test_nothing_but_an_earlier_export_is_replaced(names, model, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    for name in names:
        (out / name).write_text("mine")
    told = refused(capsys, "--model", model, "--out", out)
    assert f"{out}: found a folder with {names[-1]}" in told
    assert names_in(out) == sorted(names)


def test_the_name_of_a_file(model, tmp_path, capsys):
    (tmp_path / "out").write_text("mine")
    assert "found a file" in refused(capsys, "--model", model, "--out", tmp_path / "out")


def test_without_the_extra(model, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(
        "captioner.commands.arguments.find_spec", lambda name: None if name == "onnx" else object()
    )
    told = refused(capsys, "--model", model, "--out", tmp_path / "out")
    assert "found no onnx, expected" in told
    assert "'.[export]'" in told


def test_a_graph_that_differs_is_not_handed_out(model, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("captioner.export.comparison.TOLERANCE", -1.0)
    told = refused(capsys, "--model", model, "--out", tmp_path / "out")
    assert "frontend.logmel.onnx: found differences of" in told
    assert "Nothing was written" in told
    assert names_in(tmp_path) == ["model"]


def test_difference():
    expected = np.array([[-np.inf, 4.0], [0.0, -8.0]], np.float32)
    assert difference("file", expected.copy(), expected) == 0
    found = expected + np.float32([[0, 0], [2e-4, 0]])
    assert difference("file", found, expected) == pytest.approx(2e-4 / 8)
    small = expected / 100  # below 1, differences are not divided
    assert difference("file", small + np.float32(5e-5), small) == pytest.approx(5e-5, rel=1e-3)
    unlike = (expected + 1, expected[:1], np.full_like(expected, np.nan), np.zeros_like(expected))
    for wrong in unlike:
        with pytest.raises(InputError, match="file: found"):
            difference("file", wrong, expected)


class Unknown(Captioner):
    """A family that the export does not know."""

    family = "telepathy"
    encode = embed = forward = start = step = None  # type: ignore[assignment]


def test_a_family_that_is_not_known():
    with pytest.raises(InputError, match=r"family telepathy.*not known to the export"):
        build_step(Unknown())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["cnn10", "cnn14", "convnext_tiny"])
def test_a_system_with_its_pretrained_network(kind, tmp_path, repository, capsys, monkeypatch):
    """Waveform to caption through the network, clips shorter than its first embedding too."""
    checkpoint = tmp_path / "checkpoint.pth"
    save_checkpoint(checkpoint, kind)
    save_system(
        tmp_path / "model",
        "embedding_transformer",
        {**SMALL, "n_layers": 1},
        {kind: encoder_settings(kind)},
        {kind: N_FEATURES[kind]},
        encoders={kind: checkpoint},
    )
    out = tmp_path / "exported"
    assert main(["export", "--model", str(tmp_path / "model"), "--out", str(out)]) == 0
    frontend = build_frontend(encoder_settings(kind), checkpoint)
    session = Session(out / f"frontend.{kind}.onnx")
    for duration_s in (0.02, 0.5, 3.1):
        waveform = noise(duration_s, frontend.sample_rate_hz)
        (found,), expected = session({"waveform": waveform}).values(), frontend(waveform)
        np.testing.assert_allclose(found, expected, atol=1e-4 * abs(expected).max(), rtol=0)
    exported = Exported(tmp_path / "model", out, "", "")
    capsys.readouterr()
    test_the_documented_program(exported, repository, tmp_path, capsys, monkeypatch)

"""SPIDEr-FL and FENSE with tiny models of random weights, built here; no download."""

import hashlib
import importlib.util
import sys

import numpy as np
import pytest
import torch

from captioner.cli import main
from captioner.errors import InputError
from captioner.evaluation import fluency, semantic
from captioner.evaluation.fluency import FluencyDetector
from captioner.evaluation.semantic import SemanticJudge, SemanticModels, penalised

TEXT = "a the dog cat barks runs loudly rain falls on roof and is was heard far away"
WORDS = TEXT.split()
N_CLASSES = 6
needs_transformers = pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None
    or importlib.util.find_spec("sentence_transformers") is None,
    reason="transformers and sentence-transformers (the extra `semantic`) are not installed",
)


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory):
    """Configuration, tokenizer and random weights of a tiny BERT."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("tiny BERT (é)")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        initializer_range=0.5,  # states that differ between captions
    )
    torch.manual_seed(0)
    BertModel(config).save_pretrained(folder)
    BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def checkpoint(encoder_folder, tmp_path_factory):
    """A detector's checkpoint as published ones are, with old position numbers among its keys."""
    from transformers import AutoConfig, AutoModel

    torch.manual_seed(1)
    encoder = AutoModel.from_config(AutoConfig.from_pretrained(encoder_folder))
    head = torch.nn.Linear(16, N_CLASSES)
    head.weight.data *= 3  # and probabilities
    state = {f"encoder.{key}": value for key, value in encoder.state_dict().items()}
    state |= {f"clf.{key}": value for key, value in head.state_dict().items()}
    state["encoder.embeddings.position_ids"] = torch.arange(512)[None]
    path = tmp_path_factory.mktemp("detector") / "tiny.ckpt"
    content = {"model_type": str(encoder_folder), "num_classes": N_CLASSES, "state_dict": state}
    torch.save(content, path)
    return path


@pytest.fixture(scope="session")
def sentence_folder(encoder_folder, tmp_path_factory):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Pooling, Transformer

    words = Transformer(str(encoder_folder))
    folder = tmp_path_factory.mktemp("sentences")
    SentenceTransformer(modules=[words, Pooling(16)], device="cpu").save(str(folder))
    return folder


def sentences(n):
    rng = np.random.default_rng(n)
    return [" ".join(rng.choice(WORDS, rng.integers(3, 12))) for _ in range(n)]


@needs_transformers
@pytest.mark.parametrize("n", [1, 2, 6, 31, 32, 33, 70])
def test_one_probability_a_caption_whatever_their_number(checkpoint, n):
    """Published code gives the wrong shape for 32 captions or fewer: all classes, not `error`."""
    detector = FluencyDetector(checkpoint)
    captions = sentences(n)
    together = detector.error_probabilities(captions)
    alone = [detector.error_probabilities([caption])[0] for caption in captions]
    assert len(together) == n
    assert np.allclose(together, alone, atol=1e-5)
    assert detector.has_error(captions) == [value > 0.9 for value in together]


@needs_transformers
def test_probabilities_are_those_of_a_plain_forward_pass(checkpoint, encoder_folder):
    """Fixed length 64 with padding, as published, for text without punctuation."""
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    content = torch.load(checkpoint, weights_only=True)
    state = content["state_dict"]
    encoder = AutoModel.from_config(AutoConfig.from_pretrained(encoder_folder)).eval()
    encoder.load_state_dict(
        {
            key.removeprefix("encoder."): value
            for key, value in state.items()
            if key.startswith("encoder.") and "position_ids" not in key
        }
    )
    captions = [*sentences(40), "The dog's BARK, loudly; and far-away!"]
    plain = [*captions[:-1], "the dogs bark loudly and faraway"]
    tokenizer = AutoTokenizer.from_pretrained(encoder_folder)
    batch = tokenizer(plain, padding="max_length", max_length=64, return_tensors="pt")
    with torch.inference_mode():
        states = encoder(**batch).last_hidden_state[:, 0]
        logits = states @ state["clf.weight"].T + state["clf.bias"]
    expected = torch.sigmoid(logits[:, -1]).numpy()
    found = FluencyDetector(checkpoint).error_probabilities(captions)
    assert np.allclose(found, expected, atol=1e-5)
    assert np.ptp(expected) > 0.1
    assert FluencyDetector(checkpoint).error_probabilities([]) == []


@needs_transformers
def test_the_checkpoint_is_verified(checkpoint, encoder_folder):
    digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    detector = FluencyDetector(checkpoint, digest.upper(), str(encoder_folder))
    assert detector.sha256 == digest
    with pytest.raises(InputError, match=f"found sha256 {digest}, expected 00ff"):
        FluencyDetector(checkpoint, "00ff")


@needs_transformers
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<html>404</html>", "no file of weights"),
        (b"", "no file of weights"),
        ({"state_dict": {}, "num_classes": 6}, "found no model_type, expected"),
        ([1, 2], "found no model_type, num_classes, state_dict"),
        ({"model_type": "no/such-folder", "num_classes": 6, "state_dict": {}}, "cannot be had"),
    ],
)
def test_a_file_that_is_no_checkpoint(tmp_path, monkeypatch, content, message):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    path = tmp_path / "x.ckpt"
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    with pytest.raises(InputError, match=message):
        FluencyDetector(path)


@needs_transformers
def test_code_in_a_checkpoint_is_not_run(tmp_path):
    class Harmful:
        def __reduce__(self):
            return (open, (str(tmp_path / "touched"), "w"))

    torch.save({"model_type": Harmful(), "num_classes": 6, "state_dict": {}}, tmp_path / "x.ckpt")
    with pytest.raises(InputError, match="no file of weights"):
        FluencyDetector(tmp_path / "x.ckpt")
    assert not (tmp_path / "touched").exists()


@needs_transformers
def test_weights_that_do_not_fit(checkpoint, tmp_path):
    content = torch.load(checkpoint, weights_only=True)
    del content["state_dict"]["encoder.embeddings.word_embeddings.weight"]
    torch.save(content, tmp_path / "x.ckpt")
    with pytest.raises(InputError, match="do not fit its encoder"):
        FluencyDetector(tmp_path / "x.ckpt")


@needs_transformers
def test_similarity_is_the_mean_cosine_over_references(checkpoint, sentence_folder):
    from sentence_transformers import SentenceTransformer

    judge = SemanticJudge(SemanticModels(str(sentence_folder), checkpoint))
    candidates = ["a dog barks", "rain falls on the roof", "a cat"]
    references = [
        ["the dog barks loudly"],
        ["rain", "rain falls on a roof"],
        ["a cat", "a dog", "x"],
    ]
    model = SentenceTransformer(str(sentence_folder))
    expected = []
    for candidate, of_clip in zip(candidates, references, strict=True):
        a, *others = model.encode([candidate, *of_clip])
        cosines = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in others]
        expected.append(np.mean(cosines))
    assert np.allclose(judge.similarities(candidates, references), expected, atol=1e-5)
    assert judge.description()["fluency"] == "tiny.ckpt"


@needs_transformers
def test_a_sentence_model_that_cannot_be_had(checkpoint, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(InputError, match=r"sentence-transformers model .*cannot be had"):
        SemanticJudge(SemanticModels(str(tmp_path / "absent"), checkpoint))


def test_the_penalty_takes_nine_tenths():
    assert penalised([0.5, 0.4, 0.0], [False, True, True]) == pytest.approx([0.5, 0.04, 0.0])


def test_an_absent_checkpoint_is_a_message(tmp_path, monkeypatch):
    monkeypatch.setattr(fluency, "require", lambda package: torch)
    with pytest.raises(InputError, match=r"absent\.ckpt: no such file.*leave SPIDEr-FL and FENSE"):
        FluencyDetector(tmp_path / "absent.ckpt")


@pytest.mark.parametrize("package", ["transformers", "sentence_transformers"])
def test_an_absent_package_is_a_message(tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr(semantic, "FluencyDetector", lambda *_: None)
    with pytest.raises(InputError, match=rf"need the Python package {package} .*\[semantic\]"):
        if package == "transformers":
            FluencyDetector(tmp_path / "x.ckpt")
        else:
            SemanticJudge(SemanticModels("x", tmp_path / "x.ckpt"))


def test_one_model_alone_is_refused_on_the_command_line(capsys):
    assert main(["score", "p.csv", "r.csv", "--sentence-model", "x"]) == 2
    assert "--fluency-model" in capsys.readouterr().err

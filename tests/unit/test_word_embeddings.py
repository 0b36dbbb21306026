"""Word vectors: word2vec on captions, files in every published form, a language model's matrix."""

import gzip
import importlib.util
import json
import logging
import os
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from safetensors.numpy import load_file

from captioner.errors import InputError
from captioner.text.vocabulary import build_vocabulary
from captioner.text.word_embeddings import word2vec
from captioner.text.word_embeddings.sources import SOURCES
from captioner.text.word_embeddings.vectors import WordVectors, embed_words

CAPTIONS = [
    "A dog barks, and a bird sings.",
    "Dog and bird; a dog again!",
    "The rain falls on a tin roof",
    "a zyzzyva hums",
]
SETTINGS = {
    "text_rule": "task",
    "order": "frequency",
    "specials": "first",
    "minimum_count": 1,
    "unknown": False,
    "task_tokens": ["clotho"],
}
VOCABULARY = build_vocabulary(CAPTIONS, SETTINGS, [])
WORDS = VOCABULARY.tokens[3:]
TINY = {"source": "word2vec", "n_values": 6, "epochs": 3}

needs_gensim = pytest.mark.skipif(
    importlib.util.find_spec("gensim") is None, reason="gensim is not installed (Python 3.14)"
)
needs_transformers = pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None, reason="the extra `semantic` is not installed"
)


# word2vec


@needs_gensim
def test_word2vec_is_gensims_on_the_encoded_captions():
    from gensim.models import Word2Vec

    rare = build_vocabulary(CAPTIONS, {**SETTINGS, "minimum_count": 2, "unknown": True}, [])
    sentences = [
        "<sos> a dog <unk> and a bird <unk> <eos>",
        "<sos> dog and bird a dog <unk> <eos>",
        "<sos> <unk> <unk> <unk> <unk> a <unk> <unk> <eos>",
        "<sos> a <unk> <unk> <eos>",
    ]
    options = {"n_values": 8, "window": 2, "epochs": 4, "skip_gram": True}
    vectors = embed_words(rare, CAPTIONS, {"source": "word2vec", **options})
    expected = Word2Vec(
        [sentence.split() for sentence in sentences],
        vector_size=8, window=2, epochs=4, sg=1, min_count=1, workers=1, seed=1,
    ).wv  # fmt: skip
    assert len(expected) == len(rare) - 1  # all but the task's token
    for token, row, known in zip(rare.tokens, vectors.values, vectors.known, strict=True):
        assert known == (token in expected)
        np.testing.assert_array_equal(row, expected[token] if known else np.zeros(8))


@needs_gensim
def test_word2vec_is_the_same_in_every_process(repository):
    code = (
        "import json, sys; from captioner.text.vocabulary import build_vocabulary; "
        "from captioner.text.word_embeddings.vectors import embed_words; "
        "captions, vocabulary, settings = json.loads(sys.argv[1]); "
        "words = build_vocabulary(captions, vocabulary, []); "
        "print(embed_words(words, captions, settings).values.tobytes().hex())"
    )
    given = json.dumps([CAPTIONS, SETTINGS, TINY])
    found = set()
    for seed in ("0", "1"):
        environment = {**os.environ, "PYTHONPATH": f"{repository}/src", "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", code, given], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        found.add(done.stdout.strip())
    assert found == {embed_words(VOCABULARY, CAPTIONS, TINY).values.tobytes().hex()}


@needs_gensim
def test_word2vec_learns_what_stands_for_what():
    captions = [
        f"the {animal} {says} loudly"
        for animal, says in [("dog", "barks"), ("hound", "barks"), ("owl", "hoots")] * 30
    ]
    vocabulary = build_vocabulary(captions, SETTINGS, [])
    vectors = embed_words(vocabulary, captions, {"source": "word2vec", "n_values": 8})

    def cosine(first, second):
        a, b = (vectors.values[vocabulary.tokens.index(word)] for word in (first, second))
        return a @ b / np.linalg.norm(a) / np.linalg.norm(b)

    assert cosine("dog", "hound") > cosine("dog", "owl") + 0.1


@needs_gensim
def test_word2vec_logs_its_progress_and_no_line_an_epoch(caplog):
    with caplog.at_level(logging.INFO):
        embed_words(VOCABULARY, CAPTIONS, TINY)
    assert {record.name.partition(".")[0] for record in caplog.records} == {"captioner"}
    assert "3/3" in caplog.text and "vectors of 6 values" in caplog.text


@needs_gensim
def test_word2vec_without_captions():
    with pytest.raises(InputError, match="found no captions"):
        embed_words(VOCABULARY, [], TINY)


def test_word2vec_without_gensim(monkeypatch):
    for module in ("gensim", "gensim.models", "gensim.models.callbacks"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=r"needs the Python package gensim.*source: file"):
        word2vec.embed(VOCABULARY, CAPTIONS)


# Files


def vectors_of(words, n_values=4):
    generator = np.random.default_rng(len(words))
    return {word: generator.standard_normal(n_values).astype(np.float32) for word in words}


def as_text(table, header=True, end="\n"):
    n_values = len(next(iter(table.values())))
    lines = [f"{len(table)} {n_values}"] if header else []
    lines += [" ".join([word, *map(str, row.tolist())]) for word, row in table.items()]
    return "".join(line + end for line in lines).encode()


def as_binary(table, behind=b"\n"):
    n_values = len(next(iter(table.values())))
    records = [word.encode() + b" " + row.tobytes() + behind for word, row in table.items()]
    return f"{len(table)} {n_values}\n".encode() + b"".join(records)


def as_gensim(table, path, binary):
    from gensim.models import KeyedVectors

    keyed = KeyedVectors(len(next(iter(table.values()))))
    keyed.add_vectors(list(table), list(table.values()))
    keyed.save_word2vec_format(path, binary=binary)


def read(path):
    return embed_words(VOCABULARY, [], {"source": "file", "path": str(path)})


TABLE = vectors_of(
    ["the", "Dog", ".", "dog", "été", "barks", "a", "</s>", "a_bird", "bird", "rain"]
)


def check(vectors, table=TABLE, exact=True):
    for token, row, known in zip(VOCABULARY.tokens, vectors.values, vectors.known, strict=True):
        assert known == (token in table), token
        if known:
            np.testing.assert_allclose(row, table[token], rtol=0 if exact else 1e-6)
        else:
            assert not row.any()


@needs_gensim
@pytest.mark.parametrize("binary", [True, False])
def test_files_that_gensim_wrote(tmp_path, binary):
    as_gensim(TABLE, str(tmp_path / "vectors"), binary)
    check(read(tmp_path / "vectors"), exact=binary)


def test_vectors_of_another_size_than_the_models_words(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_bytes(as_text(TABLE))
    settings = {"source": "file", "path": str(path)}
    assert embed_words(VOCABULARY, [], settings, 4).known.any()
    with pytest.raises(
        InputError, match=r"vectors\.txt: found vectors of 4 values, expected 256, as m"
    ):
        embed_words(VOCABULARY, [], settings, 256)


FORMS = {
    "text": as_text(TABLE),
    "a space behind": as_text(TABLE, end=" \n"),  # word2vec.c, fastText
    "Windows": as_text(TABLE, end="\r\n"),
    "GloVe": as_text(TABLE, header=False),
    "binary": as_binary(TABLE),
    "binary without line feeds": as_binary(TABLE, behind=b""),
}


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_every_published_form(tmp_path, caplog, form, zipped):
    path = tmp_path / "vectors"
    path.write_bytes(gzip.compress(FORMS[form]) if zipped else FORMS[form])
    with caplog.at_level(logging.INFO):
        check(read(path))
    said = caplog.text
    assert f"vectors of 4 values for 6 of the vocabulary's {len(VOCABULARY)} tokens" in said
    assert "start at random: <sos> <eos> <task:clotho> " in said and "zyzzyva" in said


def test_binary_files_longer_than_a_block(tmp_path):
    """Words and values fall across the blocks that are read."""
    table = vectors_of([*map(str, range(9000)), *WORDS, *map(str, range(9000, 12000))], 101)
    for behind in (b"", b"\n"):
        (tmp_path / "vectors").write_bytes(as_binary(table, behind))
        check(read(tmp_path / "vectors"), table)


def test_names_with_spaces_and_repeated_words(tmp_path):
    """GloVe's largest file has names like ". . ." and "at name@domain.com"."""
    lines = as_text({"dog": TABLE["dog"]}, header=False)
    lines += b"a dog 1 2 3 4\n. . . 1 2 3 4\ndog 5 6 7 8\n"
    (tmp_path / "vectors").write_bytes(lines)
    check(read(tmp_path / "vectors"), {"dog": TABLE["dog"]})


def test_only_the_vocabularys_words_are_kept(tmp_path):
    table = vectors_of([*WORDS, *(f"word{i}" for i in range(20_000))], 50)
    text, binary = as_text(table), as_binary(table)
    assert len(text) > 16e6 and len(binary) > 4e6
    for content in (text, binary):
        (tmp_path / "vectors").write_bytes(content)
        tracemalloc.start()
        read(tmp_path / "vectors")
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 4e6, peak


TEXT, BINARY = as_text(TABLE), as_binary(TABLE)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "a first line without a word and numbers"),
        (b"dog\n", "a first line without a word and numbers .'dog'"),
        (b"PK\x03\x04" + bytes(40), "a first line without a word"),
        (b"<!DOCTYPE html>\n<title>404 Not Found</title>", "a first line without a word"),
        (b"0 4\n", "0 words of 4 values"),
        (b"3 0\n", "3 words of 0 values"),
        (b"3 99999999999\n", "3 words of 99999999999 values"),
        (TEXT[: TEXT.index(b"barks") + 12], "1 values of word 6 .* in place of 4"),
        (TEXT[: TEXT.index(b"barks")], "5 words where the first line says 11"),
        (TEXT + TEXT[5:], "22 words where the first line says 11"),
        (TEXT.replace(b"barks ", b"barks x"), "values of 'barks' that are no numbers"),
        (b"dog" + b" 1" * 600_000, "a first line without a word and numbers"),
        (b"dog 1 2\nb" + b" 1" * 600_000, "524287 values of word 2 .* in place of 2"),
        (BINARY[:-20], "no word 11 of the 11"),
        (BINARY[: BINARY.index(b"barks") + 3], "no word 6 of the 11"),
        (BINARY + b"more", "more than the 11 words"),
    ],
)
def test_malformed_files(tmp_path, content, found):
    (tmp_path / "vec.x").write_bytes(content)
    with pytest.raises(InputError, match=rf"vec\.x: found {found}.*; expected word vectors in"):
        read(tmp_path / "vec.x")


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "cut.gz").write_bytes(gzip.compress(TEXT)[:-9])
    (tmp_path / "bad.gz").write_bytes(gzip.compress(TEXT)[:30] + bytes(200))
    for name in ("cut.gz", "bad.gz", "nowhere", "."):
        with pytest.raises(InputError, match="cannot be read"):
            read(tmp_path / name)


def test_files_without_any_word_or_with_values_that_are_none(tmp_path):
    path = tmp_path / "vectors"
    path.write_bytes(as_text(vectors_of(["Hund", "Katze"])))
    with pytest.raises(InputError, match="found none of the vocabulary's"):
        read(path)
    path.write_bytes(as_text({**TABLE, "dog": np.array([1, np.nan, 3, 4])}))
    with pytest.raises(InputError, match="vector of 'dog' holds values that are not finite"):
        read(path)


# A language model's matrix


@pytest.fixture
def bert(tmp_path):
    import transformers

    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "dog", "bark", "##s", "the"]
    (tmp_path / "vocab.txt").write_text("\n".join(pieces), encoding="utf-8")
    config = transformers.BertConfig(
        vocab_size=len(pieces), hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=8,
    )  # fmt: skip
    model = transformers.BertModel(config)
    model.save_pretrained(tmp_path / "model")
    transformers.BertTokenizerFast(str(tmp_path / "vocab.txt")).save_pretrained(tmp_path / "model")
    rows = model.get_input_embeddings().weight.detach().numpy()
    return tmp_path / "model", dict(zip(pieces, rows, strict=True))


@needs_transformers
def test_a_language_models_rows(bert):
    folder, rows = bert
    vectors = embed_words(VOCABULARY, [], {"source": "bert", "path": str(folder)})
    expected = {
        "a": rows["a"],
        "dog": rows["dog"],
        "the": rows["the"],
        "barks": (rows["bark"] + rows["##s"]) / 2,
    }
    check(vectors, expected, exact=False)


@needs_transformers
def test_a_language_model_that_cannot_be_had(tmp_path):
    with pytest.raises(InputError, match=r"nowhere.* cannot be had"):
        embed_words(VOCABULARY, [], {"source": "bert", "path": str(tmp_path / "nowhere")})


def test_a_language_model_without_transformers(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(InputError, match=r"needs the Python package transformers.*\[semantic\]"):
        embed_words(VOCABULARY, [], {"source": "bert", "path": "bert-base-uncased"})


# The file


def test_saved_vectors(tmp_path):
    vectors = WordVectors.collect(VOCABULARY, {1: [1, 2], 4: [3, 4.5]})
    vectors.save(tmp_path / "a.safetensors")
    found = load_file(tmp_path / "a.safetensors")
    assert found["values"].dtype == np.float32 and found["known"].dtype == np.bool_
    np.testing.assert_array_equal(found["values"], vectors.values)
    assert found["known"].nonzero()[0].tolist() == [1, 4]
    assert found["values"][[1, 4]].tolist() == [[1, 2], [3, 4.5]]


def test_every_source_is_a_module():
    for name in SOURCES.values():
        assert callable(importlib.import_module(name).embed)

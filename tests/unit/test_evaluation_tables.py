"""Predictions and references as people write them."""

import csv

import pytest

from captioner.errors import InputError
from captioner.evaluation.tables import read_predictions, read_references, write_per_clip

ODD_NAMES = ["a.b.wav", "a.c.wav", "with space [1] (2).wav", 'quote".wav', "comma, é.wav"]


def write(path, rows, encoding="utf-8"):
    with path.open("w", newline="", encoding=encoding) as file:
        csv.writer(file).writerows(rows)
    return path


def test_predictions_by_odd_names(tmp_path):
    rows = [[name, f"a sound, number {number}"] for number, name in enumerate(ODD_NAMES)]
    path = write(tmp_path / "p.csv", [["file_name", "caption_predicted"], *rows], "utf-8-sig")
    assert read_predictions(path) == dict(rows)
    assert list(read_predictions(path)) == ODD_NAMES


def test_references_in_the_order_of_their_numbers(tmp_path):
    header = ["caption_10", "file_name", "keywords", "caption_2", "caption_1"]
    path = write(tmp_path / "r.csv", [header, ["tenth", "x.wav", "k", "second", "first"]])
    assert read_references(path) == {"x.wav": ["first", "second", "tenth"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file;caption_predicted\n", "found the header 'file;caption_predicted', expected"),
        ("file_name,caption\nx.wav,a\n", "expected 'file_name,caption_predicted'"),
        ("", "found the header ''"),
        ("file_name,caption_predicted\nx.wav,a, b\n", "line 2: found 3 cells, expected 2"),
        ("file_name,caption_predicted\nx.wav\n", "line 2: found 1 cells, expected 2"),
        ("file_name,caption_predicted\nx.wav,a\ny.wav,b\nx.wav,c\n", "line 4: 'x.wav' stands"),
    ],
)
def test_bad_predictions(tmp_path, text, message):
    path = tmp_path / "p.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as error:
        read_predictions(path)
    assert str(path) in str(error.value)


def test_wrong_encoding(tmp_path):
    path = tmp_path / "p.csv"
    path.write_bytes("file_name,caption_predicted\nx.wav,café\n".encode("latin-1"))
    with pytest.raises(InputError, match="expected a CSV in UTF-8"):
        read_predictions(path)


def test_no_file(tmp_path):
    with pytest.raises(InputError, match=r"p\.csv: no such file"):
        read_predictions(tmp_path / "p.csv")


def test_bad_references(tmp_path):
    path = write(tmp_path / "r.csv", [["file_name", "caption_one"], ["x.wav", "a"]])
    with pytest.raises(InputError, match=r"expected 'file_name,caption_1,\.\.\.,caption_N'"):
        read_references(path)
    path = write(tmp_path / "r.csv", [["file_name", "caption_1", "caption_2"], ["x.wav", "a", " "]])
    with pytest.raises(InputError, match="has nothing in caption_2"):
        read_references(path)


def test_per_clip_table_round_trips(tmp_path):
    values = {name: {"cider": 0.1 + 0.2, "spice": 1e-17} for name in ODD_NAMES}
    write_per_clip(tmp_path / "s.csv", ["cider", "spice"], values)
    with (tmp_path / "s.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["file_name", "cider", "spice"]
    assert [(name, float(a), float(b)) for name, a, b in rows[1:]] == [
        (name, 0.1 + 0.2, 1e-17) for name in ODD_NAMES
    ]

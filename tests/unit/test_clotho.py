import pytest

from captioner.corpus.captions import read_captions_csv
from captioner.corpus.clotho import read_annotations, read_metadata_csv, tabulate_clips
from captioner.corpus.readers import READERS, load_reader
from captioner.corpus.tables import Annotation
from captioner.errors import InputError

METADATA = (
    "file_name,keywords,sound_id,sound_link,start_end_samples,manufacturer,license\r\n"
    'a.1.wav,rain;wind,Not found,Not found,"[0, 3]",Jürgen,http://cc/by/3.0/\r\n'
    'ö.wav,dog,42,https://x/42,"[0, 3]",Åse,http://cc/zero/1.0/\r\n'
)


@pytest.mark.parametrize(
    ("split", "n_clips"), [("development", 3839), ("validation", 1045), ("evaluation", 1045)]
)
def test_official_captions_are_read_whole(shared_data, split, n_clips):
    files = {"captions": shared_data / f"clotho_captions_{split}.csv"}
    annotations = read_annotations({"n_captions": 5}, split, files)
    assert len(annotations) == n_clips
    assert {len(annotation.captions) for annotation in annotations} == {5}
    assert len({annotation.file_name for annotation in annotations}) == n_clips


def test_metadata_are_iso_8859_1_and_joined_by_name(tmp_path):
    (tmp_path / "m.csv").write_bytes(METADATA.encode("iso-8859-1"))
    (tmp_path / "c.csv").write_bytes(
        '\ufefffile_name,caption_1,caption_2\r\nö.wav,One,Two\r\na.1.wav,"x, y",z\r\n'
        "a.2.wav,u,v\r\n".encode()
    )
    files = {"captions": tmp_path / "c.csv", "metadata": tmp_path / "m.csv"}
    assert read_annotations({"n_captions": 2}, "development", files) == [
        Annotation("ö.wav", ("One", "Two"), "dog", "42", "Åse", "http://cc/zero/1.0/"),
        Annotation("a.1.wav", ("x, y", "z"), "rain;wind", "", "Jürgen", "http://cc/by/3.0/"),
        Annotation("a.2.wav", ("u", "v")),
    ]


def test_test_split_has_semicolons_and_no_captions(tmp_path):
    (tmp_path / "m.csv").write_bytes(
        "file_name;manufacturer;license\ntest_2.wav;Zoë;by\ntest_1, x.wav;b;zero\n".encode("latin1")
    )
    assert read_annotations({"n_captions": 5}, "test", {"metadata": tmp_path / "m.csv"}) == [
        Annotation("test_1, x.wav", (), author="b", licence="zero"),
        Annotation("test_2.wav", (), author="Zoë", licence="by"),
    ]


def test_faulty_metadata_are_named(tmp_path):
    (tmp_path / "m.csv").write_text("name,licence\na.wav,by\n")
    with pytest.raises(InputError, match=r"m\.csv: the header is 'name,licence', expected"):
        read_metadata_csv(tmp_path / "m.csv")
    (tmp_path / "m.csv").write_text("file_name,license\na.wav,by\na.wav,zero\n")
    with pytest.raises(InputError, match=r"m\.csv, line 3: 'a\.wav' stands in a second row"):
        read_metadata_csv(tmp_path / "m.csv")


def test_clips_are_the_folder_in_order_of_names(shared_data):
    clips = tabulate_clips({}, "evaluation", {"audio": shared_data / "clips"})
    assert [clip.file_name for clip in clips] == sorted(
        path.name for path in (shared_data / "clips").iterdir()
    )
    assert {(clip.sample_rate_hz, clip.n_channels) for clip in clips} == {(44100, 1)}
    assert all(15 <= clip.duration_s <= 30 for clip in clips)
    # 16 bit mono behind a 44-byte header
    assert clips[0].size == pytest.approx(clips[0].duration_s * 44100 * 2, abs=100)


def test_every_kind_has_a_reader():
    for kind in READERS:
        reader = load_reader(kind)
        assert callable(reader.tabulate_clips)
        assert callable(reader.read_annotations)
    with pytest.raises(InputError, match="'clotho2' is unknown; expected one of clotho, folder"):
        load_reader("clotho2")


def test_quotes_and_newlines_in_cells(tmp_path):
    path = tmp_path / "c.csv"
    path.write_text('file_name,caption_1\n"a ""b"", c.wav","one\ntwo"\n', encoding="utf-8")
    (row,) = read_captions_csv(path, 1)
    assert (row.file_name, row.captions) == ('a "b", c.wav', ("one\ntwo",))

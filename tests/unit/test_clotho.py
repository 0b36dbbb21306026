import numpy as np
import pytest
import soundfile

from captioner.corpus.readers.captions import read_captions_csv
from captioner.corpus.readers.clotho import read_annotations, read_metadata_csv, tabulate_clips
from captioner.corpus.readers.kinds import READERS, load_reader
from captioner.corpus.tables import Annotation
from captioner.errors import InputError

METADATA = (
    "file_name,keywords,sound_id,sound_link,start_end_samples,manufacturer,license\r\n"
    'a.1.wav,rain;wind,Not found,Not found,"[0, 3]",Jürgen,http://cc/by/3.0/\r\n'
    'ö.wav,dog,42,https://freesound.org/people/x/sounds/42,"[0, 3]",Åse,http://cc/zero/1.0/\r\n'
)
CAPTIONS = "file_name,caption_1,caption_2\na.wav,One,Two\nb.wav,x,y\nc.wav,u,v\n"


def write_wavs(folder, *names):
    folder.mkdir()
    for name in names:
        soundfile.write(folder / name, np.sin(np.arange(800.0)) / 2, 8000)
    return folder


@pytest.mark.parametrize(
    ("split", "n_clips"), [("development", 3839), ("validation", 1045), ("evaluation", 1045)]
)
def test_official_captions_are_read_whole(shared_data, split, n_clips):
    files = {"captions": shared_data / f"clotho_captions_{split}.csv"}
    annotations = read_annotations({"n_captions": 5}, split, files)
    assert len(annotations) == n_clips
    assert {len(annotation.captions) for annotation in annotations} == {5}
    assert len({annotation.file_name for annotation in annotations}) == n_clips


@pytest.mark.parametrize("encoding", ["iso-8859-1", "utf-8", "utf-8-sig"])
def test_metadata_are_decoded_and_joined_by_name(tmp_path, encoding):
    (tmp_path / "m.csv").write_bytes(METADATA.encode(encoding))
    (tmp_path / "c.csv").write_bytes(
        '\ufefffile_name,caption_1,caption_2\r\nö.wav,One,Two\r\na.1.wav,"x, y",z\r\n'
        "a.2.wav,u,v\r\n".encode()
    )
    files = {"captions": tmp_path / "c.csv", "metadata": tmp_path / "m.csv"}
    assert read_annotations({"n_captions": 2}, "development", files) == [
        Annotation("ö.wav", ("One", "Two"), "dog", "freesound:42", "Åse", "http://cc/zero/1.0/"),
        Annotation("a.1.wav", ("x, y", "z"), "rain;wind", "", "Jürgen", "http://cc/by/3.0/"),
        Annotation("a.2.wav", ("u", "v")),
    ]


@pytest.mark.parametrize(
    ("number", "link", "sound_id"),
    [
        ("42", "https://freesound.org/s/42", "freesound:42"),
        ("42", "Not found", "freesound:42"),
        ("Not found", "https://freesound.org/s/42", ""),
        ("1000003", "synthetic:validation/3", "synthetic:validation/3"),
    ],
)
def test_a_sound_id_says_whose_it_is(tmp_path, number, link, sound_id):
    (tmp_path / "m.csv").write_text(f"file_name,sound_id,sound_link\na.wav,{number},{link}\n")
    assert read_metadata_csv(tmp_path / "m.csv")["a.wav"]["sound_id"] == sound_id


def test_test_split_has_semicolons_and_no_captions(tmp_path):
    (tmp_path / "m.csv").write_bytes(
        "file_name;manufacturer;license\ntest_2.wav;Zoë;by\ntest_1, x.wav;b;zero\n".encode("latin1")
    )
    assert read_annotations({"n_captions": 5}, "test", {"metadata": tmp_path / "m.csv"}) == [
        Annotation("test_1, x.wav", (), author="b", licence="zero"),
        Annotation("test_2.wav", (), author="Zoë", licence="by"),
    ]


def test_metadata_of_clips_without_captions_are_named(tmp_path, caplog):
    (tmp_path / "c.csv").write_text(CAPTIONS)
    (tmp_path / "m.csv").write_text("file_name,manufacturer\na.wav,Zo\nlost.wav,Bo\n")
    files = {"captions": tmp_path / "c.csv", "metadata": tmp_path / "m.csv"}
    rows = read_annotations({"n_captions": 2}, "development", files)
    assert "lost.wav" not in {row.file_name for row in rows}
    assert "1 rows of clips without captions, ignored: lost.wav" in caplog.text


def test_analysis_split_is_the_audio_there_is(tmp_path):
    folders = [write_wavs(tmp_path / "2", "b.wav"), write_wavs(tmp_path / "1", "c.wav", "a.wav")]
    files = {"audio": [str(folder) for folder in folders]}
    (tmp_path / "1" / "readme.txt").touch()
    annotations = read_annotations({"n_captions": 5}, "analysis", files)
    assert annotations == [Annotation(name, ()) for name in ("a.wav", "b.wav", "c.wav")]
    clips = list(tabulate_clips({}, "analysis", files))
    assert [clip.file_name for clip in clips] == ["a.wav", "b.wav", "c.wav"]
    assert [clip.path for clip in clips] == [
        str(tmp_path / path) for path in ("1/a.wav", "2/b.wav", "1/c.wav")
    ]


def test_clips_held_out_of_development(tmp_path):
    (tmp_path / "c.csv").write_text(CAPTIONS)
    (tmp_path / "s.csv").write_text(
        "file_name,split\na.wav,development\nb.wav,validation\nc.wav,development\n"
    )
    files = {
        "audio": [write_wavs(tmp_path / "wavs", "a.wav", "b.wav", "c.wav")],
        "captions": tmp_path / "c.csv",
        "split": tmp_path / "s.csv",
    }
    for split, names in (("development", ["a.wav", "c.wav"]), ("validation", ["b.wav"])):
        rows = read_annotations({"n_captions": 2}, split, files)
        assert [row.file_name for row in rows] == names
        assert [clip.file_name for clip in tabulate_clips({}, split, files)] == names
    with pytest.raises(InputError, match=r"s\.csv: found 0 clips of evaluation"):
        tabulate_clips({}, "evaluation", files)


def test_clips_held_out_of_other_captions_are_refused(tmp_path):
    (tmp_path / "c.csv").write_text(CAPTIONS)
    (tmp_path / "s.csv").write_text("file_name,split\na.wav,validation\nz.wav,validation\n")
    files = {"captions": tmp_path / "c.csv", "split": tmp_path / "s.csv"}
    with pytest.raises(InputError, match=r"1 of them without captions \('z\.wav'\).*delete it"):
        read_annotations({"n_captions": 2}, "validation", files)


def test_faulty_metadata_are_named(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text("name,licence\na.wav,by\n")
    with pytest.raises(InputError, match=r"m\.csv: the header is 'name,licence', expected"):
        read_metadata_csv(path)
    path.write_text("file_name,license\na.wav,by\na.wav,zero\n")
    with pytest.raises(InputError, match=r"m\.csv, line 3: 'a\.wav' stands in a second row"):
        read_metadata_csv(path)
    with pytest.raises(InputError, match=r"absent\.csv is missing; expected a CSV"):
        read_metadata_csv(tmp_path / "absent.csv")
    with pytest.raises(InputError, match="is a folder; expected a CSV"):
        read_metadata_csv(tmp_path)


def test_captions_of_another_corpus_are_refused(tmp_path):
    (tmp_path / "train.csv").write_text("audiocap_id,youtube_id,start_time,caption\n1,x,0,Hum\n")
    with pytest.raises(InputError, match=r"the header is audiocap_id.*file_name.*missing"):
        read_annotations({"n_captions": 5}, "development", {"captions": tmp_path / "train.csv"})


def test_clips_are_the_folder_in_order_of_names(shared_data):
    clips = list(tabulate_clips({}, "evaluation", {"audio": [shared_data / "clips"]}))
    assert [clip.file_name for clip in clips] == sorted(
        path.name for path in (shared_data / "clips").iterdir()
    )
    assert {(clip.sample_rate_hz, clip.n_channels) for clip in clips} == {(44100, 1)}
    assert all(15 <= clip.duration_s <= 30 for clip in clips)
    # 16 bit mono behind a 44-byte header
    assert clips[0].size == pytest.approx(clips[0].duration_s * 44100 * 2, abs=100)


def test_damaged_clips_stop_or_are_left_out(tmp_path):
    folder = write_wavs(tmp_path / "wavs", "a.wav")
    (folder / "b.wav").write_bytes(b"RIFF")
    with pytest.raises(InputError, match=r"b\.wav"):
        list(tabulate_clips({}, "test", {"audio": [folder]}))
    clips = list(tabulate_clips({"damaged": "skip"}, "test", {"audio": [folder]}))
    assert [(clip.file_name, bool(clip.fault)) for clip in clips] == [
        ("a.wav", False),
        ("b.wav", True),
    ]


def test_every_kind_has_a_reader():
    for kind in READERS:
        reader = load_reader(kind)
        assert callable(reader.tabulate_clips)
        assert callable(reader.read_annotations)
    with pytest.raises(InputError, match="'clotho2' is unknown; expected one of clotho, macs, au"):
        load_reader("clotho2")


def test_quotes_and_newlines_in_cells(tmp_path):
    path = tmp_path / "c.csv"
    path.write_text('file_name,caption_1\n"a ""b"", c.wav","one\ntwo"\n', encoding="utf-8")
    (row,) = read_captions_csv(path, 1)
    assert (row.file_name, row.captions) == ('a "b", c.wav', ("one\ntwo",))

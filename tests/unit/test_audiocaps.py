"""AudioCaps, on small files in the form of its CSVs, with the names that downloaders give."""

import logging

import numpy as np
import pytest
import soundfile

from captioner.corpus.readers.audiocaps import read_annotations, read_audiocaps_csv, tabulate_clips
from captioner.corpus.tables import Annotation
from captioner.errors import InputError

HEADER = "audiocap_id,youtube_id,start_time,caption\n"
TRAIN = HEADER + (
    "91139,r1nicOVtvkQ,130,A woman talks nearby as water pours\n"
    "58146,-5weqk40_30,30,Multiple clanging and clanking sounds\n"
    '11542,_UDGBjjwy0E,0,"The wind blows, ""hello"" says a man"\n'
)
VAL = HEADER + (  # the five rows of a clip do not follow one another
    "97151,vfY_TJq7n_U,130,Ducks quack\n"
    "107898,tw76HGONaKg,570,A man speaks\n"
    "95871,vfY_TJq7n_U,130,Rustling\n"
    "95872,vfY_TJq7n_U,130,Ducks quack\n"  # said by two people
    "107899,tw76HGONaKg,570,Keys click\n"
)


def write(path, text, encoding="utf-8"):
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_bytes(text.encode(encoding))
    return path


def place(folder, *names):
    """Write audio files in the format that each name's suffix says."""
    folder.mkdir(exist_ok=True, parents=True)
    for name in names:
        soundfile.write(folder / name, np.sin(np.arange(1600.0)) / 2, 16000)


def settings_of(tmp_path, text, *names, split="development"):
    place(tmp_path / "audio", *names)
    captions = {split: str(write(tmp_path / "captions.csv", text))}
    return {"audio": str(tmp_path / "audio"), "captions": captions}


def names_of(settings, split="development"):
    """Give the names of clips and annotations, which must agree."""
    names = [annotation.file_name for annotation in read_annotations(settings, split, {})]
    assert [clip.file_name for clip in tabulate_clips(settings, split, {})] == sorted(names)
    return names


def test_one_caption_per_clip_to_train_on(tmp_path):
    names = ["r1nicOVtvkQ_130.wav", "-5weqk40_30_30.wav", "_UDGBjjwy0E_0.wav"]
    settings = settings_of(tmp_path, TRAIN, *names)
    assert read_annotations(settings, "development", {}) == [
        Annotation(
            names[0], ("A woman talks nearby as water pours",), sound_id="youtube:r1nicOVtvkQ"
        ),
        Annotation(
            names[1], ("Multiple clanging and clanking sounds",), sound_id="youtube:-5weqk40_30"
        ),
        Annotation(
            names[2], ('The wind blows, "hello" says a man',), sound_id="youtube:_UDGBjjwy0E"
        ),
    ]
    assert names_of(settings) == names


def test_rows_of_a_clip_are_its_captions_wherever_they_stand(tmp_path):
    settings = settings_of(
        tmp_path, VAL, "vfY_TJq7n_U_130.flac", "tw76HGONaKg_570.flac", split="validation"
    )
    captions = {a.file_name: a.captions for a in read_annotations(settings, "validation", {})}
    assert captions == {
        "vfY_TJq7n_U_130.flac": ("Ducks quack", "Rustling", "Ducks quack"),
        "tw76HGONaKg_570.flac": ("A man speaks", "Keys click"),
    }


@pytest.mark.parametrize(
    "name",
    [
        "tw76HGONaKg_570.wav",
        "Ytw76HGONaKg_570.flac",
        "tw76HGONaKg_570_580.wav",
        "tw76HGONaKg_570000_580000.flac",
        "tw76HGONaKg_570.0_580.0.wav",
        "Ytw76HGONaKg_570.000_580.000.wav",
        "tw76HGONaKg.ogg",
        "Ytw76HGONaKg.wav",
        "107898.wav",
        "107899.flac",
    ],
)
def test_names_that_downloaders_give(tmp_path, name):
    settings = settings_of(tmp_path, VAL, name, split="validation")
    assert names_of(settings, "validation") == [name]


def test_the_same_audio_for_each_caption_counts_once(tmp_path):
    settings = settings_of(tmp_path, VAL, "107899.wav", "107898.wav", split="validation")
    assert names_of(settings, "validation") == ["107898.wav"]
    place(tmp_path / "audio", "tw76HGONaKg_570.wav")
    assert names_of(settings, "validation") == ["tw76HGONaKg_570.wav"]


def test_names_of_other_clips_are_not_taken(tmp_path):
    others = ["tw76HGONaKg_57.wav", "tw76HGONaKg_570_590.wav", "w76HGONaKg_570.wav", "570.wav"]
    settings = settings_of(tmp_path, VAL, *others, split="validation")
    with pytest.raises(InputError, match="holds the audio of none of 2 clips"):
        read_annotations(settings, "validation", {})


def test_missing_clips_are_counted_and_named(tmp_path, caplog):
    settings = settings_of(tmp_path, TRAIN, "_UDGBjjwy0E_0.wav")
    with caplog.at_level(logging.INFO):
        assert names_of(settings) == ["_UDGBjjwy0E_0.wav"]
    warnings = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    told = f"{tmp_path / 'audio'}: 2 of 3 clips have no audio and are left out: r1nicOVtvkQ_130, "
    assert warnings == [f"{told}-5weqk40_30_30"] * 2  # one per table


def test_no_audio_at_all_is_an_error(tmp_path):
    settings = settings_of(tmp_path, TRAIN)
    with pytest.raises(
        InputError, match=r"none of 3 clips; expected files like r1nicOVtvkQ_130\.w"
    ):
        list(tabulate_clips(settings, "development", {}))
    (tmp_path / "audio").rmdir()
    with pytest.raises(InputError, match="is not a folder"):
        read_annotations(settings, "development", {})


def test_names_that_tell_no_clips_apart_are_refused(tmp_path):
    twice = HEADER + "1,r1nicOVtvkQ,10,One\n2,r1nicOVtvkQ,40,Two\n"
    settings = settings_of(tmp_path, twice, "r1nicOVtvkQ.wav")
    with pytest.raises(InputError, match=r"the clip at 10 s or the one at 40 s of the same video"):
        read_annotations(settings, "development", {})
    (tmp_path / "audio" / "r1nicOVtvkQ.wav").unlink()
    place(tmp_path / "audio", "r1nicOVtvkQ_10.wav", "r1nicOVtvkQ_40.wav")
    assert names_of(settings) == ["r1nicOVtvkQ_10.wav", "r1nicOVtvkQ_40.wav"]
    place(tmp_path / "audio", "r1nicOVtvkQ_40.flac")
    with pytest.raises(InputError, match=r"'r1nicOVtvkQ_40\.flac' and 'r1nicOVtvkQ_40\.wav'"):
        read_annotations(settings, "development", {})


def test_one_folder_or_one_per_split(tmp_path):
    captions = {
        "development": str(write(tmp_path / "train.csv", TRAIN)),
        "validation": str(write(tmp_path / "val.csv", VAL)),
    }
    place(tmp_path / "all", "r1nicOVtvkQ_130.wav", "vfY_TJq7n_U_130.wav")
    one = {"audio": str(tmp_path / "all"), "captions": captions}
    assert names_of(one) == ["r1nicOVtvkQ_130.wav"]
    assert names_of(one, "validation") == ["vfY_TJq7n_U_130.wav"]
    several = {"audio": {"validation": str(tmp_path / "all")}, "captions": captions}
    assert names_of(several, "validation") == ["vfY_TJq7n_U_130.wav"]
    with pytest.raises(InputError, match=r"no `audio` folder for development"):
        read_annotations(several, "development", {})
    with pytest.raises(InputError, match=r"no `captions` for evaluation, only \['development', "):
        read_annotations(one, "evaluation", {})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("audiocap_id,youtube_id,caption\n1,x,One\n", ["expected audiocap_id, youtube_id, start"]),
        ("file_name,caption_1\na.wav,One\n", ["is it another corpus's file?"]),
        ("", ["the header is empty"]),
        (HEADER, ["a header and no rows"]),
        (HEADER + "1,r1nicOVtvkQ,10\n", ["line 2: 3 cells, expected 4"]),
        (HEADER + "1,r1nicOVtvkQ,ten,One\n", ["line 2: start_time is 'ten', expected whole sec"]),
        (HEADER + "1,r1nicOVtvkQ,-1,One\n", ["line 2: start_time is '-1'"]),
        (HEADER + "1,,10,One\n", ["line 2: youtube_id is ''"]),
        (HEADER + "1,../x,10,One\n", ["line 2: youtube_id is '../x'"]),
        (HEADER + "1,r1nicOVtvkQ,10, \n", ["line 2: the caption of 'r1nicOVtvkQ' is empty"]),
        (
            HEADER + "1,r1nicOVtvkQ,10,One\n2,vfY_TJq7n_U,0,Two\n1,r1nicOVtvkQ,10,One\n",
            ["line 4: audiocap_id '1' stands in line 2 too"],
        ),
        (HEADER + '1,r1nicOVtvkQ,10,"One" x\n', ["line 2: not a CSV"]),
    ],
)
def test_faults_are_named(tmp_path, text, told):
    path = write(tmp_path / "train.csv", text)
    with pytest.raises(InputError) as error:
        read_audiocaps_csv(path)
    for part in [str(path), *told]:
        assert part in str(error.value)


def test_wrong_encoding_and_missing_file(tmp_path):
    path = write(tmp_path / "train.csv", TRAIN.replace("water", "café"), "iso-8859-1")
    with pytest.raises(InputError, match="line 2: byte 0xe9 is not UTF-8"):
        read_audiocaps_csv(path)
    with pytest.raises(InputError, match="is missing; expected a CSV"):
        read_audiocaps_csv(tmp_path / "absent.csv")

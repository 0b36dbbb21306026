import random
import time

import numpy as np
import pytest
import soundfile

from captioner.corpus.clips import tabulate_folders
from captioner.corpus.samples import EXCERPT_FRAMES, N_EXCERPTS
from captioner.errors import InputError

RATE = 8000
NOISE = np.random.default_rng(0).integers(-(2**14), 2**14, 20 * RATE) / 2**15  # exact at 16 bits
NAMES = ["b.wav", "a.b.wav", "it's [1] (x).wav", "Bäume 雨.flac"]


def write(folder, *names, samples=NOISE, **kwargs):
    folder.mkdir(exist_ok=True)
    for name in names:
        kwargs.setdefault("subtype", "PCM_16")
        soundfile.write(folder / name, samples, RATE, **kwargs)
    return folder


def test_clips_of_several_folders_in_the_order_of_their_names(tmp_path):
    one, two = write(tmp_path / "1", *NAMES[:2]), write(tmp_path / "2", *NAMES[2:])
    (one / "notes.txt").write_text("no audio")
    clips = list(tabulate_folders([one, two]))
    assert [clip.file_name for clip in clips] == sorted(NAMES)
    assert {clip.file_name: clip.path for clip in clips} == {
        name: str(folder / name)
        for folder in (one, two)
        for name in NAMES
        if (folder / name).exists()
    }
    for clip in clips:
        assert (clip.duration_s, clip.sample_rate_hz, clip.n_channels, clip.bits) == (
            20,
            RATE,
            1,
            16,
        )
        assert clip.fault == ""
    assert len({clip.digest for clip in clips}) == 1  # the same samples in wav and flac


def test_only_the_names_asked_for_that_exist(tmp_path):
    folders = [write(tmp_path / "1", *NAMES[:2]), write(tmp_path / "2", *NAMES[2:])]
    wanted = iter([NAMES[3], NAMES[0], "absent.wav", NAMES[0]])
    names = [clip.file_name for clip in tabulate_folders(folders, wanted)]
    assert names == sorted([NAMES[0], NAMES[3]])


def test_a_name_in_two_folders_is_refused_at_once(tmp_path):
    folders = [write(tmp_path / "1", *NAMES[:2]), write(tmp_path / "2", *NAMES[1:])]
    for names in (None, NAMES):
        with pytest.raises(InputError) as error:
            tabulate_folders(folders, names)
        assert f"'a.b.wav' is in {folders[0]} and in {folders[1]}" in str(error.value)
    assert len(list(tabulate_folders(folders, NAMES[2:]))) == 2  # it is not asked for


def test_nothing_there_is_refused_at_once(tmp_path):
    (tmp_path / "empty").mkdir()
    for names in (None, ["a.wav"]):
        with pytest.raises(InputError, match=r"empty holds none of the audio files"):
            tabulate_folders([tmp_path / "empty"], names)


def test_clips_come_one_by_one(tmp_path):
    folder = write(tmp_path / "1", "a.wav", "b.wav")
    clips = tabulate_folders([folder])
    assert next(clips).file_name == "a.wav"
    (folder / "b.wav").write_bytes(b"404")  # not read before its turn
    with pytest.raises(InputError, match=r"b\.wav"):
        next(clips)


def changed(position):
    samples = NOISE.copy()
    samples[position] = 0.9
    return samples


def test_the_digest_tells_recordings_apart(tmp_path):
    starts = np.linspace(0, len(NOISE) - EXCERPT_FRAMES, N_EXCERPTS, dtype=int)
    sounds = {
        "same.wav": NOISE,
        "first.wav": changed(0),
        "last.wav": changed(-1),
        **{f"excerpt {n}.wav": changed(start + 99) for n, start in enumerate(starts)},
        "shorter.wav": NOISE[:-1],
        "stereo.wav": np.stack([NOISE, NOISE], axis=1),
        "turned.wav": -NOISE,
        "short.wav": NOISE[:1000],
        "click.wav": np.where(np.arange(len(NOISE)) == starts[0] + EXCERPT_FRAMES + 9, 0.5, 0),
        "clack.wav": np.where(np.arange(len(NOISE)) == starts[0] + EXCERPT_FRAMES + 8, 0.5, 0),
    }
    for name, samples in sounds.items():
        write(tmp_path / "1", name, samples=samples)
    write(tmp_path / "1", "other name.wav")
    digests = {clip.file_name: clip.digest for clip in tabulate_folders([tmp_path / "1"])}
    assert digests.pop("other name.wav") == digests["same.wav"]
    assert len(set(digests.values())) == len(sounds)
    assert all(len(digest) == 32 for digest in digests.values())


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_measures_against_all_samples(tmp_path, subtype):
    for name, samples in {
        "noise": NOISE,
        "loud": np.clip(3 * NOISE, -1, 1),
        "peak between excerpts": np.where(np.arange(len(NOISE)) == 9000, 0.5, 0.0),
        "offset": np.full(len(NOISE), 0.25),
    }.items():
        folder = write(tmp_path / name, "x.wav", samples=samples, subtype=subtype)
        (clip,) = tabulate_folders([folder])
        read, _ = soundfile.read(folder / "x.wav")
        assert clip.peak == pytest.approx(np.abs(read).max(), abs=2**-15)
        assert clip.constant == (name == "offset")
        assert (clip.digest == "") == clip.constant
        share = np.mean(np.abs(read) >= 1 - 2**-15)
        assert clip.full_scale == pytest.approx(share, abs=0.03)
        assert (clip.full_scale > 0.15) == (name == "loud")


def test_cut_flac_is_found_by_its_last_excerpt(tmp_path):
    path = write(tmp_path / "1", "a.flac") / "a.flac"
    path.write_bytes(path.read_bytes()[:-20_000])
    with pytest.raises(InputError, match=r"a\.flac: found .*samples"):
        list(tabulate_folders([tmp_path / "1"]))


def test_clips_of_a_wav_archive_cost_little_beside_reading_them(tmp_path):
    """Headers and excerpts of 7,000 clips of 22 s: about 5 s, against 10 s to read them."""
    samples = np.tile(NOISE, 6)
    folder = write(tmp_path / "1", *(f"{n}.wav" for n in range(60)), samples=samples)

    def seconds(damaged):
        start = time.process_time()
        assert len(list(tabulate_folders([folder], damaged=damaged))) == 60
        return time.process_time() - start

    seconds("error")
    assert min(seconds("error") for _ in range(3)) < 0.9 * min(seconds("skip") for _ in range(3))


def test_order_of_folders_does_not_matter(tmp_path):
    folders = [write(tmp_path / str(n), f"{n}.wav") for n in range(5)]
    clips = list(tabulate_folders(folders))
    random.Random(1).shuffle(folders)
    assert list(tabulate_folders(folders)) == clips

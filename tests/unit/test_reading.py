"""Reading audio: values against what was written, errors that name the file."""

import numpy as np
import pytest
import soundfile

from captioner.audio.reading import AudioInfo, probe, read_audio, resample
from captioner.errors import InputError

ODD_NAMES = ["a.b.c.wav", "two  spaces [x] (y).wav", 'it\'s "quoted".wav', "høst – 秋.wav", "-.wav"]


def tone(frequency_hz: float, sample_rate_hz: int, duration_s: float = 0.5) -> np.ndarray:
    time_s = np.arange(round(duration_s * sample_rate_hz)) / sample_rate_hz
    return 0.5 * np.sin(2 * np.pi * frequency_hz * time_s)


@pytest.mark.parametrize("name", ODD_NAMES)
def test_sixteen_bit_values_are_exact(tmp_path, name):
    integers = np.array([0, 1, -1, 32767, -32768, 12345], dtype=np.int16)
    soundfile.write(tmp_path / name, integers, 44100)
    waveform, sample_rate_hz = read_audio(tmp_path / name)
    assert sample_rate_hz == 44100
    assert waveform.dtype == np.float32
    assert (waveform == integers / 32768).all()
    assert (waveform == soundfile.read(tmp_path / name, dtype="float32")[0]).all()


@pytest.mark.parametrize(
    ("suffix", "subtype", "step"),
    [
        ("wav", "PCM_U8", 2**-7),
        ("wav", "PCM_16", 2**-15),
        ("wav", "PCM_24", 2**-23),
        ("wav", "PCM_32", 2**-24),
        ("wav", "FLOAT", 2**-24),
        ("wav", "DOUBLE", 2**-24),
        ("wav", "ULAW", 2**-5),
        ("wav", "ALAW", 2**-5),
        ("flac", "PCM_S8", 2**-7),
        ("flac", "PCM_16", 2**-15),
        ("flac", "PCM_24", 2**-23),
        ("aiff", "PCM_16", 2**-15),
        ("au", "PCM_32", 2**-24),
        ("w64", "PCM_16", 2**-15),
        ("caf", "FLOAT", 2**-24),
    ],
)
@pytest.mark.parametrize("n_channels", [1, 2, 6])
@pytest.mark.parametrize("sample_rate_hz", [8000, 44100, 192_000])
def test_every_width_reads_to_its_precision(
    tmp_path, suffix, subtype, step, n_channels, sample_rate_hz
):
    written = channels(n_channels, sample_rate_hz)
    path = tmp_path / f"clip.{suffix}"
    soundfile.write(path, written, sample_rate_hz, subtype=subtype)
    waveform, read_rate_hz = read_audio(path)
    assert read_rate_hz == sample_rate_hz
    assert waveform.dtype == np.float32
    assert waveform.shape == (len(written),)
    assert abs(waveform - written.mean(axis=1)).max() <= step
    assert probe(path) == AudioInfo(0.1, sample_rate_hz, n_channels, path.stat().st_size)


def channels(n, sample_rate_hz):
    """A tone of another frequency in each channel, (n_samples, n)."""
    return np.stack([tone(300 * (1 + i), sample_rate_hz, 0.1) for i in range(n)], axis=1)


@pytest.mark.parametrize(
    ("suffix", "subtype", "sample_rates_hz"),
    [
        ("ogg", "VORBIS", [8000, 44100, 192_000]),
        ("ogg", "OPUS", [8000, 48000]),
        ("mp3", "MPEG_LAYER_III", [8000, 44100, 48000]),
    ],
)
@pytest.mark.parametrize("n_channels", [1, 2])
def test_lossy_formats_read_nearly_as_written(
    tmp_path, suffix, subtype, sample_rates_hz, n_channels
):
    for sample_rate_hz in sample_rates_hz:
        written = channels(n_channels, sample_rate_hz).repeat(5, axis=0)
        path = tmp_path / f"clip.{suffix}"
        soundfile.write(path, written, sample_rate_hz, format=suffix.upper(), subtype=subtype)
        waveform, read_rate_hz = read_audio(path)
        assert read_rate_hz == sample_rate_hz
        assert len(waveform) == len(written)
        spectra = [abs(np.fft.rfft(signal)) for signal in (waveform, written.mean(axis=1))]
        assert np.corrcoef(spectra)[0, 1] > 0.98


@pytest.mark.parametrize("function", [probe, read_audio])
def test_a_flac_of_unknown_length_is_named(tmp_path, function):
    """As written to a pipe: the number of samples in its header is 0."""
    path = tmp_path / "piped.flac"
    soundfile.write(path, tone(440, 44100), 44100)
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0  # the 36 bits of the count end the 18th byte of STREAMINFO (RFC 9639, 8.2)
    content[22:26] = bytes(4)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"piped\.flac: found no length in its header"):
        function(path)


def test_probe_reads_the_header(tmp_path):
    path = tmp_path / "c.d.wav"
    soundfile.write(path, np.zeros((22050, 2)), 44100, subtype="PCM_16")
    assert probe(path) == AudioInfo(0.5, 44100, 2, path.stat().st_size)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_not_finite(tmp_path, value):
    path = tmp_path / "broken [1].wav"
    samples = tone(440, 44100)
    samples[[7, 9]] = value
    soundfile.write(path, samples, 44100, subtype="FLOAT")
    with pytest.raises(InputError, match=r"broken \[1\]\.wav: found 2 samples that are NaN"):
        read_audio(path)


@pytest.mark.parametrize("function", [read_audio, probe])
def test_files_that_cannot_be_used(tmp_path, function):
    soundfile.write(tmp_path / "no samples.wav", np.zeros(0), 44100)
    (tmp_path / "0 bytes.wav").touch()
    (tmp_path / "page.wav").write_text("<html>404 Not Found</html>")
    for name, found in {
        "no samples.wav": "audio without samples",
        "0 bytes.wav": "cannot be read as audio",
        "page.wav": "cannot be read as audio",
        "absent.wav": "no such file",
        ".": "a folder",
    }.items():
        with pytest.raises(InputError) as raised:
            function(tmp_path / name)
        assert str(raised.value).startswith(f"{tmp_path / name}: found ")
        assert found in str(raised.value)
        assert "expected" in str(raised.value)


@pytest.mark.parametrize("suffix", ["wav", "aiff"])
@pytest.mark.parametrize("function", [probe, read_audio])
def test_a_pcm_file_cut_short_is_warned_of(tmp_path, caplog, suffix, function):
    path = tmp_path / f"cut [1].{suffix}"
    soundfile.write(path, tone(440, 44100, 1), 44100, subtype="PCM_16")
    function(path)
    assert not caplog.records
    path.write_bytes(path.read_bytes()[:50_000])
    function(path)
    assert f"{path}: found 49" in caplog.text
    assert "bytes of audio, expected the 88" in caplog.text
    assert len(read_audio(path)[0]) == round(probe(path).duration_s * 44100) < 25_000


def test_a_wav_of_unknown_length_is_fine(tmp_path, caplog):
    """As written to a pipe: the sizes in its header are the largest possible."""
    path = tmp_path / "piped.wav"
    soundfile.write(path, tone(440, 44100), 44100, subtype="PCM_16")
    whole = bytearray(path.read_bytes())
    for chunk in (b"RIFF", b"data"):
        size_at = whole.index(chunk) + 4
        whole[size_at : size_at + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(whole)
    assert read_audio(path)[0] == pytest.approx(tone(440, 44100), abs=2**-15)
    assert not caplog.records


@pytest.mark.parametrize("suffix", ["flac", "mp3"])
def test_a_compressed_file_cut_short_is_named(tmp_path, suffix):
    path = tmp_path / f"cut.{suffix}"
    soundfile.write(path, np.random.default_rng(0).normal(size=44100) * 0.1, 44100)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=rf"cut\.{suffix}: found "):
        read_audio(path)


@pytest.mark.parametrize(("from_hz", "to_hz"), [(44100, 32000), (16000, 44100), (48000, 44100)])
def test_resampling_keeps_a_tone(from_hz, to_hz):
    resampled = resample(tone(1000, from_hz).astype(np.float32), from_hz, to_hz)
    expected = tone(1000, to_hz)
    assert resampled.dtype == np.float32
    assert abs(len(resampled) - len(expected)) <= 1
    inner = slice(2000, 5000)  # the ends ring
    assert abs(resampled[inner] - expected[inner]).max() < 1e-4


def test_resampling_removes_what_would_alias():
    resampled = resample(tone(20000, 44100).astype(np.float32), 44100, 32000)
    assert abs(resampled[2000:-2000]).max() < 1e-4


def test_resampling_to_the_same_rate_copies_nothing():
    waveform = np.ones(10, np.float32)
    assert resample(waveform, 44100, 44100) is waveform


def test_resampling_one_sample_leaves_one():
    assert resample(np.ones(1, np.float32), 192000, 8000).shape == (1,)


def test_real_clips(shared_data):
    for path in sorted((shared_data / "clips").glob("*.wav")):
        waveform, sample_rate_hz = read_audio(path)
        expected, expected_rate_hz = soundfile.read(path)
        assert sample_rate_hz == expected_rate_hz == probe(path).sample_rate_hz
        assert (waveform == expected).all()
        assert probe(path).duration_s == len(expected) / 44100

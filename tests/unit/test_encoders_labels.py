"""The names of the 527 classes."""

from captioner.audio.encoders.labels import audioset_labels


def test_names_stand_at_their_index():
    names = audioset_labels()
    assert len(names) == len(set(names)) == 527
    assert all(name == name.strip() and name for name in names)
    # The indices and names that the README of the published ConvNeXt lists, and both ends.
    expected = {
        0: "Speech",
        137: "Music",
        138: "Musical instrument",
        139: "Plucked string instrument",
        151: "Ukulele",
        506: "Inside, small room",
        526: "Field recording",
    }
    assert {index: names[index] for index in expected} == expected

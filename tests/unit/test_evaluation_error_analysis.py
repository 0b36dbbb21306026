"""Missed, invented and confused words of clips made by hand; CoreNLP's lemmas and tags."""

import json

import pytest

from captioner.errors import InputError
from captioner.evaluation.error_analysis import analyse_errors, content_words
from captioner.evaluation.java import missing_jars
from captioner.evaluation.parts_of_speech import CORENLP_JARS, Tagged, tag_captions

# word -> lemma, tag; what is not here is a determiner
LEXICON = {
    "dog": ("dog", "NN"),
    "dogs": ("dog", "NNS"),
    "men": ("man", "NNS"),
    "man": ("man", "NN"),
    "birds": ("bird", "NNS"),
    "cat": ("cat", "NN"),
    "rain": ("rain", "NN"),
    "bark": ("bark", "VBP"),
    "barks": ("bark", "VBZ"),
    "barking": ("bark", "VBG"),
    "sing": ("sing", "VBP"),
    "meows": ("meow", "VBZ"),
    "talk": ("talk", "VBP"),
    "loudly": ("loudly", "RB"),
    "loud": ("loud", "JJ"),
    "is": ("be", "VBZ"),
    "very": ("very", "RB"),
    "5": ("5", "NN"),
}


def tag(captions):
    return [
        [Tagged(word, *LEXICON.get(word, (word, "DT"))) for word in caption.split()]
        for caption in captions
    ]


REFERENCES = {
    # all three say dog and bark, two loudly, one rain
    "1.wav": ["a dog barks loudly", "the dogs bark loudly", "a dog is barking in rain"],
    "2.wav": ["men talk", "a man talk", "a dog"],
    "3.wav": ["the birds sing", "birds", "very loud birds sing"],
}
PREDICTIONS = {"1.wav": "a cat meows", "2.wav": "the dogs talk", "3.wav": "birds bark 5"}


@pytest.fixture(scope="module")
def found():
    found = analyse_errors(PREDICTIONS, REFERENCES, tag)
    return json.loads(json.dumps(found, allow_nan=False))


def test_each_clip_has_its_words(found):
    assert found["n_clips"] == 3
    assert found["clips"] == {
        "1.wav": {
            "right": [],
            "missed": {"bark": 3, "dog": 3, "loudly": 2, "rain": 1},
            "invented": ["cat", "meow"],
        },
        "2.wav": {"right": ["dog", "talk"], "missed": {"man": 2}, "invented": []},
        "3.wav": {"right": ["bird"], "missed": {"sing": 2, "loud": 1}, "invented": ["bark"]},
    }
    assert list(found["clips"]["1.wav"]["missed"]) == ["bark", "dog", "loudly", "rain"]


def test_tables_count_what_people_agree_on(found):
    assert found["missed"] == [
        {"word": word, "part": part, "clips": 1, "of": 1}
        for word, part in [
            ("bark", "verb"),
            ("dog", "noun"),  # in clip 2 one of three says it: no agreement
            ("loudly", "adverb"),
            ("man", "noun"),
            ("sing", "verb"),
        ]
    ]
    assert found["invented"] == [
        {"word": "bark", "part": "verb", "clips": 1, "of": 1},
        {"word": "cat", "part": "noun", "clips": 1, "of": 1},
        {"word": "meow", "part": "verb", "clips": 1, "of": 1},
    ]


def test_shares_by_part_of_speech(found):
    # nouns: cat, dog, bird predicted, two of them right; dog, man, bird agreed, bird predicted
    assert found["shares"]["noun"] == {
        "predicted": 3,
        "precision": pytest.approx(2 / 3),
        "agreed": 3,
        "recall": pytest.approx(1 / 3),
    }
    assert found["shares"]["verb"] == {
        "predicted": 3,
        "precision": pytest.approx(1 / 3),
        "agreed": 3,
        "recall": pytest.approx(1 / 3),
    }
    assert found["shares"]["adjective"] == {
        "predicted": 0,
        "precision": None,
        "agreed": 0,
        "recall": None,
    }


def test_confusion_stays_within_a_part_of_speech(found):
    assert found["confusion"]["noun"] == {
        "references": ["bird", "dog", "man"],
        "clips": [1, 1, 1],
        "right": [1, 0, 0],
        "predicted": ["cat"],
        "counts": [[0], [1], [0]],  # man was missed where nothing was invented
    }
    assert found["confusion"]["verb"] == {
        "references": ["bark", "sing", "talk"],
        "clips": [1, 1, 1],
        "right": [0, 0, 1],
        "predicted": ["bark", "meow"],
        "counts": [[0, 1], [1, 0], [0, 0]],
    }


def test_the_most_frequent_come_first():
    references = {f"{i}.wav": ["a dog" if i else "a man"] for i in range(4)}
    found = analyse_errors(dict.fromkeys(references, "a cat"), references, tag)
    assert [(row["word"], row["clips"]) for row in found["missed"]] == [("dog", 3), ("man", 1)]
    assert found["invented"] == [{"word": "cat", "part": "noun", "clips": 4, "of": 4}]
    assert found["confusion"]["noun"]["references"] == ["dog", "man"]
    assert found["confusion"]["noun"]["counts"] == [[3], [1]]


def test_a_word_that_is_right_is_not_confused():
    found = analyse_errors({"1.wav": "a dog and cat"}, {"1.wav": ["a dog", "rain"] * 2}, tag)
    assert found["confusion"]["noun"]["references"] == []  # each is said by half of the people
    found = analyse_errors({"1.wav": "a dog and cat"}, {"1.wav": ["a dog in rain"]}, tag)
    assert found["confusion"]["noun"] == {
        "references": ["dog", "rain"],
        "clips": [1, 1],
        "right": [1, 0],
        "predicted": ["cat"],
        "counts": [[0], [1]],
    }


def test_only_half_is_no_agreement():
    found = analyse_errors({"1.wav": "men"}, {"1.wav": ["a dog", "a cat"]}, tag)
    assert found["missed"] == []
    assert found["clips"]["1.wav"]["missed"] == {"cat": 1, "dog": 1}


def test_an_empty_prediction_misses_everything():
    found = analyse_errors({"1.wav": ""}, {"1.wav": ["a dog barks"]}, tag)
    assert found["clips"]["1.wav"] == {
        "right": [],
        "missed": {"bark": 1, "dog": 1},
        "invented": [],
    }


def test_other_clips_are_refused():
    with pytest.raises(InputError, match=r"Found 2 clips .* '1\.wav' for one"):
        analyse_errors({"1.wav": "a dog"}, {"2.wav": ["a dog"]}, tag)


def test_a_form_that_is_a_verb_somewhere_is_that_verb_everywhere():
    chirping = [Tagged("chirping", "chirping", "NN"), Tagged("birds", "bird", "NNS")]
    verbs = [Tagged("birds", "bird", "NNS"), Tagged("chirping", "chirp", "VBG")]
    evening = [Tagged("evening", "evening", "NN")]
    assert content_words([chirping, verbs, evening]) == (
        [{"chirp", "bird"}, {"chirp", "bird"}, {"evening"}],
        {"chirp": "verb", "bird": "noun", "evening": "noun"},
    )
    assert content_words([chirping]) == (
        [{"chirping", "bird"}],
        {"chirping": "noun", "bird": "noun"},
    )
    muffled = [Tagged("muffled", "muffled", "JJ")], [Tagged("muffled", "muffle", "VBN")]
    assert content_words(muffled)[0] == [{"muffle"}, {"muffle"}]


def test_stop_words_numbers_and_signs_are_no_content():
    words = [
        Tagged("is", "be", "VBZ"),
        Tagged("found", "find", "VBD"),
        Tagged("5", "5", "NN"),
        Tagged("|", "|", "NN"),
        Tagged("over", "over", "IN"),
        Tagged("rain", "rain", "NN"),
        Tagged("two", "two", "CD"),
    ]
    assert content_words([words]) == ([{"rain"}], {"rain": "noun"})


@pytest.fixture(scope="module")
def java_folder(repository):
    folder = repository / "resources" / "java"
    if any(jar in CORENLP_JARS for jar in missing_jars(folder)):
        pytest.skip("CoreNLP's jars are not in resources/java")
    return folder


def test_corenlp_gives_lemmas_and_tags_whatever_the_caption(java_folder, tmp_path):
    captions = [
        "Men are talking; a man speaks at 5 p.m. Then it rains.",
        "... !",
        "",
        "the chirping of\nbirds",
        "naïve ||| (walkie-talkie) 🎵 \\ ' \"",
        "  ",
        "Geese honk",
    ]
    tagged = tag_captions(captions, tmp_path, java_folder=java_folder)
    assert [len(words) > 0 for words in tagged] == [True, False, False, True, True, False, True]
    assert {("men", "man", "NNS"), ("talking", "talk", "VBG"), ("speaks", "speak", "VBZ")} <= {
        (w.word, w.lemma, w.tag) for w in tagged[0]
    }
    assert [w.word for w in tagged[3]] == ["the", "chirping", "of", "birds"]
    assert "walkie-talkie" in [w.word for w in tagged[4]]
    assert tagged[6] == [Tagged("geese", "goose", "NNS"), Tagged("honk", "honk", "VBP")]


def test_nothing_said_needs_no_java(java_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("captioner.evaluation.parts_of_speech.JavaProcess", None)
    assert tag_captions(["", "..."], tmp_path, java_folder=java_folder) == [[], []]


def test_missing_jars_are_named(tmp_path):
    with pytest.raises(InputError, match=r"no stanford-corenlp-3\.6\.0\.jar, .*Fetch them"):
        tag_captions(["a dog"], tmp_path, java_folder=tmp_path)


def test_a_failing_tool_is_told(java_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("captioner.evaluation.parts_of_speech.LOGGING_JARS", ())
    with pytest.raises(InputError, match=r"CoreNLP failed with exit code 1(.|\n)*slf4j"):
        tag_captions(["a dog"], tmp_path, java_folder=java_folder)

"""What a system leaves out and makes up: content words of each caption against the references'.

A content word is a noun, verb, adjective or adverb that is no stop word, as its lemma: `dogs` is
`dog`, `men` is `man`. A form in -ing or -ed counts as its verb wherever it is anywhere tagged as
one, so that `the chirping of birds` says `chirp` as `birds are chirping` does. Words of the same
meaning (`talk`, `speak`) are different words: what is counted are words, not mistakes. SPICE and
METEOR forgive synonyms.

- Invented: a word of the prediction that no reference has.
- Missed: a word of any reference that the prediction lacks, with the number of references that
  have it. People differ in their words, so tables count what they agree on: words that more than
  half of a clip's references have.
- Confused: in one clip a word people agree on is missed and a word of the same part of speech is
  invented. Which was taken for which is not known where a clip has several: each pair counts.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from captioner.errors import InputError
from captioner.evaluation.parts_of_speech import Tagged
from captioner.text.stop_words import stop_words

PARTS = {"NN": "noun", "VB": "verb", "JJ": "adjective", "RB": "adverb"}  # by tag's beginning
SOUND_PARTS = ("noun", "verb")  # what sounds, and how
N_WORDS = 50  # of the tables of missed and invented words
N_CONFUSED = 15  # rows and columns of a matrix

Tag = Callable[[Sequence[str]], list[list[Tagged]]]


@dataclass(frozen=True)
class ClipWords:
    """Content words of one clip: of the prediction, and how many references have each of theirs."""

    predicted: frozenset[str]
    references: Mapping[str, int]
    n_references: int

    @property
    def right(self) -> frozenset[str]:
        """Words of the prediction that a reference has."""
        return self.predicted & self.references.keys()

    @property
    def invented(self) -> frozenset[str]:
        """Words of the prediction that no reference has."""
        return self.predicted - self.references.keys()

    @property
    def missed(self) -> dict[str, int]:
        """Words that the prediction lacks -> number of references that have them."""
        return {word: n for word, n in self.references.items() if word not in self.predicted}

    @property
    def agreed(self) -> set[str]:
        """Words that more than half of the references have."""
        return {word for word, n in self.references.items() if 2 * n > self.n_references}


def analyse_errors(
    predictions: Mapping[str, str], references: Mapping[str, Sequence[str]], tag: Tag
) -> dict[str, Any]:
    """Analyse the content words of a split, for JSON.

    Args:
        predictions: file name -> caption.
        references: file name -> captions, of the same clips.
        tag: tags captions (`captioner.evaluation.parts_of_speech.tag_captions`).

    Returns:
        `n_clips`; `shares` (by part of speech: `precision`, the share of predicted words that some
        reference has, `recall`, the share of agreed words that are predicted; None without any);
        `missed` and `invented` (the most frequent words); `confusion` (by part of speech); `clips`
        (file name -> `right`, `missed`, `invented`).

    Raises:
        InputError: the clips differ.
    """
    if different := sorted(predictions.keys() ^ references.keys()):
        raise InputError(
            f"Found {len(different)} clips that have only a prediction or only references, "
            f"{different[0]!r} for one, expected the same clips. Score the captions of this split."
        )
    clips, parts = _read_words(predictions, references, tag)
    return {
        "n_clips": len(clips),
        "shares": {part: _shares(clips.values(), parts, part) for part in PARTS.values()},
        "missed": _missed_table(clips.values(), parts),
        "invented": _invented_table(clips.values(), parts),
        "confusion": {part: _confusion(clips.values(), parts, part) for part in SOUND_PARTS},
        "clips": {
            name: {
                "right": sorted(clip.right),
                "missed": dict(sorted(clip.missed.items(), key=lambda w: (-w[1], w[0]))),
                "invented": sorted(clip.invented),
            }
            for name, clip in clips.items()
        },
    }


def analyse_runs(
    runs: Mapping[str, Mapping[str, str]], references: Mapping[str, Sequence[str]], tag: Tag
) -> dict[str, dict[str, Any]]:
    """Analyse the predictions of several runs, by name, for the same clips.

    The tagger is started once and sees every caption once. Raises `InputError` as `analyse_errors`
    does.
    """
    said = [caption for predictions in runs.values() for caption in predictions.values()]
    said += [caption for of_clip in references.values() for caption in of_clip]
    captions = list(dict.fromkeys(said))
    tagged = dict(zip(captions, tag(captions), strict=True))
    return {
        name: analyse_errors(predictions, references, lambda texts: [tagged[t] for t in texts])
        for name, predictions in runs.items()
    }


def content_words(
    tagged: Sequence[Sequence[Tagged]],
) -> tuple[list[frozenset[str]], dict[str, str]]:
    """Give the content words of each caption, and each word's part of speech, the most frequent.

    The captions are taken together: a form that one of them has as a verb is that verb in all.
    """
    verbs: dict[str, Counter[str]] = defaultdict(Counter)
    for word in (word for caption in tagged for word in caption):
        if word.tag.startswith("VB") and word.word.endswith(("ing", "ed")):
            verbs[word.word][word.lemma] += 1
    as_verb = {form: _most_frequent(lemmas) for form, lemmas in verbs.items()}
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    found = []
    for caption in tagged:
        words = set()
        for word in filter(_is_content, caption):
            lemma = as_verb.get(word.word, word.lemma)
            if lemma not in stop_words():
                words.add(lemma)
                counts[lemma]["verb" if word.word in as_verb else PARTS[word.tag[:2]]] += 1
        found.append(frozenset(words))
    return found, {lemma: _most_frequent(of_word) for lemma, of_word in counts.items()}


def _is_content(word: Tagged) -> bool:
    return (
        word.tag[:2] in PARTS and word.word not in stop_words() and any(map(str.isalpha, word.word))
    )


def _read_words(
    predictions: Mapping[str, str], references: Mapping[str, Sequence[str]], tag: Tag
) -> tuple[dict[str, ClipWords], dict[str, str]]:
    flat = [
        caption for name, of_clip in references.items() for caption in (predictions[name], *of_clip)
    ]
    words, parts = content_words(tag(flat))
    remaining = iter(words)
    clips = {}
    for name, of_clip in references.items():
        predicted = next(remaining)
        said = Counter(word for _ in of_clip for word in next(remaining))
        clips[name] = ClipWords(predicted, said, len(of_clip))
    return clips, parts


def _shares(clips: Iterable[ClipWords], parts: Mapping[str, str], part: str) -> dict[str, Any]:
    predicted: Counter[bool] = Counter()  # whether a reference has it
    agreed: Counter[bool] = Counter()  # whether it is predicted
    for clip in clips:
        predicted.update(word in clip.references for word in clip.predicted if parts[word] == part)
        agreed.update(word in clip.predicted for word in clip.agreed if parts[word] == part)
    return {
        "predicted": predicted.total(),
        "precision": predicted[True] / predicted.total() if predicted else None,
        "agreed": agreed.total(),
        "recall": agreed[True] / agreed.total() if agreed else None,
    }


def _missed_table(clips: Iterable[ClipWords], parts: Mapping[str, str]) -> list[dict[str, Any]]:
    """Words that people agree on and the system lacks, those of most clips first."""
    missed: Counter[str] = Counter()
    agreed: Counter[str] = Counter()
    for clip in clips:
        agreed.update(clip.agreed)
        missed.update(clip.agreed - clip.predicted)
    return [
        {"word": word, "part": parts[word], "clips": n, "of": agreed[word]}
        for word, n in _ranked(missed)[:N_WORDS]
    ]


def _invented_table(clips: Iterable[ClipWords], parts: Mapping[str, str]) -> list[dict[str, Any]]:
    """Words that the system makes up, those of most clips first."""
    invented: Counter[str] = Counter()
    predicted: Counter[str] = Counter()
    for clip in clips:
        predicted.update(clip.predicted)
        invented.update(clip.invented)
    return [
        {"word": word, "part": parts[word], "clips": n, "of": predicted[word]}
        for word, n in _ranked(invented)[:N_WORDS]
    ]


def _confusion(clips: Iterable[ClipWords], parts: Mapping[str, str], part: str) -> dict[str, Any]:
    """Count clips in which a word of a row is missed and a word of a column is invented.

    Rows are the words that people agree on in most clips, columns the words most often invented.
    """
    agreed: Counter[str] = Counter()
    right: Counter[str] = Counter()
    invented: Counter[str] = Counter()
    pairs: Counter[tuple[str, str]] = Counter()
    for clip in clips:
        people = {word for word in clip.agreed if parts[word] == part}
        made_up = {word for word in clip.invented if parts[word] == part}
        agreed.update(people)
        right.update(people & clip.predicted)
        invented.update(made_up)
        pairs.update((a, b) for a in people - clip.predicted for b in made_up)
    rows = [word for word, _ in _ranked(agreed)[:N_CONFUSED]]
    columns = [word for word, _ in _ranked(invented)[:N_CONFUSED]]
    return {
        "references": rows,
        "clips": [agreed[word] for word in rows],
        "right": [right[word] for word in rows],
        "predicted": columns,
        "counts": [[pairs[row, column] for column in columns] for row in rows],
    }


def _ranked(counts: Counter[str]) -> list[tuple[str, int]]:
    """The most frequent first; equals by the alphabet."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _most_frequent(counts: Counter[str]) -> str:
    return _ranked(counts)[0][0]

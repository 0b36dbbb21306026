"""Two trivial systems that everyone should beat: one caption for all, and the nearest clip's.

Both look at the development split only.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from captioner.corpus.tables import Annotation
from captioner.errors import InputError
from captioner.job import Progress
from captioner.text.normalisation import tokenize

N_GRAMS = (1, 4)  # as CIDEr counts them (Vedantam et al. 2015)


def typical_caption(annotations: Iterable[Annotation]) -> str:
    """Give the training caption with the highest mean cosine to all others.

    In lower case without punctuation; the first of equals. Cosines are of tf-idf vectors of 1- to
    4-grams. Raises `InputError` where no caption has a word.
    """
    captions = [" ".join(words) for annotation in annotations for words in _words(annotation)]
    return captions[int(np.argmax(_typicality(captions)))]


def nearest_clip(
    development: Mapping[str, np.ndarray],
    annotations: Iterable[Annotation],
    features: Mapping[str, np.ndarray],
    file_names: Sequence[str],
) -> dict[str, str]:
    """Give each of `file_names` a caption of the development clip nearest to it.

    `development` and `features` give a clip's features (n_frames, n_features). A clip's vector is
    the mean and standard deviation of each feature over time, standardised over the development
    clips; distance is Euclidean. Of the nearest clip's captions the most typical of the whole split
    is taken (see `typical_caption`). Raises `InputError` for a clip without features and where no
    caption has a word.
    """
    owners: list[str] = []  # the clip of each caption
    captions: list[str] = []
    for annotation in annotations:
        for words in _words(annotation):
            owners.append(annotation.file_name)
            captions.append(" ".join(words))
    best: dict[str, int] = {}  # each clip's most typical caption
    typicality = _typicality(captions)
    for index, owner in enumerate(owners):
        if owner not in best or typicality[index] > typicality[best[owner]]:
            best[owner] = index

    clips = list(best)
    with Progress(len(clips) + len(file_names), "Nearest clips", "clip") as progress:
        scaler = StandardScaler()
        known = scaler.fit_transform(_vectors(development, clips, progress))
        neighbours = NearestNeighbors(n_neighbors=1).fit(known)
        if not file_names:
            return {}
        unknown = scaler.transform(_vectors(features, file_names, progress))
        nearest = neighbours.kneighbors(unknown, return_distance=False)[:, 0]
    return {
        file_name: captions[best[clips[index]]]
        for file_name, index in zip(file_names, nearest, strict=True)
    }


def _words(annotation: Annotation) -> list[list[str]]:
    """Give the words of each caption that has any."""
    words = [tokenize(caption, "task") for caption in annotation.captions]
    return [of_caption for of_caption in words if of_caption]


def _typicality(captions: Sequence[str]) -> np.ndarray:
    """Give each caption's mean cosine to the other captions, (n_captions,).

    Vectors have length 1, so that all cosines of a caption sum to its product with the sum of all
    vectors: no n x n matrix.
    """
    if not captions:
        raise InputError(
            "training captions: found none with a word, expected at least one. Check the "
            "annotations of the development split."
        )
    vectorizer = TfidfVectorizer(lowercase=False, token_pattern=r"\S+", ngram_range=N_GRAMS)
    vectors = vectorizer.fit_transform(captions)  # (n_captions, n_grams), sparse
    sums = vectors @ np.asarray(vectors.sum(axis=0)).ravel()
    return (sums - 1) / max(len(captions) - 1, 1)


def _vectors(
    features: Mapping[str, np.ndarray], file_names: Sequence[str], progress: Progress
) -> np.ndarray:
    """Give the mean and standard deviation over time of each clip, (n_clips, 2 n_features)."""
    vectors = []
    for file_name in file_names:
        if file_name not in features:
            raise InputError(
                f"features: found none for {file_name!r}, expected every clip's. "
                "Run the target `features` again."
            )
        frames = features[file_name].astype(np.float64)
        vectors.append(np.concatenate([frames.mean(axis=0), frames.std(axis=0)]))
        progress.advance()
    return np.stack(vectors)

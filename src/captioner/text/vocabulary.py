"""The vocabulary: an ordered list of tokens, counted on the captions and never assumed."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from captioner.errors import InputError
from captioner.job import write_json
from captioner.text.normalisation import tokenize

SOS, EOS, UNK = "<sos>", "<eos>", "<unk>"
ORDERS = ("frequency", "appearance", "alphabetical")
SPECIALS = ("first", "last")


def task(name: str) -> str:
    """Name the token of a task; no text rule makes such a word."""
    return f"<task:{name}>"


@dataclass(frozen=True)
class Vocabulary:
    """Tokens in the order of their indices, and how they were counted.

    `counts[i]` says how often `tokens[i]` occurs in the encoded captions: one `<sos>` and one
    `<eos>` per caption, one `<unk>` per word below the minimum count. A task token stands in the
    place of `<sos>` where several corpora are trained on together, and is not counted. `settings`
    holds the keys text_rule, order, specials, minimum_count, unknown and task_tokens; `corpora`
    what the words were counted on, as the caller names it.
    """

    tokens: list[str]
    counts: list[int]
    settings: dict[str, Any]
    corpora: list[Any]

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def sos(self) -> int:
        """Index of `<sos>`."""
        return self._index[SOS]

    @cached_property
    def eos(self) -> int:
        """Index of `<eos>`."""
        return self._index[EOS]

    @cached_property
    def unk(self) -> int | None:
        """Index of `<unk>`; None where unknown words have no token."""
        return self._index.get(UNK)

    def start(self, task_token: str | None) -> int:
        """Index of what a caption starts with: `<sos>`, or the token of a task.

        Raises `InputError` for a task that the vocabulary does not know.
        """
        if task_token is None:
            return self.sos
        if task_token not in self._tasks:
            raise InputError(
                f"vocabulary: found the task token {task_token!r}, expected one of its "
                f"`task_tokens`: {', '.join(self._tasks) or 'none'}. Add it there."
            )
        return self._index[task(task_token)]

    @cached_property
    def unspoken(self) -> list[int]:
        """Indices of the tokens that no caption holds: all specials but `<eos>`."""
        return sorted(self._specials - {self.eos})

    @cached_property
    def _tasks(self) -> list[str]:
        return self.settings.get("task_tokens", [])

    @cached_property
    def _index(self) -> dict[str, int]:
        return {token: index for index, token in enumerate(self.tokens)}

    @cached_property
    def _specials(self) -> frozenset[int]:
        specials = (SOS, EOS, UNK, *map(task, self._tasks))
        return frozenset(self._index[token] for token in specials if token in self._index)

    def encode(self, caption: str, *, skip_unknown: bool = False) -> list[int]:
        """Give the indices of a caption's words, without `<sos>` and `<eos>`.

        An unknown word becomes `<unk>` where that exists; else it is dropped if `skip_unknown`
        and raises `InputError` naming it if not.
        """
        indices = []
        for word in tokenize(caption, self.settings["text_rule"]):
            index = self.unk if word in (SOS, EOS) else self._index.get(word, self.unk)
            if index is None:
                if skip_unknown:
                    continue
                raise InputError(
                    f"caption {caption!r}: found the word {word!r}, expected one of the "
                    f"vocabulary's {len(self) - len(self._specials)} words. Count the vocabulary "
                    "on these captions too, or set `unknown: true`."
                )
            indices.append(index)
        return indices

    def decode(self, indices: Iterable[int]) -> str:
        """Give the caption of token indices: up to the first `<eos>`, without specials."""
        words = []
        for index in indices:
            if index == self.eos:
                break
            if index not in self._specials:
                words.append(self.tokens[index])
        return " ".join(words)

    def save(self, path: str | Path) -> None:
        """Write as JSON, atomically."""
        write_json(path, asdict(self))

    @classmethod
    def load(cls, path: str | Path) -> "Vocabulary":
        """Read what `save` wrote; `InputError` if the file is something else."""
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            vocabulary = cls(**content)
            tokens, counts = vocabulary.tokens, vocabulary.counts
            whole = len(tokens) == len(counts) == len(set(tokens)) and {SOS, EOS} <= set(tokens)
        except (OSError, TypeError, ValueError) as error:
            raise InputError(_unreadable(path, str(error))) from error
        if not whole:
            raise InputError(_unreadable(path, "tokens repeated, without a count or no specials"))
        return vocabulary


def build_vocabulary(
    captions: Iterable[str], settings: dict[str, Any], corpora: Sequence[Any]
) -> Vocabulary:
    """Count the words of `captions` (in the order of their file) and order them.

    `settings`: text_rule (task | released), order (frequency: ties alphabetical | appearance |
    alphabetical), specials (first | last), minimum_count, unknown (whether `<unk>` exists),
    task_tokens (names, none by default).
    Raises `InputError` for settings that leave words of these captions without a token, for a
    caption that holds a special token, and where there are no words.
    """
    minimum_count, unknown = settings["minimum_count"], settings["unknown"]
    _check(settings)
    counter: Counter[str] = Counter()
    n_captions = 0
    for caption in captions:
        counter.update(tokenize(caption, settings["text_rule"]))
        n_captions += 1
    if not counter:
        raise InputError(f"vocabulary: found no words in {n_captions} captions, expected some.")
    for special in (SOS, EOS, UNK):
        if special in counter:
            raise InputError(
                f"vocabulary: found the word {special!r} in a caption, expected it as a special "
                "token only. Edit the caption, or use the text rule `task`."
            )
    kept = [word for word, count in counter.items() if count >= minimum_count]  # by appearance
    if settings["order"] == "frequency":
        kept.sort(key=lambda word: (-counter[word], word))
    elif settings["order"] == "alphabetical":
        kept.sort()
    specials = {SOS: n_captions, EOS: n_captions}
    if unknown:
        specials[UNK] = counter.total() - sum(counter[word] for word in kept)
    specials |= {task(name): 0 for name in settings.get("task_tokens", [])}
    words = {word: counter[word] for word in kept}
    table = specials | words if settings["specials"] == "first" else words | specials
    return Vocabulary(list(table), list(table.values()), dict(settings), list(corpora))


def _check(settings: dict[str, Any]) -> None:
    for key, allowed in (("order", ORDERS), ("specials", SPECIALS)):
        if settings[key] not in allowed:
            raise InputError(
                f"vocabulary {key}: found {settings[key]!r}, expected one of {', '.join(allowed)}."
            )
    if settings["minimum_count"] > 1 and not settings["unknown"]:
        raise InputError(
            f"vocabulary: found minimum_count {settings['minimum_count']} without a token for the "
            "rarer words, expected `unknown: true` with it."
        )


def _unreadable(path: str | Path, why: str) -> str:
    return (
        f"{path}: found no vocabulary ({why}), expected JSON with tokens (<sos> and <eos> among "
        "them), counts, settings and corpora. Build it again."
    )

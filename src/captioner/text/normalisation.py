"""Captions to words, by the task page's rule or the released baseline's."""

import string
import unicodedata
from collections.abc import Mapping

from captioner.errors import InputError


class _AllPunctuation(dict[int, int | None]):
    """Translation table that deletes ASCII punctuation and symbols and Unicode's punctuation."""

    def __missing__(self, code: int) -> int | None:
        character = chr(code)
        removed = character in string.punctuation or unicodedata.category(character)[0] == "P"
        self[code] = None if removed else code
        return self[code]


_TABLES: Mapping[str, dict[int, int | None]] = {
    "task": _AllPunctuation(),
    "released": dict.fromkeys(map(ord, ',.!?;:"')),
}
TEXT_RULES = tuple(_TABLES)


def tokenize(caption: str, rule: str) -> list[str]:
    """Split a caption into lower-case words.

    Rule `task` (DCASE 2021 Task 6 page) removes all punctuation, so that `walkie-talkie` becomes
    `walkietalkie`; rule `released` (the baseline's code) removes only `, . ! ? ; : "`. Both split
    at white space. Raises `InputError` for another rule.
    """
    if rule not in _TABLES:
        raise InputError(f"text rule: found {rule!r}, expected one of {', '.join(TEXT_RULES)}.")
    return caption.lower().translate(_TABLES[rule]).split()

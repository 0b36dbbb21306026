"""Dims: what a system's network is made of, in one dataclass per family.

A family's dataclass is the one place where its settings (the `model:` part of a system's YAML) and
their defaults are stated. It is stored beside the weights, so a checkpoint needs nothing else.
"""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, ClassVar, Self, get_args, get_origin, get_type_hints

from captioner.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Dims:
    """What every family needs to know of its data; a family's own dataclass adds its settings."""

    family: ClassVar[str]

    n_features: dict[str, int]  # values per frame, by front-end
    n_tokens: int  # the vocabulary with its special tokens
    sos: int
    eos: int

    @classmethod
    def from_settings(
        cls,
        settings: Mapping[str, Any],
        n_features: dict[str, int],
        n_tokens: int,
        sos: int,
        eos: int,
    ) -> Self:
        """Join a system's `model:` settings and the facts of its data.

        Raises `InputError` for unknown or missing keys, wrong types and impossible values.
        """
        of_data = {field.name for field in fields(Dims)}
        cls._refuse_unknown(settings, [f.name for f in fields(cls) if f.name not in of_data])
        return cls._parse(
            {**settings, "n_features": n_features, "n_tokens": n_tokens, "sos": sos, "eos": eos}
        )

    @classmethod
    def from_dict(cls, dims: Mapping[str, Any]) -> Self:
        """Restore dims from `dataclasses.asdict` (after JSON); raises `InputError` as above."""
        cls._refuse_unknown(dims, [field.name for field in fields(cls)])
        return cls._parse(dims)

    @classmethod
    def _refuse_unknown(cls, found: Mapping[str, Any], known: list[str]) -> None:
        for key in found:
            if key not in known:
                raise InputError(
                    f"model: unknown key {key!r} for the family {cls.family}; "
                    f"known keys: {', '.join(known)}"
                )

    @classmethod
    def _parse(cls, found: Mapping[str, Any]) -> Self:
        hints = get_type_hints(cls)
        for field in fields(cls):
            if field.name not in found and field.default is MISSING:
                raise InputError(
                    f"model: the key {field.name!r} of the family {cls.family} is missing; "
                    f"known keys: {', '.join(field.name for field in fields(cls))}"
                )
        try:
            return cls(**{key: _typed(key, value, hints[key]) for key, value in found.items()})
        except InputError as error:
            raise InputError(f"model (family {cls.family}): {error}") from None

    def frontend(self) -> str:
        """Name the only front-end of a family that takes one; `InputError` where there are more."""
        if len(self.n_features) != 1:
            names = ", ".join(self.n_features) or "none"
            raise InputError(f"found the front-ends {names}; expected one: name one in `frontends`")
        return next(iter(self.n_features))

    def require_at_least(self, minimum: int, *names: str) -> None:
        """Raise `InputError` unless each of the named fields is `minimum` or more."""
        for name in names:
            if getattr(self, name) < minimum:
                raise InputError(f"{name} is {getattr(self, name)}; expected {minimum} or more")

    def require_positive(self, name: str) -> None:
        """Raise `InputError` unless the named field lists numbers of 1 or more, one at least."""
        numbers = getattr(self, name)
        if not numbers or min(numbers) < 1:
            raise InputError(f"{name} is {list(numbers)}; expected positive numbers")

    def require_probability(self, name: str) -> None:
        """Raise `InputError` unless the named field is in [0, 1)."""
        if not 0 <= getattr(self, name) < 1:
            raise InputError(f"{name} is {getattr(self, name)}; expected 0 <= {name} < 1")


def _typed(key: str, value: Any, hint: Any) -> Any:
    """Check `value` against the field's type; lists become tuples, whole numbers floats."""
    if get_origin(hint) is tuple and isinstance(value, (list, tuple)):
        return tuple(_typed(key, item, get_args(hint)[0]) for item in value)
    if get_origin(hint) is dict and isinstance(value, dict):
        return {name: _typed(key, item, get_args(hint)[1]) for name, item in value.items()}
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint:  # exact: True is no int here
        expected = "a list" if get_origin(hint) is tuple else getattr(hint, "__name__", str(hint))
        raise InputError(
            f"{key} is {value!r} ({type(value).__name__}); expected {expected}"
            + (" (in YAML, write 1.0e-4 for 1e-4)" if hint is float else "")
        )
    return value

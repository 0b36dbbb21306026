"""What of a config is known to go wrong later: said before anything runs.

Each check is that of the code which would stumble, or reads its source: nothing heavy is imported.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from captioner.decoding.options import DecodingOptions
from captioner.errors import InputError
from captioner.models.keys import model_keys
from captioner.settings import check_names
from captioner.training.settings import check_training

if TYPE_CHECKING:
    from captioner.plan import Plan


def check_plan(plan: "Plan") -> None:
    """Check decodings, models, trainings, and the sizes of word vectors that are to be trained.

    Raises `InputError` naming the decoding or the system.
    """
    for name, options in plan.config["decodings"].items():
        with _named(f"decoding {name}"):
            DecodingOptions.from_settings(options)
    for name, system in plan.systems.items():
        if "family" in system:
            with _named(f"system {name}"):
                _check_model(plan, name)
    for name, system in plan.trained.items():
        with _named(f"system {name}"):
            check_training(system["training"], validated=plan.validation(name) is not None)


@contextmanager
def _named(source: str) -> Iterator[None]:
    try:
        yield
    except InputError as error:
        raise InputError(f"{source}: {error}") from None


def _check_model(plan: "Plan", name: str) -> None:
    """Check the names of a system's `model:`, and that its words have as many values as given."""
    system = plan.systems[name]
    if keys := model_keys(system["family"]):
        check_names(system["model"], keys, "key", "model")
    vectors = system["word_embeddings"]
    if vectors is not None and vectors["source"] == "word2vec":  # a file's are not known yet
        from captioner.text.word_embeddings.vectors import check_n_values
        from captioner.text.word_embeddings.word2vec import N_VALUES

        check_n_values(vectors.get("n_values", N_VALUES), plan.word_values(name), "word2vec")

"""How the systems of a config are made of one another: starts, ensembles, what each has seen.

Read at every start of the workflow, so nothing heavy is imported.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from captioner.errors import InputError
from captioner.models.registry import ATTENTIVE
from captioner.settings import check_names

Settings = dict[str, Any]
Trained = tuple[str, int]  # a system and the seed of its training


class Lineage:
    """The systems of a config, their kinds and their kin.

    A system is trivial, an ensemble of others, a file of published weights, or trained; all but the
    trained stand at seed 0.
    """

    def __init__(self, systems: Mapping[str, Settings], seeds: Sequence[int], corpus: str):
        """Check who starts from whom and who is a member; fill in what members share.

        `systems` are resolved, in the config's order; an ensemble gets the `frontends` and the
        `vocabulary` of its members, and by default their titles, and a member without a seed
        becomes one per seed. `corpus` is
        the scored one. Raises `InputError` for names and seeds that the config does not have, for
        systems that cannot be joined or started from, and for starts that go in a circle.
        """
        self._systems = systems
        self._seeds = list(seeds)
        self._corpus = corpus
        for name in systems:
            self._check_start(name)
        for name in self.ensembles:
            self._join_members(name)

    @property
    def trained(self) -> dict[str, Settings]:
        """The systems that are trained."""
        return {name: s for name, s in self._modelled.items() if s["weights"] is None}

    @property
    def published(self) -> dict[str, Settings]:
        """The systems whose weights are published: they have a model and no training."""
        return {name: s for name, s in self._modelled.items() if s["weights"] is not None}

    @property
    def ensembles(self) -> dict[str, Settings]:
        """The systems made of others: they decode with their members' models."""
        return {name: s for name, s in self._systems.items() if "members" in s}

    @property
    def trivial(self) -> dict[str, Settings]:
        """The systems that everyone should beat."""
        return {name: s for name, s in self._systems.items() if "trivial" in s}

    @property
    def speaking(self) -> dict[str, Settings]:
        """The systems that are decoded: all but the trivial."""
        return {name: s for name, s in self._systems.items() if "trivial" not in s}

    @property
    def attentive(self) -> dict[str, Settings]:
        """The systems with a model that can say where in a clip each word looked."""
        return {name: s for name, s in self._modelled.items() if s["family"] in ATTENTIVE}

    @property
    def _modelled(self) -> dict[str, Settings]:
        return {name: s for name, s in self._systems.items() if "family" in s}

    def seeds(self, system: str) -> list[int]:
        """Give the seeds of a system: the config's if it is trained, else 0."""
        return self._seeds if system in self.trained else [0]

    def models(self, system: str, seed: int) -> list[Trained]:
        """Give whose models a system decodes with: its own, or its members'."""
        members = self._systems[system].get("members")
        if members is None:
            return [(system, seed)]
        return [(member["system"], member["seed"]) for member in members]

    def start(self, system: str, seed: int) -> Trained | None:
        """Give whose weights a training starts from."""
        other = self._systems[system]["start"]
        return None if other is None else (other, seed if other in self.trained else 0)

    def seen(self, system: str, split: str) -> str | None:
        """Say how a split of the scored corpus went into a system's weights; None if it did not.

        The answer reads on from the system's name: "trained on evaluation".
        """
        settings = self._systems[system]
        if "trivial" in settings:
            return None
        if "members" in settings:
            for other in dict.fromkeys(member["system"] for member in settings["members"]):
                if self.seen(other, split):
                    return f"its member {other} trained on {split}"
            return None
        if any(p["corpus"] == self._corpus and split in p["splits"] for p in settings["train"]):
            return f"trained on {split}"
        other = settings["start"]
        if other is not None and self.seen(other, split):
            return f"started from {other}, which trained on {split}"
        return None

    def task_token(self, system: str) -> str | None:
        """Give what a system's captions start with: the token of its own corpus, or its first."""
        parts = sorted(self._systems[system]["train"], key=lambda p: p["corpus"] != self._corpus)
        token: str | None = parts[0]["task_token"]
        return token

    def _check_start(self, name: str) -> None:
        source, path = f"system {name}: start", [name]
        reinforced = self._systems[name].get("training", {}).get("loss") == "self_critical"
        if reinforced and self._systems[name]["start"] is None and name in self.trained:
            raise InputError(
                f"{source}: found none with `loss: self_critical`, expected the name of a system: "
                "reinforcement makes a trained one better"
            )
        while (other := self._systems[path[-1]]["start"]) is not None:
            check_names([other], self._modelled, "system with a model of its own", source)
            for key in ("family", "frontends", "vocabulary"):
                mine, theirs = self._systems[path[-1]][key], self._systems[other][key]
                if mine != theirs:
                    raise InputError(
                        f"{source}: found {key} {mine} in {path[-1]} and {theirs} in {other}, "
                        "expected the same: weights fit no other model"
                    )
            if other in path:
                raise InputError(
                    f"{source}: {' starts from '.join([*path, other])}: a circle; one of them has "
                    "to start from nothing"
                )
            path.append(other)

    def _join_members(self, name: str) -> None:
        source, system = f"system {name}: members", self._systems[name]
        given = system["members"]
        check_names(
            [m["system"] for m in given], self._modelled, "system with a model of its own", source
        )
        runs = [
            (member["system"], seed)
            for member in given
            for seed in (
                self.seeds(member["system"]) if member["seed"] is None else [member["seed"]]
            )
        ]
        for other, seed in runs:
            if seed not in self.seeds(other):
                known = ", ".join(map(str, self.seeds(other)))
                raise InputError(f"{source}: {other} has no seed {seed}; it has {known}")
            if runs.count((other, seed)) > 1:
                raise InputError(f"{source}: {other}, seed {seed}, stands twice")
        others = [self._systems[other] for other, _ in runs]
        for what, values in (
            ("vocabulary", [other["vocabulary"] for other in others]),
            ("task token", [self.task_token(other) for other, _ in runs]),
        ):
            if len(set(values)) > 1:
                each = dict(zip([other for other, _ in runs], values, strict=True))
                found = ", ".join(f"{value} ({other})" for other, value in each.items())
                raise InputError(f"{source}: found more than one {what}: {found}; expected one")
        system["members"] = [{"system": other, "seed": seed} for other, seed in runs]
        system["vocabulary"] = others[0]["vocabulary"]
        system["frontends"] = list(dict.fromkeys(f for o in others for f in o["frontends"]))
        titles = dict.fromkeys(other["title"] for other in others)
        system.setdefault("title", f"Ensemble: {' + '.join(titles)}")

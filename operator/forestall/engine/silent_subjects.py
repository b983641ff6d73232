"""Pods and nodes at risk whose series vanish although they exist: their silence is no health.

A node that fails is measured by its own kubelet, which fails with it. What others of the indicator say is no word about
that node, nor about the pods on it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from forestall.core.subjects import ListedSubject
from forestall.engine.readings import Reading

_REMEMBERED: Final = 3600.0
"""How long (s) a subject that is silent counts as at risk: what it is called, or who measures it, may have changed."""

_Key = tuple[str, str]
"""UID of an objective, and an indicator."""


@dataclass(frozen=True, slots=True)
class _SubjectAtRisk:
    """A subject that had a series at risk."""

    uid: str
    sampled_at: float
    """The newest sample of its indicator then (s since the epoch)."""


class SilentSubjects:
    """Remembers which subjects were at risk when they last had series."""

    def __init__(self) -> None:
        self._at_risk: dict[_Key, dict[str, _SubjectAtRisk]] = {}
        self._silent: dict[_Key, frozenset[str]] = {}

    def remembers(self, reading: Reading) -> bool:
        """Say whether a subject of the reading's indicator was at risk."""
        return bool(self._at_risk.get(_key(reading)))

    def note(
        self,
        reading: Reading,
        names: Collection[str],
        risky: Collection[str],
        listed: Mapping[str, ListedSubject] | None,
    ) -> frozenset[str]:
        """Return the subjects that were at risk, exist, and have no series in a fresh reading.

        `names` are those that have series, `risky` those of them at risk. Where it is not known what exists (None), the
        subjects stay silent that were so before.
        """
        key, at_risk = _key(reading), self._at_risk.get(_key(reading), {})
        if listed is None:
            return frozenset(name for name in self._silent.get(key, ()) if name not in names)
        silent = {
            name: subject
            for name, subject in at_risk.items()
            if name not in names
            and _is_same(listed.get(name), subject)
            and reading.sampled_at - subject.sampled_at < _REMEMBERED
        }
        now = {name: _SubjectAtRisk(listed[name].uid, reading.sampled_at) for name in risky if name in listed}
        self._at_risk[key] = {**silent, **now}
        self._silent[key] = frozenset(silent)
        return self._silent[key]

    def retain(self, objectives: Collection[str]) -> None:
        """Forget the objectives that are not among these UIDs."""
        self._at_risk = {key: subjects for key, subjects in self._at_risk.items() if key[0] in objectives}
        self._silent = {key: names for key, names in self._silent.items() if key[0] in objectives}


def _key(reading: Reading) -> _Key:
    return reading.watched.objective, reading.watched.indicator


def _is_same(listed: ListedSubject | None, subject: _SubjectAtRisk) -> bool:
    """Say whether a subject still exists, and stays; one that is being deleted has no series for its last seconds."""
    return listed is not None and listed.uid == subject.uid and not listed.terminating

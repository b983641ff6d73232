"""Whether what a series speaks of, a pod or a node, still exists.

A series outlives its pod by minutes where its samples carry timestamps of their own. The API server knows which pods
there are. Two orders of times matter:

- A list that was begun after the metric source had answered has every pod that is in the answer and still exists: a pod
  is created before it is sampled. In an older list a pod may be missing because it is new.
- A name that was given again, as by a StatefulSet, has the samples of the pod before from before the creation of the
  present one.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ListedSubject:
    """An object of a list."""

    uid: str
    created: float
    """When it was created (s since the epoch)."""
    terminating: bool = False
    """Whether it is being deleted."""


@dataclass(frozen=True, slots=True)
class SampledSpan:
    """From when to when (s since the epoch) the samples of an answer may be."""

    oldest: float
    newest: float


def missing_subjects(
    names: Collection[str], listed: Collection[str], *, resolved: bool = False, prefix: str = ""
) -> frozenset[str] | None:
    """Return which of the subjects of a query do not exist; None where their label names no objects of this list.

    It does where it names an object of the list, or did before (`resolved`), or where a name begins as those of the
    target's pods do (`prefix`). Otherwise it may name pods of another cluster, or something else.
    """
    if not (
        resolved or any(name in listed for name in names) or (prefix and any(name.startswith(prefix) for name in names))
    ):
        return None
    return frozenset(name for name in names if name not in listed)


def replaced_subjects(
    names: Collection[str], listed: Mapping[str, ListedSubject], successors: Collection[str], span: SampledSpan
) -> frozenset[str]:
    """Return the existing subjects whose samples may be of an object that had the name before.

    `successors` are the UIDs of the objects that are known to have taken a name that was there.
    """
    return frozenset(
        name
        for name in names
        if (subject := listed.get(name)) is not None
        and subject.created > span.oldest
        and (subject.created > span.newest or subject.uid in successors)
    )

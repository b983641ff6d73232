"""What is said of series whose pods or nodes are gone, or may be: in sentences without full stops."""

from collections.abc import Collection, Iterable
from typing import Final

from forestall.core.wording import is_or_are, printable, shortened_list
from forestall.engine.cause import POD

_NAMED: Final = 3
"""How many subjects a message names."""
_LONGEST: Final = 253

Scope = tuple[str, str]
"""The label that names the subjects, and the namespace that they are in; empty for nodes."""


def all_missing(label: str, names: Collection[str]) -> str:
    """Return that there are no other series than those of subjects that are gone."""
    verb = "do" if len(names) > 1 else "does"
    return f"{_listed(label, names)} {verb} not exist any more, and no other has series"


def silent_subjects(label: str, names: Collection[str]) -> str:
    """Return that subjects at risk have no series any more, although they exist."""
    exist, were, have = ("exists", "was", "has") if len(names) == 1 else ("exist", "were", "have")
    return f"{_listed(label, names)} {exist}, {were} at risk when last measured, and {have} no fresh sample"


def unused_series(scope: Scope, indicator: str, missing: Collection[str], doubtful: Collection[str]) -> Iterable[str]:
    """Yield which series are not used: of what is gone, and of what took the name of another."""
    label = scope[0]
    if missing:
        verb = is_or_are(len(missing))
        yield f"{indicator}: the last series of {_listed(label, missing)}, which {verb} gone, {verb} left out"
    if doubtful:
        names = _listed(label, doubtful)
        yield f"{indicator}: high values of {names} may be of the {label} that had the name before"


def unlisted_subjects(scope: Scope, indicator: str, why: str | None) -> str:
    """Return that it is not known what exists, and why; None: there was no time."""
    reason = why or "there was no time left for it in this cycle"
    subjects = all_subjects(scope)
    return f"{indicator}: whether its {scope[0]}s exist is not known, as {subjects} can't be listed: {reason}"


def unresolved_label(scope: Scope, indicator: str) -> str:
    """Return that a label does not name what is listed."""
    return (
        f"{indicator}: its label {scope[0]} names none of {all_subjects(scope)}, so that the series of what is gone "
        "can't be told from the others"
    )


def _listed(label: str, names: Iterable[str]) -> str:
    """Return subjects such as `pods a, b`."""
    ordered = sorted(names)
    listed = shortened_list((printable(name)[:_LONGEST] for name in ordered), _NAMED)
    return f"{label}{'s' if len(ordered) > 1 else ''} {listed}"


def all_subjects(scope: Scope) -> str:
    """Return what a list of a scope names."""
    label, namespace = scope
    return f"the pods of namespace {namespace}" if label == POD else "the nodes"

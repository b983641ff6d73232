"""The content of the registry at the beginning of a cycle, indexed for the lookups of a cycle."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from forestall.api import Guardrail, Remediation, RemediationPolicy, ServiceLevelObjective
from forestall.api.remediation import TERMINAL
from forestall.api.service_level_objective import Episode
from forestall.core.clock_skew import ClockSkew
from forestall.core.guards import RecordedUsage, StormCheck
from forestall.engine.fair_scheduling import round_robin
from forestall.engine.selection import Selection, select
from forestall.registry import Registry


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The registry at one moment; lookups by objective are cheap."""

    objectives: Mapping[str, ServiceLevelObjective]
    """By UID."""
    policies: Mapping[str, Sequence[RemediationPolicy]]
    """The policies of each objective (UID), in order of their names."""
    remediations: Sequence[Remediation]
    guardrails: Sequence[Guardrail]
    clocks: ClockSkew = ClockSkew()
    storms: Sequence[StormCheck] = ()
    """The storm breakers: objectives that came at risk together, and their limits."""
    debts: Mapping[tuple[str, str], RecordedUsage] = field(default_factory=dict)
    """The spent part of budgets that Guardrails have recorded, by UID and namespace."""
    watched: Mapping[str, int] = field(init=False, repr=False, compare=False)
    """The number of objectives, by namespace."""
    unreadable: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By namespace: the remediations under way that this version can't parse; their actions are unknown."""
    selection: Selection = Selection()
    """The matching of policies and objectives, and the policies that are not used."""
    _positions: dict[str, list[int]] = field(init=False, repr=False, compare=False)
    """By UID of objectives and targets: the indices of their remediations."""
    _sharing: dict[tuple[str, str, str], list[str]] = field(init=False, repr=False, compare=False)
    """By namespace, kind and name of a target: the UIDs of the objectives with this target."""

    def __post_init__(self) -> None:
        positions: dict[str, list[int]] = defaultdict(list)
        for position, remediation in enumerate(self.remediations):
            intent = remediation.spec.intent
            for uid in {intent.objective.uid, intent.target.uid}:
                positions[uid].append(position)
        object.__setattr__(self, "_positions", dict(positions))
        object.__setattr__(self, "watched", Counter(slo.namespace for slo in self.objectives.values()))
        sharing: dict[tuple[str, str, str], list[str]] = defaultdict(list)
        for uid, slo in self.objectives.items():
            sharing[_target(slo)].append(uid)
        object.__setattr__(self, "_sharing", dict(sharing))

    def remediations_of(self, *uids: str) -> list[Remediation]:
        """Return the remediations for objectives, or on targets, with these UIDs."""
        positions = sorted({position for uid in uids for position in self._positions.get(uid, ())})
        return [self.remediations[position] for position in positions]

    def sharing(self, slo: ServiceLevelObjective) -> list[str]:
        """Return the UIDs of the objectives with the same target, including this one."""
        return self._sharing.get(_target(slo), [slo.uid])

    @classmethod
    def of(cls, registry: Registry) -> "Snapshot":
        """Read the registry."""
        objectives = {slo.uid: slo for slo in registry.all(ServiceLevelObjective)}
        selection = select(objectives.values(), registry.all(RemediationPolicy))
        return cls(
            objectives=objectives,
            policies=selection.policies,
            selection=selection,
            remediations=registry.all(Remediation),
            guardrails=registry.all(Guardrail),
            unreadable=_unreadable(registry),
        )

    def ordered(self, late: Collection[str], episodes: Mapping[str, Episode]) -> "Snapshot":
        """Return the snapshot with its objectives in the order in which they are processed.

        First those that had no turn in the last cycle (`late`, UIDs), then those at risk according to `episodes` (by
        UID) or else to their statuses; each group in round-robin order of namespaces.
        """

        def rank(slo: ServiceLevelObjective) -> tuple[bool, bool]:
            episode = episodes.get(slo.uid) or slo.status.episode
            return slo.uid not in late, episode is None or not episode.since

        fair = round_robin(sorted(self.objectives.values(), key=rank), lambda slo: slo.namespace)
        return replace(self, objectives={slo.uid: slo for slo in fair})


def _target(slo: ServiceLevelObjective) -> tuple[str, str, str]:
    return slo.namespace, slo.spec.target.kind, slo.spec.target.name


def _unreadable(registry: Registry) -> Mapping[str, Sequence[str]]:
    names: dict[str, list[str]] = defaultdict(list)
    for invalid in registry.invalid():
        if invalid.ref.kind == Remediation.KIND and invalid.phase not in TERMINAL:
            names[invalid.ref.namespace].append(invalid.ref.name)
    return names

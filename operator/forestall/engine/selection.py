"""Matches policies and objectives, within limits.

The authors of a namespace choose how many pairs there are, and each pair costs time in every cycle. Above the limits
the first ones by name count.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from forestall.api import RemediationPolicy, ServiceLevelObjective

MOST_POLICIES: Final = 200
"""How many policies of one namespace are used at the most."""
MOST_FOR_ONE: Final = 20
"""How many policies that select the same objective are used at the most."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The matching of policies and objectives."""

    policies: Mapping[str, Sequence[RemediationPolicy]] = field(default_factory=dict)
    """The policies of each objective (UID), in order of their names."""
    objectives: Mapping[tuple[str, int], Sequence[ServiceLevelObjective]] = field(default_factory=dict)
    """The objectives of each policy, by its UID and generation."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """By UID of a policy: why it is not used, or not for all objectives that it selects."""

    def of(
        self, policy: RemediationPolicy, objectives: Iterable[ServiceLevelObjective]
    ) -> Sequence[ServiceLevelObjective]:
        """Return the objectives that `policy` selects; `objectives` are those of its namespace, for a policy that is
        new or changed.
        """
        selected = self.objectives.get(_key(policy))
        if selected is not None:
            return selected
        return [slo for slo in objectives if policy.spec.objectives.matches(slo.metadata.labels)]


def select(objectives: Iterable[ServiceLevelObjective], policies: Iterable[RemediationPolicy]) -> Selection:
    """Match `policies`, given in order of their names, with `objectives`."""
    by_namespace: dict[str, list[RemediationPolicy]] = defaultdict(list)
    left_out: dict[str, str] = {}
    policies = list(policies)
    for policy in policies:
        if len(by_namespace[policy.namespace]) < MOST_POLICIES:
            by_namespace[policy.namespace].append(policy)
        else:
            left_out[policy.uid] = (
                f"the namespace has more than {MOST_POLICIES} policies, and this one is none of the first by name: "
                "nothing is decided by it"
            )
    selected: dict[tuple[str, int], list[ServiceLevelObjective]] = {_key(policy): [] for policy in policies}
    late: Counter[str] = Counter()
    chosen: dict[str, Sequence[RemediationPolicy]] = {}
    for slo in objectives:
        matching = [
            policy for policy in by_namespace[slo.namespace] if policy.spec.objectives.matches(slo.metadata.labels)
        ]
        for policy in matching:
            selected[_key(policy)].append(slo)
        late.update(policy.uid for policy in matching[MOST_FOR_ONE:])
        chosen[slo.uid] = matching[:MOST_FOR_ONE]
    for uid, count in late.items():
        have = "has" if count == 1 else "have"
        left_out[uid] = (
            f"{count} of the objectives that it selects {have} {MOST_FOR_ONE} policies before it by name: "
            "for these nothing is decided by it"
        )
    return Selection(chosen, selected, left_out)


def _key(policy: RemediationPolicy) -> tuple[str, int]:
    return policy.uid, policy.metadata.generation

"""Pause: nothing is changed in one namespace, for one objective, or by one policy, for a while."""

from typing import Annotated, ClassVar

from pydantic import Field

from forestall.api.meta import Conditions, Metadata, Model, Resource, Timestamp, rule, rules

_Name = Annotated[str, Field(min_length=1, max_length=253)]


class PauseSpec(Model):
    """The scope of the pause, its end and its reason."""

    model_config = rules(
        rule(
            "!(has(self.objective) && has(self.policy))",
            "give at most one of `objective` and `policy`; neither: the whole namespace",
        )
    )

    objective: _Name | None = None
    """Pause only this ServiceLevelObjective of the namespace."""
    policy: _Name | None = None
    """Pause only this RemediationPolicy of the namespace."""
    until: Timestamp | None = None
    """The time at which the pause expires. Default: when it is deleted."""
    reason: Annotated[str, Field(max_length=1024)] = ""
    """The reason for the pause, for people."""
    by: Annotated[str, Field(max_length=256)] = ""
    """The user who paused it; an admission policy refuses the name of another user."""
    at: Timestamp | None = None
    """The time at which the pause began."""


class PauseStatus(Model):
    """The observed state; written only by the operator."""

    observed_generation: int | None = None
    """The generation that the status refers to."""
    conditions: Conditions = []
    """The latest observations of the object's state. Known types: Ready. Ready is True while
    the pause is in force."""


class Pause(Resource):
    """While a Pause exists the operator changes nothing in its namespace: it starts no action and reverts none."""

    KIND: ClassVar[str] = "Pause"
    PLURAL: ClassVar[str] = "pauses"
    SINGULAR: ClassVar[str] = "pause"
    SHORT_NAMES: ClassVar[tuple[str, ...]] = ("fpause",)
    NAMESPACED: ClassVar[bool] = True
    COLUMNS: ClassVar[tuple[dict[str, object], ...]] = (
        {"name": "Objective", "type": "string", "jsonPath": ".spec.objective"},
        {"name": "Policy", "type": "string", "jsonPath": ".spec.policy"},
        {"name": "Until", "type": "string", "jsonPath": ".spec.until"},
        {"name": "By", "type": "string", "jsonPath": ".spec.by"},
        {"name": "State", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Ready")].reason'},
        {"name": "Reason", "type": "string", "jsonPath": ".spec.reason", "priority": 1},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    )

    metadata: Metadata
    spec: PauseSpec = PauseSpec()
    """The scope of the pause, its end and its reason."""
    status: PauseStatus = PauseStatus()
    """The observed state of the Pause. Read-only."""

    @property
    def scope(self) -> str:
        """What it speaks of, in words."""
        if self.spec.objective is not None:
            return f"objective {self.spec.objective}"
        if self.spec.policy is not None:
            return f"policy {self.spec.policy}"
        return f"namespace {self.namespace}"

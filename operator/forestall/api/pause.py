"""Pause: nothing is changed in one namespace, for one objective, or by one policy, for a while."""

from typing import Annotated, ClassVar

from pydantic import Field

from forestall.api.meta import Conditions, Metadata, Model, Resource, Timestamp, rule, rules

_Name = Annotated[str, Field(min_length=1, max_length=253)]


class PauseSpec(Model):
    """What is paused, until when, and why."""

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
    """When the pause expires. Default: when it is deleted."""
    reason: Annotated[str, Field(max_length=1024)] = ""
    """The reason for people."""
    by: Annotated[str, Field(max_length=256)] = ""
    """The user who paused it; an admission policy refuses the name of another user."""
    at: Timestamp | None = None
    """When it was paused."""


class PauseStatus(Model):
    """The observed state; written only by the operator."""

    observed_generation: int | None = None
    """The generation that the status refers to."""
    conditions: Conditions = []
    """Ready: it is in force."""


class Pause(Resource):
    """While a Pause exists the operator changes nothing in its namespace: it starts no action and releases none."""

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
    """What is paused, until when, and why."""
    status: PauseStatus = PauseStatus()
    """What became of it."""

    @property
    def scope(self) -> str:
        """What it speaks of, in words."""
        if self.spec.objective is not None:
            return f"objective {self.spec.objective}"
        if self.spec.policy is not None:
            return f"policy {self.spec.policy}"
        return f"namespace {self.namespace}"

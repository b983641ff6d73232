"""Pause: nothing is changed in one namespace, for one objective, or by one policy, for a while."""

from typing import Annotated, ClassVar

from pydantic import Field

from forestall.api.meta import Conditions, Metadata, Model, Resource, Timestamp, rule, rules

_Name = Annotated[str, Field(min_length=1, max_length=253)]


class PauseSpec(Model):
    """What stands still, until when, and why."""

    model_config = rules(
        rule(
            "!(has(self.objective) && has(self.policy))",
            "give at most one of `objective` and `policy`; neither: the whole namespace",
        )
    )

    objective: _Name | None = None
    """Only this ServiceLevelObjective of the namespace."""
    policy: _Name | None = None
    """Only this RemediationPolicy of the namespace."""
    until: Timestamp | None = None
    """When it ends by itself; it lasts until it is deleted when not set."""
    reason: Annotated[str, Field(max_length=1024)] = ""
    """Why, for people."""
    by: Annotated[str, Field(max_length=256)] = ""
    """Who paused it; an admission policy keeps anybody from writing another's name."""
    at: Timestamp | None = None
    """When it was paused."""


class PauseStatus(Model):
    """What became of it; written by the operator alone."""

    observed_generation: int | None = None
    """The generation that the status speaks of."""
    conditions: Conditions = []
    """Ready: it is in force."""


class Pause(Resource):
    """As long as it lasts nothing is changed in its namespace, neither done nor given back."""

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
    """What stands still, until when, and why."""
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

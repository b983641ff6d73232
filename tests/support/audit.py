"""What the API server has recorded of the operator's writes, and of requests that it refused to authenticate."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

USER = "system:serviceaccount:forestall-system:forestall"
POLICY: dict[str, Any] = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "Metadata", "users": [USER], "verbs": ["create", "update", "patch", "delete"]},
        {"level": "None", "userGroups": ["system:authenticated"]},
        {"level": "None", "userGroups": ["system:unauthenticated"]},
        {"level": "Metadata"},
    ],
}
"""Who is in none of the two groups was refused."""


@dataclass(frozen=True)
class Write:
    """A write of the operator that took effect."""

    at: float
    pod: str
    """Empty where the token names none."""
    resource: str
    name: str
    verb: str


class AuditLog:
    """The file that the API server writes; `mark` forgets what it has so far."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "audit.log"
        self._policy = folder / "audit-policy.json"
        self._policy.write_text(json.dumps(POLICY))
        self._offset = 0

    @property
    def arguments(self) -> Mapping[str, str]:
        """The arguments of the API server."""
        return {"audit-policy-file": str(self._policy), "audit-log-path": str(self._log)}

    def mark(self) -> None:
        """Begin here."""
        self._offset = self._log.stat().st_size if self._log.exists() else 0

    def renewals(self) -> list[Write]:
        """Return the writes of the Lease."""
        return [write for write in self._all_writes() if write.resource == "leases"]

    def changes(self) -> list[Write]:
        """Return the writes of everything but the Lease, and but Events and reviews, which replicas may write."""
        own = ("leases", "events", "selfsubjectaccessreviews")
        return [write for write in self._all_writes() if write.resource not in own]

    def writers(self) -> list[str]:
        """Return the pods that wrote the Lease or changed something, in order, each once until the next one writes."""
        writes = sorted([*self.renewals(), *self.changes()], key=lambda write: write.at)
        return [pod for pod, _ in groupby(write.pod for write in writes)]

    def longest_gap_s(self) -> float:
        """Return the longest time between two renewals of the Lease, whoever made them."""
        return max((after.at - before.at for before, after in pairwise(self.renewals())), default=0.0)

    def refused(self) -> list[str]:
        """Return the addresses whose credentials were refused, one for each request."""
        return [event["sourceIPs"][0] for event in self._events() if event["responseStatus"]["code"] == 401]

    def _all_writes(self) -> list[Write]:
        return [
            Write(
                at=datetime.fromisoformat(event["stageTimestamp"]).timestamp(),
                pod=event["user"].get("extra", {}).get("authentication.kubernetes.io/pod-name", [""])[0],
                resource=event["objectRef"]["resource"],
                name=event["objectRef"].get("name", ""),
                verb=event["verb"],
            )
            for event in self._events()
            if event["user"].get("username") == USER and event["responseStatus"]["code"] < 300
        ]

    def _events(self) -> Iterator[dict[str, Any]]:
        with self._log.open() as file:
            file.seek(self._offset)
            for line in file:
                if line.endswith("\n"):
                    yield json.loads(line)

"""Modelled nodes as API objects, for the action `cordon`."""

from collections.abc import Mapping
from typing import Any, Final

from forestall.actions.node_action import CORDONED_BY
from forestall.errors import Conflict, NotFound
from forestall.ports import Patch
from forestall.sim.model_state import ModelState
from forestall.sim.nodes import node_name

NODE: Final = "Node"


class NodeObjects:
    """Reads and cordons nodes of the model, and keeps the annotation of who cordoned them."""

    def __init__(self, state: ModelState) -> None:
        self._state = state
        counts = state.fleet.nodes.counts.tolist()
        self._locations = {
            node_name(service, node): (service, node) for service, count in enumerate(counts) for node in range(count)
        }
        self._versions = dict.fromkeys(self._locations, 1)
        self._holders: dict[str, str] = {}

    def all(self) -> tuple[Mapping[str, Any], ...]:
        """Return every node."""
        return tuple(self.read(name) for name in self._locations)

    def read(self, name: str) -> dict[str, Any]:
        """Return a node.

        Raises:
            NotFound: there is no node of this name.
        """
        if name not in self._locations:
            raise NotFound(f"{NODE} {name}")
        holder = self._holders.get(name)
        return {
            "apiVersion": "v1",
            "kind": NODE,
            "metadata": {
                "name": name,
                "uid": f"node-{name}",
                "resourceVersion": str(self._versions[name]),
                "labels": {"kubernetes.io/hostname": name},
                "annotations": {CORDONED_BY: holder} if holder else {},
            },
            "spec": {"unschedulable": True} if self._state.fleet.nodes.cordoned[self._locations[name]] else {},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        }

    def patch(self, name: str, patch: Patch, resource_version: str) -> dict[str, Any]:
        """Cordon or uncordon a node, and set or remove the annotation of who did.

        Raises:
            NotFound: there is no node of this name.
            Conflict: it has changed since it was read.
        """
        if self.read(name)["metadata"]["resourceVersion"] != resource_version:
            raise Conflict(f"{NODE} {name} has changed")
        fleet = self._state.fleet
        fleet.nodes.cordon(*self._locations[name], fleet.now, on=bool(patch["spec"]["unschedulable"]))
        holder = patch["metadata"]["annotations"][CORDONED_BY]
        if holder:
            self._holders[name] = holder
        else:
            self._holders.pop(name, None)
        self._versions[name] += 1
        return self.read(name)

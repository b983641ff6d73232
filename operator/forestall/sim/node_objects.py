"""Modelled nodes as objects of the API: what the action that cordons them reads and patches."""

from collections.abc import Mapping
from typing import Any, Final

from forestall.actions.cordon import CORDONED_BY
from forestall.errors import Conflict, NotFound
from forestall.ports import Patch
from forestall.sim.nodes import node_name
from forestall.sim.state import State

NODE: Final = "Node"


class NodeObjects:
    """Reads nodes from the model, and cordons them there; who did is remembered here."""

    def __init__(self, state: State) -> None:
        self._state = state
        counts = state.fleet.nodes.counts.tolist()
        self._places = {node_name(one, node): (one, node) for one, count in enumerate(counts) for node in range(count)}
        self._versions = dict.fromkeys(self._places, 1)
        self._holders: dict[str, str] = {}

    def all(self) -> tuple[Mapping[str, Any], ...]:
        """Return every node."""
        return tuple(self.read(name) for name in self._places)

    def read(self, name: str) -> dict[str, Any]:
        """Return one of them.

        Raises:
            NotFound: there is none of this name.
        """
        if name not in self._places:
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
            "spec": {"unschedulable": True} if self._state.fleet.nodes.cordoned[self._places[name]] else {},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        }

    def patch(self, name: str, patch: Patch, resource_version: str) -> dict[str, Any]:
        """Cordon a node and sign it, or take back both.

        Raises:
            NotFound: there is none of this name.
            Conflict: it has changed since it was read.
        """
        if self.read(name)["metadata"]["resourceVersion"] != resource_version:
            raise Conflict(f"{NODE} {name} has changed")
        fleet = self._state.fleet
        fleet.nodes.cordon(*self._places[name], fleet.now, on=bool(patch["spec"]["unschedulable"]))
        holder = patch["metadata"]["annotations"][CORDONED_BY]
        if holder:
            self._holders[name] = holder
        else:
            self._holders.pop(name, None)
        self._versions[name] += 1
        return self.read(name)

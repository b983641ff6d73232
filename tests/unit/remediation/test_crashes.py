"""Whatever goes wrong, and whenever: nothing is done twice, nobody else's work is undone, and it ends.

Two processes that both believe to lead are stopped, killed and resumed at every call that they make, and answers
are refused, lost or delayed, while somebody else changes the same objects.
"""

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.support.examples import examples

from forestall.actions.node_action import CORDONED_BY
from forestall.actions.patch import PATCHED_BY
from forestall.actions.restart import RESTARTED_BY
from forestall.api.times import stamp
from forestall.remediation import RemediationReconciler

START = 1_000_000.0
FOUND = 3
MOST = 9
LIFE = 200
NODE = {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "n-1"}
POD = {"apiVersion": "v1", "kind": "Pod", "namespace": "shop", "name": "checkout-1", "uid": "c-1"}
FLAGS = {"apiVersion": "v1", "kind": "ConfigMap", "name": "flags"}
PATCH = {
    "target": {**FLAGS, "resource": "configmaps"},
    "field": "/data/flag",
    "value": "off",
    "stabilizationWindow": "10s",
}
INTENTS: dict[str, dict[str, Any]] = {
    "Scale": {
        "from": FOUND,
        "action": {"scale": {"maxReplicas": MOST, "holdAtMost": "10m", "stabilizationWindow": "10s"}},
    },
    "Restart": {"action": {"restart": {}}, "from": None, "to": None},
    "Patch": {
        "target": {**FLAGS, "namespace": "shop", "uid": "m-1"},
        "action": {"patch": {**PATCH, "holdAtMost": "10m"}},
        "from": None,
        "to": None,
    },
    "Evict": {"target": POD, "action": {"evict": {}}, "from": None, "to": None},
    "Cordon": {"target": NODE, "action": {"cordon": {"healthyFor": "10s"}}, "from": None, "to": None},
    "Drain": {"target": NODE, "action": {"drain": {"healthyFor": "10s"}}, "from": None, "to": None},
}
NODES = ("Cordon", "Drain")
GIVEN_BACK = (*NODES, "Patch")
FATES = st.sampled_from([None, None, None, None, "refused", "lost", "late"])


async def unguarded(_):
    """No guard holds."""


class Process:
    """One operator: a reconciler, and the call in which it is."""

    def __init__(self, world) -> None:
        self.reconciler = RemediationReconciler(world)
        self.call: Any = None

    def send(self, fate) -> None:
        """Let it run to its next call to the cluster."""
        try:
            self.call.send(fate)
        except StopIteration:
            self.call = None

    def kill(self) -> None:
        """End it where it is; a new one starts with nothing in memory."""
        if self.call is not None:
            self.call.close()
            self.call = None
        self.reconciler = RemediationReconciler(self.reconciler._cluster)


class Crashes(RuleBasedStateMachine):
    """See the module."""

    world_of: Any
    kit: Any

    @initialize(kind=st.sampled_from(sorted(INTENTS)))
    def begin(self, kind):
        self.kind = kind
        self.world = self.world_of()
        self.now = START
        self.need, self.probability, self.fresh = 5, 0.9, True
        self.someone_changed_it = False
        self.processes = [Process(self.world), Process(self.world)]
        self.intent = self.kit.intend(**{"to": 5, **INTENTS[kind], "deadline": stamp(START + LIFE)})
        self.remediation = self._finish(self.processes[0].reconciler.open(self.intent))
        self.world.before_write = self.check_write
        self.world.before_evict = self.check_eviction

    def _finish(self, call):
        try:
            while True:
                call.send(None)
        except StopIteration as stop:
            return stop.value

    def check_write(self, patch):
        """A change of the world is just that of the step that is written down and not done."""
        life = self.world.remediation().status
        assert life.steps, "changed the world before writing it down"
        step = life.steps[-1]
        assert not step.done, f"made a step twice: {step}"
        assert not self.world.remediation().ended, "acted after its end"
        assert self.level == step.from_, f"found {self.level}, wrote {step}"
        if self.kind == "Scale":
            assert patch["spec"]["replicas"] == step.to
            assert FOUND <= step.to <= MOST
        else:
            assert sum(kind != "Pod" for kind, _ in self.world.writes) < (2 if self.kind in GIVEN_BACK else 1)

    def check_eviction(self, pod):
        """What is evicted is what was found, once, and after that was written down."""
        assert self.world.remediation().status.steps, "evicted before writing it down"
        assert pod.uid in (("c-1",) if self.kind == "Evict" else ("c-1", "c-2"))
        assert ("Pod", pod.name) not in self.world.writes

    @property
    def level(self):
        if self.kind in NODES:
            metadata = self.world.objects["Node", "", "n1"]["metadata"]
            return int(metadata.get("annotations", {}).get(CORDONED_BY) == self.remediation.uid)
        if self.kind == "Patch":
            metadata = self.world.objects["ConfigMap", "shop", "flags"]["metadata"]
            return int(metadata.get("annotations", {}).get(PATCHED_BY) == self.remediation.uid)
        if self.kind == "Evict":
            return int(("Pod", "shop", "checkout-1") not in self.world.objects)
        spec = self.world.objects["Deployment", "shop", "checkout"]["spec"]
        if self.kind == "Scale":
            return spec["replicas"]
        return int(RESTARTED_BY in spec["template"]["metadata"].get("annotations", {}))

    def outlook(self):
        return self.kit.foresee(
            fresh=self.fresh,
            probability=self.probability if self.fresh else float("nan"),
            sampled_at=self.now - 1,
            replicas_forecast=self.need if self.fresh else None,
            replicas_observed=min(self.need, 4) if self.fresh else None,
        )

    @rule(which=st.integers(0, 1))
    def advance(self, which):
        """One of the processes begins a cycle."""
        process = self.processes[which]
        if process.call is None:
            process.call = process.reconciler.reconcile(self.remediation, self.outlook(), unguarded, self.now)
            process.send(None)

    @rule(which=st.integers(0, 1), fate=FATES, calls=st.integers(1, 12))
    def go_on(self, which, fate, calls):
        """One of the processes makes some calls; the first of them may go wrong."""
        process = self.processes[which]
        for call in range(calls):
            if process.call is not None:
                process.send(fate if call == 0 else None)

    @rule(which=st.integers(0, 1))
    def kill(self, which):
        self.processes[which].kill()

    @rule()
    def deliver(self):
        self.world.deliver()

    @rule(replies=st.integers(1, 3), which=st.integers(0, 1))
    def cycles(self, replies, which):
        """One of the processes runs some whole cycles."""
        process = self.processes[which]
        for _ in range(replies):
            self.advance(which)
            while process.call is not None:
                process.send(None)
            self.now += 5

    @rule(seconds=st.sampled_from([1, 5, 15, 60]))
    def wait(self, seconds):
        # What is sent to an API server arrives within seconds, or never.
        if seconds > 10:
            self.world.deliver()
        self.now += seconds

    @rule(need=st.integers(1, 12), probability=st.sampled_from([0.0, 0.3, 0.9]), fresh=st.booleans())
    def foresee(self, need, probability, fresh):
        self.need, self.probability, self.fresh = need, probability, fresh

    @precondition(lambda self: not self.someone_changed_it)
    @rule(replicas=st.integers(20, 30))
    def somebody_else_acts(self, replicas):
        self.someone_changed_it = True
        if self.kind in NODES:
            node = self.world.objects["Node", "", "n1"]
            for entry in node["metadata"].get("managedFields", []):
                entry["fieldsV1"].pop("f:spec", None)
            self.world.change("Node", "n1", {"spec": {"unschedulable": True}}, namespace="")
        elif self.kind == "Patch":
            for entry in self.world.objects["ConfigMap", "shop", "flags"]["metadata"].get("managedFields", []):
                entry["fieldsV1"].pop("f:data", None)
            self.world.change("ConfigMap", "flags", {"data": {"flag": "theirs"}})
        elif self.kind == "Scale":
            self.world.change("Deployment", "checkout", {"spec": {"replicas": replicas}})
            self.theirs = replicas
        elif self.kind == "Restart":
            self.world.change("Deployment", "checkout", {"spec": {"paused": True}})
        else:
            self.world.unavailable = {"checkout-1"}

    @invariant()
    def nobody_elses_work_is_undone(self):
        if self.someone_changed_it and self.kind == "Scale":
            assert self.level == self.theirs
        if self.someone_changed_it and self.kind in NODES:
            assert self.world.objects["Node", "", "n1"]["spec"]["unschedulable"] is True

    def teardown(self):
        """Without further trouble it ends in time, and leaves nothing behind."""
        if not hasattr(self, "world"):
            return
        for process in self.processes:
            process.kill()
        self.world.deliver()
        reconciler = RemediationReconciler(self.world)
        end = max(self.now, START + LIFE + 600) + 900
        while self.now < end and not self.world.remediation().ended:
            self._finish(reconciler.reconcile(self.remediation, self.outlook(), unguarded, self.now))
            self.now += 30
        after = self.world.remediation()
        assert after.ended, after.status
        flag = self.world.objects["ConfigMap", "shop", "flags"]["data"]["flag"]
        if self.kind == "Patch":
            assert flag == ("theirs" if self.someone_changed_it else "on")
        if not self.someone_changed_it and self.kind in ("Scale", *GIVEN_BACK):
            assert self.level == (FOUND if self.kind == "Scale" else 0), after.status


def test_no_crash_lost_answer_or_second_leader_does_anything_twice(world, run):
    machine = type("Machine", (Crashes,), {"world_of": staticmethod(lambda: _fresh(world)), "kit": run})
    run_state_machine_as_test(
        machine, settings=settings(max_examples=examples(80), stateful_step_count=40, deadline=None)
    )


@pytest.mark.parametrize("kind", sorted(INTENTS))
def test_a_process_that_wakes_up_after_all_is_over_changes_nothing(world, run, kind):
    lives, made, first_ended = 0, 0, False
    for killed in range(40):
        for stopped in range(0, 40, 2):  # two stops a call, alike for everybody else
            machine = type("Machine", (Crashes,), {"world_of": staticmethod(lambda: _fresh(world)), "kit": run})()
            machine.begin(kind)
            first, second = machine.processes
            machine.advance(0)
            machine.go_on(0, None, killed)
            first_ended = first.call is None
            first.kill()
            machine.advance(1)
            machine.go_on(1, None, stopped)
            second_ended = second.call is None
            machine.probability, machine.need = 0.0, 1
            while not machine.world.remediation().ended:
                if len(machine.world.writes) == 0:
                    machine.probability = 0.9  # nothing is done about a risk that has gone
                else:
                    machine.probability = 0.0
                machine.cycles(1, 0)
            lives += 1
            made += len(machine.world.writes)
            while second.call is not None:
                second.send(None)
            machine.teardown()
            if second_ended:
                break  # to let it make more calls than its cycle has would be the same case again
        if first_ended:
            break
    assert first_ended, "every call of the first cycle was a place to be killed at"
    assert made >= lives


def _fresh(world):
    """Return a world with the same objects as `world`."""
    new = type(world)()
    for (kind, namespace, name), body in world.objects.items():
        content = {key: value for key, value in body.items() if key != "kind"}
        new.put(kind, namespace, name, body["metadata"]["uid"], **content)
    return new

"""What a cycle reads in the registry, and in which order objectives are served."""

from forestall.api import Remediation, ServiceLevelObjective
from forestall.api.service_level_objective import Episode
from forestall.engine.snapshot import Snapshot
from forestall.registry import Registry


def objective(name, namespace="shop", target="checkout", *, since=None, kind="Deployment"):
    status = {} if since is None else {"episode": {"number": 1, "since": since}}
    return ServiceLevelObjective.read({
        "metadata": {"name": name, "namespace": namespace, "uid": f"{namespace}/{name}"},
        "spec": {
            "target": {"name": target, "kind": kind},
            "indicator": {"raw": {"errorRatio": "x"}},
            "objective": 99.0,
        },
        "status": status,
    })  # fmt: skip


def snapshot(*objectives, remediations=()):
    return Snapshot({slo.uid: slo for slo in objectives}, {}, list(remediations), [])


def test_remediations_are_found_by_objective_and_by_target_in_their_order(make_remediation):
    first = make_remediation(episode=1)
    second = make_remediation(episode=2, uid="d-2")
    held = snapshot(remediations=[first, second])
    assert held.remediations_of("o-1") == [first, second]
    assert held.remediations_of("d-2") == [second]
    assert held.remediations_of("d-2", "d-1", "o-1") == [first, second]
    assert held.remediations_of("none") == []


def test_objectives_share_a_target_of_their_namespace_kind_and_name():
    one = objective("one")
    others = [
        objective("two"),
        objective("three", target="other"),
        objective("four", namespace="bank"),
        objective("five", kind="StatefulSet"),
    ]
    held = snapshot(one, *others)
    assert held.sharing(one) == ["shop/one", "shop/two"]
    assert held.watched == {"shop": 4, "bank": 1}
    assert held.sharing(objective("new", target="unheard-of")) == ["shop/new"]


def test_postponed_objectives_come_first_then_those_at_risk_and_namespaces_take_turns():
    names = {
        "a": objective("a"),
        "b": objective("b", since="2027-01-01T00:00:00Z"),
        "c": objective("c"),
        "d": objective("d", since=""),
        "x": objective("x", "bank"),
        "y": objective("y", "bank"),
    }

    def order(late=(), episodes=None):
        return [slo.name for slo in snapshot(*names.values()).ordered(late, episodes or {}).objectives.values()]

    assert order() == ["b", "x", "a", "y", "c", "d"]
    assert order(["shop/d", "bank/y"])[:4] == ["d", "y", "b", "x"]
    at_risk, calm = Episode(number=2, since="2027-01-01T00:00:00Z"), Episode(number=2)
    assert order(episodes={"shop/b": calm, "bank/y": at_risk}) == ["y", "a", "x", "b", "c", "d"]


def test_a_remediation_under_way_that_can_not_be_read_is_told_by_namespace():
    registry = Registry()
    for name, namespace, phase in (
        ("one", "shop", "Executing"),
        ("two", "shop", ""),
        ("over", "shop", "Succeeded"),
        ("other", "bank", "Verifying"),
    ):
        registry.put(
            "Remediation",
            {
                "metadata": {"name": name, "namespace": namespace, "uid": name},
                "spec": {"of": "a later version"},
                "status": {"phase": phase},
            },
        )
    registry.put("ServiceLevelObjective", {"metadata": {"name": "bad", "namespace": "shop", "uid": "s"}, "spec": {}})
    assert registry.all(Remediation) == []
    assert Snapshot.of(registry).unreadable == {"shop": ["one", "two"], "bank": ["other"]}

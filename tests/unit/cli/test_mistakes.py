"""The natural mistakes of who writes objects or commands for the first time: the words a person sees, and what to do
next. What only data shows is in tests/adapters/prometheus/test_validate.py, what the API server says in
tests/cluster/test_crds.py, what the operator says in tests/unit/engine."""

import copy

import pytest
import yaml

SLO = {
    "apiVersion": "forestall.dev/v1alpha1",
    "kind": "ServiceLevelObjective",
    "metadata": {"name": "checkout", "namespace": "shop", "labels": {"team": "shop"}},
    "spec": {
        "target": {"name": "checkout"},
        "objective": 99.5,
        "indicator": {"latency": {"histogram": 'http_seconds{app="checkout"}', "threshold": "300ms"}},
        "leadingIndicators": [{"name": "busy", "query": "max by (pod) (busy)", "limit": 0.8, "per": "pod"}],
    },
}
POLICY = {
    "apiVersion": "forestall.dev/v1alpha1",
    "kind": "RemediationPolicy",
    "metadata": {"name": "early", "namespace": "shop"},
    "spec": {"actions": [{"scale": {"maxReplicas": 10}}]},
}
TOTAL = "sum(rate(requests_total[1m]))"
LEADING = ("spec", "leadingIndicators", 0)
SCALE = ("spec", "actions", 0, "scale")


def changed(body, path, value):
    result = copy.deepcopy(body)
    inner = result
    for part in path[:-1]:
        inner = inner.setdefault(part, {}) if isinstance(inner, dict) else inner[part]
    inner[path[-1]] = value
    return result


@pytest.fixture
def validate(program, tmp_path):
    def run(*bodies, words=()):
        path = tmp_path / "objects.yaml"
        path.write_text(yaml.safe_dump_all(bodies, sort_keys=False))
        code, out, err = program("validate", "-f", path, *words)
        assert err == ""
        return code, out

    return run


def test_what_is_right_is_said_to_be(validate):
    assert validate(SLO, POLICY) == (0, "2 objects: all is right\n")


SLO_ERRORS = [
    ((*LEADING, "horizont"), "30m", "spec.leadingIndicators[0].horizont: unknown field. Did you mean horizon?"),
    (("spec", "indicator", "latency", "threshold"), 500, "must be a duration with its unit: write 500ms"),
    ((*LEADING, "limit"), "500Mi", "must be a number: write 524288000"),
    (("spec", "objective"), "99.5%", "must be a number: write 99.5"),
    (("spec", "objective"), 0.995, "the objective is in percent: write 99.9, not 0.999 or 100"),
    (("spec", "window"), "30 days", "'30 days' is not a duration: write 30d"),
    ((*LEADING, "query"), "max(busy", "spec.leadingIndicators[0].query: not PromQL"),
    ((*LEADING, "per"), "node", "the query keeps only the label pod, not node: write per: pod"),
    (
        ("spec", "indicator"),
        {"ratio": {"good": "rate(good_total[5m])", "total": "all_total"}},
        "is not a series selector: write the series alone",
    ),
]
POLICY_ERRORS = [
    (("spec", "actions"), {"scale": {"maxReplicas": 9}}, "must be a list: write a dash before each element"),
    (("spec", "mode"), "auto", "'auto' is not one of Observe, Approve, Auto. Did you mean Auto?"),
    (("spec", "when"), {"probability": 80}, "a share, not a percentage, so write 0.8"),
    ((*SCALE, "minReplicas"), 12, "minReplicas is above maxReplicas"),
    (
        ("spec", "actions"),
        [{"scale": {"maxReplicas": 9}, "restart": {}}],
        "give exactly one action: scale, restart",
    ),
    ((*SCALE, "capacity"), {"type": "Declared"}, "a Declared capacity needs `perReplica`"),
    (
        (*SCALE, "capacity"),
        {"indicator": "buzy"},
        "the objective checkout has no leading indicator buzy; there is busy. Did you mean busy?",
    ),
]


@pytest.mark.parametrize(("path", "value", "said"), SLO_ERRORS)
def test_mistakes_in_an_objective(validate, path, value, said):
    code, out = validate(changed(SLO, path, value), POLICY)
    assert said in out
    assert ": error: ServiceLevelObjective checkout: " in out
    assert code == 1


@pytest.mark.parametrize(("path", "value", "said"), POLICY_ERRORS)
def test_mistakes_in_a_policy(validate, path, value, said):
    code, out = validate(SLO, changed(POLICY, path, value))
    assert said in out
    assert ": error: RemediationPolicy early: " in out
    assert code == 1


def test_a_policy_in_another_namespace(validate):
    code, out = validate(SLO, changed(POLICY, ("metadata", "namespace"), "web"))
    assert "it selects checkout of namespace shop, but a policy acts in its own namespace only, here web" in out
    assert "write metadata.namespace: shop" in out
    assert code == 1


@pytest.mark.parametrize(
    ("slo", "policies", "said"),
    [
        (changed(SLO, (*LEADING, "horizon"), "30s"), [POLICY], "is shorter than 2 of the operator's intervals of 30s"),
        (changed(SLO, (*LEADING, "horizon"), "1m"), [POLICY], "raise the horizon of busy to"),
        (
            changed(SLO, LEADING, {"name": "load", "query": TOTAL, "limit": 500}),
            [POLICY],
            "Write what one replica carries, capacity: {type: Declared, perReplica: …}, or divide the query",
        ),
        (
            SLO,
            [POLICY, changed(POLICY, ("metadata", "name"), "late")],
            "where several would act at once, the first by name does, here early",
        ),
        (
            SLO,
            [changed(POLICY, ("spec", "objectives"), {"matchLabels": {"team": "shopp"}})],
            "no objective of namespace shop in these files has the labels of spec.objectives",
        ),
    ],
)
def test_what_is_likely_not_meant_is_a_warning(validate, slo, policies, said):
    words = ("--start-up", "3m")
    code, out = validate(slo, *policies, words=words)
    assert said in out
    assert ": warning: " in out
    assert code == 0
    assert validate(slo, *policies, words=(*words, "--strict"))[0] == 1


def test_an_object_that_is_there_twice(validate):
    code, out = validate(SLO, SLO)
    assert "it is there twice, also at " in out
    assert code == 1


@pytest.mark.parametrize("command", [["backtest", "--history", "x.csv"], ["simulate", "--traffic", "x.csv"]])
def test_backtest_and_simulate_refuse_a_misspelt_field(program, tmp_path, command):
    """Kind: a file of which a field is passed over, so that its default is used."""
    path = tmp_path / "slo.yaml"
    path.write_text(yaml.safe_dump(changed(SLO, (*LEADING, "horizont"), "30m"), sort_keys=False))
    code, _, err = program(*command, "-f", path)
    assert code == 1
    assert "spec.leadingIndicators[0].horizont: unknown field. Did you mean horizon?" in err
    assert f"{path}:" in err


def test_files_without_an_object_of_ours(program, tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("kind: ConfigMap\n")
    assert program("validate", "-f", path)[2] == "error: there is no object of forestall in the files given by -f\n"


def test_an_unknown_command_and_a_form_of_name(program, cluster):
    assert "Did you mean validate?" in program("valdate")[2]
    assert "Did you mean validate?" in program("lint")[2]
    cluster.put_objective("two", "Healthy")
    assert program("explain", "slo/two")[0] == 0

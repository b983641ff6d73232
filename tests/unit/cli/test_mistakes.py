"""The natural mistakes of who writes objects or commands for the first time: the words a person sees, and what to do
next.

Here, before anything is applied: a misspelt field; PromQL that does not parse; `threshold: 500`; `limit: 500Mi`;
`objective: "99.5%"`; `actions:` as a map; a wrong `per`; a horizon shorter than the interval or the start-up; capacity
left out on a total; `capacity.indicator` that the objective lacks; two policies for one objective; a policy in another
namespace; an unknown command; `explain slo/two`; and those whose words were good: `rate()` in a counter's place,
`_bucket` in a histogram's name, .995 as percent, minReplicas above maxReplicas, `mode: auto`, `30 days`, probability
80, two actions in a rung, Declared without perReplica.

Here, by the operator and the commands: a forgotten role binding, a target that does not exist, a field that GitOps
applies, approving or pausing without the right, a pause of what does not exist, `PredictionReady` below another
failure, advice that only cluster admins may follow.

Elsewhere, where it takes more than a text:
- a limit out of all proportion, a histogram in milliseconds, a threshold that is no bound, a wrong value of a label:
  a real Prometheus, tests/adapters/prometheus/test_validate.py;
- a cordon by who may not patch nodes, a decision or a pause without the right: the API server, `planner`, `editor` and
  `viewer` in tests/cluster/test_admission.py, and tests/cluster/test_cli.py by the command;
- a forgotten role binding, before and after it is made: tests/cluster/engine/test_permissions.py;
- a field that GitOps applies, gives up and takes over: tests/cluster/actions/test_scale_owners.py;
- what kubectl says of these fields and values: tests/cluster/test_crds.py.
"""

import asyncio
import copy
from typing import Any, cast

import pytest
import yaml

from forestall.actions.ownership import field_owned
from forestall.api import RemediationPolicy, ServiceLevelObjective
from forestall.api.remediation import ObjectRef
from forestall.cli.reasons import advice
from forestall.engine.permissions import Permissions
from forestall.engine.snapshot import Snapshot
from forestall.engine.target_resolver import TargetResolver
from forestall.errors import Forbidden, MetricsError, NotFound
from forestall.ports import Cluster

SLO: dict[str, Any] = {
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
POLICY: dict[str, Any] = {
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
        ("spec", "indicator", "latency", "histogram"),
        'http_seconds_bucket{app="checkout"}',
        "give the histogram's name without its suffix: http_seconds",
    ),
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


WORKLOAD = ObjectRef(api_version="apps/v1", kind="Deployment", namespace="shop", name="checkout", uid="d-1")


class Refusing:
    """A cluster in which the operator may do nothing, and no workload exists."""

    async def refusal(self, right):
        user = "system:serviceaccount:forestall-system:forestall"
        return f'User "{user}" cannot {right.verb} {right.kind} in the namespace "shop"'

    async def read(self, ref):
        raise NotFound(ref.name)


def objects():
    metadata = {"uid": "u-1", "generation": 1}
    slo = ServiceLevelObjective.read({**SLO, "metadata": {**SLO["metadata"], **metadata}})
    spec = {**POLICY["spec"], "mode": "Approve"}
    return slo, RemediationPolicy.read({"metadata": {**POLICY["metadata"], **metadata}, "spec": spec})


async def test_a_forgotten_role_binding_is_told_with_the_command_that_makes_it():
    slo, policy = objects()
    permissions = Permissions(cast("Cluster", Refusing()))
    await permissions.check(Snapshot({slo.uid: slo}, {slo.uid: [policy]}, [], []), [policy])
    told = permissions.condition(policy)
    assert told is not None
    assert (told.type, told.status, told.reason) == ("Permitted", "False", "Forbidden")
    assert (
        "`kubectl create rolebinding forestall-workloads --clusterrole=forestall-workloads "
        "--serviceaccount=forestall-system:forestall -n shop`" in told.message
    )
    assert advice("Forbidden")


def test_a_target_that_does_not_exist_is_not_ready_and_says_what_to_mend(program, cluster):
    slo, _ = objects()
    problem = asyncio.run(TargetResolver(cast("Cluster", Refusing()), 30.0, 4).check([slo], 0.0))[slo.uid]
    assert problem.reason == "TargetMissing"
    assert problem.message == ("Deployment checkout does not exist in namespace shop: create it, or mend spec.target")
    assert {column["name"] for column in ServiceLevelObjective.COLUMNS} >= {"Ready", "Evaluated"}
    conditions = [{"type": "Ready", "status": "False", "reason": problem.reason, "message": problem.message}]
    cluster.put_objective("checkout", "Unknown", conditions=conditions)
    for command in (["explain", "checkout"], ["explain", "checkout", "-o", "json"]):
        assert problem.message in program(*command)[1]
    assert advice(problem.reason) in " ".join(program("explain", "checkout")[1].split())


def test_a_field_that_gitops_applies_is_named_with_who_applies_it_and_how_to_give_it_up():
    fields: dict[str, Any] = {"f:spec": {"f:replicas": {}}}
    body = {"metadata": {"managedFields": [{"manager": "flux", "operation": "Apply", "fieldsV1": fields}]}}
    hold = field_owned(body, WORKLOAD, ("spec", "replicas"))
    assert hold is not None
    assert hold.reason == "FieldOwned"
    assert "spec.replicas of deployment shop/checkout is applied by flux, which would set it back" in hold.message
    assert "to give it up, leave it out of what flux applies, then set it once by hand" in hold.message


@pytest.mark.parametrize(
    ("words", "refused", "said"),
    [
        (("approve", "early-scale-1"), ("patch", "Remediation"), "You (jo@example.org) may not decide"),
        (("reject", "early-scale-1"), ("patch", "Remediation"), "You (jo@example.org) may not decide"),
        (("pause",), ("create", "Guardrail"), "With -n you can pause your own namespace"),
        (("pause", "-n", "shop"), ("create", "Pause"), "`create`, `patch` and `delete` on pauses.forestall.dev"),
    ],
)
def test_who_lacks_a_right_is_told_which(program, cluster, words, refused, said):
    cluster.put_remediation("early-scale-1", "AwaitingApproval")
    cluster.failures[refused] = Forbidden("denied")
    code, out, err = program(*words)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert said in err


def test_what_does_not_exist_is_not_paused(program, cluster):
    cluster.put("RemediationPolicy", "leak", spec={})
    code, _, err = program("pause", "-n", "night", "policy/leek")
    assert code == 1
    assert "There is no RemediationPolicy leek in namespace night. There is none at all: is this the right" in err
    assert "Did you mean leak?" in program("pause", "-n", "shop", "policy/leek")[2]
    assert not [key for key in cluster.objects if key[0] == "Pause"]


def test_waiting_is_advised_only_where_it_helps(program, cluster):
    """`PredictionReady` stands below another failure, and says that this one must be mended."""
    message = "there is nothing to forecast from: busy can't be read, see the condition DataFresh"
    failed = {"type": "DataFresh", "status": "False", "reason": "NoData", "message": "busy: the query returns nothing"}
    below = {"type": "PredictionReady", "status": "False", "reason": "NoDataToForecast", "message": message}
    cluster.put_objective("checkout", "Unknown", conditions=[failed, below])
    said = " ".join(program("explain", "checkout")[1].split())
    assert message in said
    assert "wait" not in advice("NoDataToForecast").lower()
    assert advice("NoData") in said


def test_advice_says_where_it_takes_a_role_in_the_whole_cluster():
    assert "needs a cluster-wide role" in advice("SourceMissing")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("validate", "-f", "{}", "--prometheus", "localhost:9090"), 2, "as in http://localhost:9090"),
        (("simulate", "--traffic", "x", "--prometheus", "p:9090"), 2, "'p:9090' is no URL"),
        (("backtest", "--history", "x", "--header", "X-Scope"), 2, "write it as NAME:VALUE"),
        (("crds", "--write", "/proc/x"), 1, "error: /proc/x: "),
        (("explain", "sloo/two"), 2, "daemonset/NAME or node/NAME. Did you mean slo/two?"),
    ],
)
def test_what_is_written_on_the_command_line(program, words, code, said):
    found, _, err = program(*words)
    assert (found, err.count("\n")) == (code, 1)
    assert said in err


def test_a_source_that_can_not_be_asked_is_named_by_its_url(program, tmp_path):
    """Kind: `no connection to the source`, where the person gave a URL."""

    class Down:
        async def range(self, *_):
            raise MetricsError("SourceDown", "no connection to the source: Connection refused")

    program.metrics = Down()
    path = tmp_path / "slo.yaml"
    path.write_text(yaml.safe_dump(SLO))
    where = ("--prometheus", "http://localhost:1")
    simulate = ("simulate", *where, "--query", "up", "--capacity", "5")
    for words in (simulate, ("backtest", "-f", path, *where)):
        code, _, err = program(*words)
        assert code == 1
        assert err == "error: http://localhost:1 can't be asked: no connection to the source: Connection refused\n"

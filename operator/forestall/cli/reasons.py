"""What the reasons of decisions, conditions and Remediations mean, and what a person can do about each.

`explain` shows the advice; `docs/reference/reasons.md` is generated from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason."""

    meaning: str
    advice: str = ""
    """What to do; empty where nothing is wrong."""


DECISIONS: Final[dict[str, Reason]] = {
    "BreachForecast": Reason("The trigger of the policy is met, and the action answers the cause."),
    "BelowThreshold": Reason("The breach probability is below the policy's `when.probability`."),
    "NotSustained": Reason("The trigger is met, but not yet for as long as `when.for` asks."),
    "NoForecast": Reason(
        "The forecaster says nothing about this indicator; the message says why.",
        "Too little history: wait. Otherwise look at the objective's conditions.",
    ),
    "NoRungForCause": Reason(
        "No action of the policy answers the indicator that is the cause.",
        "Add an action for this indicator, or leave the `indicators` of an action empty: it answers all then.",
    ),
    "LadderExhausted": Reason(
        "Every action that answers the cause was tried in this episode and did not help.",
        "Look yourself: forestall has nothing left to try until the risk has ended.",
    ),
    "NodeUnknown": Reason(
        "The cause's series has no label that names the node to cordon.",
        "Write the query so that its series keep the label `node`, and set `per: node`.",
    ),
    "PodUnknown": Reason(
        "The cause's series has no label that names the pod to evict, or that pod is not there any more.",
        "Write the query so that its series keep the label `pod`, and set `per: pod`.",
    ),
    "PodNotOfTarget": Reason(
        "The pod that the cause names does not belong to the objective's target.",
        "Restrict the query to the target's own pods.",
    ),
    "PodProtected": Reason(
        'The pod has the annotation `forestall.dev/protected: "true"`, and is never evicted.',
        "Take the annotation off its template if that is no longer meant.",
    ),
    "OnlyPod": Reason(
        "The pod is the only one of its workload that serves, and is not evicted.",
        "Run more replicas, or use restart: a rolling update starts the new pod first.",
    ),
    "NoRolloutBefore": Reason(
        "The risk did not begin soon after a rollout, so a rollback does not suit it.",
        "If the rollout is to blame all the same, raise `rollback.within`, or roll back yourself.",
    ),
    "NoRevisions": Reason(
        "Kubernetes keeps no earlier revision of the target to which it could be rolled back.",
        "Raise its `revisionHistoryLimit`; only Deployments, StatefulSets and DaemonSets have revisions.",
    ),
    "ObjectMissing": Reason("The object that is to be patched does not exist.", "Check `patch.target` of the policy."),
    "FieldMissing": Reason(
        "The field that is to be patched can't be found in the object, or is more than one value.",
        "Compare `patch.field` with `kubectl get -o yaml`; an element of a list is found by its name.",
    ),
    "AlreadySo": Reason("The field has the value already that the patch would give it."),
    "PatchRefused": Reason(
        "Such a field is never patched, or the policy names the wrong resource; the message says which.",
        "See what `patch` may change in docs/actions.md.",
    ),
    "RunbookMissing": Reason(
        "The CronJob that the policy names as a runbook does not exist.", "Check `job.cronJob` of the policy."
    ),
    "RunbookNotSuspended": Reason(
        "The CronJob runs by its own schedule, and is no runbook.", "Set `suspend: true` in the CronJob."
    ),
    "RolloutUnknown": Reason("The target was changed a moment ago, and its newest revision is not known yet."),
    "WaitingForQuiet": Reason(
        "The breach is far enough away to restart the target when there is less traffic; the message says when.",
        "To restart at once, set `restart.timing: Now`.",
    ),
    "NotScalable": Reason(
        "The target has no replicas to scale.", "Choose a target with a /scale subresource, or another action."
    ),
    "BelowMinimum": Reason(
        "The target is smaller than the policy's `minReplicas`, and is left alone.",
        "A workload that was scaled down on purpose stays so; lower `minReplicas` if it was not.",
    ),
    "AtMaximum": Reason(
        "The target has the policy's `maxReplicas` already.",
        "Raise `maxReplicas` if the cluster has the room, or add an action that helps otherwise.",
    ),
    "LargeEnough": Reason(
        "The forecast asks for no more replicas than there are.",
        "If the risk is real, the sizing is wrong: check `capacity`, its indicator and its headroom.",
    ),
    "SizeUnknown": Reason(
        "How many replicas the forecast needs cannot be said.",
        "Declare the capacity (`type: Declared` with `perReplica`), or name a sizing indicator that has a forecast.",
    ),
    "DataNotFresh": Reason(
        "The newest data of the cause is missing, too old or not a number; nothing is done on such data.",
        "Run the indicator's query in Prometheus. Compare the age of its points with the source's `staleAfter`.",
    ),
    "Paused": Reason(
        "People have paused the cluster, the namespace, the objective or the policy; the message says who and why.",
        "`forestall status` shows every pause, `forestall resume` ends one. A pause with an end ends by itself.",
    ),
    "ChannelMissing": Reason(
        "The NotificationChannel does not exist, or is invalid.",
        "Ask a cluster admin for it, or name another: `kubectl get notificationchannels`.",
    ),
    "Storm": Reason(
        "So many objectives came at risk together that the cause must be the monitoring or the cluster.",
        "Look there first. If it is real load, raise `storm` of a Guardrail; it ends when fewer are at risk.",
    ),
    "Protected": Reason(
        "The workload, its namespace or the node is protected by the annotation `forestall.dev/protected`.",
        "Take the annotation off if that is no longer meant.",
    ),
    "BlackoutWindow": Reason(
        "A blackout window of a Guardrail or of the policy is open.",
        "It ends by itself; the message says when. `blackoutWindows` says when it comes again.",
    ),
    "OutsideMaintenanceWindow": Reason(
        "The action is allowed in maintenance windows alone, and none is open.",
        "The message says when the next one opens. See `maintenanceWindows` of the Guardrails and of the policy.",
    ),
    "DisruptionUnknown": Reason(
        "Whether the workload can spare a pod could not be read.",
        "The operator needs to list PodDisruptionBudgets; the chart's roles allow it.",
    ),
    "DisruptionNotAllowed": Reason(
        "A PodDisruptionBudget of the workload allows no disruption at present.",
        "Run more replicas, or loosen the budget: with as many pods as it wants none can ever be replaced.",
    ),
    "TooFewReady": Reason(
        "More pods of the workload are missing already than its rollout may leave out.",
        "Look why they are not ready: a restart could take away what still serves.",
    ),
    "Suspended": Reason("The policy is suspended.", "Set `suspend: false` in the policy to go on."),
    "NotAllowed": Reason(
        "No Guardrail allows this action in this namespace.",
        "Ask the cluster's admins to add the namespace and the action to `allow` of the Guardrail.",
    ),
    "RemediationActive": Reason("Another remediation is under way on the same target; there is one at a time."),
    "DependencyAtRisk": Reason(
        "An objective that this one depends on is at risk itself; this one is its victim.",
        "Look at that one first: `forestall explain` it.",
    ),
    "Locked": Reason(
        "The policy's last remediation did not help, and nobody has looked at it since.",
        "Look at it by `forestall history`. Feedback on it, `forestall unlock` and any change of the policy unlock.",
    ),
    "Cooldown": Reason("A remediation of the target ended a short while ago; the policy's `cooldown` is not over."),
    "NodesUnknown": Reason(
        "The nodes or their pods could not be listed, so no node is touched.",
        "Install the chart with node rights, or leave cordon and drain out of the policy.",
    ),
    "TooManyNodesCordoned": Reason(
        "As many nodes are out of service as the Guardrails allow, or will be by what is under way.",
        "Uncordon what is healthy, or raise `nodes.maxCordoned` or `maxCordonedPercent` of the Guardrail.",
    ),
    "LastNode": Reason(
        "No other node takes the pods that this node takes: none is ready, schedulable and without further taints.",
        "Add a node of this kind, or uncordon one.",
    ),
    "ControlPlane": Reason("Another node of the control plane is out of service; there is one at most."),
    "NoRoom": Reason(
        "A pod of the node to drain would find no room on the other nodes, by its requests and where it may run.",
        "Add a node, or lower requests that are too high. Cordon alone moves no pods.",
    ),
    "PodsInTheWay": Reason(
        "The node has pods that a drain must not evict: no controller replaces them, or emptyDir data would be lost.",
        "Set `force` or `deleteEmptyDirData` of the drain, as with `kubectl drain`, or move these pods yourself.",
    ),
    "BudgetExhausted": Reason(
        "More was done lately than the Guardrails' budget allows.",
        "Look why so much is done at once. The budget refills by itself.",
    ),
}
"""Of a policy: `status.decisions[].reason` of an objective."""

CONDITIONS: Final[dict[str, Reason]] = {
    # Ready
    "Watching": Reason("The objective is watched."),
    "Selecting": Reason("The policy selects at least one objective."),
    "Answering": Reason("The metric source answers."),
    "Free": Reason("Nothing keeps the policy from acting."),
    "InForce": Reason("The Guardrail or the Pause is heeded."),
    "Delivering": Reason("The last notification went out by the channel."),
    "ChannelNotAllowed": Reason(
        "The NotificationChannel is not open to this namespace.",
        "Ask a cluster admin: `spec.namespaces` of the channel selects namespaces by label.",
    ),
    "ChannelUnreadable": Reason(
        "A Secret that the NotificationChannel names can't be read.",
        "Check its name and key. It must be in the operator's namespace; the chart's `secrets.names` may leave it out.",
    ),
    "ChannelDown": Reason(
        "No connection to the channel could be made.",
        "Check its URL, its certificate and the NetworkPolicies from the operator to it. It is tried again.",
    ),
    "ChannelTimeout": Reason(
        "The channel did not answer in time.", "It is tried again; raise `timeout` if it is slow."
    ),
    "ChannelRefused": Reason(
        "The channel refuses what is sent, or its URL or credentials can't be used; the message says which.",
        "Check the URL and the credentials. Redirects are not followed: give the address itself.",
    ),
    "Expired": Reason("The pause ended by itself.", "Delete it, or pause anew."),
    "NotUsed": Reason("Nothing was asked of this metric source, or sent by this channel."),
    "InvalidSpec": Reason(
        "The object does not fit the schema of this version of the operator; the message names the fields.",
        "Mend the fields that the message names. CRDs older than the operator let such objects in: upgrade them.",
    ),
    "InvalidQuery": Reason(
        "A query is not PromQL, or not what its place asks for; the message names the field.",
        "Try the query in Prometheus. A counter or a histogram is a series selector, without rate() or sum().",
    ),
    "SelectsNothing": Reason(
        "No objective in the policy's namespace has the labels of `spec.objectives`.",
        "Compare `kubectl get fslo --show-labels` with the policy's selector.",
    ),
    "SourceMissing": Reason(
        "The MetricSource that the objective names does not exist, or is invalid.",
        "Ask a cluster admin for it, or name another: `kubectl get metricsources`.",
    ),
    "SourceNotAllowed": Reason(
        "The MetricSource is not open to this namespace.",
        "Ask a cluster admin: `spec.namespaces` of the MetricSource selects namespaces by label.",
    ),
    "TargetMissing": Reason(
        "The workload that the objective names does not exist.", "Check `spec.target`: kind, name and namespace."
    ),
    "TargetForbidden": Reason(
        "The operator may not read the workload.",
        "Bind the operator's workload role in this namespace (see the tutorial), or ask a cluster admin to.",
    ),
    "TargetUnknown": Reason("The workload could not be read this time.", "It is tried again in the next cycle."),
    # DataFresh, and Ready of a MetricSource
    "Fresh": Reason("Every query returns fresh data."),
    "NotAsked": Reason("No query was sent: something else must be mended first.", "Look at the condition Ready."),
    "NoData": Reason(
        "A query returns nothing, or its series do not exist.",
        "Run it in Prometheus. A label that is not there, or a name with a typing error, gives no error but nothing.",
    ),
    "StaleData": Reason(
        "The newest sample is older than the source's `staleAfter`.",
        "Is the workload still scraped? If the scrape interval is long, a cluster admin can raise `staleAfter`.",
    ),
    "NotFinite": Reason(
        "The query gives NaN or infinity, such as a division by zero without traffic.",
        "Give it a value for that case, for example `(a / b) or vector(0)` or `b > 0`.",
    ),
    "TooManySeries": Reason(
        "The query returns more series than the source allows, or several where one is asked for.",
        "Aggregate with sum or max, or say by `per` which label the series speak of.",
    ),
    "LabelMissing": Reason(
        "The query's series lack the label that `per` names.", "Keep it in the query: `max by (node) (...)`."
    ),
    "QueryRefused": Reason("The metric source refuses the query; the message is its own.", "Run it in Prometheus."),
    "PartialAnswer": Reason(
        "The metric source warned that its answer is not whole; nothing is done on a part.",
        "Look at the metric source: a store or a replica behind it may be down.",
    ),
    "SourceDown": Reason(
        "The metric source does not answer.",
        "Check its URL, its Service and the NetworkPolicies from the operator to it.",
    ),
    "SourceTimeout": Reason(
        "The metric source did not answer in time.", "Make the query cheaper by a recording rule, or raise `timeout`."
    ),
    "SourceUnauthorized": Reason(
        "The metric source refuses the credentials.", "Check the Secret that `auth` names, in the operator's namespace."
    ),
    "SourceBadAnswer": Reason(
        "The metric source answered something that is not the Prometheus API.",
        "Check the URL: a login page or a proxy may answer in its place; a path prefix may be missing.",
    ),
    # PredictionReady and AtRisk
    "Forecasting": Reason("Breaches are forecast."),
    "NoForecast": Reason(
        "Nothing is forecast yet; the message says why for each indicator. ShortHistory: there are too few points, or "
        "too few forecasts of this horizon could be scored yet. Unreliable, ChangePoint: the forecaster abstains.",
        "ShortHistory passes by itself, sooner for a shorter horizon. For the others look at the indicator's graph.",
    ),
    "Healthy": Reason("No breach is forecast."),
    "Breached": Reason("The error budget burns fast now, or a limit is passed now."),
}
"""Of conditions: `status.conditions[].reason`."""

OUTCOMES: Final[dict[str, Reason]] = {
    "Pending": Reason("It is written down, or its verification waits for a sample from after the action."),
    "AwaitingApproval": Reason(
        "A person must approve it first.", "`forestall approve` or `forestall reject` it before it expires."
    ),
    "GuardsPassed": Reason("Every guard lets it pass; it is about to be done."),
    "Executing": Reason("It is being done."),
    "InProgress": Reason("What was changed is not complete yet: pods start, a rollout goes on."),
    "Verifying": Reason("It is done; the risk is watched."),
    "Holding": Reason("It helped, and is kept while the risk lasts."),
    "Releasing": Reason("The risk has gone; what was added is given back step by step."),
    "Done": Reason("What the action changes is complete."),
    "Approved": Reason("A person approved it in time."),
    "RiskFell": Reason("Fresh samples from after the action show that the risk has fallen."),
    "RiskReturned": Reason("The risk has come back although the action did all it can."),
    "Verified": Reason("It is done and it helped."),
    "Notified": Reason("People were told; the rest is up to them."),
    "Told": Reason("Who asked to be told of this was told."),
    "Released": Reason("It helped, the risk has gone, and everything was given back."),
    "RiskGone": Reason("The risk went away before anything was done."),
    "ObserveOnly": Reason("The policy's mode was Observe when it was decided: nothing may be done."),
    "Forbidden": Reason(
        "The operator lacks a right to do it; the message names it. Nothing was changed.",
        "Bind the operator's workload role in the namespace (see the tutorial), or for nodes install with node rights.",
    ),
    "Refused": Reason(
        "The API server refuses the change; the message is its own.",
        "An admission policy, a quota or a validation may forbid it: read the message.",
    ),
    "Draining": Reason("The node's pods are being evicted; the message says which are left."),
    "Throttled": Reason(
        "The API server asks to wait: most often a PodDisruptionBudget does not let a pod go; the message names it.",
        "Look why the budget allows no disruption: `kubectl describe pdb`. It is tried again until the deadline.",
    ),
    "NoOutlook": Reason("This cycle knows nothing about the risk, so nothing is changed. It is tried again."),
    "Rejected": Reason("A person rejected it; nothing was changed."),
    "ApprovalExpired": Reason(
        "Nobody approved it in time; nothing was changed.",
        "Raise the policy's `approvalExpiry`, or use mode Auto for what is always approved.",
    ),
    "DeadlineExceeded": Reason(
        "It was not done, or not over, before its deadline; the message says what it waited for.",
        "If that takes longer by nature, raise the policy's `deadline`.",
    ),
    "Withdrawn": Reason(
        "Its objective or its policy was deleted, suspended, set to Observe, or does not select the objective any more."
    ),
    "NotHelped": Reason(
        "The risk did not fall within `verification.within`. What can be undone is undone.",
        "Look yourself: the action does not answer this cause. Feedback, or a change of the policy, unlocks it.",
    ),
    "NotVerified": Reason(
        "It was done, but no fresh samples showed whether it helped.", "Look why the data stopped after the action."
    ),
    "Superseded": Reason(
        "Somebody else changed the same field meanwhile; the operator leaves it to them.",
        "Find out who else writes it (`kubectl get --show-managed-fields`): one of the two should not.",
    ),
    "TargetGone": Reason("The workload or node does not exist any more; nothing is changed."),
    "TargetReplaced": Reason("The workload was deleted and made anew since; the intent was about the old one."),
    "TargetPaused": Reason(
        "The rollout of the workload, or its KEDA ScaledObject, is paused by somebody; it is left alone.",
        "`kubectl rollout resume` ends the pause of a rollout; that of a ScaledObject is an annotation.",
    ),
    "NotRestartable": Reason(
        "The workload cannot be restarted by a rolling update.",
        "Choose a Deployment, StatefulSet or DaemonSet with the update strategy RollingUpdate.",
    ),
    "RolloutStuck": Reason(
        "The rollout makes no progress.", "`kubectl rollout status` and `kubectl describe pods` say what is in its way."
    ),
    "JobFailed": Reason(
        "The runbook's Job failed.", "Read `kubectl logs job/NAME`; it has the name of the Remediation."
    ),
    "JobGone": Reason("Somebody deleted the runbook's Job before it had ended; it is not run again."),
    "JobExists": Reason(
        "A Job of the same name belongs to somebody else.", "Delete it: nothing else can have that name."
    ),
    "ScaledByKeda": Reason(
        "A KEDA ScaledObject scales the workload, and the operator can't read it.",
        "A cluster admin can allow it by the chart's value `workloads.keda=true`.",
    ),
    "FieldOwned": Reason(
        "Somebody applies the field (server-side apply, as GitOps does) and would set it back; it is left to them.",
        "The message names who applies it and how to give it up, as one does for an autoscaler.",
    ),
    "AmbiguousAutoscaler": Reason("Several HorizontalPodAutoscalers scale the workload.", "Keep one of them."),
    "TakenOver": Reason("The next action of the ladder holds the node since; it is left to that one."),
    "AlreadyCordoned": Reason("Somebody else cordoned the node; it is left as it is."),
    "AlreadyDecided": Reason("This was decided in this stretch of risk already; it is not done twice."),
    "NotRecorded": Reason(
        "The intent could not be written down, so nothing is done.",
        "Look at the operator's log: it may lack a right on remediations, or the API server refuses writes.",
    ),
    "IntentIncomplete": Reason("The Remediation does not say what to do. Only a foreign writer makes such a one."),
}
"""Of the life of a Remediation: `status.reason`, and `reason` of its conditions."""

ALL: Final = {"decisions": DECISIONS, "conditions": CONDITIONS, "outcomes": OUTCOMES}


def advice(reason: str) -> str:
    """Return what a person can do about a reason; empty where nothing is wrong, or nothing is known."""
    return next((known[reason].advice for known in ALL.values() if reason in known), "")

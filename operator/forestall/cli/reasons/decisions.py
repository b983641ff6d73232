"""The reasons of decisions: why a policy acts on an objective, or holds."""

from typing import Final

from forestall.cli.reasons.reason import Reason

DECISIONS: Final[dict[str, Reason]] = {
    "BreachForecast": Reason(
        "A breach of a limit is forecast with at least the policy's probability; the action answers it."
    ),
    "LimitPassed": Reason(
        "A limit is passed already, without a forecast; as the reason of a decision, the action answers it."
    ),
    "BelowThreshold": Reason("The breach probability is below the policy's `when.probability`."),
    "NotSustained": Reason("The trigger is met, but not yet for as long as `when.for` asks."),
    "ShareExhausted": Reason(
        "Deciding for this namespace took longer than its part of a cycle, so this objective was left out once.",
        "It comes first in the next cycle. Where it comes again and again, have fewer objectives at risk at once, or "
        "see why the API server or the metric source is slow.",
    ),
    "CycleTimeExhausted": Reason(
        "There was no time left in this cycle to decide; it comes first in the next.",
        "Where it comes again and again, see why the API server or the metric source is slow.",
    ),
    "NoForecast": Reason(
        "There is no forecast for this indicator; the message says why.",
        "Too little history: wait. Otherwise look at the objective's conditions.",
    ),
    "CapacitySufficient": Reason(
        "An indicator is past the limit that the objective names, and the replicas that are ready carry it, by the "
        "capacity that the policy declares. Nothing is forecast yet.",
        "Nothing. What will come is known when there is some history.",
    ),
    "NoRungForCause": Reason(
        "No action of the policy answers the indicator that is the cause.",
        "Add an action for this indicator, or leave the `indicators` of an action empty: it answers all then.",
    ),
    "LadderExhausted": Reason(
        "Every action that answers the cause was tried in this episode and did not help, or was refused.",
        "Investigate: forestall has no further action until the risk has ended.",
    ),
    "NodeUnknown": Reason(
        "The cause's series has no label that names the node to cordon or drain, or there is no such node.",
        "Write the query so that its series keep the label `node`, and set `per: node`.",
    ),
    "NodeNotTrusted": Reason(
        "The cause's series names a node on which no pod of the target is seen, and the label is not trusted.",
        "A cluster admin can list `node` in `trustedLabels` of the MetricSource, where teams can't write that label; a "
        "query that makes the label itself, as by `label_replace`, is not trusted either.",
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
        "The pod has an annotation that says it must not be evicted; the message names it.",
        "Remove the annotation from its template if it is no longer needed.",
    ),
    "LastReadyPod": Reason(
        "The pod is the only one of its workload that serves, and is not evicted.",
        "Run more replicas, or use restart: a rolling update starts the new pod first.",
    ),
    "RemediationUnreadable": Reason(
        "A Remediation of this namespace is under way that this version of the operator can't read, so no new "
        "remediation is started here.",
        "Run the version that wrote it until it has ended, or check what it did and delete it.",
    ),
    "ReadyReplicasUnknown": Reason(
        "The pod's workload does not tell how many of its pods serve, so none is evicted.",
        "Only Deployments, ReplicaSets, StatefulSets and Argo Rollouts are known to leave `readyReplicas` out when it "
        "is 0; other kinds have to say it in their status.",
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
    "AlreadySet": Reason("The field already has the value of the patch."),
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
    "WaitingForLowTraffic": Reason(
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
        "The target has the `maxReplicas` of the policy or of its autoscaler already; the message says which.",
        "Raise that `maxReplicas` if the cluster has the room, or add an action that helps otherwise.",
    ),
    "SufficientReplicas": Reason(
        "The forecast asks for no more replicas than there are, of which some may not be ready yet.",
        "If all are ready and the risk is real, the sizing is wrong: check `capacity`, its indicator and its headroom.",
    ),
    "IndicatorIsTotal": Reason(
        "The indicator did not fall as replicas were added, as a total does not (requests a second of all pods), while "
        "`Proportional` sizing takes it for a level per replica. No more replicas are added for it.",
        "Declare what one replica carries (`capacity: {type: Declared, perReplica: ...}`), or divide the query by the "
        "number of replicas. If it is a level per replica, something else than the load keeps it up: look there.",
    ),
    "DesiredReplicasUnknown": Reason(
        "How many replicas the forecast needs cannot be said.",
        "Declare the capacity (`type: Declared` with `perReplica`), or name a sizing indicator that has a forecast.",
    ),
    "DataNotFresh": Reason(
        "The newest data of the cause is missing, too old or not a number; nothing is done on such data.",
        "Run the indicator's query in Prometheus. Compare the age of its points with the source's `staleAfter`.",
    ),
    "ClockSkew": Reason(
        "The clocks of the operator, the API server or the metric source are over 5 s apart; the message says whose.",
        "Synchronize the clock of the named node (NTP). The operator continues when the clocks agree.",
    ),
    "PauseUnknown": Reason(
        "The operator checks for pauses before each change, and the API server did not answer.",
        "Nothing, if the API server is back: the operator retries in the next cycle.",
    ),
    "Paused": Reason(
        "People have paused the cluster, the namespace, the objective or the policy; the message says who and why.",
        "`forestall status` shows every pause, `forestall resume` ends one. A pause with an end ends by itself.",
    ),
    "ChannelMissing": Reason(
        "The NotificationChannel does not exist, or is invalid.",
        "Ask a cluster admin for it, or for the existing ones: `kubectl get notificationchannels` needs a cluster-wide "
        "role.",
    ),
    "Storm": Reason(
        "So many objectives came at risk together that the cause must be the monitoring or the cluster.",
        "Look there first. If it is real load, raise `storm` of a Guardrail; it ends when fewer are at risk.",
    ),
    "Protected": Reason(
        "The workload, its namespace or the node is protected by the annotation `forestall.dev/protected`.",
        "Remove the annotation if it is no longer needed.",
    ),
    "BlackoutWindow": Reason(
        "A blackout window of a Guardrail or of the policy is open.",
        "It ends by itself; the message says when. See `blackoutWindows` for the next one.",
    ),
    "OutsideMaintenanceWindow": Reason(
        "The action is only allowed in maintenance windows, and none is open.",
        "The message says when the next one opens. See `maintenanceWindows` of the Guardrails and of the policy.",
    ),
    "DisruptionUnknown": Reason(
        "Whether the workload can spare a pod could not be read, or a PodDisruptionBudget can't be understood.",
        "The operator needs to list PodDisruptionBudgets; the chart's roles allow it. Look at the selector and the "
        "status of the budget that the message names.",
    ),
    "DisruptionNotAllowed": Reason(
        "A PodDisruptionBudget of the workload allows no disruption at present.",
        "Run more replicas, or relax the budget: with exactly as many pods as it requires, none can be replaced.",
    ),
    "TooFewReady": Reason(
        "More pods of the workload are missing already than its rollout may leave out.",
        "Find out why they are not ready: a restart could remove pods that still serve.",
    ),
    "Suspended": Reason("The policy is suspended.", "Set `suspend: false` in the policy to go on."),
    "NotAllowed": Reason(
        "No Guardrail allows this action in this namespace.",
        "Ask the cluster's admins to add the namespace and the action to `allow` of the Guardrail.",
    ),
    "RemediationActive": Reason("Another remediation is under way on the same target; only one runs at a time."),
    "DependencyAtRisk": Reason(
        "An objective that this one depends on is at risk itself; this one is its victim.",
        "Look at that one first: `forestall explain` it.",
    ),
    "Locked": Reason(
        "The policy's last remediation did not help, and nobody has looked at it since.",
        "Look at it by `forestall history`. Feedback on it, `forestall unlock` and a change of what the policy does "
        "unlock; a suspension or another mode does not.",
    ),
    "Cooldown": Reason("A remediation of the target ended less than the policy's `cooldown` ago."),
    "NodesUnknown": Reason(
        "The nodes or their pods could not be listed, or not be understood, so no node is touched.",
        "Install the chart with node rights, or leave cordon and drain out of the policy.",
    ),
    "TooManyNodesCordoned": Reason(
        "As many nodes as the Guardrails allow are out of service, or will be by remediations under way.",
        "Uncordon what is healthy, or raise `nodes.maxCordoned` or `maxCordonedPercent` of the Guardrail.",
    ),
    "LastNode": Reason(
        "No other node accepts the pods of this node: none is ready, schedulable and without additional taints.",
        "Add a node of this kind, or uncordon one.",
    ),
    "ControlPlane": Reason("Another node of the control plane is out of service; at most one may be."),
    "InsufficientCapacity": Reason(
        "A pod of the node to drain fits on no other node, by its requests and scheduling constraints.",
        "Add a node, or lower requests that are too high. Cordon alone moves no pods.",
    ),
    "PodsNotEvictable": Reason(
        "The node has pods that a drain must not evict: no controller replaces them, or emptyDir data would be lost.",
        "Set `force` or `deleteEmptyDirData` of the drain, as with `kubectl drain`, or move these pods yourself.",
    ),
    "BudgetExhausted": Reason(
        "The Guardrails' budget of actions is used up.",
        "Find out why there are so many actions. The budget refills by itself.",
    ),
}
"""Of a policy: `status.decisions[].reason` of an objective."""

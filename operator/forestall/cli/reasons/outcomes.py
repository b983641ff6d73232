"""The reasons of Remediations: why one is where it is, or how it ended."""

from typing import Final

from forestall.cli.reasons.reason import Reason

OUTCOMES: Final[dict[str, Reason]] = {
    "ObjectUnreadable": Reason(
        "An object that it changes, or must check first, is malformed; the message names it.",
        "Fix the object. Until then the operator changes and reverts nothing.",
    ),
    "Pending": Reason("It is recorded, or its verification waits for a sample from after the action."),
    "AwaitingApproval": Reason(
        "A person must approve it first.", "`forestall approve` or `forestall reject` it before it expires."
    ),
    "GuardsPassed": Reason("All guards passed; it is about to be executed."),
    "Executing": Reason("It is being executed."),
    "InProgress": Reason("The change is not complete yet: pods start, a rollout is in progress."),
    "Sending": Reason(
        "The notification is on its way: the channel has not answered yet, and nothing waits for it.",
        "If it stays so, the condition Ready of the NotificationChannel says why.",
    ),
    "Verifying": Reason("It is executed; the operator watches the risk."),
    "Holding": Reason(
        "The action stays in effect while the risk lasts; the message says until when.",
        "`forestall undo` reverts it now.",
    ),
    "Releasing": Reason("The risk has passed; added replicas are removed step by step."),
    "UndoRequested": Reason(
        "A person requested `forestall undo`; the message says who and why. The action is reverted at once, also while "
        "the risk lasts, and never below the original value.",
        "The policy is locked for that objective until `forestall unlock`, feedback, or a change of its actions.",
    ),
    "Deleted": Reason(
        "Somebody deleted the Remediation while something depended on it, so the operator restored it. Its change is "
        "reverted as usual, and it does nothing more; an ended Remediation counts as before.",
        "Deleting reverts nothing: use `forestall undo`, and `forestall unlock` to let a locked policy act again.",
    ),
    "Completed": Reason("The change of the action is complete."),
    "Approved": Reason("A person approved it in time."),
    "IndicatorFell": Reason(
        "The indicator fell as replicas were added, as a level per replica does: proportional sizing suits."
    ),
    "RiskFell": Reason("Fresh samples from after the action show that the risk has fallen."),
    "RiskReturned": Reason("The risk has come back although the action did all it can."),
    "Verified": Reason("It was executed and it helped."),
    "Notified": Reason("The notification was sent; people decide what to do."),
    "Delivered": Reason("The notification was sent."),
    "Released": Reason("It helped, the risk has passed, and everything was reverted."),
    "RiskGone": Reason("The risk passed before the action was executed."),
    "ObserveOnly": Reason("The policy's mode was Observe at the decision: it must not act."),
    "Forbidden": Reason(
        "The operator lacks a permission; the message names it. It was not tried and needs no approval; the operator "
        "acts as soon as the permission exists, if the risk still does.",
        "Run the command of the message, which binds the operator's workload role in the namespace, or for nodes "
        "install with node rights.",
    ),
    "Refused": Reason(
        "The API server refuses the change although no permission is missing; the message is its own. It does not "
        "count as tried, and the next action of the ladder follows.",
        "An admission policy or webhook, a quota or a validation forbids it: ask the owner of the one in the message.",
    ),
    "Draining": Reason("The pods of the node are being evicted; the message lists those that are left."),
    "Throttled": Reason(
        "The API server asks to retry later: most often, a PodDisruptionBudget allows no eviction (see the message).",
        "Find out why the budget allows no disruption: `kubectl describe pdb`. Retried until the deadline.",
    ),
    "EvictionRefused": Reason(
        "The eviction of a pod is refused, by an admission policy or webhook or by an error of the API server, whose "
        "words the message has. The other pods of the node are evicted.",
        "Fix what refuses it. The operator retries until the deadline, and then uncordons the node.",
    ),
    "NotConfirmed": Reason(
        "The API server answered a change with an error, or not at all; the message has its words.",
        "Nothing, if it is back: the next cycle checks whether the change was made, and continues from there.",
    ),
    "RiskUnknown": Reason("The risk is unknown in this cycle, so nothing is changed. The operator retries."),
    "Rejected": Reason("A person rejected it; nothing was changed."),
    "ApprovalExpired": Reason(
        "Nobody approved it in time; nothing was changed.",
        "Raise the policy's `approvalExpiry`, or use mode Auto for what is always approved.",
    ),
    "DeadlineExceeded": Reason(
        "It was not executed, or not complete, before its deadline; the message says what it waited for.",
        "If that takes longer by nature, raise the policy's `deadline`.",
    ),
    "Withdrawn": Reason(
        "Its objective or its policy was deleted, suspended, set to Observe, or selects the objective no more; "
        "or one of them was changed before the action was executed."
    ),
    "NotHelped": Reason(
        "The risk did not fall within `verification.within`. A patch is reverted at once. Replicas and a cordoned node "
        "are kept while the risk lasts, because fewer would not help either, and reverted when it has passed.",
        "Investigate: the action does not answer this cause. `forestall undo` reverts now what is still in effect. "
        "Feedback, or a change of the policy's actions, unlocks it.",
    ),
    "Contained": Reason(
        "The node is still at risk: a cordon does not lower that, it keeps new pods away. A drain has moved the pods, "
        "and lowers it only where they were the cause. The node stays cordoned while the risk lasts, and the next "
        "action of the ladder follows. It locks no policy.",
        "Free the node's disk or memory. After a cordon, add `drain` to the policy to move the node's pods.",
    ),
    "NotVerified": Reason(
        "It was executed, but no fresh samples showed whether it helped.",
        "Find out why the data stopped after the action.",
    ),
    "Superseded": Reason(
        "Somebody else changed the same field meanwhile; the operator does not touch it.",
        "Find out who else writes it (`kubectl get --show-managed-fields`): one of the two should not.",
    ),
    "TargetGone": Reason("The workload or node does not exist any more; nothing is changed."),
    "TargetReplaced": Reason("The workload was deleted and recreated since; the intent refers to the old one."),
    "TargetPaused": Reason(
        "The workload, its rollout or its autoscaler is paused by somebody, or the autoscaler may not scale out; it is "
        "left alone. Raised replicas are reverted when that ends.",
        "`kubectl rollout resume` ends the pause of a rollout; that of a ScaledObject is an annotation.",
    ),
    "NotRestartable": Reason(
        "The workload cannot be restarted by a rolling update.",
        "Choose a Deployment, StatefulSet or DaemonSet with the update strategy RollingUpdate.",
    ),
    "RolloutStuck": Reason(
        "The rollout makes no progress; the message names the pods that do not start, and why. A restart and a "
        "rollback stay as they are, and old pods that serve stay too; a patch is reverted.",
        "Fix what the message names, or `kubectl rollout undo`. `kubectl describe pods` says more.",
    ),
    "JobFailed": Reason(
        "The runbook's Job failed.", "Read `kubectl logs job/NAME`; it has the name of the Remediation."
    ),
    "JobGone": Reason("Somebody deleted the runbook's Job before it had ended; it is not run again."),
    "JobExists": Reason(
        "A Job of the same name belongs to somebody else.", "Delete it: nothing else can have that name."
    ),
    "ScaledByKeda": Reason(
        "A KEDA ScaledObject scales the workload, or may, and the operator can't read it.",
        "A cluster admin can allow it by the chart's value `workloads.keda=true`.",
    ),
    "FieldOwned": Reason(
        "Somebody applies the field (server-side apply, as GitOps does) and would set it back, or a "
        "VerticalPodAutoscaler sets it on the pods; it is left to them.",
        "The message names who applies it and how to give it up, as one does for an autoscaler.",
    ),
    "AmbiguousAutoscaler": Reason("Several autoscalers scale the workload.", "Keep one of them."),
    "OwnedByController": Reason(
        "Another object, such as the resource of an operator, controls the workload or its autoscaler, and would "
        "revert the change.",
        "Make that object the target, where it has a /scale subresource, or make the change there.",
    ),
    "FloorHidden": Reason(
        "The autoscaler whose minimum was raised cannot be read. Its minimum is reverted when it can.",
        "The message says what is in the way: a right that was taken away, or a kind that is not served.",
    ),
    "FloorReplaced": Reason(
        "The autoscaler whose minimum was raised was deleted and recreated; its minimum is left as it is.",
        "If it is the raised minimum, from a copy, lower it yourself.",
    ),
    "FloorGone": Reason("The autoscaler whose minimum was raised was deleted, and its minimum with it."),
    "QuotaExceeded": Reason(
        "A ResourceQuota prevents the creation of pods; the message names it. Added replicas are removed.",
        "Raise the quota, or lower the policy's `maxReplicas` to what it allows. A rollout needs room for `maxSurge`.",
    ),
    "PodsNotCreated": Reason(
        "Pods cannot be created; the message has the API server's words. Added replicas are removed. If the "
        "controller reports no cause, as for a StatefulSet, they are removed if that lasts.",
        "An admission policy, a webhook, a quota or another limit of the namespace is in the way: the message names "
        "it, or the Events of the workload do.",
    ),
    "PodsFailed": Reason(
        "Pods fail at once; the message has the kubelet's words. Added replicas are removed if that lasts.",
        "Most often a node is full, or what the pods ask for is not there: `kubectl describe pods` says more.",
    ),
    "Unschedulable": Reason(
        "No node accepts the new pods; the message has the scheduler's words. Added replicas are removed if that "
        "lasts.",
        "Add nodes, or lower requests that are too high. The operator waits for new nodes.",
    ),
    "Preempting": Reason(
        "The scheduler removes pods of lower priority to make room for the new pods, because of the workload's "
        "PriorityClass; the message names the node. The operator does not choose them, and does not hold for it.",
        "Lower the policy's `maxReplicas`, add nodes, or set `preemptionPolicy: Never` in the PriorityClass. A "
        "ResourceQuota with a scope on the PriorityClass limits how many pods a namespace may have of it.",
    ),
    "ImagePullFailed": Reason(
        "The image of the new pods cannot be pulled. Added replicas are removed.",
        "Check that the image and the pull secret still exist: the running pods may be the last ones.",
    ),
    "CrashLooping": Reason(
        "The new pods crash, before they are ready or soon after; the message names them, and the exit code. Added "
        "replicas are removed. A risk that is gone because all pods crash does not count as fallen.",
        "`kubectl logs --previous` says why.",
    ),
    "ContainerFailed": Reason(
        "A container of the new pods cannot be started; the message has the kubelet's words. Added replicas are "
        "removed.",
        "Most often a ConfigMap or a Secret is missing that it refers to.",
    ),
    "PodsNotReady": Reason(
        "The new pods do not become ready, and nothing reports a cause; the message says how far they are. Added "
        "replicas are removed if that lasts.",
        "Look at their readiness probe, and at `kubectl describe pods`.",
    ),
    "PodsTerminating": Reason(
        "The rollout waits for pods that have not ended although they were asked to; the message says how long their "
        "grace period lasts.",
        "A program that ignores SIGTERM takes its whole grace period: handle the signal, or set a shorter "
        "`terminationGracePeriodSeconds`.",
    ),
    "AutoscalerNotFollowing": Reason(
        "The autoscaler does not raise the replicas to its minimum; the message has its words.",
        "`kubectl describe hpa` says why. A KEDA ScaledObject needs KEDA's operator to run.",
    ),
    "ScaleOutReduced": Reason("Added pods that did not start were removed; the operator adds none for an hour."),
    "NamespaceTerminating": Reason("The namespace is being deleted: nothing starts in it any more."),
    "TakenOver": Reason("The next action of the ladder has taken over the node."),
    "AlreadyCordoned": Reason("Somebody else cordoned the node; it is left as it is."),
    "AlreadyDecided": Reason(
        "This was already decided in this episode and has ended; it is not done twice.",
        "Add a `notify` action to the policy to be notified. The next episode starts over.",
    ),
    "NotRecorded": Reason(
        "The intent, or its next step, could not be recorded, so nothing is done.",
        "See the operator's log: it may lack a permission on remediations, the API server refuses writes, or the "
        "cluster's definitions are older than the operator.",
    ),
    "IntentIncomplete": Reason("The Remediation does not say what to do. Only another writer creates such an object."),
}
"""Of the life of a Remediation: `status.reason`, and `reason` of its conditions."""

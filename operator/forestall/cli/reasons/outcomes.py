"""The reasons of Remediations: why one is where it is, or how it ended."""

from typing import Final

from forestall.cli.reasons.reason import Reason

OUTCOMES: Final[dict[str, Reason]] = {
    "ObjectUnreadable": Reason(
        "An object that it changes, or must look at first, is not what such an object should be; the message names it.",
        "Mend the object. Until then nothing is changed, and nothing is given back.",
    ),
    "Pending": Reason("It is written down, or its verification waits for a sample from after the action."),
    "AwaitingApproval": Reason(
        "A person must approve it first.", "`forestall approve` or `forestall reject` it before it expires."
    ),
    "GuardsPassed": Reason("Every guard lets it pass; it is about to be done."),
    "Executing": Reason("It is being done."),
    "InProgress": Reason("What was changed is not complete yet: pods start, a rollout goes on."),
    "Sending": Reason(
        "The notification is on its way: the channel has not answered yet, and nothing waits for it.",
        "If it stays so, the condition Ready of the NotificationChannel says why.",
    ),
    "Verifying": Reason("It is done; the risk is watched."),
    "Holding": Reason(
        "What was done is kept while the risk lasts; the message says until when.",
        "`forestall undo` gives it back now.",
    ),
    "Releasing": Reason("The risk has gone; what was added is given back step by step."),
    "Undone": Reason(
        "A person wanted back what it did, with `forestall undo`; the message says who and why. What was done is given "
        "back at once, also while the risk lasts, and never below what was found.",
        "Its policy is locked for that objective until `forestall unlock`, feedback, or a change of what it does.",
    ),
    "Deleted": Reason(
        "Somebody deleted the Remediation while something rested on it, so it is written again. What it changed is "
        "given back as usual, and nothing more is done by it; what had ended counts as before.",
        "Deleting takes nothing back: `forestall undo` does, and `forestall unlock` lets a locked policy act again.",
    ),
    "Done": Reason("What the action changes is complete."),
    "Approved": Reason("A person approved it in time."),
    "Fell": Reason(
        "The indicator fell as replicas were added, as a level per replica does: proportional sizing suits."
    ),
    "RiskFell": Reason("Fresh samples from after the action show that the risk has fallen."),
    "RiskReturned": Reason("The risk has come back although the action did all it can."),
    "Verified": Reason("It is done and it helped."),
    "Notified": Reason("People were told; the rest is up to them."),
    "Told": Reason("Who asked to be told of this was told."),
    "Released": Reason("It helped, the risk has gone, and everything was given back."),
    "RiskGone": Reason("The risk went away before anything was done."),
    "ObserveOnly": Reason("The policy's mode was Observe when it was decided: nothing may be done."),
    "Forbidden": Reason(
        "The operator lacks a right to do it; the message names it. It was not tried: nobody is asked to approve it, "
        "and it is done as soon as the right is there, if the risk still is.",
        "Run the command of the message, which binds the operator's workload role in the namespace, or for nodes "
        "install with node rights.",
    ),
    "Refused": Reason(
        "The API server refuses the change, although no right is missing; the message is its own. It was not tried, "
        "and the next action of the ladder is asked.",
        "An admission policy or webhook, a quota or a validation forbids it: ask whoever made the one that it names.",
    ),
    "Draining": Reason("The node's pods are being evicted; the message says which are left."),
    "Throttled": Reason(
        "The API server asks to wait: most often a PodDisruptionBudget does not let a pod go; the message names it.",
        "Look why the budget allows no disruption: `kubectl describe pdb`. It is tried again until the deadline.",
    ),
    "EvictionRefused": Reason(
        "The eviction of a pod is refused, by an admission policy or webhook or by an error of the API server, whose "
        "words the message has. The other pods of the node are evicted.",
        "Mend what refuses it. It is asked for again until the deadline; then the node is given back.",
    ),
    "NotConfirmed": Reason(
        "The API server answered a change with an error, or not at all; the message has its words.",
        "Nothing, if it is back: the next cycle looks whether the change was made, and goes on from there.",
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
        "Its objective or its policy was deleted, suspended, set to Observe, or selects the objective no more; "
        "or, before anything was done, one of them was changed and says something else by now."
    ),
    "NotHelped": Reason(
        "The risk did not fall within `verification.within`. A patch is set back at once. Replicas and a cordoned node "
        "are kept while the risk lasts, because fewer would not help either, and given back when it is gone.",
        "Look yourself: the action does not answer this cause. `forestall undo` gives back now what is still kept. "
        "Feedback, or a change of what the policy does, unlocks it.",
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
        "The workload, its rollout or its autoscaler is paused by somebody, or the autoscaler may not scale out; it is "
        "left alone. What was raised before is given back when that ends.",
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
        "Another object, such as the resource of an operator, controls the workload or its autoscaler, and would set "
        "the change back.",
        "Make that object the target, where it has a /scale subresource, or make the change there.",
    ),
    "FloorHidden": Reason(
        "The autoscaler whose floor was raised can't be read at present. The floor is given back when it can.",
        "The message says what is in the way: a right that was taken away, or a kind that is not served.",
    ),
    "FloorReplaced": Reason(
        "The autoscaler whose floor was raised was deleted and made anew; the new floor is that of whoever made it.",
        "If it is the raised one, from a copy, lower it yourself.",
    ),
    "FloorGone": Reason("The autoscaler whose floor was raised was deleted, and the floor with it."),
    "QuotaExceeded": Reason(
        "A ResourceQuota does not let the added pods be created; the message names it. They are given back.",
        "Raise the quota, or lower the policy's `maxReplicas` to what it allows.",
    ),
    "PodsNotCreated": Reason(
        "The added pods can't be created; the message has the API server's words. They are given back. Where their "
        "controller says nothing, as that of a StatefulSet, they are given back if that lasts.",
        "An admission policy, a webhook, a quota or another limit of the namespace is in the way: the message names "
        "it, or the Events of the workload do.",
    ),
    "PodsFailed": Reason(
        "The added pods fail as soon as they are made; the message has the kubelet's words. They are given back if "
        "that lasts.",
        "Most often a node is full, or what the pods ask for is not there: `kubectl describe pods` says more.",
    ),
    "Unschedulable": Reason(
        "No node takes the added pods; the message has the scheduler's words. They are given back if that lasts.",
        "Add nodes, or lower requests that are too high. What added nodes bring in time is waited for.",
    ),
    "ImagePullFailed": Reason(
        "The image of the added pods can't be pulled. They are given back.",
        "Look whether the image and the right to pull it are still there: the pods that serve may be the last ones.",
    ),
    "CrashLooping": Reason(
        "The added pods end again and again, before they are ready or soon after. They are given back.",
        "`kubectl logs --previous` says why.",
    ),
    "ContainerFailed": Reason(
        "A container of the added pods can't be started; the message has the kubelet's words. They are given back.",
        "Most often a ConfigMap or a Secret is missing that it refers to.",
    ),
    "PodsNotReady": Reason(
        "The added pods do not become ready, and nothing says why. They are given back if that lasts.",
        "Look at their readiness probe, and at `kubectl describe pods`.",
    ),
    "AutoscalerNotFollowing": Reason(
        "The autoscaler does not bring the replicas to its floor; the message has its words.",
        "`kubectl describe hpa` says why. A KEDA ScaledObject needs KEDA's operator to run.",
    ),
    "Reduced": Reason("Added pods that did not start were given back; none are added again for an hour."),
    "NamespaceTerminating": Reason("The namespace is being deleted: nothing starts in it any more."),
    "TakenOver": Reason("The next action of the ladder holds the node since; it is left to that one."),
    "AlreadyCordoned": Reason("Somebody else cordoned the node; it is left as it is."),
    "AlreadyDecided": Reason(
        "This was decided in this stretch of risk already, and has ended; it is not done twice.",
        "A `notify` in the policy's ladder tells people then. The next stretch of risk begins anew.",
    ),
    "NotRecorded": Reason(
        "The intent, or the next step of it, could not be written down, so nothing is done.",
        "Look at the operator's log: it may lack a right on remediations, or the API server refuses writes.",
    ),
    "IntentIncomplete": Reason("The Remediation does not say what to do. Only a foreign writer makes such a one."),
}
"""Of the life of a Remediation: `status.reason`, and `reason` of its conditions."""

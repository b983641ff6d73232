"""The reasons of conditions: what is wrong with an object, or what it waits for."""

from typing import Final

from forestall.cli.reasons.reason import Reason

CONDITIONS: Final[dict[str, Reason]] = {
    # Ready
    "InternalError": Reason(
        "An unexpected error occurred while the operator processed this object. It does nothing for this object; all "
        "others are processed.",
        "Report the traceback from the operator's log. Look for something unusual in the object.",
    ),
    "Monitoring": Reason("The operator evaluates the objective."),
    "ObjectivesSelected": Reason("The policy selects at least one objective."),
    "Available": Reason("The metric source answers."),
    "PartiallyAvailable": Reason(
        "The metric source answers some queries and not others, so that what those ask may be too much for it.",
        "Look at `DataFresh` of the objectives: `kubectl get fslo -A`. Make their queries cheaper by recording rules.",
    ),
    "Allowed": Reason("The operator has the rights that the policy's actions need on their targets."),
    "NotLocked": Reason("No remediation locks the policy."),
    "Active": Reason("The Guardrail or the Pause is in force."),
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
    "Expired": Reason("The pause has expired.", "Delete it, or create a new one."),
    "NotUsed": Reason(
        "No objective uses this metric source, and it has not answered yet; or the channel has not sent anything."
    ),
    "InvalidSpec": Reason(
        "The object does not fit the schema of this version of the operator; the message names the fields.",
        "Fix the fields that the message names. CRDs older than the operator admit such objects: upgrade them.",
    ),
    "InvalidQuery": Reason(
        "A query is not PromQL, or not what its place asks for; the message names the field.",
        "Try the query in Prometheus. A counter or a histogram is a series selector, without rate() or sum().",
    ),
    "TooManyPolicies": Reason(
        "The namespace has more policies, or an objective is selected by more of them, than the operator applies; it "
        "applies the first by name.",
        "Select several objectives by one policy, and narrow the others by `spec.objectives`.",
    ),
    "NoObjectivesSelected": Reason(
        "No objective in the policy's namespace has the labels of `spec.objectives`.",
        "Compare `kubectl get fslo --show-labels` with the policy's selector.",
    ),
    "SourceMissing": Reason(
        "The MetricSource that the objective names does not exist, or is invalid.",
        "Ask a cluster admin for it, or for the existing ones: `kubectl get metricsources` needs a cluster-wide role.",
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
    "TargetUnknown": Reason("The workload could not be read.", "The operator retries in the next cycle."),
    # DataFresh, and Ready of a MetricSource
    "Fresh": Reason("Every query returns fresh data."),
    "NotQueried": Reason("No query was sent, because of another problem.", "See the condition Ready."),
    "NoData": Reason(
        "A query returns nothing, or its series do not exist and nothing shows that this is a zero.",
        "Run the query that the message shows in Prometheus. A label that is not there, or a name with a typing error, "
        "gives no error but nothing. `forestall validate -f FILE --prometheus URL` looks for similar names.",
    ),
    "StaleData": Reason(
        "The newest sample is older than the source's `staleAfter`.",
        "Is the workload still scraped? If the scrape interval is long, a cluster admin can raise `staleAfter`.",
    ),
    "SubjectGone": Reason(
        "All series of the indicator are the last ones of pods or nodes that do not exist any more.",
        "It passes when the new ones are scraped, within minutes. See "
        "[metrics of pods that are gone](../troubleshooting.md#metrics-of-pods-that-are-gone).",
    ),
    "SubjectSilent": Reason(
        "A pod or node was at risk when it was last measured, and still exists, but has no fresh samples: as a node "
        "whose kubelet has stopped, and the pods on it. The objective is not called healthy, and what was done for it "
        "is kept.",
        "Is the node Ready, and the pod's target up? After an hour, or when it is deleted, it counts no more.",
    ),
    "NotFinite": Reason(
        "The query gives NaN or infinity, such as a division by zero without traffic.",
        "Give it a value for that case, for example `(a / b) or vector(0)` or `b > 0`.",
    ),
    "NotComparable": Reason(
        "Some events can't be told good or bad: their series lack the label or the histogram bucket that tells it.",
        "It passes when versions of the workload no longer mix. If not, the labels or buckets have changed: adapt the "
        "indicator.",
    ),
    "PartialData": Reason(
        "The series of some targets are missing although their pods exist: a value of the others is not the total.",
        "Look at `up` of the workload's pods: are all of them scraped? The condition clears when they are, or when "
        "no more pods are ready than targets are scraped.",
    ),
    "TooManySeries": Reason(
        "The query returns more series than the source allows, or several where one is asked for.",
        "Aggregate with sum or max, or say by `per` which label the series speak of.",
    ),
    "ShareExhausted": Reason(
        "The namespace uses more of the metric source, or of the cycle, than its share; the message says of what, how "
        "much, and how much it has. The operator leaves out the excess, so that others are served.",
        "Ask fewer or cheaper queries, aggregate, or record them by rules; an admin can raise `spec.perNamespace` of "
        "the MetricSource.",
    ),
    "LabelMissing": Reason(
        "Some of the query's series lack the label that `per` names; the others are used.",
        "Keep it in the query: `max by (node) (...)`.",
    ),
    "QueryRefused": Reason("The metric source refuses the query; the message is its own.", "Run it in Prometheus."),
    "PartialAnswer": Reason(
        "The metric source warned that its answer is incomplete; the operator does not act on partial data.",
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
    "ClockSkew": Reason(
        "How old the data is can't be told: clocks are apart, or a sample is from the future; the message says whose.",
        "Synchronize the named clock (NTP): that of a node, or of the program that writes the samples.",
    ),
    "SourceBadAnswer": Reason(
        "The metric source answered something that is not the Prometheus API.",
        "Check the URL: a login page or a proxy may answer in its place; a path prefix may be missing.",
    ),
    # BudgetKnown
    "WindowPending": Reason(
        "The operator reads the window of a threshold in chunks, and has not finished.",
        "It passes by itself within some cycles.",
    ),
    "Computed": Reason(
        "SLI and error budget are computed over the whole window, the burn rate over the last part of it."
    ),
    "BurnRateUnknown": Reason(
        "SLI and error budget are computed, but the burn rate is not known; the message says why."
    ),
    # PredictionReady and AtRisk
    "Forecasting": Reason("Every indicator is forecast: whether, and when, it will pass its limit."),
    "NoForecast": Reason(
        "There is data, but no forecast yet; the message gives the cause for each indicator. ShortHistory: there are "
        "too few points, or too few forecasts of this horizon could be scored yet. Unreliable, ChangePoint: the "
        "forecaster abstains.",
        "ShortHistory passes by itself, sooner for a shorter horizon. For the others look at the indicator's graph.",
    ),
    "CapacitySufficient": Reason(
        "No breach by what is known now: an indicator is past the limit that the objective names, and the replicas "
        "that are ready carry it, by the capacity that the policy declares. Nothing is forecast yet.",
        "Nothing. What will come is known when there is some history.",
    ),
    "NoDataToForecast": Reason(
        "An indicator cannot be read, so there is no data to forecast from. Waiting does not help.",
        "Fix the problem in the condition DataFresh.",
    ),
    "Healthy": Reason("No breach is forecast."),
    "ErrorBudgetExhausted": Reason(
        "No breach is forecast, but the error budget of the window is used up. The operator does not act on this "
        "alone, because no action restores a budget.",
        "Avoid risky changes. The budget recovers as the bad events leave the window.",
    ),
    "Breached": Reason("The error budget burns fast now, or a limit is passed now."),
}
"""Of conditions: `status.conditions[].reason`."""

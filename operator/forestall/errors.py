"""Every error that forestall raises, in one tree.

::

    ForestallError
    ├── InvalidInput              what a person wrote cannot be used; the message says where and what to do
    │   ├── InvalidDuration
    │   ├── InvalidEndpoint       a URL, header, credential or certificate authority can't be used; it holds no secret
    │   └── InvalidQuery
    ├── MetricsError              a metric source could not answer; `reason` is a condition's reason
    ├── ClusterError              the Kubernetes API could not answer or refused
    │   ├── NotFound
    │   ├── Conflict              somebody else wrote first, or the object exists already
    │   ├── Forbidden             the rights that were granted do not allow it
    │   │   └── Denied            the rights do, but admission does not: a policy, a webhook, a quota; nothing was done
    │   ├── Throttled             a PodDisruptionBudget, or the API's own limits: try later; nothing was done
    │   ├── Halted                people have paused it, or it can't be told whether; nothing was sent
    │   ├── Unreadable            what it gave is not what such an object should be
    │   └── Unavailable           no answer, a timeout, a 5xx: what happened on the server is unknown
    ├── NotSent                   a notification did not go out, or it is not known whether it did
    ├── LostLease                 this process no longer leads and must stop writing
    ├── MissingTool               a program that a command needs is not on this machine
    └── CommandFailed             a program that a command ran (go, kubectl, helm, …) failed; carries its last words

Errors of other libraries are translated at the adapters and never travel further.
"""


class ForestallError(Exception):
    """The root of the tree."""


class InvalidInput(ForestallError):
    """What a person wrote cannot be used."""


class InvalidDuration(InvalidInput):
    """A text is not a duration such as ``90s``, ``5m`` or ``1h30m``."""


class InvalidEndpoint(InvalidInput):
    """A URL, a header, a credential or a certificate authority can't be used; the message holds nothing of it."""


class InvalidQuery(InvalidInput):
    """A text is not the PromQL that its place asks for."""


class MetricsError(ForestallError):
    """A metric source could not answer.

    `reason` is a CamelCase word for a condition, the text is for people.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class ClusterError(ForestallError):
    """The Kubernetes API could not answer, or refused."""


class NotFound(ClusterError):
    """The object is not there."""


class Conflict(ClusterError):
    """Somebody else wrote first, or the object exists already."""


class Forbidden(ClusterError):
    """The operator's ServiceAccount may not do this; the message names the missing right."""


class Denied(Forbidden):
    """No right is missing: an admission policy, a webhook or a quota says no; the message has its words."""


class Throttled(ClusterError):
    """The server asks to try later: a PodDisruptionBudget, or its own limits (429). It was not done."""


class Halted(ClusterError):
    """People have paused it, or it can't be told whether they have: nothing was sent.

    `reason` is a CamelCase word for a condition, the text is for people.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Unreadable(ClusterError):
    """What the API gave is not what such an object should be; the message names the object."""


class Unavailable(ClusterError):
    """No answer, a timeout or a 5xx: whether the server did what was asked is unknown.

    `answered` says whether it did answer: then the trouble may be of this one object.
    """

    def __init__(self, message: str, *, answered: bool = False) -> None:
        super().__init__(message)
        self.answered = answered


class NotSent(ForestallError):
    """A notification did not go out, or it is not known whether it did.

    `reason` is a CamelCase word for a condition, the text is for people and holds no secret.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class LostLease(ForestallError):
    """This process no longer leads and must stop writing."""


class MissingTool(ForestallError):
    """A program that a command needs is not on this machine."""


class CommandFailed(ForestallError):
    """A program that a command ran failed; the message carries its last words."""

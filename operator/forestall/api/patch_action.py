"""The action `patch`: one field of one object, and what can never be patched, whoever asks for it.

The limits stand here once. The CRD carries them as CEL rules, so that the API server refuses a policy that passes them;
`refusal` holds an action against the same patterns, for a CRD that is older than the operator.
"""

import re
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from forestall.api.meta import ApiVersion, Between, Duration, Model, ObjectName, rule, rules

_ROOTS = r"^/(spec|data|metadata/annotations)/"
_GROUPS = (
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "forestall.dev",
    "policy",
    "rbac.authorization.k8s.io",
)
_KINDS = ("Namespace", "Node", "Pod", "Secret", "ServiceAccount")
_KEYS = (
    *("image", "command", "args", "env", "envFrom", "valueFrom", "lifecycle", "imagePullSecrets"),
    *("livenessProbe", "readinessProbe", "startupProbe", "ephemeralContainers"),
    *("securityContext", "podSecurityContext", "privileged", "capabilities", "seccompProfile", "appArmorProfile"),
    *("hostNetwork", "hostPID", "hostIPC", "hostUsers", "hostPath", "hostAliases", "shareProcessNamespace"),
    *("serviceAccount", "serviceAccountName", "automountServiceAccountToken", "runtimeClassName", "nodeName"),
    *("volumes", "volumeMounts", "volumeDevices", "volumeClaimTemplates", "secretName", "secretRef"),
    *("selector", "externalName", "externalIPs", "roleRef", "subjects"),
)
_SIZES = ("replicas", "minReplicas", "maxReplicas", "minReplicaCount", "maxReplicaCount", "idleReplicaCount")


def _one_of(alternatives: tuple[str, ...]) -> str:
    return "(" + "|".join(word.replace(".", "[.]") for word in alternatives) + ")"


@dataclass(frozen=True, slots=True)
class _Limit:
    """What a text of the action must match, or must not; in the syntax that CEL and Python share."""

    field: str
    pattern: str
    message: str
    forbids: bool = False
    location: str = ""
    """Only where the text matches this too."""

    @property
    def cel(self) -> str:
        """The limit as a CEL expression."""
        met = f"{'!' if self.forbids else ''}self.{self.field}.matches('{self.pattern}')"
        return f"!self.{self.field}.matches('{self.location}') || {met}" if self.location else met

    def holds(self, text: str) -> bool:
        """Say whether `text` keeps to it."""
        applies = not self.location or re.search(self.location, text) is not None
        return not applies or (re.search(self.pattern, text) is None) is self.forbids


_LIMITS = (
    _Limit("field", r"^(/([^~/]|~[01])+)+$", "not a JSON Pointer: write it like /data/flag, a slash in a key as ~1"),
    _Limit("field", _ROOTS, "only a field of `spec`, a key of `data` or an annotation can be patched"),
    _Limit(
        "field",
        r"^/metadata/annotations/[^/]+$",
        "an annotation is a text without fields of its own; write a slash in its name as ~1",
        location="^/metadata/",
    ),
    _Limit(
        "field",
        r"^/metadata/annotations/([^/]*[.])?(forestall[.]dev|kubectl[.]kubernetes[.]io|deployment[.]kubernetes[.]io|"
        r"[^/]*(security|apparmor|seccomp)[^/]*)~1",
        "annotations that forestall, kubectl, the controllers or pod security read can't be patched",
        forbids=True,
    ),
    _Limit(
        "field",
        "/[0-9]+(/|$)",
        "name the element of a list, such as /containers/name=main: its place in the list may change",
        forbids=True,
        location="^/spec/",
    ),
    _Limit(
        "field",
        f"/{_one_of(_KEYS)}(/|$)",
        "what a container runs, as whom, with which rights, secrets, volumes and probes, and whom a selector selects "
        "can't be patched",
        forbids=True,
        location="^/spec/",
    ),
    _Limit(
        "field", f"/{_one_of(_SIZES)}(/|$)", "a size is changed by the action scale", forbids=True, location="^/spec/"
    ),
    _Limit(
        "field",
        r"/template/spec/(containers|initContainers)/name=[^/]+/resources/(limits|requests)/[^/]+$",
        "of a pod template only requests and limits can be patched, such as "
        "/spec/template/spec/containers/name=main/resources/limits/memory",
        location="/template/",
    ),
    _Limit("target.kind", f"^{_one_of(_KINDS)}$", f"{', '.join(_KINDS)} can't be patched", forbids=True),
    _Limit(
        "target.apiVersion",
        f"^{_one_of(_GROUPS)}/",
        "objects that decide about rights, admission, disruption or forestall itself can't be patched",
        forbids=True,
    ),
)


_VALUES = {
    "Integer": ("^-?[0-9]{1,15}$", "not an integer, which `type` asks for"),
    "Boolean": ("^(true|false)$", "neither true nor false, as `type` asks for"),
}


class PatchTarget(Model):
    """One object in the policy's namespace."""

    api_version: ApiVersion
    """The object's API version, such as v1 or networking.k8s.io/v1."""
    kind: Annotated[str, Field(max_length=63)]
    """The object's kind, such as Ingress."""
    resource: Annotated[str, Field(min_length=1, max_length=63)]
    """The resource name of the kind as in RBAC, such as ingresses. The author of the policy must be allowed to patch
    it."""
    name: ObjectName
    """The object's name."""


class PatchAction(Model):
    """Set one field of one object of this namespace to a declared value while the risk lasts, and revert it
    afterwards, if it is still as this action left it."""

    model_config = rules(
        *(rule(limit.cel, limit.message, fieldPath=f".{limit.field}") for limit in _LIMITS),
        *(
            rule(f"self.type != '{kind}' || self.value.matches('{pattern}')", message, fieldPath=".value")
            for kind, (pattern, message) in _VALUES.items()
        ),
    )

    target: PatchTarget
    """The object to patch."""
    field: Annotated[str, Field(max_length=512)]
    """The field as a JSON Pointer; an element of a list by its name. Such as /data/recommendations,
    /metadata/annotations/nginx.ingress.kubernetes.io~1limit-rps or
    /spec/template/spec/containers/name=main/resources/limits/memory."""
    value: Annotated[str, Field(max_length=1024)]
    """The value of the field while the risk lasts."""
    type: Literal["String", "Integer", "Boolean"] = "String"
    """The type of `value`."""
    stabilization_window: Annotated[Duration, Between("0s", "1d")] = Duration("10m")
    """Revert the patch after the risk has passed for this long, up to 1d."""
    hold_at_most: Annotated[Duration, Between("1m", "30d")] = Duration("24h")
    """Revert the patch after this long, from 1m to 30d, even while the risk lasts."""

    @property
    def path(self) -> tuple[str, ...]:
        """The keys from the root of the object to the field; `name=main` is the element of a list of that name."""
        return tuple(part.replace("~1", "/").replace("~0", "~") for part in self.field.split("/")[1:])

    @property
    def wanted(self) -> str | int | bool:
        """The value in its type."""
        match self.type:
            case "Integer":
                return int(self.value)
            case "Boolean":
                return self.value == "true"
            case "String":
                return self.value


def refusal(action: PatchAction) -> str | None:
    """Return why the action passes the limits; None where it does not."""
    texts = {"field": action.field, "target.kind": action.target.kind, "target.apiVersion": action.target.api_version}
    passed = next((limit.message for limit in _LIMITS if not limit.holds(texts[limit.field])), None)
    pattern, message = _VALUES.get(action.type, ("", ""))
    return passed or (None if re.search(pattern, action.value) else message)

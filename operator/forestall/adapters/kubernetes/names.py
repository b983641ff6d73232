"""Validates the segments of paths by Kubernetes' rules for names, and that a response is the requested object.

Names come from users, some from the labels of their metrics. A name such as `..` or an empty one leads to another path,
with another response. So every segment is validated before a request is built.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from forestall.api.remediation import ObjectRef
from forestall.errors import NotFound, Unavailable

_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_SUBDOMAIN_LENGTH: Final = 253
_ANY_SEGMENT: Final = "rbac.authorization.k8s.io"
"""The group whose objects may have any name that is one path segment, such as `system:node`."""


def is_label(text: str) -> bool:
    """Say whether it is a DNS label (RFC 1123), as the names of namespaces, resources and versions are."""
    return _LABEL.fullmatch(text) is not None


def is_subdomain(text: str) -> bool:
    """Say whether it is a DNS subdomain (RFC 1123), as the names of most objects and of groups are."""
    return len(text) <= _SUBDOMAIN_LENGTH and _SUBDOMAIN.fullmatch(text) is not None


def is_segment(text: str) -> bool:
    """Say whether it is one path segment, which is Kubernetes' minimum for every name."""
    return text not in ("", ".", "..") and not re.search(r"[/%\x00-\x1f\x7f]|\s", text)


def is_api_version(text: str) -> bool:
    """Say whether it is a version, or a group and a version."""
    group, slash, version = text.rpartition("/")
    return is_label(version) and (is_subdomain(group) if slash else True)


def check_version(api_version: str) -> None:
    """Raise an error for an invalid API version.

    Raises:
        NotFound: nothing can be there.
    """
    if not is_api_version(api_version):
        raise NotFound(f"there is no API version {_quoted(api_version)}")


def check_namespace(namespace: str) -> None:
    """Raise an error for an invalid name of a namespace.

    Raises:
        NotFound: nothing can be there.
    """
    if not is_label(namespace):
        raise NotFound(f"there is no namespace {_quoted(namespace)}: that is not a name")


def check_name(api_version: str, kind: str, name: str) -> None:
    """Raise an error for an invalid name of an object of the kind.

    Raises:
        NotFound: nothing can be there.
    """
    if kind == "Namespace" and api_version == "v1":
        check_namespace(name)
    elif not (is_segment(name) if api_version.startswith(f"{_ANY_SEGMENT}/") else is_subdomain(name)):
        raise NotFound(f"there is no {kind} {_quoted(name)}: that is not a name")


def check_answer(ref: ObjectRef, body: Mapping[str, Any], *, namespaced: bool, scale: bool = False) -> None:
    """Check that a response is the requested object, or its /scale. The UID is not compared.

    Raises:
        Unavailable: it is another object, so the state is unknown.
    """
    metadata = body.get("metadata")
    if not isinstance(metadata, Mapping):
        raise Unavailable(f"{_title(ref)}: the answer has no metadata")
    wanted = {"name": ref.name, "namespace": ref.namespace if namespaced else ""}
    actual = {field: metadata.get(field) or "" for field in wanted}
    if scale:
        right = body.get("kind") == "Scale"
    else:
        right = (body.get("apiVersion"), body.get("kind")) == (ref.api_version, ref.kind)
    if not right or actual != wanted:
        description = f"{_quoted(body.get('kind'))} {_quoted(actual['namespace'])}/{_quoted(actual['name'])}"
        raise Unavailable(f"{_title(ref)}: the answer is another object: {description}")
    check_identity(ref, metadata)


def check_identity(ref: ObjectRef, metadata: Mapping[str, Any]) -> None:
    """Check that the fields that every object has are present.

    Raises:
        Unavailable: it is not.
    """
    for field in ("uid", "resourceVersion"):
        if not (isinstance(metadata.get(field), str) and metadata[field]):
            raise Unavailable(f"{_title(ref)}: the answer has no {field}")


def _title(ref: ObjectRef) -> str:
    return f"{ref.kind} {ref.namespace}/{ref.name}" if ref.namespace else f"{ref.kind} {ref.name}"


def _quoted(text: object) -> str:
    return repr(text if isinstance(text, str) else type(text).__name__)[:120]

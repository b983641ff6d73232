"""Checks permissions by access reviews, which need no permission themselves."""

from forestall.adapters.kubernetes.api import Api
from forestall.adapters.kubernetes.kinds import Kinds
from forestall.core.untrusted import get_path, string
from forestall.errors import ClusterError
from forestall.ports import Right

_AUTHORIZATION = "authorization.k8s.io/v1"
_AUTHENTICATION = "authentication.k8s.io/v1"


class Reviews:
    """Reads the user that the API server sees in this process, and reviews that user's permissions."""

    def __init__(self, api: Api, kinds: Kinds) -> None:
        self._api = api
        self._kinds = kinds
        self._user: str | None = None

    async def refusal(self, right: Right) -> str | None:
        """Return a message as the API server's authorizer words its refusal; None where the permission is granted.

        Raises:
            ClusterError: the server could not be reached, or does not serve the kind.
        """
        resource = (await self._kinds.find(right.api_version, right.kind)).plural
        group = right.api_version.rpartition("/")[0]
        attributes = {
            "verb": right.verb,
            "group": group,
            "resource": resource,
            "subresource": right.subresource,
            "namespace": right.namespace,
            "name": right.name,
        }
        spec = {"resourceAttributes": {key: value for key, value in attributes.items() if value}}
        body = {"apiVersion": _AUTHORIZATION, "kind": "SelfSubjectAccessReview", "spec": spec}
        answer = await self._api.request("POST", f"/apis/{_AUTHORIZATION}/selfsubjectaccessreviews", body=body)
        allowed = get_path(answer, "status", "allowed")
        if not isinstance(allowed, bool):
            raise ClusterError("the API server does not say whether it would allow what was asked")
        if allowed:
            return None
        resource_text = f"{resource}/{right.subresource}" if right.subresource else resource
        scope = f'in the namespace "{right.namespace}"' if right.namespace else "at the cluster scope"
        return (
            f'User "{await self._name()}" cannot {right.verb} resource "{resource_text}" in API group "{group}" {scope}'
        )

    async def _name(self) -> str:
        """Return the user name of this process; empty where it is unknown."""
        if self._user is None:
            body = {"apiVersion": _AUTHENTICATION, "kind": "SelfSubjectReview"}
            try:
                answer = await self._api.request("POST", f"/apis/{_AUTHENTICATION}/selfsubjectreviews", body=body)
            except ClusterError:
                return ""
            self._user = string(get_path(answer, "status", "userInfo", "username"))
        return self._user

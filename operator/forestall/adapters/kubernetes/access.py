"""Finds the API server and the credentials: from a kubeconfig, or the ServiceAccount of the pod."""

import asyncio
import os
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import yaml
from kubernetes.aio.client import Configuration
from kubernetes.aio.config import ConfigException, load_kube_config

from forestall.errors import InvalidInput
from forestall.ports import RestConfig

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_TOKEN = "BearerToken"  # noqa: S105 -- the name of the scheme in the client's configuration


class Access:
    """The client's configuration, which can reload credentials that were rotated."""

    def __init__(self, configuration: Configuration, namespace: str, kubeconfig: str, context: str | None) -> None:
        self.configuration = configuration
        self.namespace = namespace
        """The namespace of this process: its pod's, or that of the kubeconfig's context."""
        self._kubeconfig = kubeconfig
        self._context = context
        self._reading = asyncio.Lock()

    @classmethod
    async def find(cls, kubeconfig: str = "", context: str | None = None) -> Self:
        """Return the access to the cluster.

        In this order: `kubeconfig` (one path, or several as in `$KUBECONFIG`), `$KUBECONFIG`, the pod's ServiceAccount,
        `~/.kube/config`.

        Raises:
            InvalidInput: none of these exists, or it can't be used.
        """
        kubeconfig = kubeconfig or os.environ.get("KUBECONFIG", "")
        if not kubeconfig and (context or not os.environ.get("KUBERNETES_SERVICE_HOST")):
            kubeconfig = str(Path.home() / ".kube" / "config")
        configuration, namespace = await _read(kubeconfig, context)
        # The environment is read once: aiohttp would look for a proxy and into .netrc, in a thread, at every request.
        configuration.proxy = configuration.proxy or _proxy(configuration.host)
        configuration.client_session_kwargs = {"trust_env": False}
        return cls(configuration, namespace, kubeconfig, context)

    @property
    def token(self) -> str | None:
        """The bearer token in use, without the scheme; None where a client certificate or nothing is used."""
        header: str | None = self.configuration.api_key.get(_TOKEN)
        return header.split(" ", 1)[-1] if header else None

    def rest_config(self) -> RestConfig:
        """Return the configuration for another client of the same API server and user."""
        own = self.configuration
        return RestConfig(
            server=own.host,
            ca_path=own.ssl_ca_cert,
            insecure=not own.verify_ssl,
            token=self.token,
            certificate_path=own.cert_file,
            private_key_path=own.key_file,
            proxy_url=own.proxy,
        )

    async def renew(self, refused: str | None) -> bool:
        """Reload the credentials after the API server refused the token `refused`; say whether the token has
        changed.
        """
        async with self._reading:
            if self.token == refused:
                try:
                    configuration, _ = await _read(self._kubeconfig, self._context)
                except InvalidInput:
                    return False  # the file is just being replaced: the next call tries again
                self.configuration.api_key = configuration.api_key
            return self.token != refused


async def _read(kubeconfig: str, context: str | None) -> tuple[Configuration, str]:
    if not kubeconfig:
        return _read_service_account()
    if not _exists(kubeconfig):
        raise InvalidInput(f"no kubeconfig at {kubeconfig}: name one by --kubeconfig or $KUBECONFIG")
    configuration = Configuration()
    try:
        loader = await load_kube_config(  # type: ignore[no-untyped-call]
            config_file=kubeconfig, context=context, client_configuration=configuration, persist_config=False
        )
        chosen = loader.current_context["context"]
    except (ConfigException, yaml.YAMLError, OSError, TypeError, KeyError, AttributeError, ValueError) as error:
        raise InvalidInput(f"the kubeconfig {kubeconfig} can't be used: {error}") from error
    return configuration, chosen.get("namespace") or "default"


def _proxy(server: str) -> str | None:
    """Return the proxy for `server` from the environment."""
    url = urlsplit(server)
    return None if proxy_bypass(url.netloc) else getproxies().get(url.scheme)


def _exists(kubeconfig: str) -> bool:
    return any(Path(path).expanduser().is_file() for path in kubeconfig.split(os.pathsep) if path)


def _read_service_account() -> tuple[Configuration, str]:
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    configuration = Configuration()
    configuration.host = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    configuration.ssl_ca_cert = str(SERVICE_ACCOUNT / "ca.crt")
    try:
        token = (SERVICE_ACCOUNT / "token").read_text().strip()
        namespace = (SERVICE_ACCOUNT / "namespace").read_text().strip()
    except OSError as error:
        raise InvalidInput(f"the pod has no ServiceAccount token: {error}") from error
    configuration.api_key = {_TOKEN: f"Bearer {token}"}
    return configuration, namespace

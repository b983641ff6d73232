"""How the cluster and a rotated token are found."""

from pathlib import Path

import pytest
import yaml

from forestall.adapters.kubernetes import Access, access
from forestall.errors import InvalidInput


def kubeconfig(path: Path, **user: str) -> Path:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [
            {"name": "c", "cluster": {"server": "https://one.test:6443"}},
            {"name": "d", "cluster": {"server": "https://two.test:6443"}},
        ],
        "users": [{"name": "u", "user": user}],
        "contexts": [
            {"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "forestall"}},
            {"name": "there", "context": {"cluster": "d", "user": "u"}},
        ],
    }
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture(autouse=True)
def _no_cluster(monkeypatch, tmp_path):
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture
def pod(monkeypatch, tmp_path) -> Path:
    """A pod with a ServiceAccount."""
    folder: Path = tmp_path / "serviceaccount"
    folder.mkdir()
    (folder / "token").write_text("pod-token\n")
    (folder / "namespace").write_text("ops")
    monkeypatch.setattr(access, "SERVICE_ACCOUNT", folder)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    return folder


async def test_access_by_a_kubeconfig(tmp_path):
    found = await Access.find(str(kubeconfig(tmp_path / "k", token="t")))
    assert (found.rest_config().server, found.token, found.namespace) == ("https://one.test:6443", "t", "forestall")


async def test_access_by_another_context(tmp_path):
    found = await Access.find(str(kubeconfig(tmp_path / "k", token="t")), "there")
    assert (found.rest_config().server, found.namespace) == ("https://two.test:6443", "default")


async def test_kubeconfig_from_the_environment_comes_before_the_pod(tmp_path, monkeypatch, pod):
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'none'}:{kubeconfig(tmp_path / 'k', token='t')}")
    assert (await Access.find()).token == "t"


async def test_access_by_the_service_account_of_the_pod(pod):
    found = await Access.find()
    assert (found.rest_config().server, found.token, found.namespace) == ("https://10.0.0.1:443", "pod-token", "ops")
    assert found.rest_config().ca_path == str(pod / "ca.crt")


async def test_access_by_the_pod_of_an_ipv6_cluster(pod, monkeypatch):
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    assert (await Access.find()).rest_config().server == "https://[fd00::1]:443"


async def test_access_by_the_kubeconfig_in_the_home_folder(tmp_path):
    (tmp_path / "home" / ".kube").mkdir(parents=True)
    kubeconfig(tmp_path / "home" / ".kube" / "config", token="home")
    assert (await Access.find()).token == "home"


async def test_missing_kubeconfig_is_reported(tmp_path):
    with pytest.raises(InvalidInput, match=r"no kubeconfig at .*/home/.kube/config"):
        await Access.find()


@pytest.mark.parametrize("text", ["", "[1, 2]", "{", "clusters: 7", "current-context: x\nclusters: []", "just words"])
async def test_invalid_kubeconfig_is_reported(tmp_path, text):
    (tmp_path / "k").write_text(text)
    with pytest.raises(InvalidInput, match="can't be used"):
        await Access.find(str(tmp_path / "k"))


async def test_unknown_context_is_reported(tmp_path):
    with pytest.raises(InvalidInput, match="nowhere"):
        await Access.find(str(kubeconfig(tmp_path / "k", token="t")), "nowhere")


async def test_missing_token_of_a_pod_is_reported(pod):
    (pod / "token").unlink()
    with pytest.raises(InvalidInput, match="no ServiceAccount token"):
        await Access.find()


async def test_rotated_token_is_found(pod):
    found = await Access.find()
    assert not await found.renew("pod-token")
    (pod / "token").write_text("next")
    assert await found.renew("pod-token")
    assert found.token == "next"
    assert await found.renew("pod-token")  # for those who were refused with the old one meanwhile


async def test_rotated_token_file_of_a_kubeconfig_is_found(tmp_path):
    (tmp_path / "token").write_text("one")
    found = await Access.find(str(kubeconfig(tmp_path / "k", tokenFile=str(tmp_path / "token"))))
    (tmp_path / "token").write_text("two")
    assert await found.renew("one")
    assert found.token == "two"


async def test_token_file_that_is_being_rotated_is_read_again(pod):
    found = await Access.find()
    (pod / "token").unlink()
    assert not await found.renew("pod-token")
    (pod / "token").write_text("next")
    assert await found.renew("pod-token")


@pytest.mark.parametrize(("exempt", "proxy"), [("", "http://proxy.test:3128"), ("one.test", None)])
async def test_proxy_of_the_environment_is_used_except_for_exempt_hosts(tmp_path, monkeypatch, exempt, proxy):
    monkeypatch.setenv("https_proxy", "http://proxy.test:3128")
    monkeypatch.setenv("no_proxy", exempt)
    found = await Access.find(str(kubeconfig(tmp_path / "config")))
    assert found.configuration.proxy == found.rest_config().proxy_url == proxy

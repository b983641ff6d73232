"""Formats a notification for each type of channel; pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from forestall.api.meta import API_VERSION
from forestall.api.times import readable, stamp
from forestall.ports import Notice

RESOLVE_AFTER: Final = 3600.0
"""Seconds after which an alert resolves that nobody resolves earlier."""
_JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Content:
    """The body of one request."""

    body: bytes
    content_type: str = _JSON
    path: str = ""
    """The path after the channel's URL."""
    headers: Mapping[str, str] = field(default_factory=dict)


def content_of(kind: str, notice: Notice) -> Content:
    """Return the request for a channel of type `kind`."""
    match kind:
        case "Slack":
            return Content(orjson.dumps({"text": _slack(notice)}))
        case "Alertmanager":
            return Content(orjson.dumps([_alert(notice)]), path="/api/v2/alerts")
        case "CloudEvents":
            return Content(orjson.dumps(_cloud_event(notice)), "application/cloudevents+json; charset=UTF-8")
        case _:
            return Content(orjson.dumps(_data(notice)), headers={"Idempotency-Key": notice.id})


def _data(notice: Notice) -> dict[str, Any]:
    return {
        "id": notice.id,
        "topic": notice.topic,
        "time": stamp(notice.at),
        "title": notice.title,
        "message": notice.message,
        "reason": notice.reason,
        "namespace": notice.namespace,
        "objective": notice.objective,
        "policy": notice.policy,
        "remediation": notice.remediation,
        "action": notice.action,
        "target": notice.target,
        "evidence": dict(notice.evidence),
        "commands": dict(notice.commands),
        "until": None if notice.until is None else stamp(notice.until),
    }


def _slack(notice: Notice) -> str:
    """Return Slack markup, in which text from users can create no links and mention nobody."""
    lines = [f"*{_escaped(notice.title)}*", _escaped(notice.reason), _escaped(notice.message)]
    if notice.until is not None:
        lines.append(f"until {readable(stamp(notice.until))}")
    lines += [f"{name}: `{_escaped(command)}`" for name, command in notice.commands.items()]
    return "\n".join([line for line in lines if line] + [f"_{_escaped(notice.id)}_"])


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _alert(notice: Notice) -> dict[str, Any]:
    """Return an alert of the Alertmanager's API v2; the same labels are the same alert."""
    labels = {
        "alertname": f"Forestall{notice.topic}",
        "severity": "warning",
        "namespace": notice.namespace,
        "objective": notice.objective,
        "policy": notice.policy,
        "remediation": notice.remediation,
        "id": notice.id,
    }
    annotations = {
        "summary": notice.title,
        "description": notice.reason,
        "message": notice.message,
        "target": notice.target,
        **{f"command_{name}": command for name, command in notice.commands.items()},
    }
    return {
        "labels": labels,
        "annotations": {name: text for name, text in annotations.items() if text},
        "startsAt": stamp(notice.at),
        "endsAt": stamp(notice.until if notice.until is not None else notice.at + RESOLVE_AFTER),
    }


def _cloud_event(notice: Notice) -> dict[str, Any]:
    """Return an event in the JSON format of CloudEvents 1.0; `source` and `id` together are unique."""
    source = f"/apis/{API_VERSION}/namespaces/{notice.namespace}"
    return {
        "specversion": "1.0",
        "id": notice.id,
        "source": f"{source}/servicelevelobjectives/{notice.objective}",
        "type": f"dev.forestall.{notice.topic.lower()}.v1",
        "subject": f"{source}/remediations/{notice.remediation}",
        "time": stamp(notice.at),
        "datacontenttype": _JSON,
        "data": _data(notice),
    }

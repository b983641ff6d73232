"""Notifications: by Slack, webhooks, the Alertmanager and CloudEvents."""

from forestall.adapters.notifiers.channels import Channels

__all__ = ["Channels"]

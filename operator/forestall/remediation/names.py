"""The name of a Remediation: the same intent always has the same name, so that it is written down only once."""

import hashlib
import re

from forestall.api.remediation import Intent

_READABLE = 40


def name_of(intent: Intent) -> str:
    """Return the name that belongs to an intent, such as `checkout-scale-5f2c81d09ab4`.

    A readable prefix (the policy's name, shortened, and the action) and a hash of what makes an intent the same one:
    the UIDs of policy, objective and target, the rung, the action and the episode. It is a DNS-1123 label. The time is
    not part of it: an intent that is decided again is the same intent.
    """
    action = intent.action.name
    uids = (intent.policy.uid, intent.objective.uid, intent.target.uid)
    identity = (*uids, str(intent.rung), action, str(intent.episode))
    digest = hashlib.sha256("\0".join(identity).encode()).hexdigest()[:12]
    readable = re.sub(r"[^a-z0-9]+", "-", intent.policy.name.lower())[:_READABLE].strip("-") or "policy"
    return f"{readable}-{action.lower()}-{digest}"

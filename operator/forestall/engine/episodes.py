"""Episodes: stretches of time at risk. A Remediation is named after its episode, so that none is done twice."""

from forestall.api.service_level_objective import Episode
from forestall.api.times import seconds, stamp


def advance(episode: Episode, *, at_risk: bool | None, now: float, calm: float) -> Episode:
    """Return the episode after a cycle that found the objective at risk, not at risk, or (None) knew nothing.

    An episode ends when the risk has been gone for `calm` seconds; not knowing changes nothing.
    """
    is_open = bool(episode.since)
    if at_risk is None or (not at_risk and not is_open):
        return episode
    if at_risk:
        if not is_open:
            return Episode(number=episode.number + 1, since=stamp(now))
        return episode.model_copy(update={"calm_since": ""}) if episode.calm_since else episode
    if not episode.calm_since:
        return episode.model_copy(update={"calm_since": stamp(now)})
    since = seconds(episode.calm_since)
    return Episode(number=episode.number) if since is None or now - since >= calm else episode

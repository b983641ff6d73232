import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestall.api.service_level_objective import Episode
from forestall.api.times import stamp
from forestall.core.risk import ObjectiveState, Risk
from forestall.engine.episodes import MOST, advance, at_risk_since, with_decided
from forestall.engine.objective_status import Findings

CALM = 300.0


def run(words, step=30.0, episode=None):
    """Return the episode after each cycle; each argument says whether it was at risk, or None if unknown."""
    episode, result = episode or Episode(), []
    for n, at_risk in enumerate(words):
        episode = advance(episode, at_risk=at_risk, now=1000.0 + n * step, calm=CALM)
        result.append(episode)
    return result


def test_short_dip_begins_no_new_episode():
    numbers = [each.number for each in run([True, False, True, False, True])]
    assert numbers == [1, 1, 1, 1, 1]


def test_episode_ends_when_the_calm_has_lasted():
    after = run([True, *[False] * 11])
    assert after[10].since
    assert not after[11].since
    assert run([True], episode=after[11])[0].number == 2


@given(st.lists(st.sampled_from([True, False, None]), max_size=60))
def test_episode_numbers_grow_and_an_unknown_risk_changes_nothing(words):
    before = Episode()
    for word, after in zip(words, run(words), strict=True):
        assert after.number in (before.number, before.number + 1)
        assert after.number == before.number or (word is True and not before.since)
        assert word is not None or after == before
        before = after


@pytest.mark.parametrize(("later", "is_over"), [(CALM - 1, False), (CALM, True)])
def test_episode_ends_exactly_when_the_calm_period_does(later, is_over):
    calm = Episode(number=3, since=stamp(0.0), calm_since=stamp(1000.0))
    after = advance(calm, at_risk=False, now=1000.0 + later, calm=CALM)
    assert after == (Episode(number=3) if is_over else calm)


def test_returning_risk_ends_the_calm_and_continuing_risk_changes_nothing():
    calm = Episode(number=3, since=stamp(0.0), calm_since=stamp(1000.0))
    returned = advance(calm, at_risk=True, now=1100.0, calm=CALM)
    assert (returned.since, returned.calm_since) == (stamp(0.0), "")
    assert advance(returned, at_risk=True, now=1200.0, calm=CALM) is returned
    closed = Episode(number=3)
    assert advance(closed, at_risk=False, now=1200.0, calm=CALM) is closed


def test_calm_with_an_unparsable_time_has_ended():
    unreadable = Episode(number=3, since=stamp(0.0), calm_since="some day")
    assert advance(unreadable, at_risk=False, now=1200.0, calm=CALM) == Episode(number=3)


def test_episode_remembers_each_of_its_remediations_once(make_remediation):
    def named(name, **changes):
        remediation = make_remediation(**changes)
        return remediation.model_copy(update={"metadata": remediation.metadata.model_copy(update={"name": name})})

    episode = Episode(number=2, since=stamp(0.0), decided=["first"])
    found = [named("second", episode=2), named("first", episode=2), named("other", episode=1)]
    assert with_decided(episode, found, "o-1").decided == ["first", "second"]
    assert with_decided(episode, found, "o-2") is episode
    assert MOST == 100
    many = [named(f"n-{number:03}", episode=2) for number in range(MOST)]
    assert with_decided(episode, many, "o-1").decided == [f"n-{number:03}" for number in range(MOST)]


@pytest.mark.parametrize(
    ("state", "since", "calm_since", "counts"),
    [
        (ObjectiveState.AT_RISK, stamp(100.0), "", True),
        (ObjectiveState.HEALTHY, stamp(100.0), "", True),
        (ObjectiveState.UNKNOWN, stamp(100.0), "", False),
        (ObjectiveState.AT_RISK, "", "", False),
        (ObjectiveState.AT_RISK, stamp(100.0), stamp(200.0), False),
        (ObjectiveState.AT_RISK, "some day", "", False),
    ],
)
def test_time_at_risk_covers_objectives_with_data(slo, state, since, calm_since, counts):
    finding = Findings(slo, Risk(state, 0.9, None), None, episode=Episode(number=1, since=since, calm_since=calm_since))
    assert at_risk_since([finding]) == ((("shop", 100.0),) if counts else ())


def test_the_oldest_risk_comes_first(slo):
    findings = [
        Findings(slo, Risk(ObjectiveState.AT_RISK, 0.9, None), None, episode=Episode(number=1, since=stamp(since)))
        for since in (300.0, 100.0, 200.0)
    ]
    assert [since for _, since in at_risk_since(findings)] == [100.0, 200.0, 300.0]

from hypothesis import given
from hypothesis import strategies as st

from forestall.api.service_level_objective import Episode
from forestall.engine.episodes import advance

CALM = 300.0


def run(words, step=30.0, episode=None):
    """Return the episode after each cycle; each word is whether it was at risk, or None."""
    episode, result = episode or Episode(), []
    for n, at_risk in enumerate(words):
        episode = advance(episode, at_risk=at_risk, now=1000.0 + n * step, calm=CALM)
        result.append(episode)
    return result


def test_a_flicker_is_not_a_new_episode():
    numbers = [each.number for each in run([True, False, True, False, True])]
    assert numbers == [1, 1, 1, 1, 1]


def test_an_episode_ends_when_the_calm_has_lasted():
    after = run([True, *[False] * 11])
    assert after[10].since
    assert not after[11].since
    assert run([True], episode=after[11])[0].number == 2


@given(st.lists(st.sampled_from([True, False, None]), max_size=60))
def test_numbers_only_grow_and_not_knowing_changes_nothing(words):
    before = Episode()
    for word, after in zip(words, run(words), strict=True):
        assert after.number in (before.number, before.number + 1)
        assert after.number == before.number or (word is True and not before.since)
        assert word is not None or after == before
        before = after

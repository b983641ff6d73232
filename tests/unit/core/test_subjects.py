"""Series whose subject is gone: which of the names of an answer are gone, and which may be of a predecessor."""

import pytest

from forestall.core.subjects import ListedSubject, SampledSpan, missing_subjects, replaced_subjects


@pytest.mark.parametrize(
    ("names", "listed", "more", "missing"),
    [
        pytest.param({"web-1", "web-2"}, {"web-1", "web-2"}, {}, set(), id="all exist"),
        pytest.param({"web-1", "web-2"}, {"web-2", "web-3"}, {}, {"web-1"}, id="one of two is gone"),
        pytest.param({"web-1"}, {"web-9"}, {}, None, id="none is there, and nothing shows that it ever was"),
        pytest.param({"web-1"}, set(), {}, None, id="nothing is there"),
        pytest.param({"web-1"}, {"web-9"}, {"resolved": True}, {"web-1"}, id="the label named pods before"),
        pytest.param({"web-1"}, set(), {"prefix": "web-"}, {"web-1"}, id="it is called as the target's pods are"),
        pytest.param({"db-1"}, {"web-9"}, {"prefix": "web-"}, None, id="it is called otherwise"),
    ],
)
def test_what_is_missing_is_gone_where_the_label_names_what_the_list_has(names, listed, more, missing):
    assert missing_subjects(names, listed, **more) == missing


@pytest.mark.parametrize(
    ("created", "successor", "replaced"),
    [
        pytest.param(50.0, True, False, id="it was there before the oldest sample"),
        pytest.param(150.0, True, True, id="the samples before 150 are of the pod before"),
        pytest.param(150.0, False, False, id="nobody had its name"),
        pytest.param(250.0, False, True, id="it was made after the newest sample"),
        pytest.param(0.0, True, False, id="when it was made is not known"),
    ],
)
def test_a_name_that_was_given_again_has_old_samples(created, successor, replaced):
    listed = {"db-0": ListedSubject("u-2", created)}
    after = replaced_subjects({"db-0", "db-1"}, listed, {"u-2"} if successor else set(), SampledSpan(100.0, 200.0))
    assert after == ({"db-0"} if replaced else set())

"""What people are told of series whose pods or nodes are gone, or may be."""

import pytest

from forestall.engine import subject_messages

PODS, NODES = ("pod", "shop"), ("node", "")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("a", "pod a does not exist any more, and no other has series"),
        ("ba", "pods a, b do not exist any more, and no other has series"),
        ("dcba", "pods a, b, c, … do not exist any more, and no other has series"),
    ],
)
def test_missing_subjects_are_named_up_to_three(names, message):
    assert subject_messages.all_missing("pod", set(names)) == message


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("a", "node a exists, was at risk when last measured, and has no fresh sample"),
        ("ab", "nodes a, b exist, were at risk when last measured, and have no fresh sample"),
    ],
)
def test_silent_subjects_are_said_to_exist(names, message):
    assert subject_messages.silent_subjects("node", set(names)) == message


@pytest.mark.parametrize(
    ("missing", "doubtful", "messages"),
    [
        ((), (), []),
        ("a", (), ["memory: the last series of pod a, which is gone, is left out"]),
        ("ab", (), ["memory: the last series of pods a, b, which are gone, are left out"]),
        ((), "c", ["memory: high values of pod c may be of the pod that had the name before"]),
    ],
)
def test_series_that_are_not_used_are_told(missing, doubtful, messages):
    assert list(subject_messages.unused_series(PODS, "memory", set(missing), set(doubtful))) == messages


@pytest.mark.parametrize(
    ("scope", "error", "message"),
    [
        (PODS, "forbidden", "whether its pods exist is not known, as the pods of namespace shop can't be listed: forb"),
        (NODES, "forbidden", "whether its nodes exist is not known, as the nodes can't be listed: forbidden"),
        (NODES, None, "the nodes can't be listed: there was no time left for it in this cycle"),
    ],
)
def test_a_list_that_failed_is_told_with_its_error(scope, error, message):
    assert message in subject_messages.unlisted_subjects(scope, "memory", error)


def test_a_label_that_names_nothing_is_told_with_what_was_listed():
    message = subject_messages.unresolved_label(PODS, "memory")
    assert message.startswith("memory: its label pod names none of the pods of namespace shop, so that")


def test_a_name_is_shortened_to_253_characters():
    """Any name of Kubernetes fits; a label may hold anything."""
    name = "a" * 253
    assert name in subject_messages.all_missing("pod", {name})
    assert name not in subject_messages.all_missing("pod", {f"{name[1:]}bc"})
    assert subject_messages.all_missing("pod", {f"{name}b"}) == subject_messages.all_missing("pod", {f"{name}c"})

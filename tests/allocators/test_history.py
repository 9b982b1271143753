import numpy as np
import pytest

from seedbed.allocators.cold_start import History
from seedbed.constraints.evidence import estimated_dispersion


def test_rows_of_minutes_are_summed_to_rooms():
    history = History.of_rows(
        ["r", "s", "r"], [1, 2, 1], ["a/b", "a", "a/b"], exposures=[10, 5, 20], retained=[3, 1, 4]
    )
    assert history.exposures.tolist() == [30, 5]
    assert history.retained.tolist() == [7, 1]
    assert history.creators == [1, 2]
    assert {name: rooms.tolist() for name, rooms in history.rooms_below.items()} == {
        "": [0, 1],
        "a": [0, 1],
        "a/b": [0],
    }
    assert list(history.rooms_below) == ["", "a", "a/b"]


def test_the_dispersion_is_that_of_minutes_within_rooms():
    """Rooms of one row, or without comments, say nothing of it."""
    rng = np.random.Generator(np.random.PCG64(1))
    rooms = np.repeat(np.arange(50), rng.integers(1, 6, 50))
    order = rng.permutation(rooms.size)
    rooms = rooms[order]
    minutes = rng.uniform(10.0, 20.0, rooms.size)
    comments = rng.negative_binomial(minutes * 0.3, 0.4).astype(float)
    comments[rooms == 3] = 0.0
    zeros = np.zeros(rooms.size)
    history = History.of_rows(
        rooms.tolist(), zeros.tolist(), [""] * rooms.size, exposures=zeros, retained=zeros, comments=comments,
        minutes=minutes,
    )  # fmt: skip
    counts, exposures = np.zeros((5, 50)), np.zeros((5, 50))
    for room in range(50):
        own = np.flatnonzero(rooms == room)
        if own.size > 1 and room != 3:
            counts[: own.size, room], exposures[: own.size, room] = comments[own], minutes[own]
    keep = exposures.any(axis=0)
    assert history.dispersion == pytest.approx(estimated_dispersion(counts[:, keep], exposures[:, keep]))
    assert history.dispersion > 1.5
    events, exposure = history.counts("comments")
    np.testing.assert_allclose(events[0], comments[rooms == rooms[0]].sum() / history.dispersion)
    assert exposure.size == 50


def test_creators_are_numbered_by_id_and_ids_of_other_types_differ():
    history = History(["b", 1, "1", "b"], [""] * 4, np.ones(4), np.zeros(4))
    assert len(set(history.creator_index.tolist())) == 3
    assert history.creator_index[0] == history.creator_index[3]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"retained": [1.0, 3.0]}, r"retained\[1\] = 3 with exposures\[1\] = 2"),
        ({"retained": [1.0]}, r"retained is of shape \(1,\)"),
        ({"exposures": [1.0, np.nan]}, r"exposures\[1\] = nan"),
        ({"watched": [-1.0, 0.0]}, r"watched\[0\] = -1.0"),
        ({"comments": [1.0, 0.0]}, "both or neither"),
        ({"comments": [0.0, 2.0], "minutes": [3.0, 0.0]}, r"comments\[1\] = 2 with minutes\[1\] = 0"),
        ({"buckets": ["a", "a//b"]}, r"buckets\[1\] = 'a//b'"),
        ({"buckets": ["a", 3]}, r"buckets\[1\] = 3"),
        ({"dispersion": 0.5}, "dispersion = 0.5"),
    ],
)
def test_bad_histories(change, text):
    given = {"creators": [1, 2], "buckets": ["a", "b"], "exposures": [2.0, 2.0], "retained": [1.0, 1.0], **change}
    with pytest.raises(ValueError, match=text):
        History(**given)


def test_a_column_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="no column of follows"):
        History([1], ["a"], [1.0], [1.0]).counts("follows")

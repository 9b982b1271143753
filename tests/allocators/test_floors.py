"""The floor: whose guarantee comes first."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from seedbed.allocators.cold_start.handing_out import _urgent_first

ROOM = st.tuples(st.integers(0, 4), st.sampled_from([0.5, 1.0, 2.0]), st.integers(0, 2**64 - 1))


@given(st.lists(ROOM, max_size=30, unique_by=lambda room: room[2]), st.integers(0, 60))
def test_the_highest_rates_are_served_first_and_equals_by_uid(rooms, budget):
    asked = np.array([room[0] for room in rooms], np.int64)
    rates, uids = np.array([room[1] for room in rooms]), np.array([room[2] for room in rooms], np.uint64)
    wanted, left = [0] * len(rooms), budget
    for i in sorted(range(len(rooms)), key=lambda i: (-rooms[i][1], rooms[i][2])):
        wanted[i] = min(rooms[i][0], left)
        left -= wanted[i]
    assert _urgent_first(asked, rates, uids, budget).tolist() == wanted

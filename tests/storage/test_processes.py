"""A small fleet of real processes on a real server, of which one is killed: `make evidence` plays larger ones."""

import fleets


def test_each_event_of_a_fleet_counts_once():
    regret, events = fleets.play(seed=1, replicas=3, decisions=400, every=50, kills=1)
    assert events == 1_200
    assert regret > 0.0

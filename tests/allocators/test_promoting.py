"""Promotions are as often false as was asked for, with a population that was fitted to other rooms."""

import math

import promoting
import pytest


@pytest.mark.parametrize("name", ["Beta(4.76, 15.24)", "50 % at .28, 50 % at .34"])
def test_the_share_of_false_promotions_is_what_was_asked_for_and_what_was_expected(name):
    promoted, false, expected, power = promoting.play(promoting.WORLDS[name], seed=1)
    error = math.sqrt(0.1 * 0.9 / promoted)
    assert promoted > 1_000
    assert false / promoted <= 0.10 + 0.02
    assert abs(false - expected) / promoted <= 0.02 + 3.0 * error
    assert power > 0.8

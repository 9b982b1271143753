import enum

import numpy as np
import pytest
from checks import state

from seedbed.bandits import UCB1, Bandit, Beta, Decision, StaleRowsError, Thompson, UnknownArmError
from seedbed.bandits._learning import update_one
from seedbed.bandits._table import OK, STALE


@pytest.fixture
def bandit():
    return Bandit(Thompson(model=Beta(prior=(1.0, 1.0))), arms=["a", "b", "c"], seed=7)


def test_the_public_face(bandit):
    decision = bandit.select(candidates=["a", "b"], k=1)
    assert isinstance(decision, Decision)
    assert decision.arms in (["a"], ["b"])
    assert decision.decision_id == ("0", 0, 0)
    bandit.update("a", reward=1.0)
    bandit.update(["a", "b"], [1.0, 0.0])
    bandit.add_arms(["d"])
    bandit.retire_arms(["b"])
    assert bandit.arms == ["a", "c", "d"]
    assert bandit.updates == 3
    assert bandit.select(k=3).state_version == 3
    assert bandit.select(candidates=["d"], k=1, context=None, now=1.0).arms == ["d"]


def test_posterior_by_hand(bandit):
    """Prior (1, 1) and rewards 1, 1, 0 give Beta(3, 2)."""
    bandit.update(["a", "a", "a"], [1, 1, 0])
    assert bandit.mean(["a", "b"]).tolist() == [0.6, 0.5]


def test_integers_are_ids_and_differ_from_strings():
    bandit = Bandit(Thompson(), [1, "1", 7])
    bandit.update(1, 1.0)
    assert bandit.mean([1, "1"]).tolist() == [2 / 3, 0.5]
    bandit.update(np.array([7, 7]), np.array([1.0, 1.0]))
    assert bandit.mean([7]).tolist() == [0.75]
    bandit.update(np.int64(7), np.float32(1.0))
    assert bandit.mean(np.array([7])).tolist() == [0.8]
    bandit.update(np.array(["1"])[0], True)
    assert bandit.mean(["1"]).tolist() == [2 / 3]


BAD_SELECTS = [
    ({"candidates": []}, ValueError, "no candidates"),
    ({"candidates": ["a", "a"]}, ValueError, "'a' is given twice"),
    ({"candidates": ["a", "x"]}, UnknownArmError, "unknown arm 'x'"),
    ({"candidates": "abc"}, ValueError, "not one string"),
    ({"candidates": [True]}, ValueError, "not an arm id"),
    ({"candidates": [1.0]}, ValueError, "not an arm id"),
    ({"candidates": ["a", None]}, ValueError, r"candidates\[1\] = None"),
    ({"candidates": [2**63]}, ValueError, "64 bits"),
    ({"candidates": ["a", "b"], "k": 5}, ValueError, r"k must be in \[1, 2\], the candidates; got 5"),
    ({"k": 0}, ValueError, "got 0"),
    ({"k": True}, ValueError, "k = True is not an integer"),
    ({"k": 1.0}, ValueError, r"k = 1\.0 is not an integer"),
    ({"context": [1.0]}, ValueError, "takes no context"),
    ({"now": 1.0}, ValueError, "runs backwards"),
    ({"now": float("nan")}, ValueError, "not a finite time"),
    ({"now": "noon"}, ValueError, "not a number"),
]


@pytest.mark.parametrize(("request_", "error", "message"), BAD_SELECTS)
def test_a_bad_request_changes_nothing(bandit, request_, error, message):
    bandit.select(now=5.0)
    before = state(bandit)
    with pytest.raises(error, match=message):
        bandit.select(**request_)
    assert state(bandit) == before


BAD_UPDATES = [
    (("x", 1.0), {}, UnknownArmError, "unknown arm 'x': not among the 3 arms"),
    (("a", 3.0), {}, ValueError, r"reward = 3.0 of arm 'a' is not in \[0, 1\]"),
    (("a", -0.1), {}, ValueError, r"not in \[0, 1\]"),
    (("a", float("nan")), {}, ValueError, "reward = nan"),
    (("a", 10**400), {}, ValueError, "too large"),
    (("a", 2), {}, ValueError, "reward = 2.0 of arm 'a'"),
    (("a", "1"), {}, ValueError, "not a number"),
    (("a", None), {}, ValueError, "not a number"),
    (("a", [1.0]), {}, ValueError, "not a number"),
    (("a", 1.0), {"weight": -1.0}, ValueError, "weight = -1.0"),
    (("a", 1.0), {"weight": float("inf")}, ValueError, "weight = inf"),
    (("a", 1.0), {"weight": 1e300}, ValueError, "weight = 1e"),
    (("a", 1.0), {"at": 11.0}, ValueError, "more than 5 s after"),
    (("a", 1.0), {"at": float("inf")}, ValueError, "not a finite time"),
    (("a", 1.0), {"context": [1.0]}, ValueError, "takes no context"),
    ((1.5, 1.0), {}, ValueError, "not an arm id"),
    ((True, 1.0), {}, ValueError, "not an arm id"),
    ((None, 1.0), {}, ValueError, "not an arm id"),
    ((b"a", 1.0), {}, ValueError, "not an arm id"),
    ((["a", "b"], [1.0, 3.0]), {}, ValueError, r"rewards\[1\] = 3.0 of arm 'b' is not in \[0, 1\]"),
    ((["a", "b"], [1.0]), {}, ValueError, r"shape \(2,\); got shape \(1,\)"),
    ((["a", "b"], 1.0), {}, ValueError, r"shape \(2,\)"),
    ((["a", "b"], ["1", "0"]), {}, ValueError, "must be numbers"),
    ((["a", "b"], [1.0, None]), {}, ValueError, "must be numbers"),
    ((["a", "x"], [1.0, 1.0]), {}, UnknownArmError, "unknown arm 'x'"),
    ((["a", 1.0], [1.0, 1.0]), {}, ValueError, "not an arm id"),
    (({"a", "b"}, [1.0, 1.0]), {}, ValueError, "must be ordered"),
    ((["a"], 1.0), {}, ValueError, "pass its arm, not a list"),
    ((["a", "b"], [1.0, 1.0]), {"weight": [1.0, -2.0]}, ValueError, r"weights\[1\] = -2.0 of arm 'b'"),
    ((["a", "b"], [1.0, 1.0]), {"weight": -2.0}, ValueError, "weight = -2.0"),
    (([], []), {"weight": -1.0}, ValueError, "weight = -1.0"),
    ((["a", "b"], [1.0, 1.0]), {"at": [1.0]}, ValueError, r"shape \(2,\)"),
    ((["a", "b"], [1.0, 1.0]), {"at": [1.0, 99.0]}, ValueError, "at = 99.0"),
]


@pytest.mark.parametrize(("event", "extra", "error", "message"), BAD_UPDATES)
def test_a_bad_event_changes_nothing(bandit, event, extra, error, message):
    bandit.select(now=5.0)
    before = state(bandit)
    with pytest.raises(error, match=message):
        bandit.update(*event, **extra)
    assert state(bandit) == before


def test_events_may_be_late_and_a_little_early(bandit):
    bandit.select(now=100.0)
    bandit.update("a", 1.0, at=3.0)
    bandit.update(["a", "b"], [1.0, 0.0], at=[104.9, 0.0])
    assert bandit.updates == 3


def test_an_empty_batch_is_no_event(bandit):
    bandit.update([], [])
    bandit.update_rows(bandit.rows([]), [])
    assert bandit.updates == 0


def test_unknown_arms_are_key_errors(bandit):
    with pytest.raises(KeyError) as caught:
        bandit.update("x", 1.0)
    assert str(caught.value).startswith("unknown arm 'x'")


def test_an_id_never_means_another_arm(bandit):
    row = bandit.rows(["b"])
    bandit.update("b", 1.0)
    bandit.retire_arms(["b"])
    bandit.add_arms(["new"])  # takes the column of b
    assert bandit.rows(["new"])[0] & 0xFFFFFFFF == row[0]
    assert bandit.mean(["new"]).tolist() == [0.5]
    for call in (lambda: bandit.select_rows(row), lambda: bandit.update_rows(row, [1.0])):
        with pytest.raises(StaleRowsError, match=r"rows\[0\]"):
            call()
    with pytest.raises(UnknownArmError, match="was retired"):
        bandit.update("b", 1.0)
    with pytest.raises(ValueError, match="never means another arm"):
        bandit.add_arms(["e", "b"])
    assert bandit.arms == ["a", "c", "new"]


@pytest.mark.parametrize(
    ("ids", "message"), [(["a"], "already"), (["n", "n"], "given twice"), (["n", 1.5], "not an arm id")]
)
def test_arms_are_added_all_or_none(bandit, ids, message):
    before = state(bandit)
    with pytest.raises(ValueError, match=message):
        bandit.add_arms(["fresh", *ids])
    assert state(bandit) == before


def test_arms_are_retired_all_or_none(bandit):
    before = state(bandit)
    with pytest.raises(UnknownArmError, match="'x'"):
        bandit.retire_arms(["a", "x"])
    with pytest.raises(ValueError, match="given twice"):
        bandit.retire_arms(["a", "a"])
    assert state(bandit) == before


def test_growth_keeps_everything(bandit):
    bandit.update(["a", "b"], [1.0, 0.0])
    for start in range(0, 5_000, 500):
        bandit.add_arms(range(start, start + 500))
    bandit.update(4_999, 1.0)
    assert bandit.mean(["a", "b", "c", 4_999]).tolist() == [2 / 3, 1 / 3, 0.5, 2 / 3]
    assert len(bandit) == 5_003


def test_tombstones_are_bounded_and_reported(bandit, monkeypatch):
    monkeypatch.setattr(type(bandit._arms), "max_tombstones", 2)
    bandit.retire_arms(["a", "b", "c"])
    assert bandit._arms.tombstones_dropped == 1


def test_a_bandit_without_arms():
    bandit = Bandit(UCB1())
    with pytest.raises(ValueError, match="add arms"):
        bandit.select()


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, True, "7"])
def test_bad_seeds(seed):
    with pytest.raises(ValueError, match="seed"):
        Bandit(Thompson(), seed=seed)


def test_bad_policy_and_replica():
    with pytest.raises(ValueError, match="not a policy"):
        Bandit("thompson")
    with pytest.raises(ValueError, match="not a string"):
        Bandit(Thompson(), replica=1)


@pytest.mark.parametrize("rows", [[0.0], [[0]], np.array([0], np.int32), ["a"]])
def test_rows_of_another_kind_are_refused(bandit, rows):
    with pytest.raises(ValueError, match="int64"):
        bandit.select_rows(rows)


def test_rows_out_of_range_are_refused(bandit):
    for row in (-1, 3, 999, 1 << 40, -(2**62)):
        with pytest.raises(StaleRowsError):
            bandit.update_rows(np.array([row]), [1.0])
    with pytest.raises(ValueError, match="distinct"):
        bandit.select_rows(bandit.rows(["a", "a"]))


def test_strided_rows_are_as_good(bandit):
    rows = bandit.rows(["a", "b", "c", "a"])[::2]
    bandit.update_rows(rows, np.ones(8)[::4])
    assert bandit.mean().tolist() == [2 / 3, 0.5, 2 / 3]


def test_read_only_arrays_and_numpy_integers_are_as_good(bandit):
    rewards, rows = np.array([1.0, 0.0]), bandit.rows(["a", "b"])
    rewards.flags.writeable = rows.flags.writeable = False
    bandit.update(["a", "b"], rewards)
    bandit.update_rows(rows, rewards)
    assert len(bandit.select_rows(rows, k=np.int64(2)).arms) == 2
    assert bandit.mean(["a", "b"]).tolist() == [0.75, 0.25]


def test_members_of_a_string_enum_are_their_values():
    class Arm(str, enum.Enum):  # noqa: UP042  (the older kind, whose str() names the member)
        A = "a"

    bandit = Bandit(Thompson(), [Arm.A])
    bandit.update("a", 1.0)
    assert bandit.arms == ["a"]


def test_invalid_unicode_names_no_arm(bandit):
    with pytest.raises(UnknownArmError):
        bandit.update("\ud800", 1.0)
    with pytest.raises(ValueError, match="not valid Unicode"):
        bandit.add_arms(["\ud800"])


@pytest.mark.parametrize("prior", [(5e-324, 1.0), (1.0, 1e200), (1e-7, 1.0)])
def test_priors_beyond_float64_are_refused(prior):
    with pytest.raises(ValueError, match="validation error"):
        Beta(prior=prior)


def test_a_retirement_between_look_up_and_ranking_is_seen(monkeypatch):
    """The candidates shrink below k while they are being ranked: an error, never garbage."""
    bandit = Bandit(Thompson(), ["a", "b", "c"])
    honest = bandit._best

    def retire_first(*arguments):
        if "c" in bandit.arms:
            bandit.retire_arms(["c"])
        return honest(*arguments)

    monkeypatch.setattr(bandit, "_best", retire_first)
    with pytest.raises(ValueError, match=r"k must be in \[1, 2\]"):
        bandit.select(k=3)
    assert sorted(bandit.select(k=2).arms) == ["a", "b"]


def test_replicas_explore_apart():
    one, other = (Bandit(Thompson(), range(50), seed=1, replica=name) for name in ("a", "b"))
    assert [one.select().arms for _ in range(20)] != [other.select().arms for _ in range(20)]


def test_a_writer_that_still_holds_the_old_table_is_turned_away(bandit):
    """Growth marks every column of the old table as moved, so that nothing is written where nobody reads."""
    old, handle = bandit._table, int(bandit.rows(["a"])[0])
    assert update_one(old, handle, 1.0, 1.0) == OK
    bandit.add_arms(range(1_000))
    assert bandit._table is not old
    handles = np.array([handle])
    assert update_one(old, handle, 1.0, 1.0) == STALE
    assert (
        bandit.policy.best(old, handles, bandit._uids, 0, -1.0, np.nan, 0.0, 0.0, np.zeros(1, int), np.zeros(1))
        == STALE
    )
    assert bandit.updates == 1

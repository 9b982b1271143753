"""Logged and verify: what is decided through a log is decided again from it, and what differs is named."""

import subprocess
import sys
from dataclasses import fields as fields_of_record
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import verifying
from checks import run_together

from seedbed.allocators import ColdStartAllocator, ColdStartConfig
from seedbed.bandits import Bandit, Beta, CheckpointError, Thompson, UnknownArmError
from seedbed.cli.main import main
from seedbed.constraints import Budget, Constrained, Eligibility
from seedbed.storage import (
    DecisionLog,
    DecisionReader,
    Journal,
    JournalError,
    Logged,
    LoggedCall,
    LoggedDecision,
    StoreUnavailableError,
    recover,
    verify,
)
from seedbed.storage._entries import CALL, CHECKPOINT, DECISION_FIELDS
from seedbed.storage._packing import pack, unpack


@pytest.fixture
def path(tmp_path):
    return tmp_path / "log"


def bandit(**options):
    return Bandit(Thompson(), ["a", "b", "c", "d"], seed=3, **options)


def write(path, calls=30, **options):
    """A log of a plain bandit."""
    with DecisionLog(path, **options) as log:
        ranker = Logged(bandit(), log)
        for i in range(calls):
            decision = ranker.select(["a", "b", "d"], 2, now=float(i), propensities=True)
            ranker.update(decision.arms[0], float(i % 2), decision=decision)
        ranker.expire(float(calls))
    return ranker


def altered(path, change):
    """Write the log again with its entries changed."""
    entries = list(DecisionReader(path).entries())
    change(entries)
    other = path.with_name("altered")
    with Journal(other) as journal:
        for entry in entries:
            journal.append(pack(entry))
    return other


def test_its_face_is_the_rankers(path):
    """Reading is not logged; what is offered may be any iterable; a refused call is logged as refused."""
    with DecisionLog(path) as log:
        ranker = Logged(bandit(replica="eu"), log, policy="v7")
        assert repr(ranker).startswith("Logged(Bandit(")
        assert (len(ranker), ranker.arms, ranker.replica) == (4, ["a", "b", "c", "d"], "eu")
        with pytest.raises(UnknownArmError, match="'x'"):
            ranker.select(["a", "x"])
        with pytest.raises(ValueError, match="reward"):
            ranker.update("a", 2.0)
        with pytest.raises(ValueError, match="neither a Decision nor its id"):
            ranker.update("a", 1.0, decision="x")
        with pytest.raises(TypeError):
            ranker.select(where="here")
        with pytest.raises(AttributeError, match="rank"):
            ranker.rank()
        with pytest.raises(TypeError, match="decision"):
            ranker.expire(5.0, decision=("eu", 0, 0))
        before = log._journal.position
        ranker.mean(), ranker.propensities(), ranker.scores()
        assert log._journal.position == before
        ranker.select(iter(["a", "b"]))
        ranker.update(np.array(["a", "b"]), np.array([1.0, 0.0]))
        ranker.select_rows(ranker.rows(["a", "c", "d"]))
        ranker.select_many([["a", "b"], ["c"]])
    first, by_rows, *many = DecisionReader(path).decisions()
    assert (first.policy, first.n_candidates, first.candidates) == ("v7", 2, ("a", "b"))
    assert (by_rows.n_candidates, by_rows.candidates_hash) == (3, None)
    assert [each.candidates for each in many] == [("a", "b"), ("c",)]
    assert many[0].candidates_hash == first.candidates_hash
    refused = [each.error for each in DecisionReader(path) if isinstance(each, LoggedCall) and each.error]
    assert refused == ["UnknownArmError", "ValueError", "TypeError", "TypeError"]
    found = verify(path)
    assert (found.decisions, found.plans, found.calls, found.difference) == (4, 0, 8, None)
    assert recover(path).updates == 2


def test_what_decisions_earned_is_in_the_columns(path):
    """One decision for all events of a batch, or one an event; a bandit is not told of them, and need not be."""
    with DecisionLog(path) as log:
        ranker = Logged(bandit(), log)
        one, other = ranker.select(k=2), ranker.select(k=1)
        ranker.update(one.arms, [1.0, 0.5], decision=one)
        ranker.update([one.arms[0], other.arms[0]], [0.25, 1.0], decision=[one, other.decision_id])
        ranker.update("a", 1.0)
        ranker.correct(one.arms[1], 0.5, decision=one)
        absent = next(arm for arm in ranker.arms if arm not in one.arms)
        for arms, rewards, decisions, message in (
            ([absent], [1.0], one, f"arm '{absent}' is not among the arms of its decision"),
            ([one.arms[0], absent], [1.0, 1.0], [one, one], f"arm '{absent}' is not among"),
            (one.arms, [1.0, 1.0], [one, one, one], "decision has 3 entries for 2 events"),
            (one.arms[0], 1.0, [one, one], "decision has 2 entries for 1 events"),
        ):
            with pytest.raises(ValueError, match=message):
                ranker.update(arms, rewards, decision=decisions)
    columns = DecisionReader(path).columns()
    assert columns["reward"].tolist() == [1.25, 0.0, 1.0]
    assert columns["rewards"].tolist() == [2, 2, 1]
    assert columns["n_candidates"].tolist() == [4, 4, 4]
    assert verify(path).difference is None


def test_a_bandit_under_constraints_is_told_its_decision(path):
    """So that its budget is settled; refunds are logged with theirs."""
    with DecisionLog(path) as log:
        constrained = Constrained(bandit(), [Eligibility(), Budget("exposures", limit=30, window=60.0)])
        ranker = Logged(constrained, log)
        for i in range(20):
            decision = ranker.select(k=2, now=float(i), viewer={"id": "v"})
            if i % 3:
                ranker.update(decision.arms, [1.0, 0.0][: len(decision.arms)], decision=decision)
            else:
                assert sum(ranker.refund(decision, arms=decision.arms[:1]).values()) == len(decision.arms[:1])
        with pytest.raises(ValueError, match="settles one decision an update"):
            ranker.update(["a", "b"], [1.0, 0.0], decision=[decision, decision])
        ranker.describe(["a"], language="de")
        ranker.block(["b"])
    found = verify(path, load=Constrained.from_bytes)
    assert (found.decisions, found.calls, found.difference) == (20, 42, None)
    calls = [each for each in DecisionReader(path) if isinstance(each, LoggedCall)]
    assert [each.method for each in calls[:3]] == ["select", "refund", "select"]
    assert calls[1].decisions == [("0", 0, 0)]
    assert isinstance(calls[1].answer, dict)
    for read in (verify, recover):
        with pytest.raises(
            CheckpointError, match=r"'constrained', .*; pass load=..., such as load=Constrained.from_bytes"
        ):
            read(path)


def test_a_ranker_that_asks_for_the_decision_gets_its_id(path):
    class Asking(Bandit):
        told = ()

        def update(self, arm, reward, *, decision=None):
            self.told = (*self.told, decision)

    with DecisionLog(path) as log:
        ranker = Logged(Asking(Thompson(), ["a", "b"]), log)
        decision = ranker.select()
        ranker.update(decision.arms[0], 1.0, decision=decision)
        ranker.update("a", 1.0, decision=list(decision.decision_id))
        ranker.update("a", 1.0)
    assert ranker.told == (decision.decision_id, decision.decision_id, None)


def test_plans_of_an_allocator(path):
    """Each row of a plan, with names; rules cannot be written as arguments: the state that comes of them is."""
    with DecisionLog(path, segment_bytes=10_000) as log:
        ranker = Logged(ColdStartAllocator(ColdStartConfig.live(), seed=3), log)
        ranker.open([f"room-{i}" for i in range(30)], now=0.0)
        plans = []
        for minute in range(10):
            plan = ranker.tick(now=60.0 * minute, exposures=200)
            plans.append(plan)
            shown = {room: plan[room].exposures for room in plan if plan[room].exposures}
            retained = [count // 3 for count in shown.values()]
            ranker.observe(list(shown), at=60.0 * minute, exposures=list(shown.values()), retained=retained)
            ranker.close(f"room-{minute}", now=60.0 * minute)
        rules = ranker.rules.model_copy(update={"version": "v2"})
        ranker.use_rules(rules)
        plans.append(ranker.tick(now=600.0, exposures=200))
    reader = DecisionReader(path)
    columns = reader.plans()
    assert columns["room"].tolist() == [room for plan in plans for room in plan]
    for name in ("stage", "exposures", "traffic_multiplier", "seed_quota"):
        assert columns[name].tolist() == [getattr(plan[room], name) for plan in plans for room in plan]
    assert columns["reasons"].tolist() == ["|".join(plan[room].reason_codes) for plan in plans for room in plan]
    codes = [set(plan[room].reason_codes) for plan in plans for room in plan]
    assert columns["forced"].tolist() == [bool(each & {"FLOOR", "PINNED"}) for each in codes]
    assert columns["at"].tolist() == [plan.now for plan in plans for _ in plan]
    assert columns["rules"].tolist()[-1] == "v2"
    found = verify(path, load=ColdStartAllocator.from_bytes)
    assert (found.plans, found.calls, found.difference) == (11, 32, None)
    begun = [entry[1] for entry in reader.entries() if entry[0] == CHECKPOINT]
    assert begun[0]
    assert begun.count(True) == 2
    assert begun.count(False) == len(log._journal.segments) - 1 >= 1


@pytest.mark.parametrize("name", [name for name in DECISION_FIELDS if name not in ("policy", "rules")])
def test_each_field_that_differs_is_named(path, name):
    """A log that was tampered with: other numbers, one bit of a score."""
    write(path, 5)
    place = DECISION_FIELDS.index(name)

    def change(entries):
        decided = [entry for entry in entries if entry[0] == CALL and entry[1] == "select"][3][5][0]
        old = decided[place]
        if name == "scores":
            decided[place] = [float(np.nextafter(old[0], 2.0)), *old[1:]]
        else:
            decided[place] = ["x"] if isinstance(old, list) else {"x": 1} if isinstance(old, dict) else "x"

    found = verify(altered(path, change))
    assert (found.difference.field, found.difference.method, found.difference.call) == (name, "select", 7)
    assert found.decisions == 3
    assert "call 7 (select): " + name in str(found.difference)


def test_other_differences_are_named(path):
    write(path, 5)

    def the_calls(entries, method):
        return [entry for entry in entries if entry[0] == CALL and entry[1] == method]

    def answer(entries):
        the_calls(entries, "expire")[0][6] = 17

    def fewer(entries):
        the_calls(entries, "select")[2][5] = []

    def lost(entries):
        entries.remove(the_calls(entries, "update")[1])

    def refused(entries):
        the_calls(entries, "update")[2][2][0] = "x"

    def no_method(entries):
        the_calls(entries, "update")[2][1] = "__init_subclass__"

    def said_to_be_refused(entries):
        the_calls(entries, "update")[2].append("ValueError")

    found = {change.__name__: verify(altered_once(path, change)).difference for change in (answer, fewer, lost)}
    assert [(name, each.field, each.call) for name, each in found.items()] == [
        ("answer", "answer", 11),
        ("fewer", "number of decisions", 5),
        ("lost", "state_version", 4),
    ]
    difference = verify(altered_once(path, refused)).difference
    assert (difference.field, difference.method) == ("error", "update")
    assert isinstance(difference.decided, UnknownArmError)
    difference = verify(altered_once(path, said_to_be_refused)).difference
    assert (difference.field, difference.logged, difference.decided) == ("error", "ValueError", None)
    with pytest.raises(JournalError, match="__init_subclass__"):
        verify(altered_once(path, no_method))


def altered_once(path, change):
    other = altered(path, change)
    return other.rename(other.with_name(change.__name__))


def test_a_state_that_differs_is_named_at_the_next_segment(path):
    write(path, 60, segment_bytes=2_000)

    def change(entries):
        places = [i for i, entry in enumerate(entries) if entry[0] == CHECKPOINT]
        entries[places[2]][2] = bandit().to_bytes()

    found = verify(altered(path, change))
    assert found.difference.field == "state"
    assert found.checkpoints == 2


def test_a_state_larger_than_a_segment_does_not_fill_it(path):
    """What a segment begins with does not count: else each call would begin another."""
    with DecisionLog(path, segment_bytes=2_000) as log:
        ranker = Logged(Bandit(Thompson(), [f"arm-{i}" for i in range(500)]), log)
        for _ in range(20):
            ranker.select()
        assert log._journal.position[1] > 10_000
        assert 1 < len(log._journal.segments) < 6
    assert verify(path).difference is None


def test_another_build_is_said(path):
    write(path, 3)

    def change(entries):
        entries[0][2]["numpy"] = "1.0"
        next(entry for entry in entries if entry[0] == CALL)[5][0][2] = 5

    difference = verify(altered(path, change)).difference
    assert str(difference).endswith("; it was written with numpy 1.0")
    assert difference.build == {"numpy": "1.0"}


def test_older_segments_may_go(path):
    """Each begins with the state; a gap is refused."""
    write(path, 60, segment_bytes=2_000)
    with DecisionLog(path) as log:
        segments = log._journal.segments
        log._journal.drop(before=segments[2])
    assert verify(path).difference is None
    assert 0 < verify(path).decisions < 60
    (path / f"{segments[3]}.journal").unlink()
    with pytest.raises(JournalError, match=f"segment {segments[3]} .* is missing"):
        verify(path)


def test_a_crash_tears_the_tail_and_a_later_life_goes_on(path):
    """The log of a ranker that was made again begins with its state; that of the dead one is verified up to its end."""
    write(path, 10)
    content = (path / "1.journal").read_bytes()
    (path / "1.journal").write_bytes(content[:-170])  # the closing head, and a part of the last call
    torn = verify(path)
    assert (torn.decisions, torn.calls, torn.torn > 0) == (10, 19, True)
    with DecisionLog(path) as log:
        ranker = Logged(bandit(replica="again"), log)
        for _ in range(5):
            ranker.select()
    found = verify(path)
    assert (found.decisions, found.calls, found.checkpoints, found.difference) == (15, 24, 2, None)


def test_a_checkpoint_of_ones_own(path):
    write(path, 10)
    with pytest.raises(JournalError, match="has no checkpoint to decide again from"):
        verify(altered(path, lambda entries: entries.pop(1)))
    found = verify(path.with_name("altered"), checkpoint=bandit().to_bytes())
    assert (found.decisions, found.difference) == (10, None)
    assert verify(path, checkpoint=bandit().to_bytes()).difference is None
    assert verify(path, checkpoint=bandit(replica="other").to_bytes()).difference.field == "decision_id"


def test_decisions_that_were_only_appended_stand_apart(path):
    with DecisionLog(path) as log:
        ranker = Logged(bandit(), log)
        decision = ranker.select()
        log.append(bandit().select())
        log.reward(decision, decision.arms[0], 1.0)
    found = verify(path)
    assert (found.decisions, found.apart, found.difference) == (1, 2, None)


def test_threads_write_one_order(path):
    """Four threads decide and learn, one adds and retires arms: whatever came first stands first."""
    with DecisionLog(path, segment_bytes=20_000) as log:
        ranker = Logged(bandit(), log)

        def serve():
            for _ in range(100):
                decision = ranker.select(["a", "b"], propensities=True)
                ranker.update(decision.arms[0], 1.0, decision=decision)

        def change():
            for i in range(50):
                ranker.add_arms([i])
                ranker.select()
                ranker.retire_arms([i])

        run_together(serve, serve, serve, serve, change)
    found = verify(path)
    assert (found.decisions, found.calls, found.difference) == (450, 950, None)


def test_threads_may_read_a_clock_each(path):
    """One that is a little behind counts as the latest, and is logged so; far behind is refused as ever."""
    with DecisionLog(path) as log:
        ranker = Logged(bandit(), log)
        for now in (100.0, 97.0, 101.0, 96.0):
            with pytest.raises(ValueError, match="finite"):
                ranker.select(now=1e300)  # what was refused is not the latest
            ranker.select(now=now)
        with pytest.raises(ValueError, match="runs backwards"):
            ranker.select(now=95.0)
    assert [each.at for each in DecisionReader(path).decisions()] == [100.0, 100.0, 101.0, 101.0]
    assert verify(path).difference is None


def test_a_ranker_that_forgot_to_recover_is_refused(path):
    """Its decisions would bear the ids of others."""
    write(path, 5)
    with DecisionLog(path) as log:
        with pytest.raises(ValueError, match=r"holds decisions of replica '0', epoch 0 up to 4, .* `recover`"):
            Logged(bandit(), log)
        Logged(recover(path), log).select()
    with DecisionLog(path) as log:
        Logged(bandit(replica="other"), log)


def test_what_is_closed_is_damaged_and_not_torn(path):
    """The last frame vouches for all before it, whatever `fsync`."""
    write(path, 5)
    content = bytearray((path / "1.journal").read_bytes())
    content[len(content) // 2] ^= 1
    (path / "1.journal").write_bytes(content)
    for read in (verify, recover, DecisionLog):
        with pytest.raises(JournalError, match="is damaged at byte"):
            read(path)
    assert (path / "1.journal").read_bytes() == content


def test_a_log_is_of_one_ranker(path):
    with DecisionLog(path) as log:
        Logged(bandit(), log)
        with pytest.raises(ValueError, match="is the log of another ranker"):
            Logged(bandit(), log)
        with pytest.raises(ValueError, match="has no to_bytes"):
            Logged(object(), log)
        with pytest.raises(ValueError, match=r"pass DecisionLog\(path\)"):
            Logged(bandit(), str(path))


def test_a_failing_disk(path, monkeypatch):
    """Strict: the call fails, though its effect stands. Else the service goes on, warned once, and counts."""
    with DecisionLog(path) as log, DecisionLog(path.with_name("other")) as other:
        strict, lenient = Logged(bandit(), log), Logged(bandit(), other, strict=False)
        strict.select(), lenient.select()

        def full(*_):
            raise OSError("no space left")

        monkeypatch.setattr("seedbed.storage.journal.frame", full)
        with pytest.raises(StoreUnavailableError, match="no space left"):
            strict.select()
        with pytest.warns(RuntimeWarning, match="decisions are no longer logged: cannot write .* no space left"):
            decision = lenient.select()
        monkeypatch.undo()
        lenient.update(decision.arms[0], 1.0)
        assert (lenient.lost, lenient.updates) == (2, 1)
        with pytest.raises(JournalError, match="takes nothing any more"):
            strict.select()
    assert verify(path.with_name("other")).decisions == 1


def test_an_interruption_ends_the_log(path, monkeypatch):
    """The ranker may be ahead of its log: nothing more is written that could not be decided again."""
    with DecisionLog(path) as log:
        ranker = Logged(bandit(), log)
        ranker.select()

        def interrupted(self):
            raise KeyboardInterrupt

        monkeypatch.setattr(Bandit, "select", interrupted)
        with pytest.raises(KeyboardInterrupt):
            ranker.select()
        monkeypatch.undo()
        with pytest.raises(JournalError, match="takes nothing any more"):
            ranker.select()
    assert verify(path).difference is None


def test_times_and_decay(path):
    with DecisionLog(path) as log:
        ranker = Logged(Bandit(Thompson(model=Beta(half_life=60.0)), ["a", "b"], seed=5), log)
        for i in range(50):
            decision = ranker.select(now=10.0 * i, pending=True)
            ranker.update(decision.arms[0], 1.0, at=max(10.0 * i - 25.0, 0.0))
    assert verify(path).difference is None
    assert [each.at for each in DecisionReader(path).decisions()] == [10.0 * i for i in range(50)]


def test_a_long_run_is_decided_again_in_another_process(tmp_path):
    """Arms come and go, rates drift, constraints bind; `make evidence` plays 100,000 decisions."""
    happened = verifying.play(tmp_path / "log", 900, segment_bytes=100_000, compress=True)
    assert min(happened.values()) > 5
    found = verifying.again(tmp_path / "log")
    assert "decisions=900," in found
    assert "difference=None" in found
    assert int(found.split("checkpoints=")[1].split(",")[0]) > 2


def test_a_ranker_is_recovered_from_its_log(path):
    """As it stood, but for an epoch of its own; a call that was torn was never acknowledged."""
    with DecisionLog(path, segment_bytes=2_000) as log:
        ranker = Logged(bandit(), log)
        for i in range(30):
            ranker.update(ranker.select(now=float(i)).arms[0], 1.0)
        expected = Bandit.from_bytes(ranker.to_bytes())
        assert len(log._journal.segments) > 2
    recovered = recover(path)
    assert (recovered.epoch, recovered.updates) == (1, 30)
    expected.reopen()
    assert recovered.to_bytes() == expected.to_bytes()
    with DecisionLog(path) as log:
        again = Logged(recovered, log)
        again.select()
    assert verify(path).difference is None
    last = max(path.glob("*.journal"), key=lambda file: int(file.stem))
    content = last.read_bytes()
    for cut in range(1, len(content), 97):
        last.write_bytes(content[:-cut])
        whole = sum(each.method == "update" for each in DecisionReader(path) if isinstance(each, LoggedCall))
        assert recover(path).updates == whole


def test_rankers_of_other_kinds_are_recovered(path):
    with DecisionLog(path) as log:
        ranker = Logged(Constrained(bandit(), [Budget("exposures", limit=5, window=60.0)]), log)
        for _ in range(3):
            ranker.select(k=1, now=1.0)
    recovered = recover(path, load=Constrained.from_bytes)
    assert sum(bool(recovered.select(now=1.0).arms) for _ in range(5)) == 2
    other = path.with_name("other")
    with DecisionLog(other) as log:
        ranker = Logged(ColdStartAllocator(ColdStartConfig.live(), seed=3), log)
        ranker.open("room", now=0.0)
        ranker.tick(now=0.0, exposures=100)
        spent = ranker.budget_spent
    recovered = recover(other, load=ColdStartAllocator.from_bytes)
    assert (recovered.budget_spent, recovered.now) == (spent, 0.0)
    assert recovered.tick(now=60.0, exposures=100)["room"].stage == "SEED"


def test_what_cannot_be_recovered(path):
    with DecisionLog(path):
        pass
    with pytest.raises(JournalError, match="has no checkpoint to recover from"):
        recover(path)
    write(path.with_name("log"), 3)

    def refused(entries):
        next(entry for entry in entries if entry[0] == CALL and entry[1] == "update")[2][0] = "x"

    def no_method(entries):
        next(entry for entry in entries if entry[0] == CALL)[1] = "to_bytes"

    for change, message in ((refused, "cannot be done again: .*'x'"), (no_method, "'to_bytes', which is nothing")):
        with pytest.raises(JournalError, match=message):
            recover(altered_once(path, change))


def test_the_command(path, capsys):
    write(path, 20)
    assert main(["verify", str(path)]) == 0
    assert "all agree, bit by bit: 20 decisions, 0 plans, 41 calls, 1 checkpoints" in capsys.readouterr().out
    state = path.with_name("state")
    state.write_bytes(bandit().to_bytes())
    assert main(["verify", str(path), "--checkpoint", str(state)]) == 0
    state.write_bytes(bandit(replica="eu").to_bytes())
    capsys.readouterr()
    assert main(["verify", str(path), "--checkpoint", str(state)]) == 1
    said = capsys.readouterr().out
    assert "DIFFERENT: call 1 (select): decision_id of decision ('0', 0, 0) was logged as ['0', 0, 0]" in said
    assert "up to there all agreed: 0 decisions" in said


def test_the_command_with_what_is_no_log(path, tmp_path, capsys):
    state = tmp_path / "state"
    state.write_bytes(b"none")
    write(path, 2)
    for arguments in ([str(tmp_path)], [str(path), "--checkpoint", str(state)], [str(path), "--checkpoint", "missing"]):
        assert main(["verify", *arguments]) == 1
        assert capsys.readouterr().err.startswith("seedbed: ")


def test_the_command_loads_what_it_finds(path, tmp_path):
    """In a process of its own."""
    with DecisionLog(path) as log:
        ranker = Logged(Constrained(bandit(), [Eligibility()]), log)
        ranker.select(now=1.0)
    code = "import sys; from seedbed.cli.main import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run([sys.executable, "-c", code, "verify", str(path)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 decisions" in done.stdout


def test_the_format_is_documented():
    """Every field of a decision, by its place."""
    page = (Path(__file__).parents[2] / "docs" / "decision-log-format.md").read_text()
    for place, name in enumerate(each.name for each in fields_of_record(LoggedDecision)):
        assert f"| {place} | `{name}` |" in page


def test_entries_can_be_read_without_us(path):
    """As the page says: frames of msgpack lists."""
    import struct
    from zlib import crc32

    import msgpack

    write(path, 3)
    content, kinds, place = (path / "1.journal").read_bytes(), [], 36
    assert int.from_bytes(content[32:36], "little") == crc32(content[:32])
    while place < len(content):
        marker, checksum, length, on_disk = struct.unpack_from("<4sIIQ", content, place)
        entry = content[place + 20 : place + 20 + length]
        assert marker == b"\xc1SBF"
        assert checksum == crc32(entry, crc32(struct.pack("<IQQ", length, on_disk, place), crc32(content[:32])))
        kinds.append(msgpack.unpackb(entry, strict_map_key=False)[0])
        place += 20 + length
    assert kinds == [0, 1, *[2] * 7, 0]
    assert unpack(pack([1])) == [1]


def test_what_cannot_be_packed_is_decided_and_logged_all_the_same(path):
    """A viewer's date of birth is no plain value; what is offered may be an iterator even so."""
    with DecisionLog(path) as log:
        ranker = Logged(Constrained(bandit(), [Eligibility()]), log)
        first = ranker.select(iter(["a", "b"]), now=1.0, viewer={"id": 1, "born": date(2000, 1, 1)})
        ranker.update(first.arms[0], 1.0, decision=first)
        second = ranker.select(now=2.0)
    reader = DecisionReader(path)
    assert [each.arms for each in reader.decisions()] == [tuple(first.arms), tuple(second.arms)]
    assert reader.columns()["reward"][0] == 1.0
    found = verify(path, load=Constrained.from_bytes)
    assert (found.decisions, found.apart, found.checkpoints, found.difference) == (1, 1, 2, None)


def test_wide_floats_are_logged_as_what_is_reckoned_with(path):
    with DecisionLog(path) as log:
        ranker = Logged(bandit(), log)
        ranker.update(["a", "b"], np.array([1.0, 0.1], np.longdouble))
        ranker.select(now=np.longdouble(0.1))
    found = verify(path)
    assert (found.decisions, found.calls, found.apart, found.difference) == (1, 2, 0, None)


@pytest.mark.parametrize("arms", ("a", ["a", "b"], ["a", "b", "c", "d"]))
def test_a_list_of_decisions_has_one_an_event(path, arms):
    """Else a reward would be of none, in silence."""
    with DecisionLog(path) as log:
        ranker = Logged(bandit(), log)
        decisions = [ranker.select() for _ in range(3)]
        with pytest.raises(ValueError, match=r"decision has 3 entries for . events"):
            ranker.update(arms, 1.0 if arms == "a" else [1.0] * len(arms), decision=decisions)
    assert ranker.updates == 0


def test_a_pause_of_an_arm_that_is_gone(path):
    """A state that was loaded goes on as the one it was written from, so that a log may begin anywhere."""
    with DecisionLog(path, segment_bytes=1_500) as log:
        ranker = Logged(bandit(), log)
        ranker.pause_arms(["a"])
        ranker.pause_arms(["b"])
        ranker.retire_arms(["b"])
        first = log._journal.position[0]
        while log._journal.position[0] == first:
            ranker.select()
        ranker.pause_arms(["c"])
        state = Bandit.from_bytes(ranker.to_bytes())
    state.reopen()
    assert recover(path).to_bytes() == state.to_bytes()

"""After the warm-up nothing is left to compile: the first decision is as fast as the thousandth."""

import json

import checks
import pytest
from numba.core import event

import seedbed
from seedbed.allocators import ColdStartAllocator, ColdStartConfig
from seedbed.bandits import EXP3, KLUCB, UCB1, Bandit, BayesUCB, Beta, Gaussian, HybridLinear, LinUCB, Thompson
from seedbed.bandits.attribution import Attribution, AttributionConfig, RuleSet, Tally
from seedbed.cli import main
from seedbed.constraints import Budget, Constrained, DualPrice, Eligibility, Floor, Guardrail, Rule, Slate


class Compilations(event.Listener):
    """Counts what numba compiles."""

    def __init__(self):
        self.names = []

    def on_start(self, happening):
        self.names.append(happening.data["dispatcher"].py_func.__qualname__)

    def on_end(self, happening):
        pass


POLICIES = [
    Thompson(),
    Thompson(model=Gaussian(half_life=60.0)),
    UCB1(model=Beta(window=100)),
    KLUCB(),
    BayesUCB(),
    EXP3(),
    LinUCB(n_features=3),
    Thompson(model=HybridLinear(n_features=2, n_shared=1)),
]


@pytest.mark.parametrize("policy", POLICIES, ids=repr)
def test_after_the_warm_up_nothing_is_compiled(policy):
    assert seedbed.warmup(policy) > 0.0
    listener = Compilations()
    with event.install_listener("numba:compile", listener):
        for check in checks.all_checks():
            check(policy)
    assert listener.names == []


def test_after_the_warm_up_an_attribution_compiles_nothing():
    def rules(version, model):
        return RuleSet.model_validate({"version": version, "rules": ({"model": model},)})

    config = AttributionConfig()
    seedbed.warmup(config)
    listener = Compilations()
    with event.install_listener("numba:compile", listener):
        for rule in ("last_click", "first_click", "position", "linear"):
            attribution, tally = Attribution(config, [rules("1", rule)]), Tally()
            attribution.touch(["ann", "ann"], ["a", "a"], [0.0, 50.0], [1, 2])
            tally.apply(attribution.convert(["o", "o", "p"], ["ann"] * 3, ["a"] * 3, [60.0, 61.0, 62.0], "order"))
            attribution.touch(["ann"], ["a"], [40.0], [3])
            attribution.convert(["late"], ["ann"], ["a"], [-5_000.0], "gift", segments=["x"])
            attribution.deactivate("1")
            attribution.activate(rules("2", "last_click"))
            tally.apply(attribution.settle(now=100_000.0))
            assert tally.counts().net.size
            Attribution.from_bytes(attribution.to_bytes()).settle(now=200_000.0)
    assert listener.names == []


def test_after_the_warm_up_the_allocator_compiles_nothing():
    config = ColdStartConfig()
    seedbed.warmup(config)
    listener = Compilations()
    with event.install_listener("numba:compile", listener):
        allocator = ColdStartAllocator(config)
        allocator.open("room", now=0.0)
        allocator.tick(now=60.0, exposures=100)
        allocator.observe("room", at=61.0, exposures=100, retained=50, negative=2)
        allocator.tick(now=120.0, exposures=100)
        ColdStartAllocator.from_bytes(allocator.to_bytes()).tick(now=180.0, exposures=10)
    assert listener.names == []


def test_other_things_are_no_configuration():
    with pytest.raises(ValueError, match="neither a policy"):
        seedbed.warmup(Bandit(Thompson()))


def test_the_command_compiles_what_it_is_told(capsys, tmp_path):
    policy = tmp_path / "policy.json"
    policy.write_text(UCB1(alpha=0.3).model_dump_json())
    assert main(["warmup", "thompson", str(policy)]) == 0
    shown = capsys.readouterr().out
    assert "thompson" in shown
    assert "gamma_poisson" in shown
    assert shown.count("beta") == 2


def test_the_command_names_what_it_does_not_know(capsys, tmp_path):
    assert main(["warmup", "thomson"]) == 1
    assert "'thomson' is neither a file nor one of thompson" in capsys.readouterr().err
    wrong = tmp_path / "wrong.json"
    wrong.write_text(json.dumps({"kind": "thomson"}))
    assert main(["warmup", str(wrong)]) == 1
    assert "holds no policy" in capsys.readouterr().err


def test_after_the_warm_up_a_chain_compiles_nothing():
    constraints = [
        Eligibility(rules=(Rule(reason="NEW", viewer={"is_new": True}, arm={"sort": "hard"}),)),
        Budget("exposures", limit=100, window=60.0),
        Budget("money", limit=100, by="sort", per="feedback"),
        Guardrail("negative", limit=0.02),
        DualPrice("stock", limit=50, decisions=100, per="reward"),
        Floor(0.01),
        Slate(by="sort", upper=2),
    ]
    ranker = Constrained(Bandit(Thompson(), range(20)), constraints)
    ranker.describe(range(20), sort=["hard", "soft"] * 10)
    before = ranker.to_bytes()
    seedbed.warmup(ranker)
    assert ranker.to_bytes() == before
    listener = Compilations()
    with event.install_listener("numba:compile", listener):
        for n in range(30):
            decision = ranker.select(k=1 + n % 4, now=float(n), viewer={"is_new": n % 2 == 0})
            for arm in decision.arms:
                ranker.update(arm, float(n % 2), cost=1.0, metrics={"negative": 0.0}, decision=decision)
        ranker.report()
    assert listener.names == []

import checks
import pytest
from pydantic import TypeAdapter

from seedbed.bandits import (
    EXP3,
    KLUCB,
    UCB1,
    AnyPolicy,
    BayesUCB,
    Beta,
    EpsilonGreedy,
    GammaPoisson,
    Gaussian,
    HybridLinear,
    Linear,
    LinThompson,
    LinUCB,
    SharedLinear,
    Thompson,
    TopTwo,
)

COUNTS = [
    Beta(),
    Beta(prior=(20.0, 5000.0)),
    Beta(half_life=60.0),
    Gaussian(),
    Gaussian(half_life=60.0),
    GammaPoisson(),
    GammaPoisson(prior=(0.5, 2.0), half_life=60.0),
]
LINEAR = [Linear(n_features=3), SharedLinear(n_features=3), HybridLinear(n_features=2, n_shared=1)]
POLICIES = [
    *(rule(model=model) for rule in (Thompson, TopTwo, BayesUCB, EpsilonGreedy) for model in COUNTS + LINEAR),
    *(rule(model=model) for rule in (UCB1, KLUCB) for model in COUNTS),
    *(rule(model=model) for rule in (LinUCB, LinThompson) for model in LINEAR),
    Thompson(sampler="gamma"),
    Thompson(model=GammaPoisson(), sampler="gamma"),
    Thompson(model=Linear(n_features=3, half_life=60.0)),
    LinUCB(model=SharedLinear(n_features=3, half_life=60.0)),
    UCB1(alpha=0.5),
    KLUCB(c=3.0),
    KLUCB(variance=0.25, model=Gaussian()),
    EXP3(),
    EXP3(gamma=0.3, eta=0.2),
    UCB1(model=Beta(window=50)),
    Thompson(model=Gaussian(window=50)),
    KLUCB(model=GammaPoisson(window=50)),
]


@pytest.mark.parametrize("check", checks.all_checks(), ids=lambda check: check.__name__)
@pytest.mark.parametrize("policy", POLICIES, ids=repr)
def test_contract(policy, check):
    check(policy)


def test_every_policy_and_model_is_under_contract():
    schema = TypeAdapter(AnyPolicy).json_schema()
    assert {policy.kind for policy in POLICIES} == set(schema["discriminator"]["mapping"])
    kinds = {"beta", "gaussian", "gamma_poisson", "linear", "shared_linear", "hybrid_linear"}
    assert {policy.model.kind for policy in POLICIES} == kinds


def test_policies_are_values():
    for policy in POLICIES:
        assert TypeAdapter(AnyPolicy).validate_python(policy.model_dump(mode="json")) == policy
    with pytest.raises(ValueError, match="thomson"):
        TypeAdapter(AnyPolicy).validate_python({"kind": "thomson"})
    with pytest.raises(ValueError, match="frozen"):
        POLICIES[0].kind = "x"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: UCB1(model=Linear(n_features=2)), "beta"),
        (lambda: EXP3(model=Gaussian()), "Beta"),
        (lambda: LinUCB(model=Beta()), "linear"),
        (lambda: LinUCB(), "n_features is missing"),
        (lambda: LinUCB(n_features=2, model=Linear(n_features=2)), "give either"),
        (lambda: LinUCB(n_features=0), "greater than or equal to 1"),
        (lambda: Thompson(model=Gaussian(), sampler="gamma"), "gamma_poisson, not for gaussian"),
        (lambda: KLUCB(variance=1.0), "gaussian only"),
        (lambda: Beta(half_life=1.0, window=5), "two ways to forget"),
        (lambda: Beta(half_life=0.0), "greater than or equal to 0.001"),
        (lambda: EpsilonGreedy(epsilon=1.5), "less than or equal to 1"),
    ],
)
def test_a_rule_says_which_models_and_numbers_it_takes(make, says):
    with pytest.raises(ValueError, match=says):
        make()

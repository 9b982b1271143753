import checks
import pytest
from pydantic import TypeAdapter

from seedbed.bandits import KLUCB, UCB1, AnyPolicy, Beta, Thompson

POLICIES = [
    Thompson(),
    Thompson(model=Beta(prior=(0.3, 0.2))),
    Thompson(model=Beta(prior=(20.0, 5000.0))),
    UCB1(),
    UCB1(alpha=0.5),
    KLUCB(),
    KLUCB(c=3.0),
]


@pytest.mark.parametrize("check", checks.all_checks(), ids=lambda check: check.__name__)
@pytest.mark.parametrize("policy", POLICIES, ids=repr)
def test_contract(policy, check):
    check(policy)


def test_every_policy_is_under_contract():
    schema = TypeAdapter(AnyPolicy).json_schema()
    assert {policy.kind for policy in POLICIES} == set(schema["discriminator"]["mapping"])


def test_policies_are_values():
    for policy in POLICIES:
        assert TypeAdapter(AnyPolicy).validate_python(policy.model_dump(mode="json")) == policy
    with pytest.raises(ValueError, match="thomson"):
        TypeAdapter(AnyPolicy).validate_python({"kind": "thomson"})
    with pytest.raises(ValueError, match="frozen"):
        POLICIES[0].kind = "x"

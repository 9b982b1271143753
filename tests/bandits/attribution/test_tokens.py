"""Tracking tokens: what was signed comes back, anything else credits nothing and crashes nothing."""

import base64
import copy
import hashlib
import hmac
import itertools
import threading
from traceback import TracebackException

import msgpack
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from seedbed.bandits._random import uid64
from seedbed.bandits.attribution import Claim, Tokens, decision_name, decision_names

KEY, OTHER = bytes(range(32)), b"another secret, of some length"
DECISION = ("eu-3", 2, 70_000)
NOW = 1_000.0


def made():
    return Tokens({"k1": KEY}, current="k1")


def signed(tokens, arm="room", at=NOW, expires=2_000.0, channel="feed", decision_id=DECISION):
    return tokens.sign(decision_id, arm, channel=channel, at=at, expires=expires)


def by_hand(body, key=KEY, head=b"\x01\x02k1"):
    """A token from its parts, written from the description."""
    raw = head + body
    mac = hmac.new(key, raw, hashlib.sha256).digest()[:16]
    return base64.urlsafe_b64encode(raw + mac).decode().rstrip("=")


CONTENT = ["eu-3", 2, 70_000, "room", "feed", NOW, 2_000.0]


def test_a_token_is_what_its_description_says():
    assert signed(made()) == by_hand(msgpack.packb(CONTENT))


ids = st.text(max_size=20).filter(lambda s: not any("\ud800" <= c <= "\udfff" for c in s)) | st.integers(
    -(2**63), 2**63 - 1
)


@given(ids, ids, st.text(st.characters(exclude_categories=["Cs"]), max_size=9), st.integers(0, 2**63 - 1),
       st.floats(-4e14, 4e14))  # fmt: skip
def test_what_was_signed_comes_back(arm, channel, replica, n, at):
    tokens = made()
    expires = at + max(1.0, abs(at))
    claim = tokens.read(tokens.sign((replica, 0, n), arm, channel=channel, at=at, expires=expires), now=at)
    assert claim == Claim((replica, 0, n), arm, channel, at, expires, "k1")
    assert type(claim.arm) is type(arm)
    assert tokens.counts == {**dict.fromkeys(tokens.counts, 0), "accepted": 1}


def altered(rng):
    """Forged and altered tokens: texts, and what each of them was made by."""
    tokens, alphabet = made(), b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    good = [signed(tokens, arm=f"room-{i}", at=NOW - i) for i in range(30)]
    for token in good[:7]:  # every bit of the bytes, in canonical text
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        for bit in range(8 * len(raw)):
            flipped = bytearray(raw)
            flipped[bit // 8] ^= 1 << bit % 8
            yield base64.urlsafe_b64encode(bytes(flipped)).decode().rstrip("=")
    for token in good[7:12]:  # every bit of the text
        for bit in range(8 * len(token)):
            flipped = bytearray(token.encode())
            flipped[bit // 8] ^= 1 << bit % 8
            yield bytes(flipped)
    for token in good[:10]:
        for i in range(len(token)):  # truncated at either end, or with a letter too many
            yield token[:i]
            yield token[i + 1 :]
            yield token[:i] + chr(alphabet[rng.integers(64)]) + token[i:]
        yield from (token + "=", token + "==", token + "\n", " " + token, token + token, token + "\x00", token + "é")
        yield from (token.replace("A", "+"), token.replace("Q", "/"), f"{token[:4]}\n{token[4:]}")
    for one, two in itertools.pairwise(good):  # spliced
        for i in range(4, len(one) - 1, 4):
            yield one[:i] + two[i:]
    wrong = Tokens({"k1": OTHER}, current="k1")
    yield from (signed(wrong, arm=f"room-{i}") for i in range(500))
    foreign = Tokens({"k2": KEY}, current="k2")
    yield from (signed(foreign, arm=f"room-{i}") for i in range(200))
    yield from (signed(tokens, at=1.0, expires=float(e)) for e in range(500, 1001))  # replayed too late
    yield from (signed(tokens, at=NOW + 6 + i, expires=9e9) for i in range(100))  # not yet
    for _ in range(1_500):
        yield bytes(rng.integers(0, 256, rng.integers(0, 200), dtype=np.uint8))
        yield "".join(map(chr, rng.choice(list(alphabet), rng.integers(0, 200))))
        yield "".join(map(chr, rng.integers(0, 0xD000, rng.integers(0, 50))))


def test_ten_thousand_forged_or_altered_tokens_credit_nothing():
    tokens, forged = made(), list(altered(np.random.default_rng(7)))
    genuine = {signed(tokens, arm=f"room-{i}", at=NOW - i) for i in range(30)}
    forged = [t for t in forged if (t.decode("latin-1") if isinstance(t, bytes) else t) not in genuine]
    assert len(forged) >= 10_000
    assert [token for token in forged if tokens.read(token, now=NOW) is not None] == []
    counts = tokens.counts
    assert counts["accepted"] == 0
    assert sum(counts.values()) == len(forged)
    assert counts["expired"] == 501  # and no more: nothing else had a good signature
    assert counts["future"] == 100
    assert counts["unknown_key"] >= 200
    assert counts["forged"] > 1_500
    assert counts["malformed"] > 3_000
    assert all(tokens.read(token, now=NOW) for token in genuine)


@given(st.binary(max_size=300) | st.text(max_size=300) | st.none() | st.integers() | st.lists(st.integers()))
@example("")
@example("A" * 10_000_000)
@example("\ud800")
@example(bytearray(b"AQ"))
@example(memoryview(b"AQ"))
def test_garbage_is_no_token(token):
    tokens = made()
    assert tokens.read(token, now=NOW) is None
    assert sum(tokens.counts.values()) == 1


@given(st.data())
def test_one_token_has_one_text(data):
    """All texts of the last letter's unused bits, and of the other alphabet, are refused but one."""
    tokens = made()
    token = signed(tokens, arm=data.draw(st.text("ab", max_size=5)))
    letter = data.draw(st.characters(max_codepoint=127))
    changed = token[:-1] + letter
    assert (tokens.read(changed, now=NOW) is not None) == (changed == token)


class Text(str):
    """Says what it likes of itself."""

    def encode(self, *how):
        raise RuntimeError

    def __len__(self):
        return 4


class Octets(bytes):
    def __bytes__(self):
        raise RuntimeError


def test_a_subclass_is_read_as_what_it_is():
    tokens = made()
    good = signed(tokens)
    for kind in (Text, np.str_, lambda text: Octets(text.encode()), lambda text: bytearray(text.encode())):
        assert tokens.read(kind(good), now=NOW) is not None
        assert tokens.read(kind(good[:-1]), now=NOW) is None
        assert tokens.read(kind("A" * 5_000), now=NOW) is None
    assert tokens.counts["accepted"] == 4


def test_a_traceback_with_local_variables_can_be_written():
    with pytest.raises(ValueError, match="keys must be a map") as failed:
        Tokens(KEY, current="k1")
    assert "Tokens(0 keys" in "".join(TracebackException.from_exception(failed.value, capture_locals=True).format())


def test_the_signature_comes_before_the_content(monkeypatch):
    def parse(*_):
        raise AssertionError("parsed what nobody signed")

    monkeypatch.setattr(msgpack, "unpackb", parse)
    tokens = made()
    assert tokens.read(by_hand(b"\xdd\xff\xff\xff\xff", key=OTHER), now=NOW) is None
    with pytest.raises(AssertionError):
        tokens.read(by_hand(b"\xc0"), now=NOW)


def test_signatures_are_compared_in_constant_time(monkeypatch):
    asked = []
    same = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: asked.append((a, b)) or same(a, b))
    tokens = made()
    token = signed(tokens)
    assert tokens.read(token, now=NOW)
    assert tokens.read(by_hand(b"\xc0", key=OTHER), now=NOW) is None
    assert [len(a) for pair in asked for a in pair] == [16] * 4


@pytest.mark.parametrize(
    "content",
    [
        None, [], CONTENT[:6], [*CONTENT, 1], dict.fromkeys(range(7)), [3, *CONTENT[1:]], ["eu", -1, *CONTENT[2:]],
        ["eu", 0, 2**63, *CONTENT[3:]], ["eu", True, *CONTENT[2:]], [*CONTENT[:3], None, *CONTENT[4:]],
        [*CONTENT[:3], 2**63, *CONTENT[4:]], [*CONTENT[:4], 1.5, *CONTENT[5:]], [*CONTENT[:5], 1, 2_000.0],
        [*CONTENT[:5], float("nan"), 2_000.0], [*CONTENT[:5], 5.0, 5.0], [*CONTENT[:5], 5.0, float("inf")],
        [b"eu", *CONTENT[1:]],
    ],
    ids=str,
)  # fmt: skip
def test_signed_nonsense_is_malformed(content):
    """A key that signs other things as well, or a later version of the library."""
    tokens = made()
    assert tokens.read(by_hand(msgpack.packb(content)), now=NOW) is None
    assert tokens.counts["malformed"] == 1


@pytest.mark.parametrize(
    "body", [b"", b"\xc1", b"\xdd\xff\xff\xff\xff", b"\x91" * 3_00, msgpack.packb(CONTENT) + b"\xc0"]
)
def test_signed_bytes_that_are_no_content_are_malformed(body):
    tokens = made()
    assert tokens.read(by_hand(body), now=NOW) is None
    assert tokens.counts["malformed"] == 1


def test_other_versions_are_malformed():
    tokens = made()
    for version in (0, 2, 255):
        assert tokens.read(by_hand(msgpack.packb(CONTENT), head=bytes((version, 2)) + b"k1"), now=NOW) is None
    assert tokens.counts["malformed"] == 3


def test_validity_ends_are_exact():
    tokens = made()
    token = signed(tokens, at=100.0, expires=200.0)
    assert [tokens.read(token, now=now) is not None for now in (94.9, 95.0, 199.9, 200.0)] == [False, True, True, False]
    assert (tokens.counts["future"], tokens.counts["expired"]) == (1, 1)
    strict = Tokens({"k1": KEY}, current="k1", ahead=0.0)
    assert [strict.read(token, now=now) is not None for now in (99.9, 100.0)] == [False, True]


def test_keys_rotate():
    tokens = made()
    old = signed(tokens)
    tokens.rotate("k2", OTHER)
    new = signed(tokens)
    assert (tokens.current, tokens.key_ids) == ("k2", ["k1", "k2"])
    assert tokens.read(old, now=NOW).key_id == "k1"
    assert tokens.read(new, now=NOW).key_id == "k2"
    tokens.remove_key("k1")
    assert tokens.read(old, now=NOW) is None
    assert tokens.counts["unknown_key"] == 1
    assert tokens.read(new, now=NOW)
    tokens.add_key("k1", KEY)
    tokens.add_key("k1", KEY)  # again: nothing new
    assert tokens.read(old, now=NOW)
    tokens.rotate("k1")
    assert signed(tokens) == old


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda t: t.add_key("k1", OTHER), "another key"),
        (lambda t: t.rotate("k3"), "none of the names of keys"),
        (lambda t: t.rotate("k3", b"short"), "5 bytes"),
        (lambda t: t.remove_key("k1"), "signs"),
        (lambda t: t.remove_key("k3"), "none of the names of keys"),
        (lambda t: t.add_key("k 3", OTHER), "letters"),
        (lambda t: t.add_key("k3", OTHER.decode()), "must be bytes"),
        (lambda t: Tokens({"k": KEY[:15]}, current="k"), "15 bytes"),
        (lambda t: Tokens({"k": KEY}, current="j"), "none of the names of keys"),
        (lambda t: Tokens([("k", KEY)], current="k"), "a map"),
        (lambda t: Tokens({KEY: "k"}, current="k"), "the name of a key"),
        (lambda t: Tokens({"k": KEY}, current="k", ahead=-1.0), "not negative"),
        (lambda t: signed(t, at=float("nan")), "now = nan"),
        (lambda t: signed(t, at=NOW, expires=NOW), "must be after"),
        (lambda t: signed(t, expires=float("inf")), "must be after"),
        (lambda t: signed(t, arm=1.5), "not an arm id"),
        (lambda t: signed(t, arm="\ud800"), "Unicode"),
        (lambda t: signed(t, arm="x" * 2_000), "characters"),
        (lambda t: signed(t, decision_id=("eu", 0)), "is not \\(replica"),
        (lambda t: signed(t, decision_id=("\ud800", 0, 0)), "is not \\(replica"),
        (lambda t: t.read("x", now=float("nan")), "now = nan"),
    ],
)
def test_what_the_host_does_wrong_is_said(call, said):
    tokens = made()
    before = signed(tokens)
    with pytest.raises(ValueError, match=said) as error:
        call(tokens)
    assert not leaks(str(error.value))
    assert signed(tokens) == before
    assert tokens.key_ids == ["k1"]


def leaks(text):
    """Whether a text holds a key, or enough of one."""
    return any(
        form(key)[:10] in text
        for key in (KEY, OTHER)
        for form in (repr, lambda k: k.decode("latin-1"), lambda k: repr(k)[2:], bytes.hex, lambda k: str(list(k)))
    )


def test_keys_are_never_shown_copied_or_written():
    tokens = made()
    tokens.rotate("k2", OTHER)
    assert leaks(repr(OTHER)) and leaks(KEY.hex())
    assert not leaks(repr(tokens) + str(tokens) + repr([getattr(tokens, name) for name in Tokens.__slots__]))
    for duplicate in (copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="secret"):
            duplicate(tokens)
    with pytest.raises(TypeError, match="secret"):
        tokens.__reduce_ex__(4)


def test_many_are_read_into_arrays():
    tokens = made()
    texts = [signed(tokens), "junk", signed(tokens, arm=7, at=990.0, channel=3, decision_id=("x", 0, 1)), None]
    claims = tokens.read_many(texts, now=NOW)
    assert claims.accepted.tolist() == [True, False, True, False]
    assert claims.decisions.tolist() == [decision_name(DECISION), 0, decision_name(("x", 0, 1)), 0]
    assert (claims.decisions.dtype, claims.uids.dtype) == (np.uint64, np.uint64)
    assert claims.uids.tolist() == [uid64("room"), 0, uid64(7), 0]
    assert (claims.arms, claims.channels) == (["room", None, 7, None], ["feed", None, 3, None])
    np.testing.assert_array_equal(claims.at, [NOW, np.nan, 990.0, np.nan])
    assert tokens.read_many([], now=NOW).accepted.shape == (0,)


def test_threads_lose_no_count():
    tokens = made()
    token = signed(tokens)

    def work():
        for i in range(500):
            tokens.read(token if i % 2 else "junk", now=NOW)
            if i % 100 == 0:
                tokens.rotate(f"k{i}-{threading.get_ident()}"[:32], OTHER)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tokens.counts["accepted"], tokens.counts["malformed"]) == (1_000, 1_000)


def test_names_of_decisions():
    """BLAKE2b-64 of n, epoch and replica, little-endian, as the standard library has it."""
    plain = hashlib.blake2b(digest_size=8, person=b"seedbed-decision")
    plain.update((70_000).to_bytes(8, "little") + (2).to_bytes(8, "little") + b"eu-3")
    assert decision_name(DECISION) == int.from_bytes(plain.digest(), "little") == 4282411024826338363
    names = decision_names([("r", e, n) for e in range(50) for n in range(200)])
    assert names.dtype == np.uint64
    assert len(set(names.tolist())) == 10_000
    assert decision_names([]).shape == (0,)
    with pytest.raises(ValueError, match="is not \\(replica"):
        decision_name("eu-3")


def test_one_token_is_not_many():
    tokens = Tokens({"k": b"sixteen bytes or more"}, current="k")
    with pytest.raises(ValueError, match="single text"):
        tokens.read_many("abc", now=0.0)
    with pytest.raises(ValueError, match="none of the names of keys, 'k'"):
        tokens.rotate("z")

"""Tracking tokens: what a client carries from an exposure to its reward, signed so that nobody can make one up."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NoBase64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from re import fullmatch
from threading import Lock
from typing import Any, NamedTuple, NoReturn

import msgpack
import numpy as np
from numpy.typing import NDArray

from .._inputs import LATENESS, MAX_TIME, checked_float, checked_now
from .._random import ArmId, uid64
from ..arms import checked_id, is_id
from .names import DecisionId, checked_decision, decision_name, is_decision

VERSION = 1
MAX_LENGTH = 2_048  # characters of a token; what is longer is not looked at
MIN_KEY = 16  # bytes of a key
REASONS = ("accepted", "malformed", "unknown_key", "forged", "expired", "future")
_MAC = 16  # bytes
_KEY_ID = r"[A-Za-z0-9._-]{1,32}"


@dataclass(frozen=True, slots=True)
class Claim:
    """What a token says, and its key vouches for.

    Parameters
    ----------
    decision_id
        (replica, epoch, n) of the decision that showed the arm.
    arm
        The arm shown.
    channel
        By which way: a string or an integer of the host's.
    at
        When it was shown, seconds.
    expires
        From when on the token is worth nothing, seconds.
    key_id
        Name of the key that signed it.
    """

    decision_id: DecisionId
    arm: ArmId
    channel: ArmId
    at: float
    expires: float
    key_id: str


class Claims(NamedTuple):
    """What many tokens say, one entry a token; entries of tokens that are not accepted are 0, None and NaN.

    accepted: bool `[B]`. decisions: uint64 `[B]`, the decisions' 64-bit names. arms, channels: ids, `[B]`. uids: uint64
    `[B]`, the arms' 64-bit names. at: float64 `[B]`, seconds.
    """

    accepted: NDArray[np.bool_]
    decisions: NDArray[np.uint64]
    arms: list[ArmId | None]
    channels: list[ArmId | None]
    uids: NDArray[np.uint64]
    at: NDArray[np.float64]


class Tokens:
    """Sign tokens, and read those that come back.

    A token is URL-safe base64, without padding, of: version (1 byte), length of the key's id (1 byte), that id, the
    content as MessagePack, and the first 16 bytes of HMAC-SHA256 of all before. The signature is compared in constant
    time, before anything of the content is looked at. One content has one text: a text that differs in a bit, or says
    the same bits in another way, is not a token. A token proves that its content was signed, not who brings it, nor
    that it comes for the first time: the same one may come any number of times, so rewards are told apart by their own
    ids.

    Keys are the host's. They are held as states of the hash, never shown, and this object can be neither copied nor
    written. Any number of threads may call any method.

    Parameters
    ----------
    keys
        Secret keys, of 16 bytes or more, by name: letters, digits, `.`, `_` and `-`, 32 characters at most. Names are
        written into the tokens.
    current
        Name of the key that signs. All keys read.
    ahead
        Seconds by which a token may have been signed after the reader's present: clocks differ.

    Examples
    --------
    >>> from seedbed.bandits.attribution import Tokens
    >>> tokens = Tokens({"2026-11": b"sixteen bytes or more"}, current="2026-11")
    >>> token = tokens.sign(("eu-3", 0, 7), "room", channel="feed", at=100.0, expires=500.0)
    >>> tokens.read(token, now=130.0).arm
    'room'
    >>> tokens.read(token[:-1] + "A", now=130.0), tokens.read(token, now=500.0)
    (None, None)
    >>> tokens.counts["accepted"], tokens.counts["forged"], tokens.counts["expired"]
    (1, 1, 1)
    """

    __slots__ = ("_counts", "_current", "_lock", "_signers", "ahead")

    def __init__(self, keys: Mapping[str, bytes], current: str, *, ahead: float = LATENESS) -> None:
        self._signers, self._current = {}, ""  # a traceback that shows local variables shows this, too
        if not isinstance(keys, Mapping):
            raise ValueError("keys must be a map from the name of a key to its bytes")
        self._signers = {_checked_name(key_id): _signer(key_id, key) for key_id, key in keys.items()}
        self._current = self._known(current)
        self.ahead = checked_float(ahead, "ahead")
        if not 0.0 <= self.ahead <= MAX_TIME:
            raise ValueError(f"ahead = {self.ahead} must be a number of seconds, not negative")
        self._lock = Lock()
        self._counts = dict.fromkeys(REASONS, 0)

    def __repr__(self) -> str:
        return f"Tokens({len(self._signers)} keys, current {self._current!r})"

    def __reduce__(self) -> NoReturn:
        """Refuse to be copied or written: the keys would be, too."""
        raise TypeError("Tokens hold secret keys and cannot be copied or written; make them anew from the host's keys")

    @property
    def key_ids(self) -> list[str]:
        """Names of the keys, oldest first."""
        return list(self._signers)

    @property
    def current(self) -> str:
        """Name of the key that signs."""
        return self._current

    @property
    def counts(self) -> dict[str, int]:
        """Tokens read so far: accepted, and not accepted by reason; they add up to all that were read."""
        with self._lock:
            return dict(self._counts)

    # keys

    def add_key(self, key_id: str, key: bytes) -> None:
        """Read tokens of another key, too; in a fleet, everyone adds it before anyone signs with it.

        Raises
        ------
        ValueError
            For a short key, or a name that another key has. Nothing has changed.
        """
        signer = _signer(_checked_name(key_id), key)
        with self._lock:
            old = self._signers.get(key_id)
            if old is not None and not hmac.compare_digest(old.digest(), signer.digest()):
                raise ValueError("this name is that of another key; give the new key a new name")
            self._signers = {**self._signers, key_id: signer}  # a new map: readers take no lock

    def rotate(self, key_id: str, key: bytes | None = None) -> None:
        """Sign with another key from now on, a new one or one that is known; tokens of the old keys still read.

        Raises
        ------
        ValueError
            As `add_key`, or for an unknown name without a key. Nothing has changed.
        """
        if key is not None:
            self.add_key(key_id, key)
        self._current = self._known(key_id)

    def remove_key(self, key_id: str) -> None:
        """Accept tokens of this key no more.

        Raises
        ------
        ValueError
            For an unknown name, or that of the key that signs. Nothing has changed.
        """
        with self._lock:
            if self._known(key_id) == self._current:
                raise ValueError("this key signs; rotate to another first")
            self._signers = {name: signer for name, signer in self._signers.items() if name != key_id}

    def _known(self, key_id: str) -> str:
        if not isinstance(key_id, str) or key_id not in self._signers:
            names = ", ".join(map(repr, self._signers)) or "none"
            raise ValueError(f"this is none of the names of keys, {names}")  # not shown: it may be a key by mistake
        return key_id

    # tokens

    def sign(self, decision_id: DecisionId, arm: ArmId, *, at: float, expires: float, channel: ArmId = "") -> str:
        """Make the token of one arm shown by one decision; the same content gives the same text.

        Parameters
        ----------
        decision_id
            (replica, epoch, n), as `Decision.decision_id` has it.
        arm
            Id of the arm that is shown.
        at
            When it is shown, seconds.
        expires
            When the token becomes worthless, seconds, after `at`.
        channel
            By which way it is shown: a string or an integer.

        Raises
        ------
        ValueError
            For what cannot be signed, or would be longer than 2,048 characters.
        """
        shown, end = checked_now(at, None), checked_float(expires, "expires")
        if not shown < end <= MAX_TIME:
            raise ValueError(f"expires = {end} must be after at = {shown}, up to {MAX_TIME:g}")
        content = [*checked_decision(decision_id), checked_id(arm, "arm"), checked_id(channel, "channel"), shown, end]
        try:
            body = msgpack.packb(content)
        except UnicodeEncodeError:
            raise ValueError(f"arm {arm!r:.80} or channel {channel!r:.80} is not valid Unicode") from None
        name, signers = self._current, self._signers
        head = bytes((VERSION, len(name))) + name.encode()
        token = urlsafe_b64encode(head + body + _mac(signers[name], head + body)).rstrip(b"=").decode()
        if len(token) > MAX_LENGTH:
            raise ValueError(f"the token of arm {arm!r:.80} would have {len(token)} characters; {MAX_LENGTH} may be")
        return token

    def read(self, token: str | bytes, *, now: float) -> Claim | None:
        """Return what a token says, or None, counted by reason, for one that is not to be trusted.

        Parameters
        ----------
        token
            Whatever has come back; anything at all.
        now
            The caller's present, seconds.

        Raises
        ------
        ValueError
            For a `now` that is no time. Never for a token.
        """
        claim, reason = self._judge(token, checked_now(now, None))
        with self._lock:
            self._counts[reason] += 1
        return claim

    def read_many(self, tokens: Iterable[str | bytes], *, now: float) -> Claims:
        """Read many tokens, as `read` does each, into arrays.

        Raises
        ------
        ValueError
            For a single one in place of several.
        """
        if isinstance(tokens, str | bytes):
            raise ValueError("tokens is a single text; pass a list of tokens, or use `read`")
        claims = [self.read(token, now=now) for token in tokens]
        size = len(claims)
        accepted = np.array([claim is not None for claim in claims], np.bool_)
        decisions, uids, at = np.zeros(size, np.uint64), np.zeros(size, np.uint64), np.full(size, np.nan)
        for i, claim in enumerate(claims):
            if claim is not None:
                decisions[i], uids[i], at[i] = decision_name(claim.decision_id), uid64(claim.arm), claim.at
        arms = [None if claim is None else claim.arm for claim in claims]
        channels = [None if claim is None else claim.channel for claim in claims]
        return Claims(accepted, decisions, arms, channels, uids, at)

    def _judge(self, token: Any, now: float) -> tuple[Claim | None, str]:
        """What a token says, and what is to be counted."""
        raw = _decoded(token)
        if raw is None or len(raw) < 2 + _MAC or raw[0] != VERSION or len(raw) < 2 + raw[1] + _MAC:
            return None, "malformed"
        key_id, start = raw[2 : 2 + raw[1]].decode("latin-1"), 2 + raw[1]
        signer = self._signers.get(key_id)
        if signer is None:
            return None, "unknown_key"
        if not hmac.compare_digest(_mac(signer, raw[:-_MAC]), raw[-_MAC:]):
            return None, "forged"
        claim = _parsed(raw[start:-_MAC], key_id)
        if claim is None:
            return None, "malformed"
        if now >= claim.expires:
            return None, "expired"
        if claim.at > now + self.ahead:
            return None, "future"
        return claim, "accepted"


def _decoded(token: Any) -> bytes | None:
    """The bytes of a text that is the one text of these bytes; None for any other."""
    if isinstance(token, str):
        token = str.__str__(token)  # of a subclass, which may say anything, the text itself
    elif isinstance(token, bytes | bytearray):
        token = memoryview(token).tobytes()
    if type(token) not in (str, bytes) or len(token) > MAX_LENGTH:
        return None
    try:
        text = token.encode("ascii") if type(token) is str else token
        raw = urlsafe_b64decode(text + b"=" * (-len(text) % 4))
    except (UnicodeEncodeError, NoBase64):
        return None
    return raw if urlsafe_b64encode(raw).rstrip(b"=") == text else None  # other letters, bits left over, padding


def _parsed(body: bytes, key_id: str) -> Claim | None:
    """The content of a token whose signature is good; None where the key has signed something else."""
    try:
        content = msgpack.unpackb(body)
    except (ValueError, TypeError, msgpack.UnpackException):
        return None
    if type(content) is not list or len(content) != 7:
        return None
    replica, epoch, n, arm, channel, at, expires = content
    if not (is_decision((replica, epoch, n)) and is_id(arm) and is_id(channel)):
        return None
    if not (type(at) is type(expires) is float and abs(at) <= MAX_TIME and at < expires <= MAX_TIME):
        return None
    return Claim((replica, epoch, n), arm, channel, at, expires, key_id)


def _mac(signer: hmac.HMAC, message: bytes) -> bytes:
    signed = signer.copy()
    signed.update(message)
    return signed.digest()[:_MAC]


def _signer(key_id: str, key: Any) -> hmac.HMAC:
    """Hash that has taken in a key."""
    if not isinstance(key, bytes | bytearray):
        raise ValueError(f"the key {key_id!r} must be bytes, not {type(key).__name__}")
    if len(key) < MIN_KEY:
        raise ValueError(f"the key {key_id!r} has {len(key)} bytes; at least {MIN_KEY} random ones are needed")
    return hmac.new(bytes(key), digestmod="sha256")


def _checked_name(key_id: Any) -> str:
    if not isinstance(key_id, str) or not fullmatch(_KEY_ID, key_id):  # not shown: it may be a key by mistake
        raise ValueError("the name of a key must have 1 to 32 characters, all of them letters, digits, '.', '_' or '-'")
    return str.__str__(key_id)

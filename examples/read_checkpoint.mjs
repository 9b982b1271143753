// Reads a checkpoint of seedbed without seedbed: written from docs/checkpoint-format.md alone, for Node 18 or newer.
//
//   node read_checkpoint.mjs FILE          what it holds, as JSON
//   node read_checkpoint.mjs --mean FILE   posterior mean of each live arm, for the model `beta`
//
// Integers beyond 2^53 are printed as strings, and so are NaN and the infinities. A file that breaks a rule of the
// format is refused: one line on stderr, exit code 1. Ranges of single numbers are not looked at: nothing is resumed.

import { readFileSync } from "node:fs";

const MAGIC = "SEEDBED\x1a";
const FORMAT = 3;
const HEAD = 20;
const CHECKSUM = 16;
const MAX_DEPTH = 16;
const SIZES = { "<f8": 8, "<i8": 8, "<u8": 8, "|u1": 1, "|b1": 1 };

class Refused extends Error {}

function require(condition, what) {
  if (!condition) throw new Refused(what);
}

// BLAKE2b (RFC 7693); a 64-bit word is a pair of 32 bits, the low half first

const IV = Uint32Array.of(
  0xf3bcc908, 0x6a09e667, 0x84caa73b, 0xbb67ae85, 0xfe94f82b, 0x3c6ef372, 0x5f1d36f1, 0xa54ff53a,
  0xade682d1, 0x510e527f, 0x2b3e6c1f, 0x9b05688c, 0xfb41bd6b, 0x1f83d9ab, 0x137e2179, 0x5be0cd19,
);
const SIGMA = [
  "0123456789abcdef", "ea489fd61c02b753", "b8c052fdae367194", "7931dcbe265a40f8", "905724afe1bc683d",
  "2c6a0b834d75fe19", "c51fed4a0763928b", "db7ec13950f4862a", "6fe9b308c2d714a5", "a2847615fb9e3cd0",
].map((row) => Array.from(row, (digit) => parseInt(digit, 16)));
const MIXED = [[0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15],
  [0, 5, 10, 15], [1, 6, 11, 12], [2, 7, 8, 13], [3, 4, 9, 14]].map((words) => words.map((word) => 2 * word));

function add(v, a, m, i) {
  const low = v[a] + m[i];
  v[a + 1] = v[a + 1] + m[i + 1] + (low > 0xffffffff ? 1 : 0);
  v[a] = low;
}

function xorRotate(v, a, b, bits) { // v[a] = (v[a] ^ v[b]) >>> bits, for 16, 24, 32 and 63
  let low = v[a] ^ v[b];
  let high = v[a + 1] ^ v[b + 1];
  if (bits >= 32) [low, high] = [high, low];
  const rest = bits & 31;
  v[a] = rest ? (low >>> rest) | (high << (32 - rest)) : low;
  v[a + 1] = rest ? (high >>> rest) | (low << (32 - rest)) : high;
}

function compress(h, block, counted, isLast) {
  const v = new Uint32Array(32);
  v.set(h);
  v.set(IV, 16);
  v[24] ^= counted >>> 0;
  v[25] ^= Math.floor(counted / 2 ** 32);
  if (isLast) {
    v[28] = ~v[28];
    v[29] = ~v[29];
  }
  for (let round = 0; round < 12; round++) {
    const order = SIGMA[round % 10];
    for (let i = 0; i < 8; i++) {
      const [a, b, c, d] = MIXED[i];
      add(v, a, v, b);
      add(v, a, block, 2 * order[2 * i]);
      xorRotate(v, d, a, 32);
      add(v, c, v, d);
      xorRotate(v, b, c, 24);
      add(v, a, v, b);
      add(v, a, block, 2 * order[2 * i + 1]);
      xorRotate(v, d, a, 16);
      add(v, c, v, d);
      xorRotate(v, b, c, 63);
    }
  }
  for (let i = 0; i < 16; i++) h[i] ^= v[i] ^ v[i + 16];
}

function blake2b(bytes, size) {
  const h = Uint32Array.from(IV);
  h[0] ^= 0x01010000 ^ size;
  const padded = Buffer.alloc(128);
  const block = new Uint32Array(32);
  for (let start = 0; start === 0 || start < bytes.length; start += 128) {
    const end = Math.min(start + 128, bytes.length);
    padded.fill(0);
    bytes.copy(padded, 0, start, end);
    for (let i = 0; i < 32; i++) block[i] = padded.readUInt32LE(4 * i);
    compress(h, block, end, end === bytes.length);
  }
  const digest = Buffer.alloc(64);
  h.forEach((word, i) => digest.writeUInt32LE(word, 4 * i));
  return digest.subarray(0, size);
}

// MessagePack: integers become BigInt, so that they differ from floats; bin becomes Buffer, maps become Map

class Body {
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
    this.text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  }

  take(count) {
    require(count <= this.bytes.length - this.at, "its body is not msgpack: a value reaches beyond the end");
    this.at += count;
    return this.bytes.subarray(this.at - count, this.at);
  }

  unsigned(size) {
    return size === 8 ? this.take(8).readBigUInt64BE() : BigInt(this.take(size).readUIntBE(0, size));
  }

  signed(size) {
    return size === 8 ? this.take(8).readBigInt64BE() : BigInt(this.take(size).readIntBE(0, size));
  }

  length(size) {
    return this.take(size).readUIntBE(0, size);
  }

  string(count) {
    const bytes = this.take(count);
    try {
      return this.text.decode(bytes);
    } catch {
      throw new Refused("its body is not msgpack: a string is not UTF-8");
    }
  }

  room(count, size, depth) {
    require(depth < MAX_DEPTH, `its body is nested deeper than ${MAX_DEPTH}`);
    require(count * size <= this.bytes.length - this.at, "its body is not msgpack: a list is longer than the file");
  }

  array(count, depth) {
    this.room(count, 1, depth);
    const out = [];
    for (let i = 0; i < count; i++) out.push(this.value(depth + 1));
    return out;
  }

  map(count, depth) {
    this.room(count, 2, depth);
    const out = new Map();
    for (let i = 0; i < count; i++) {
      const name = this.value(depth + 1);
      require(typeof name === "string", "a name in it is not a string");
      require(!out.has(name), `the name ${quoted(name)} stands twice`);
      out.set(name, this.value(depth + 1));
    }
    return out;
  }

  value(depth = 0) {
    const tag = this.length(1);
    if (tag <= 0x7f) return BigInt(tag);
    if (tag >= 0xe0) return BigInt(tag - 0x100);
    if (tag <= 0x8f) return this.map(tag & 0x0f, depth);
    if (tag <= 0x9f) return this.array(tag & 0x0f, depth);
    if (tag <= 0xbf) return this.string(tag & 0x1f);
    if (tag === 0xc0) return null;
    if (tag === 0xc2 || tag === 0xc3) return tag === 0xc3;
    if (tag >= 0xc4 && tag <= 0xc6) return this.take(this.length(1 << (tag - 0xc4)));
    if (tag === 0xca) return this.take(4).readFloatBE();
    if (tag === 0xcb) return this.take(8).readDoubleBE();
    if (tag >= 0xcc && tag <= 0xcf) return this.unsigned(1 << (tag - 0xcc));
    if (tag >= 0xd0 && tag <= 0xd3) return this.signed(1 << (tag - 0xd0));
    if (tag >= 0xd9 && tag <= 0xdb) return this.string(this.length(1 << (tag - 0xd9)));
    if (tag === 0xdc || tag === 0xdd) return this.array(this.length(tag === 0xdc ? 2 : 4), depth);
    if (tag === 0xde || tag === 0xdf) return this.map(this.length(tag === 0xde ? 2 : 4), depth);
    throw new Refused(`its body has a value of a type that the format does not know (0x${tag.toString(16)})`);
  }
}

// the format

function readCheckpoint(bytes, wanted) {
  require(bytes.length >= HEAD + CHECKSUM, `${bytes.length} bytes are fewer than those of an empty one`);
  require(bytes.toString("latin1", 0, 8) === MAGIC, "it does not start as a checkpoint does");
  const format = bytes.readUInt32LE(8);
  require(format <= FORMAT, `its format ${format} is newer than ${FORMAT}, the newest read here`);
  require(format >= 1, "its format 0 never existed");
  const end = bytes.length - CHECKSUM;
  const declared = bytes.readBigUInt64LE(12);
  require(declared === BigInt(end - HEAD), `its body is of ${end - HEAD} bytes, not of the ${declared} it declares`);
  const digest = blake2b(bytes.subarray(0, end), CHECKSUM);
  require(digest.equals(bytes.subarray(end)), "its checksum does not match: bytes were altered");
  const body = new Body(bytes.subarray(HEAD, end));
  const fields = body.value();
  require(body.at === body.bytes.length, "its body is followed by other values");
  const names = ["kind", "config", "values", "arrays"];
  const isWhole = fields instanceof Map && fields.size === 4 && names.every((name) => fields.has(name));
  require(isWhole, "its body is not a map of kind, config, values and arrays");
  const [kind, config, values, packed] = names.map((name) => fields.get(name));
  require(typeof kind === "string", "its kind is not a string");
  for (const part of [config, values, packed]) require(part instanceof Map, "a part of its body is not a map");
  require(wanted.includes(kind), `it is of kind ${quoted(kind)}, not ${wanted.join(" or ")}`);
  const arrays = new Map();
  for (const [name, array] of packed) arrays.set(name, readArray(name, array));
  const checkpoint = { format, kind, config, values, arrays };
  CHECKS[kind](checkpoint);
  return checkpoint;
}

function readArray(name, packed) {
  const what = `array ${quoted(name)}`;
  require(Array.isArray(packed) && packed.length === 3, `${what} is not [dtype, shape, bytes]`);
  const [dtype, dimensions, data] = packed;
  require(typeof dtype === "string" && Object.hasOwn(SIZES, dtype), `${what} has no known dtype`);
  require(Array.isArray(dimensions) && dimensions.length <= 2, `${what} has an impossible shape`);
  const isLength = (n) => typeof n === "bigint" && 0n <= n && n < 2n ** 31n;
  require(dimensions.every(isLength), `${what} has an impossible shape`);
  require(Buffer.isBuffer(data), `${what} has no bytes`);
  const bytes = dimensions.reduce((product, n) => product * n, BigInt(SIZES[dtype]));
  require(bytes === BigInt(data.length), `${what} has ${data.length} bytes and not the ${bytes} of its shape`);
  return { dtype, shape: dimensions.map(Number), entries: entriesOf(dtype, data) };
}

function entriesOf(dtype, data) {
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  const read = {
    "<f8": (i) => view.getFloat64(8 * i, true),
    "<i8": (i) => view.getBigInt64(8 * i, true),
    "<u8": (i) => view.getBigUint64(8 * i, true),
    "|u1": (i) => view.getUint8(i),
    "|b1": (i) => view.getUint8(i) !== 0,
  }[dtype];
  return Array.from({ length: data.length / SIZES[dtype] }, (_, i) => read(i));
}

function taken(map, name) {
  require(map instanceof Map && map.has(name), `${name} is missing`);
  return map.get(name);
}

function shaped(checkpoint, name, dtype, shape, mayLack = false) {
  const array = checkpoint.arrays.get(name);
  if (array === undefined && (mayLack || shape.includes(0))) return null;
  require(array !== undefined, `array ${name} is missing`);
  require(array.dtype === dtype && `${array.shape}` === `${shape}`, `array ${name} has another type or shape`);
  return array.entries;
}

const ROWS = { beta: [2, 2], gamma_poisson: [2, 2], gaussian: [5, 3] }; // of prior and evidence

function modelOf({ format, config }) {
  const policy = format === 1 ? config : taken(config, "policy");
  require(policy instanceof Map, "its policy is not a map");
  const model = policy.get("model") ?? new Map([["kind", "beta"]]);
  require(model instanceof Map && typeof model.get("kind") === "string", "its model has no kind");
  return model;
}

function checkBandit(checkpoint) {
  const { format, values } = checkpoint;
  const ids = taken(values, "ids");
  require(Array.isArray(ids), "its ids are not a list");
  checkIds(ids.filter((id) => id !== null));
  const model = modelOf(checkpoint);
  const [prior, evidence] = ROWS[model.get("kind")] ?? [0, 0];
  shaped(checkpoint, "uids", "<u8", [ids.length]);
  shaped(checkpoint, "generations", "<i8", [ids.length], true);
  if (format === 1) {
    shaped(checkpoint, "statistics", "<f8", [4, ids.length]);
    return;
  }
  shaped(checkpoint, "cells", "<f8", [6]);
  shaped(checkpoint, "evidence", "<f8", [evidence, ids.length]);
  shaped(checkpoint, "prior", "<f8", [prior, ids.length], true);
  shaped(checkpoint, "exposures", "<f8", [2, ids.length], true);
  const size = sizeOfSums(model, ids.length);
  if (format >= 3) checkSlots(checkpoint, size);
  shaped(checkpoint, "retracted", "<f8", size, true);
  shaped(checkpoint, "retracted_resets", "<i8", [size[0]], true);
}

function sizeOfSums(model, rows) {
  const counts = ROWS[model.get("kind")];
  if (counts !== undefined) return [rows, counts[1]];
  const d = Number(taken(model, "n_features"));
  return [model.get("kind") === "shared_linear" ? 1 : rows, (d * (d + 1)) / 2 + d];
}

function checkSlots(checkpoint, size) {
  const slots = taken(checkpoint.values, "slots");
  require(Array.isArray(slots), "its slots are not a list");
  const names = new Set();
  slots.forEach((slot, i) => {
    const isSlot = Array.isArray(slot) && slot.length === 5 && typeof slot[0] === "string";
    require(isSlot, "a slot is not [replica, epoch, seq, landmark, taken]");
    const [replica, epoch, seq, landmark, held] = slot;
    require([epoch, seq, held].every(isCount) && typeof landmark === "number", "a slot is not of counts and a landmark");
    require(held <= epoch, "a slot holds more epochs than there were");
    names.add(`${epoch} ${replica}`);
    shaped(checkpoint, `slot_${i}_sums`, "<f8", size, true);
    shaped(checkpoint, `slot_${i}_retracted`, "<f8", size, true);
    shaped(checkpoint, `slot_${i}_resets`, "<i8", [size[0]], true);
  });
  require(names.size === slots.length, "two slots have one name");
  const isHeld = ([replica, epoch]) =>
    slots.some(([other, later, , , held]) => other === replica && later - held <= epoch && epoch < later);
  require(!slots.some(isHeld), "a slot stands beside one that holds it");
}

function isCount(value) {
  return typeof value === "bigint" && value >= 0n && value <= 2n ** 53n;
}

function isId(id) {
  return typeof id === "string" || (typeof id === "bigint" && BigInt.asIntN(64, id) === id);
}

function checkIds(ids) {
  require(ids.every(isId), "its ids are not a list of strings and integers");
  require(new Set(ids.map((id) => typeof id + id)).size === ids.length, "an id stands twice");
}

const FLOATS = ["opened", "closed", "granted_at", "probability", "log_evidence"];
const INTEGERS = ["granted", "current", "quota", "extra", "stage", "why"];
const OLD_FLOATS = ["yielded", "pushed", "multiplier"]; // before there were rules
const OLD_INTEGERS = ["seen", "ticks_at_max"];
const NEW_FLOATS = ["yield_brought", "yield_pushed"];
const NEW_INTEGERS = ["yield_seen", "yield_target", "yield_ticks_at_max", "reasons", "tier", "bucket", "restarts"];

function checkColdStart(checkpoint) {
  const inner = taken(checkpoint.values, "bandit");
  require(Buffer.isBuffer(inner), "its bandit is not bytes");
  const bandit = readCheckpoint(inner, ["bandit"]);
  checkpoint.values.set("bandit", bandit);
  const rooms = bandit.values.get("ids").length;
  if (checkpoint.arrays.get("learned") === undefined) {
    shaped(checkpoint, "counts", "<i8", [5, rooms]);
    for (const name of OLD_FLOATS) shaped(checkpoint, name, "<f8", [rooms]);
    for (const name of OLD_INTEGERS) shaped(checkpoint, name, "<i8", [rooms]);
    shaped(checkpoint, "tier_s", "|b1", [rooms]);
  } else {
    for (const name of ["counts", "learned"]) shaped(checkpoint, name, "<f8", [7, rooms]);
    shaped(checkpoint, "organic", "<f8", [2, rooms]);
    const proofs = checkpoint.arrays.get("proofs");
    require(proofs?.dtype === "<f8" && proofs.shape.length === 2 && proofs.shape[1] === rooms, "it has no proofs");
    const sent = checkpoint.arrays.get("yield_sent");
    require(sent?.dtype === "<f8" && sent.shape.length === 2 && sent.shape[1] === rooms, "it has no yield_sent");
    for (const name of NEW_FLOATS) shaped(checkpoint, name, "<f8", [rooms]);
    for (const name of NEW_INTEGERS) shaped(checkpoint, name, "<i8", [rooms]);
    shaped(checkpoint, "is_changed", "|b1", [rooms]);
  }
  for (const name of FLOATS) shaped(checkpoint, name, "<f8", [rooms]);
  for (const name of INTEGERS) shaped(checkpoint, name, "<i8", [rooms]);
  for (const name of ["is_open", "is_new"]) shaped(checkpoint, name, "|b1", [rooms]);
  shaped(checkpoint, "blocked", "|u1", [rooms]);
  shaped(checkpoint, "spending", "<i8", [3]);
}

function checkContribution(checkpoint) {
  const { values, arrays } = checkpoint;
  const ids = taken(values, "ids");
  require(Array.isArray(ids), "its ids are not a list");
  checkIds(ids);
  const tombstones = arrays.get("tombstones");
  require(tombstones?.dtype === "<u8" && tombstones.shape.length === 1, "it has no tombstones");
  require(typeof taken(values, "latest") === "number", "its latest is not a time");
  const since = taken(values, "since");
  require(isCount(since), "its since is not a count");
  const model = modelOf(checkpoint);
  checkSlots(checkpoint, sizeOfSums(model, ids.length));
  const isDelta = values.get("slots").length === 1 && model.get("kind") !== "shared_linear";
  require(since === 0n || isDelta, "only one replica's arms make a delta");
}

function checkDurable(checkpoint) {
  const { values, arrays } = checkpoint;
  const [journal, segment, seen] = ["journal", "segment", "seen"].map((name) => taken(values, name));
  require(typeof journal === "string" && /^[0-9a-f]{32}$/.test(journal), "its journal is not a name");
  require(typeof segment === "bigint" && segment > 0n, "its segment is not a number");
  const areIds = (lists) =>
    Array.isArray(lists) && lists.length === 2 && lists.every((ids) => Array.isArray(ids) && ids.every(isId));
  const isSeen = seen instanceof Map && seen.size === 2 && ["update", "correct"].every((name) => areIds(seen.get(name)));
  require(isSeen, "its seen is not a map of ids");
  const inner = arrays.get("bandit");
  require(inner?.dtype === "|u1" && inner.shape.length === 1, "its bandit is not bytes");
  arrays.delete("bandit");
  values.set("bandit", readCheckpoint(Buffer.from(inner.entries), ["bandit"]));
}

const RANKS = { // of kinds of constraints; then the arrays of each: [dtype, ...shape], "K" for the bandit's columns
  eligibility: 0, frequency: 0, protected: 0, guardrail: 1, baseline: 2, budget: 2, cap: 2, knapsack: 2, fair_share: 3,
  floor: 3, epsilon: 4, explore_slots: 4, slate: 4, demotion: 5, dual_price: 5, head_cap: 5, low_quality: 5,
  concentration: 6, objective: 6, value: 6,
};
const [ARMS, COUNTS, MARKS] = [["<f8", "K"], ["<i8", "K"], ["|u1", "K"]];
const ANY = null; // of a length that the file alone says

function statesOf(rule) {
  const others = (metrics) => metrics.filter((name) => name !== "reward").length;
  const evidence = (process) => (process.get("kind") === "bounded_mean" ? 16 : 2);
  switch (rule.get("kind")) {
    case "baseline": return {
      plays: COUNTS, counts: ["<f8", 2, "K"], lower: ARMS, upper: ARMS, ranks: COUNTS, is_baseline: MARKS,
      totals: ["<f8", 6],
    };
    case "budget": return {
      accounts: ["<f8", 5, ANY], arms: ["<f8", rule.get("by") === "arm" ? 8 : 3, "K"], reservations: ["<f8", 9, ANY],
      numbers: ["<i8", ANY], clock: ["<f8", 6],
    };
    case "concentration": return { exposures: COUNTS, offered: MARKS };
    case "demotion": return { harms: ARMS, counts: ARMS, totals: ["<f8", 2] };
    case "dual_price": return { totals: ["<f8", 12], arms: ["<f8", 6, "K"] };
    case "eligibility": return { blocked: MARKS, served: COUNTS, held: ["<u8", "K"], seen: ["<i8", 1] };
    case "epsilon": return { counts: ["<f8", 2 * others([rule.get("metric")]), "K"] };
    case "explore_slots": return { exposures: COUNTS };
    case "fair_share": return { deficit: ARMS, worst: ["<f8", 1], scaled: ["<i8", 1] };
    case "frequency": return {
      viewers: ["<u8", 2, ANY], heads: ["<i8", 2, ANY], arms: ["<u8", 2, ANY], links: ["<i8", 2, ANY],
      used: ["<i8", 2, 3], counts: ["<i8", 6],
    };
    case "guardrail": {
      const metrics = [rule.get("metric")].flat();
      const processes = Array.isArray(rule.get("evidence")) ? rule.get("evidence") : metrics.map(() => rule.get("evidence"));
      return { counts: ["<f8", processes.reduce((rows, one) => rows + evidence(one), 0), "K"], blocked: MARKS };
    }
    case "head_cap": return { exposures: ARMS, total: ["<f8", 1], window: ["<i8", 1] };
    case "knapsack": {
      const size = rule.get("inventory").size;
      return { decisions: ["<f8", 1], resources: ["<f8", 3, size], arms: ["<f8", 1 + 3 * size, "K"] };
    }
    case "low_quality": return { lows: ARMS, counts: ARMS, queue: ["<f8", 1], totals: ["<f8", 2] };
    case "objective": return { counts: ["<f8", 2 * others([...rule.get("metrics").keys()]), "K"] };
    case "protected": return { counts: ["<f8", evidence(rule.get("evidence")), "K"], safe: MARKS };
    default: return {};
  }
}

function checkConstrained(checkpoint) {
  const { config, values, arrays } = checkpoint;
  const inner = taken(values, "bandit");
  require(Buffer.isBuffer(inner), "its bandit is not bytes");
  const bandit = readCheckpoint(inner, ["bandit"]);
  values.set("bandit", bandit);
  const columns = bandit.values.get("ids").length;
  const rules = taken(config, "constraints");
  const isRule = (rule) => rule instanceof Map && Object.hasOwn(RANKS, rule.get("kind"));
  require(Array.isArray(rules) && rules.every(isRule), "its constraints are not a list of known kinds");
  const names = taken(values, "names");
  const areNames = (given) => Array.isArray(given) && given.every((name) => typeof name === "string");
  require(names instanceof Map && [...names.values()].every(areNames), "its names are not lists by attribute");
  const known = new Set(["chances"]);
  const check = (name, dtype, shape) => {
    const array = arrays.get(name);
    const fits = array?.dtype === dtype && array.shape.length === shape.length;
    require(fits && shape.every((n, i) => n === ANY || n === array.shape[i]), `array ${name} is missing or misshapen`);
    known.add(name);
  };
  for (const name of arrays.keys()) if (name.startsWith("attribute.")) check(name, "<f8", [columns]);
  require([...names.keys()].every((name) => known.has(`attribute.${name}`)), "an attribute has names and no array");
  if (arrays.has("chances")) check("chances", "<f8", [columns]);
  const sorted = [...rules].sort((x, y) => RANKS[x.get("kind")] - RANKS[y.get("kind")]); // a stable order
  sorted.forEach((rule, place) => {
    for (const [field, [dtype, ...shape]] of Object.entries(statesOf(rule))) {
      check(`${place}.${field}`, dtype, shape.map((n) => (n === "K" ? columns : n)));
    }
  });
  require([...arrays.keys()].every((name) => known.has(name)), "it has arrays of no constraint");
}

const CHECKS = {
  bandit: checkBandit, cold_start: checkColdStart, contribution: checkContribution, durable: checkDurable,
  constrained: checkConstrained,
};

function meansOf(checkpoint) {
  if (checkpoint.values.get("bandit") !== undefined) return meansOf(checkpoint.values.get("bandit"));
  require(checkpoint.kind === "bandit", "--mean is for what has a bandit");
  const model = modelOf(checkpoint);
  require(model.get("kind") === "beta", `--mean is for the model beta, not for ${quoted(model.get("kind"))}`);
  const { format, values, arrays } = checkpoint;
  const ids = values.get("ids");
  const size = ids.length;
  const entries = (name) => arrays.get(name)?.entries;
  const statistics = entries("statistics");
  const evidence = format === 1 ? statistics.slice(2 * size) : entries("evidence") ?? [];
  const prior = format === 1 ? statistics.slice(0, 2 * size) : entries("prior");
  const [a, b] = (model.get("prior") ?? [1, 1]).map(Number);
  const exposures = entries("exposures") ?? new Array(2 * size).fill(0);
  const scale = format === 1 ? 1 : scaleOf(model.get("half_life") ?? null, entries("cells"));
  const others = othersOf(checkpoint);
  return ids.flatMap((id, c) => {
    if (id === null) return [];
    const [won, lost] = [0, 1].map((e) => scale * Math.max(evidence[e * size + c] + others(c, e), 0));
    const good = (prior ? prior[c] : a) + won;
    const bad = (prior ? prior[size + c] : b) + lost + exposures[c] - exposures[size + c];
    return [[id, good / (good + bad)]];
  });
}

function othersOf({ config, values, arrays }) { // what others' slots add to a sum of a column
  const entries = (name) => arrays.get(name)?.entries;
  const landmark = entries("cells")?.[1] ?? NaN;
  const slots = (values.get("slots") ?? []).map(([replica, epoch, , mark], i) => {
    const [sums, retracted, resets] = ["sums", "retracted", "resets"].map((part) => entries(`slot_${i}_${part}`));
    return { name: Buffer.from(replica), epoch, mark, sums, retracted, resets };
  });
  slots.sort((x, y) => Buffer.compare(x.name, y.name) || (x.epoch < y.epoch ? -1 : 1));
  if (entries("retracted") !== undefined) {
    const [mark, resets] = [values.get("retracted_landmark"), entries("retracted_resets")];
    slots.push({ mark, retracted: entries("retracted"), resets });
  }
  const blocks = config.get("change_detector") ? arrays.get("blocks") : undefined;
  const restarts = (c) => (blocks === undefined ? 0n : BigInt(blocks.entries[(c + 1) * blocks.shape[1] - 1]));
  return (c, e) => {
    let total = 0;
    for (const { mark, sums, retracted, resets } of slots) {
      if ((resets?.[c] ?? 0n) !== restarts(c)) continue;
      const factor = Number.isNaN(mark) || Number.isNaN(landmark) ? 1 : 2 ** (mark - landmark);
      total += ((sums?.[2 * c + e] ?? 0) - (retracted?.[2 * c + e] ?? 0)) * factor;
    }
    return total;
  };
}

function scaleOf(halfLife, cells) {
  const [, landmark, latest] = cells;
  if (halfLife === null || Number.isNaN(landmark) || Number.isNaN(latest)) return 1;
  return 2 ** (landmark - latest / Number(halfLife));
}

// printing

function quoted(text) {
  return JSON.stringify(text.slice(0, 80));
}

function printable(value) {
  if (typeof value === "bigint") return value >= -(2n ** 53n) && value <= 2n ** 53n ? Number(value) : `${value}`;
  if (typeof value === "number") return Number.isFinite(value) ? value : `${value}`;
  if (Buffer.isBuffer(value)) return value.toString("base64");
  if (Array.isArray(value)) return value.map(printable);
  if (value instanceof Map) return Object.fromEntries([...value].map(([name, inner]) => [name, printable(inner)]));
  if (value !== null && typeof value === "object") return printable(new Map(Object.entries(value)));
  return value;
}

function main(args) {
  const isMean = args[0] === "--mean";
  const path = args[isMean ? 1 : 0];
  if (path === undefined) {
    console.error("usage: node read_checkpoint.mjs [--mean] FILE");
    return 2;
  }
  try {
    const checkpoint = readCheckpoint(readFileSync(path), Object.keys(CHECKS));
    console.log(JSON.stringify(printable(isMean ? meansOf(checkpoint) : checkpoint), null, 1));
    return 0;
  } catch (error) {
    if (!(error instanceof Refused || error.code)) throw error;
    console.error(`${path} cannot be read: ${error.message}`);
    return 1;
  }
}

process.exitCode = main(process.argv.slice(2));

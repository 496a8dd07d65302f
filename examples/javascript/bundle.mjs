// The bundle file, format 1, as docs/bundle-format.md specifies it. What cannot be used throws.

import { isDeepStrictEqual } from "node:util";
import * as crypto from "node:crypto";

const TYPES = { U8: Uint8Array, U16: Uint16Array, U32: Uint32Array };
const MAPS = { grams: Uint16Array, halves: Uint8Array, wholes: Uint32Array };
const HEADER_LIMIT = 1 << 20;
const MEMORY_LIMIT_KIB = 1 << 18;
const DAY = 86_400_000;

/** A file that must not be used. */
export class BundleError extends Error {}

const refuse = (reason) => {
  throw new BundleError(reason);
};
const isDay = (text) => {
  const day = new Date(text);
  return !Number.isNaN(day.getTime()) && day.toISOString().slice(0, 10) === text;
};
const isCount = (value, most) => Number.isInteger(value) && value >= 0 && value <= most;

export class Bundle {
  /**
   * @param {Uint8Array} octets the file
   * @param {string} normaliser SHA-256 of the reader's table file
   * @param {Date} now the moment to judge the last day by
   */
  constructor(octets, normaliser, now = new Date()) {
    try {
      this.#read(octets, normaliser, now);
    } catch (error) {
      throw error instanceof BundleError ? error : new BundleError("damaged", { cause: error });
    }
  }

  #read(octets, normaliser, now) {
    const { text, arrays, data } = unpack(octets);
    const manifest = JSON.parse(text);
    if (manifest.format !== 1) refuse("another format");
    if (manifest.normaliser?.sha256 !== normaliser) refuse("another normaliser");
    if (manifest.content_sha256 !== contentHash(text, data)) refuse("changed since it was built");
    this.manifest = manifest;
    this.arrays = arrays;
    this.#check();
    if (freshness(manifest.valid_until, now) === "refused") refuse("expired");
  }

  #check() {
    const { manifest, arrays } = this;
    if (!/^[1-8][0-9]{3}\.[12]\.(0|[1-9][0-9]{0,3})$/.test(manifest.release)) refuse("release");
    if (!["public", "operators"].includes(manifest.audience)) refuse("audience");
    if (!isDay(manifest.valid_until)) refuse("valid_until");
    const { algorithm, memory_kib: memory, passes, lanes } = manifest.kdf;
    if (!["argon2id", "sha256"].includes(algorithm)) refuse("another hash");
    if (!isCount(memory, MEMORY_LIMIT_KIB) || !isCount(passes, 16) || passes < 1) refuse("kdf");
    if (!isCount(lanes, 16) || lanes < 1) refuse("kdf");
    if (!/^[0-9a-f]{32}$/i.test(manifest.family.salt)) refuse("salt");
    this.salt = Buffer.from(manifest.family.salt, "hex");
    for (const [kind, { bits }] of Object.entries(manifest.kinds)) {
      if (!isCount(bits, 32) || bits < 1) refuse("bits");
      if (!(arrays[`codes.${kind}`] instanceof Uint32Array)) refuse("codes");
    }
    this.anchors = [];
    if (manifest.audience === "operators") this.#checkPhrases();
  }

  #checkPhrases() {
    const { arrays } = this;
    const { anchors, maps } = this.manifest.phrases;
    for (const [name, type] of Object.entries(MAPS)) {
      const { seed, segment_length: length, segment_count: count } = maps[name];
      if (!isCount(seed, 0xffffffff) || !isCount(count, 0xffffffff) || count < 1) refuse(name);
      if (!isCount(length, 1 << 16) || length < 1 || length & (length - 1)) refuse(name);
      if (!(arrays[name] instanceof type)) refuse(name);
      if (arrays[name].length !== (count + 2) * length) refuse(name);
    }
    const { sieve } = arrays;
    if (!(sieve instanceof Uint8Array) || sieve.length < 8) refuse("sieve");
    if (sieve.length & (sieve.length - 1)) refuse("sieve");
    if (!anchors.every((anchor) => isCount(anchor, 2))) refuse("anchors");
    this.anchors = anchors;
  }

  /** 32 bits of a secret's slow hash; undefined where this Node has no Argon2. */
  slowHash(secret) {
    const { algorithm, memory_kib: memory, passes, lanes: parallelism } = this.manifest.kdf;
    return slowHash({ algorithm, memory, passes, parallelism }, this.salt, secret);
  }
}

export function slowHash({ algorithm, memory, passes, parallelism }, salt, secret) {
  if (algorithm === "sha256") {
    return crypto.createHash("sha256").update(salt).update(secret).digest().readUInt32LE(0);
  }
  if (crypto.argon2Sync === undefined) return undefined;
  const rest = { nonce: salt, parallelism, memory, passes, tagLength: 4 };
  return crypto.argon2Sync(algorithm, { message: Buffer.from(secret), ...rest }).readUInt32LE(0);
}

/** Text of the manifest, arrays by name, and the octets that they lie in. */
function unpack(octets) {
  const bytes = Buffer.from(octets);
  const size = bytes.length < 8 ? 0 : Number(bytes.readBigUInt64LE(0));
  if (size < 2 || size > HEADER_LIMIT || size % 8) refuse("not a bundle");
  if (bytes.length < 8 + size) refuse("cut short");
  const header = JSON.parse(bytes.subarray(8, 8 + size).toString());
  const text = header.__metadata__?.lethe;
  if (typeof text !== "string") refuse("not a bundle");
  delete header.__metadata__;
  // The manifest, and with it the content hash, covers how the arrays lie.
  if (!isDeepStrictEqual(JSON.parse(text).arrays, header)) refuse("damaged");
  const data = bytes.subarray(8 + size);
  const arrays = {};
  let end = 0;
  const tensors = Object.entries(header).map(([name, about]) => ({ name, ...about }));
  const place = ({ data_offsets: [first, last] }) => [first, last];
  tensors.sort((a, b) => place(a)[0] - place(b)[0] || place(a)[1] - place(b)[1]);
  for (const { name, dtype, shape, data_offsets: [first, last] } of tensors) {
    const type = TYPES[dtype];
    if (type === undefined || shape.length !== 1) refuse("damaged");
    if (first !== end || last - first !== shape[0] * type.BYTES_PER_ELEMENT) refuse("damaged");
    if (last > data.length) refuse("cut short");
    // A copy, so that it is aligned; the order of octets is the host's: little-endian.
    arrays[name] = new type(new Uint8Array(data.subarray(first, last)).buffer);
    end = last;
  }
  if (end !== data.length) refuse("damaged");
  return { text, arrays, data };
}

/**
 * SHA-256 of the manifest without its content_sha256, and the arrays. The text is canonical as it
 * stands in the file; so it is cut, not written again.
 */
export function contentHash(text, data) {
  const rest = withoutKey(text, "content_sha256");
  return crypto.createHash("sha256").update(rest).update(data).digest("hex");
}

/** A canonical JSON object without one member of its outermost level, whose value is a string. */
function withoutKey(text, key) {
  let depth = 0;
  for (const match of text.matchAll(/"(?:[^"\\]|\\.)*"|[[{]|[\]}]/g)) {
    const [token] = match;
    if (token === "{" || token === "[") depth += 1;
    else if (token === "}" || token === "]") depth -= 1;
    else if (depth === 1 && token === JSON.stringify(key)) {
      const end = match.index + token.length;
      const value = /^:"[^"\\]*",?/.exec(text.slice(end));
      if (value !== null) return text.slice(0, match.index) + text.slice(end + value[0].length);
    }
  }
  return text;
}

/** valid, expiring, expired or refused: how a last day (YYYY-MM-DD) stands to a moment. */
export function freshness(validUntil, now) {
  const last = Date.parse(validUntil); // midnight, UTC
  let refused = last + 31 * DAY;
  while ([0, 6].includes(new Date(refused).getUTCDay())) refused += DAY;
  if (now.getTime() >= refused + 10 * 3_600_000) return "refused";
  const today = Math.floor(now.getTime() / DAY) * DAY;
  if (today > last) return "expired";
  return today > last - 60 * DAY ? "expiring" : "valid";
}

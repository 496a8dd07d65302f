// Phrases of a bundle in whole texts, as docs/bundle-format.md specifies them.
//
// All arithmetic is modulo 2^32: Math.imul multiplies, ">>> 0" makes the result unsigned.

import { createHash } from "node:crypto";

import { BREAK, isSeparator, show } from "./nv1.mjs";

const LONGEST = 128;
const LONGEST_GAP = 12;
const ALPHABETIC = 6;
const DENSE = 3;
const SLOW_HASHES = 1024;
export const WORDS = 0;
export const ADDRESSED = 1;
export const NOWHERE = 2;
const KINDS = [["name"], ["handle"], ["postal_address", "url", "text"]];
const ORDER = ["name", "postal_address", "handle", "url", "text"];

const within = (ranges) => (code) => ranges.some(([first, last]) => first <= code && code <= last);
const isDense = within([
  [0x3005, 0x3007], [0x3021, 0x318f], [0x3400, 0x9fff], [0xf900, 0xfaff], [0x20000, 0x3ffff],
]);
const isSpaceless = within([
  [0x0e00, 0x0eff], [0x1000, 0x109f], [0x1100, 0x11ff], [0x1780, 0x17ff],
  [0x1980, 0x19df], [0x1a20, 0x1aaf], [0x1b00, 0x1b7f], [0x2e80, 0xa4cf], [0xa980, 0xa9df], [0xf900, 0xfaff],
  [0x20000, 0x3ffff],
]);
const isDigit = (code) => code >= 0x30 && code <= 0x39;

/** How many letters open a candidate that begins with this one. */
export const gramLength = (code) => (isDense(code) ? DENSE : ALPHABETIC);

/** How long the prefix is that confirms a phrase of this length. */
export const checkpoint = (length, gram) =>
  Math.min(length - 1, Math.max(gram + 2, Math.ceil(length / 2)));

const lengthsBehind = Object.fromEntries(
  [ALPHABETIC, DENSE].map((gram) => {
    const found = Array.from({ length: LONGEST + 1 }, () => []);
    for (let length = gram + 1; length <= LONGEST; length++) {
      found[checkpoint(length, gram)].push(length);
    }
    return [gram, found];
  }),
);

/** A bijection of 32-bit integers. */
export function mix(x) {
  x ^= x >>> 16;
  x = Math.imul(x, 0x7feb352d);
  x ^= x >>> 15;
  x = Math.imul(x, 0x846ca68b);
  return (x ^ (x >>> 16)) >>> 0;
}

/** The upper half of the product of two 32-bit integers, without one of 64 bits. */
function multiplyHigh(a, b) {
  return Math.floor(((a >>> 16) * b + Math.floor(((a & 0xffff) * b) / 0x10000)) / 0x10000);
}

/** A binary fuse map: the value of a key, anything where the key was not stored. */
export class Fuse {
  constructor({ seed, segment_length: length, segment_count: count }, slots) {
    Object.assign(this, { seed, length, range: count * length, slots });
    this.seed2 = mix(seed ^ 0x9e3779b9);
    this.keep = 2 ** (8 * slots.BYTES_PER_ELEMENT) - 1;
  }

  get(x, y) {
    const { length, slots } = this;
    const a = mix(x ^ this.seed);
    const b = mix(y ^ a ^ this.seed2);
    const first = multiplyHigh(a, this.range);
    const second = ((first + length) ^ (b & (length - 1))) >>> 0;
    const third = ((first + 2 * length) ^ ((b >>> 16) & (length - 1))) >>> 0;
    const value = slots[first] ^ slots[second] ^ slots[third] ^ mix(b ^ 0x5bd1e995);
    return (value & this.keep) >>> 0;
  }
}

/** Constants of a family's fast hash. */
export function phraseKey(salt) {
  const digest = createHash("sha256").update(salt).update("lethe phrases").digest();
  const [base1, base2, length, anchor, seed] = [0, 4, 8, 12, 16].map(
    (at) => (digest.readUInt32LE(at) | 1) >>> 0,
  );
  return { base1, base2, length, anchor, seed };
}

const times = (sum, base, code) => (Math.imul(sum, base) + code) >>> 0;

/** Two polynomials of some letters. */
export function sums(key, codes) {
  let one = 0;
  let two = 0;
  for (const code of codes) {
    one = times(one, key.base1, code);
    two = times(two, key.base2, code);
  }
  return [one, two];
}

/** The first part of the key of a prefix or a whole. */
export const addressOf = (key, anchor, length, one) =>
  (one + Math.imul(length, key.length) + Math.imul(anchor, key.anchor)) >>> 0;

/** What the slow hash of a phrase is taken of. */
export const secretOf = (anchor, letters) => `phrase ${anchor}\0${letters}`;

/** Whether a phrase that ends with one letter is none where another follows directly. */
function mayNotTouch(anchor, last, after) {
  if (after >= 0x11a8 && after <= 0x11ff) return true; // a consonant that closes the syllable
  if (anchor === WORDS) return !isSpaceless(last) && !isSpaceless(after);
  return isDigit(last) && isDigit(after);
}

/** The letters of a reading, and for each what stands before it. */
export function lettersOf(codes) {
  const letters = [];
  let gap = 0;
  let broken = true;
  let addressed = false;
  codes.forEach((code, place) => {
    if (isSeparator(code)) {
      gap += 1;
      const breaks = code === BREAK.codePointAt(0);
      broken ||= breaks;
      addressed &&= !breaks;
      addressed ||= code === 0x40 || code === 0x2f;
      return;
    }
    broken ||= gap > LONGEST_GAP;
    const before = letters.at(-1);
    const spaceless = isSpaceless(code) || (before !== undefined && isSpaceless(before.code));
    const edge = broken || gap > 0 || spaceless;
    const touching = gap === 0 && !broken;
    const starts = (edge ? 1 << WORDS : 0) | (addressed ? 1 << ADDRESSED : 0) | (1 << NOWHERE);
    letters.push({ code, place, touching, broken, starts });
    gap = 0;
    broken = addressed = false;
  });
  return letters;
}

export class Phrases {
  /** @param {import("./bundle.mjs").Bundle} bundle with its maps checked */
  constructor(bundle) {
    this.key = phraseKey(bundle.salt);
    this.bundle = bundle;
    this.mask = bundle.anchors.reduce((mask, anchor) => mask | (1 << anchor), 0);
    if (!this.mask) return;
    const { maps } = bundle.manifest.phrases;
    for (const name of Object.keys(maps)) this[name] = new Fuse(maps[name], bundle.arrays[name]);
    this.sieve = bundle.arrays.sieve;
    this.shift = 32 - Math.log2(8 * this.sieve.length);
  }

  /** Every phrase that the maps let through: first and last letter, kind, anchor, code. */
  *scan(letters) {
    if (!this.mask) return;
    for (let start = 0; start < letters.length; start++) {
      const gram = gramLength(letters[start].code);
      const opening = letters.slice(start, start + gram).map((letter) => letter.code);
      if (opening.length < gram) continue;
      const [x] = sums(this.key, opening);
      const bit = this.shift ? x >>> this.shift : x;
      if (!((this.sieve[bit >>> 3] >> (bit & 7)) & 1)) continue;
      const value = this.grams.get(x, x);
      if (value >= 1 << 8) continue;
      const anchors = (value >> 5) & letters[start].starts & this.mask;
      for (const anchor of [WORDS, ADDRESSED, NOWHERE]) {
        if ((anchors >> anchor) & 1) {
          yield* this.#follow(letters, anchor, start, gram, 4 * ((value & 31) + 1));
        }
      }
    }
  }

  *#follow(letters, anchor, start, gram, longest) {
    const opening = letters[start];
    if (
      anchor === NOWHERE && start > 0 && opening.touching &&
      mayNotTouch(NOWHERE, letters[start - 1].code, opening.code)
    ) {
      return;
    }
    const possible = [gram]; // lengths that the prefixes so far allow
    let one = 0;
    let two = 0;
    for (let last = start; last < Math.min(letters.length, start + LONGEST); last++) {
      if (last > start && letters[last].broken) return;
      one = times(one, this.key.base1, letters[last].code);
      two = times(two, this.key.base2, letters[last].code);
      const length = last - start + 1;
      if (length < gram) continue;
      const x = addressOf(this.key, anchor, length, one);
      if (possible.includes(length)) {
        const value = this.wholes.get(x, two);
        if (value < 1 << 18 && this.#ends(letters, anchor, last)) {
          const kinds = KINDS[anchor];
          const kind = kinds[Math.min(value >> 16, kinds.length - 1)];
          yield { start, last, kind, anchor, code: value & 0xffff };
        }
      }
      const behind = length <= longest ? lengthsBehind[gram][length] : [];
      if (behind.length && this.halves.get(x, two) === 0) possible.push(...behind);
      if (length >= longest) return;
      if (length >= checkpoint(longest, gram) && possible.at(-1) <= length) return;
    }
  }

  #ends(letters, anchor, last) {
    const after = letters[last + 1];
    return !after?.touching || !mayNotTouch(anchor, letters[last].code, after.code);
  }

  /**
   * A text without the listed phrases, and what was removed: offsets in code points of the text.
   * Only phrases: e-mail addresses and numbers are other work.
   */
  redact(nv1, text) {
    const reading = nv1.read(text);
    const letters = lettersOf(reading.codes);
    const questions = [...this.scan(letters)].map((hit) => {
      const codes = letters.slice(hit.start, hit.last + 1).map((letter) => letter.code);
      const [first, last] = [letters[hit.start].place, letters[hit.last].place];
      const secret = secretOf(hit.anchor, show(codes));
      const [start, end] = [reading.starts[first], reading.starts[last + 1] ?? reading.size];
      return { first, last, start, end, kind: hit.kind, secret, code: hit.code };
    });
    questions.sort((a, b) =>
      a.last - b.last || a.first - b.first || compare(a.kind, b.kind) || compare(a.secret, b.secret),
    );
    const answers = this.#answers(questions);
    return replaced([...text], merged(answers));
  }

  #answers(questions) {
    const known = new Map();
    const answers = [];
    for (const { start, end, kind, secret, code } of questions) {
      if (!known.has(secret) && known.size < SLOW_HASHES) {
        known.set(secret, this.bundle.slowHash(secret));
      }
      const slow = known.get(secret); // undefined beyond the budget, and without Argon2
      if (slow === undefined) answers.push({ start, end, kind, reason: "undecided" });
      else if (slow >>> 16 === code) answers.push({ start, end, kind, reason: "listed" });
    }
    return answers;
  }
}

const compare = (a, b) => (a < b ? -1 : Number(a > b));

/** Answers that overlap become one, of the kind of the first and longest among them. */
function merged(answers) {
  const rank = (kind) => ORDER.indexOf(kind);
  answers.sort((a, b) =>
    a.start - b.start || b.end - a.end || rank(a.kind) - rank(b.kind) || compare(a.reason, b.reason),
  );
  const found = [];
  for (const answer of answers) {
    const last = found.at(-1);
    if (last !== undefined && answer.start < last.end) {
      last.end = Math.max(last.end, answer.end);
      if (answer.reason === "listed") last.reason = "listed";
    } else {
      found.push({ ...answer });
    }
  }
  return found;
}

function replaced(chars, matches) {
  let text = "";
  let done = 0;
  for (const { start, end, kind } of matches) {
    text += `${chars.slice(done, start).join("")}[${kind.replaceAll("_", " ")} removed]`;
    done = end;
  }
  return { text: text + chars.slice(done).join(""), matches };
}

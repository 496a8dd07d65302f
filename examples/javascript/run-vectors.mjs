// Checks this reader against examples/vectors; exit code 1 where something differs.
//
//   node run-vectors.mjs            every vector
//   node run-vectors.mjs --read     JSON strings on standard input, one a line -> their readings
//   node run-vectors.mjs --redact   the same -> text and matches under the bundle of the vectors

import { readFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";

import { Bundle, BundleError, freshness, slowHash } from "./bundle.mjs";
import { Nv1, show } from "./nv1.mjs";
import { Phrases, checkpoint, gramLength, mix, phraseKey, sums } from "./phrases.mjs";

const file = (name) => readFileSync(new URL(`../vectors/${name}`, import.meta.url));
const nv1 = new Nv1();
const about = JSON.parse(file("phrases.json"));
const octets = file(about.bundle);
const open = (bytes, now = about.now) => new Bundle(bytes, nv1.sha256, new Date(now));

let checked = 0;
let wrong = 0;
let skipped = 0;

function check(what, found, wanted) {
  checked += 1;
  if (isDeepStrictEqual(found, wanted)) return;
  wrong += 1;
  console.log(`${what}: ${JSON.stringify(found)} instead of ${JSON.stringify(wanted)}`);
}

function checkReadings() {
  const { normaliser, vectors } = JSON.parse(file("nv1.json"));
  check("table", nv1.sha256, normaliser.sha256);
  for (const { rule, text, decoded, reading, letters, starts } of vectors) {
    const found = nv1.read(text);
    const what = `${rule}, ${JSON.stringify(text)}`;
    check(`${what}, decoded`, show(nv1.decode(text).codes), decoded);
    check(`${what}, reading`, show(found.codes), reading);
    check(`${what}, offsets`, found.starts, starts);
    check(`${what}, letters`, nv1.letters(text), letters);
  }
}

function checkArithmetic(bundle, phrases) {
  const codes = (letters) => [...letters].map((letter) => letter.codePointAt(0));
  check("phrase key", phraseKey(bundle.salt), about.phrase_key);
  for (const { x, mixed } of about.mix) check(`mix ${x}`, mix(x), mixed);
  for (const one of about.sums) {
    check(`sums ${one.letters}`, sums(about.phrase_key, codes(one.letters)), one.sums);
  }
  for (const { letter, gram } of about.gram_length) {
    check(`gram length ${letter}`, gramLength(letter.codePointAt(0)), gram);
  }
  for (const one of about.checkpoint) {
    check(`checkpoint ${one.length}`, checkpoint(one.length, one.gram), one.checkpoint);
  }
  for (const { map, x, y, value } of about.fuse) check(map, phrases[map].get(x, y), value);
  for (const { profile, secret, hash, ...kdf } of about.slow_hash) {
    const found = slowHash(kdf, bundle.salt, secret);
    if (found === undefined) skipped += 1;
    else check(`slow hash, ${profile}`, found, hash);
  }
  for (const { valid_until: last, now, state } of about.freshness) {
    check(`${last} at ${now}`, freshness(last, new Date(now)), state);
  }
}

function checkPhrases(phrases) {
  for (const { text, letters } of about.phrases) {
    for (const one of letters) {
      check(`letters of a variant of ${text}`, nv1.letters(one), one);
    }
  }
  for (const { text, redacted, matches } of about.redactions) {
    const found = phrases.redact(nv1, text);
    check(`redaction of ${JSON.stringify(text)}`, found.text, redacted);
    check(`matches in ${JSON.stringify(text)}`, found.matches, matches);
  }
}

function checkRefusals() {
  const refused = (bytes, now) => {
    try {
      open(bytes, now);
      return false;
    } catch (error) {
      if (error instanceof BundleError) return true;
      throw error;
    }
  };
  check("the bundle itself", refused(octets), false);
  for (const { valid_until: last, now, state } of about.freshness) {
    if (last !== bundle.manifest.valid_until) continue;
    check(`the bundle at ${now}`, refused(octets, now), state === "refused");
  }
  for (let size = 0; size < octets.length; size += 97) {
    check(`the bundle cut at ${size}`, refused(octets.subarray(0, size)), true);
  }
  check("one octet more", refused(Buffer.concat([octets, Buffer.alloc(1)])), true);
  for (let at = 0; at < octets.length; at += 7) {
    const changed = Buffer.from(octets);
    changed[at] ^= 1;
    check(`the bundle changed at ${at}`, refused(changed), true);
  }
}

function answer(work) {
  for (const line of readFileSync(0, "utf8").split("\n")) {
    if (line !== "") console.log(JSON.stringify(work(JSON.parse(line))));
  }
}

const mode = process.argv[2];
const bundle = open(octets);
const phrases = new Phrases(bundle);
if (mode === "--read") {
  answer((text) => show(nv1.read(text).codes));
} else if (mode === "--redact") {
  answer((text) => phrases.redact(nv1, text));
} else if (mode === undefined) {
  checkReadings();
  checkArithmetic(bundle, phrases);
  checkPhrases(phrases);
  checkRefusals();
  if (skipped) console.log(`${skipped} vectors of Argon2id skipped: Node has it from 24.7 on.`);
  console.log(`${checked} checks, ${wrong} wrong.`);
  process.exitCode = wrong ? 1 : 0;
} else {
  console.error("There is no such mode: use --read, --redact or nothing.");
  process.exitCode = 2;
}

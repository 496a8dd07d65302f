// The normaliser nv1 and the decoder before it, as docs/nv1.md specifies them.
//
// A text becomes a reading: folded letters and digits, and between them separators, each shown as the
// ASCII character that it stands for or as "¦". Every character of a reading knows the code point of
// the text at which it stands.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

export const OTHER = "¦";
export const BREAK = "\0";
export const IGNORED_RUN = 16;

const TABLE = new URL("../../filter/data/nv1.txt", import.meta.url);

/** Whether a code point of a reading separates: ASCII that is no letter and no digit, or "¦". */
export function isSeparator(code) {
  if (code === 0xa6) return true;
  return code < 0x80 && !/[0-9A-Za-z]/.test(String.fromCharCode(code));
}

// ASCII only: (K) is a letter of (punkt), the Kelvin sign is not.
const anyCase = (words) => words.replace(/[a-z]/g, (c) => `[${c}${c.toUpperCase()}]`);

const AT = anyCase("at|arroba|arobase|chiocciola");
const DOT = anyCase("dot|punkt|point|punto");
const TAIL = "%[89ABab][0-9A-Fa-f]";
const UTF8 = [
  "%[0-7][0-9A-Fa-f]",
  `%(?:[Cc][2-9A-Fa-f]|[Dd][0-9A-Fa-f])${TAIL}`,
  `%(?:[Ee]0%[ABab][0-9A-Fa-f]|[Ee][1-9A-Ca-cEeFf]${TAIL}|[Ee][Dd]%[89][0-9A-Fa-f])${TAIL}`,
  `%(?:[Ff]0%[9ABab][0-9A-Fa-f]|[Ff][1-3]${TAIL}|[Ff]4%8[0-9A-Fa-f])${TAIL}${TAIL}`,
].join("|");
const ENCODED = new RegExp(
  "&(?:#(?<dec>[0-9]{1,7})|#[xX](?<hex>[0-9A-Fa-f]{1,6})|(?<name>[A-Za-z][A-Za-z0-9]{1,7}));" +
    `|(?<utf8>${UTF8})` +
    `|[(\\[{] {0,2}(?:(?<at>${AT})|(?:${DOT})) {0,2}[)\\]}]`,
  "g",
);

export class Nv1 {
  /** @param {Uint8Array} octets the table file */
  constructor(octets = readFileSync(TABLE)) {
    this.sha256 = createHash("sha256").update(octets).digest("hex");
    this.entities = new Map();
    this.table = new Map(); // code point -> what it reads as; empty where it is ignored
    this.kept = []; // [first, last], ascending
    for (let code = 0x20; code < 0x7f; code++) {
      if (isSeparator(code)) this.table.set(code, [code]);
    }
    this.table.set(0x0a, [0x0a]);
    for (const line of Buffer.from(octets).toString("ascii").split("\n")) this.#take(line);
  }

  #take(line) {
    const [where, name, ...values] = line.split(" ");
    const codes = values.map((value) => parseInt(value, 16));
    if (where === "#" || where === "" || name === "hangul") return;
    if (where === "entity") {
      this.entities.set(name, codes[0]);
      return;
    }
    const [first, last = first] = where.split("..").map((code) => parseInt(code, 16));
    if (name === "keep") {
      this.kept.push([first, last]);
      return;
    }
    for (let code = first; code <= last; code++) this.table.set(code, codes);
  }

  /** What one code point reads as: an array of code points. */
  readsAs(code) {
    const listed = this.table.get(code);
    if (listed !== undefined) return listed;
    if (code >= 0xac00 && code <= 0xd7a3) {
      const at = code - 0xac00;
      const jamo = [0x1100 + Math.floor(at / 588), 0x1161 + Math.floor((at % 588) / 28)];
      return at % 28 ? [...jamo, 0x11a7 + (at % 28)] : jamo;
    }
    let low = 0;
    let high = this.kept.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.kept[middle][1] < code) low = middle + 1;
      else high = middle;
    }
    const kept = low < this.kept.length && this.kept[low][0] <= code;
    return [kept ? code : OTHER.codePointAt(0)];
  }

  /** What one match of ENCODED stands for: a code point; undefined where it stands for itself. */
  #decoded({ dec, hex, name, utf8, at }) {
    if (utf8) return Buffer.from(utf8.replaceAll("%", ""), "hex").toString().codePointAt(0);
    if (name) return this.entities.get(name);
    if (dec || hex) {
      const code = dec ? parseInt(dec, 10) : parseInt(hex, 16);
      return code < 0x110000 && !(code >= 0xd800 && code < 0xe000) ? code : undefined;
    }
    return (at ? "@" : ".").codePointAt(0);
  }

  /** A text as code points, its encodings read once, and the offset of each in code points. */
  decode(text) {
    const codes = [];
    const starts = [];
    let offset = 0;
    const copy = (part) => {
      for (const char of part) {
        codes.push(char.codePointAt(0));
        starts.push(offset++);
      }
    };
    let done = 0;
    for (const match of text.matchAll(ENCODED)) {
      const code = this.#decoded(match.groups);
      if (code === undefined) continue;
      copy(text.slice(done, match.index));
      codes.push(code);
      starts.push(offset);
      done = match.index + match[0].length;
      offset += match[0].length; // all of it lies in the first plane
    }
    copy(text.slice(done));
    return { codes, starts, size: offset };
  }

  /** The reading of a text: code points, the offset of each in the text, and the text's size. */
  read(text) {
    const decoded = this.decode(text);
    const codes = [];
    const starts = [];
    let ignored = 0;
    decoded.codes.forEach((code, at) => {
      let found = this.readsAs(code);
      ignored = found.length ? 0 : ignored + 1;
      if (ignored && ignored % (IGNORED_RUN + 1) === 0) found = [BREAK.codePointAt(0)];
      for (const one of found) {
        codes.push(one);
        starts.push(decoded.starts[at]);
      }
    });
    return { codes, starts, size: decoded.size };
  }

  /** The letters and digits of a text, nothing between. */
  letters(text) {
    return show(this.read(text).codes.filter((code) => !isSeparator(code)));
  }
}

/** Code points as a string. */
export function show(codes) {
  let text = "";
  for (const code of codes) text += String.fromCodePoint(code);
  return text;
}

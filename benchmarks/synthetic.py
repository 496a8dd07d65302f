"""A synthetic corpus and robots.txt snapshot for measurements: same seed, same bytes."""

from __future__ import annotations

import random
import uuid
from itertools import accumulate
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

AI = [
    "GPTBot",
    "CCBot",
    "Google-Extended",
    "ClaudeBot",
    "Bytespider",
    "anthropic-ai",
    "FacebookBot",
    "Applebot-Extended",
    "Diffbot",
    "Meta-ExternalAgent",
    "PanguBot",
    "AI2Bot",
    "Omgilibot",
]
OTHERS = ["Googlebot", "bingbot", "AhrefsBot", "SemrushBot", "MJ12bot", "YandexBot", "DotBot"]
FOLDERS = [
    "admin",
    "cart",
    "search",
    "tmp",
    "private",
    "login",
    "wp-admin",
    "cgi-bin",
    "tag",
    "feed",
    "checkout",
    "user",
    "api",
    "archive",
    "media",
    "print",
    "assets",
]
PAGES = [f"page{i}" for i in range(200)]
SYLLABLES = [
    "ka",
    "lo",
    "mi",
    "ren",
    "ta",
    "sol",
    "ver",
    "ni",
    "pa",
    "du",
    "gra",
    "to",
    "el",
    "an",
    "fi",
    "bor",
    "ste",
    "qua",
    "lin",
    "mer",
    "os",
    "ti",
    "re",
    "nal",
]


def words(rng: random.Random, count: int) -> list[str]:
    return ["".join(rng.choices(SYLLABLES, k=rng.randint(1, 4))) for _ in range(count)]


def robots(rng: random.Random, site: int) -> str:
    """A robots.txt in the proportions of public collections."""
    kind = rng.random()
    sitemap = f"Sitemap: https://www.site{site}.example/sitemap.xml\n"
    if kind < 0.12:
        return "User-agent: *\nAllow: /\n" + sitemap
    if kind < 0.40:
        return "User-agent: *\nDisallow: /wp-admin/\nAllow: /wp-admin/admin-ajax.php\n\n" + sitemap
    lines = [f"# robots.txt of site {site}"]
    for bot in rng.sample(OTHERS, rng.randint(0, 4)):
        lines += [f"User-agent: {bot}", f"Disallow: /{rng.choice(FOLDERS)}/", "Crawl-delay: 10", ""]
    lines += ["User-agent: *"]
    lines += [f"Disallow: /{f}/" for f in rng.sample(FOLDERS, rng.randint(1, 8))]
    if rng.random() < 0.3:
        lines += ["Disallow: /*?sort=", "Disallow: /*.pdf$", f"Allow: /{rng.choice(FOLDERS)}/open/"]
    if kind > 0.90:
        chosen = rng.sample(AI, rng.randint(1, 8))
        lines += [""] + [f"User-agent: {b}" for b in chosen] + ["Disallow: /"]
    elif kind > 0.85:
        lines += ["", f"User-agent: {rng.choice(AI)}", f"Disallow: /{rng.choice(FOLDERS)}/"]
    lines += ["", sitemap]
    return "\n".join(lines)


def make(folder: Path, documents: int, hosts: int, seed: int = 7, files: int = 1) -> None:
    """Write ``corpus/*.parquet`` (FineWeb's columns, 3.2 kB texts) and ``robots.parquet``."""
    rng = random.Random(seed)
    vocabulary = words(rng, 30_000)
    phrases = collocations(rng, vocabulary, 40_000)
    weights = zipf(len(phrases), flat=20)
    names = [f"www.site{i}.example" if i % 3 else f"site{i}.example" for i in range(hosts)]
    folder.mkdir(parents=True, exist_ok=True)
    bodies = [robots(rng, i) for i in range(hosts)]
    pq.write_table(pa.table({"domain": names, "content": bodies}), folder / "robots.parquet")
    schema = pa.schema(
        [
            ("text", pa.string()),
            ("id", pa.string()),
            ("dump", pa.string()),
            ("url", pa.string()),
            ("date", pa.string()),
            ("file_path", pa.string()),
            ("language", pa.string()),
            ("language_score", pa.float64()),
            ("token_count", pa.int64()),
        ]
    )
    (folder / "corpus").mkdir(exist_ok=True)
    share = documents // files
    for f in range(files):
        with pq.ParquetWriter(
            folder / "corpus" / f"{f:03d}.parquet", schema, compression="zstd"
        ) as w:
            for start in range(0, share, 1000):
                rows = [
                    _document(rng, phrases, weights, names) for _ in range(min(1000, share - start))
                ]
                w.write_table(pa.Table.from_pylist(rows, schema))


def zipf(count: int, flat: float = 2.7) -> list[float]:
    """Cumulative weights of words by rank: natural text repeats its common words (Zipf's law)."""
    return list(accumulate(1 / (rank + flat) for rank in range(count)))


def collocations(rng: random.Random, vocabulary: list[str], count: int) -> list[str]:
    """Phrases of one to eight words: zstd takes as long for text made of them as for web pages."""
    weights = zipf(len(vocabulary))
    return [
        " ".join(rng.choices(vocabulary, cum_weights=weights, k=rng.randint(1, 8)))
        + rng.choice(("", "", ",", "."))
        for _ in range(count)
    ]


def _document(
    rng: random.Random, phrases: list[str], weights: list[float], names: list[str]
) -> dict[str, object]:
    length = max(10, int(rng.gauss(110, 45)))
    text = rng.choices(phrases, cum_weights=weights, k=length)
    vocabulary = phrases[0].rstrip(".,").split() + phrases[1].rstrip(".,").split()
    if rng.random() < 0.11:
        text[rng.randrange(length)] = (
            f"{rng.choice(vocabulary)}.{rng.choice(vocabulary)}@mail.example"
        )
    if rng.random() < 0.03:
        text[rng.randrange(length)] = f"8.8.{rng.randrange(256)}.{rng.randrange(1, 255)}"
    if rng.random() < 0.01:
        text[rng.randrange(length)] = "DE89 3704 0044 0532 0130 00"
    path = "/".join(rng.choices(FOLDERS + PAGES, k=rng.randint(1, 4)))
    query = "?sort=up" if rng.random() < 0.05 else ""
    return {
        "text": " ".join(text),
        "id": f"<urn:uuid:{uuid.UUID(int=rng.getrandbits(128), version=4)}>",
        "dump": "CC-MAIN-2024-10",
        "url": f"https://{rng.choice(names)}/{path}{query}",
        "date": "2024-02-20T10:00:00Z",
        "file_path": "s3://commoncrawl/crawl-data/CC-MAIN-2024-10/segments/0/warc/0.warc.gz",
        "language": rng.choice(["en", "en", "en", "de", "fr", "it"]),
        "language_score": round(rng.random(), 4),
        "token_count": int(length * 1.4),
    }

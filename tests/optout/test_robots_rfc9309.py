"""The dialect `rfc9309`, clause by clause, and Google's extensions to it.

A row of a table is a file, an agent, a URL and whether it is allowed; near misses stand beside hits.
"""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.optout.robots import DIALECTS
from pipeline.optout.robots.rfc9309 import line_tokens, own_token
from pipeline.optout.rules import RuleSet

RFC9309 = DIALECTS["rfc9309"]
ALLOWED, REFUSED = True, False


def allowed(body: bytes | str, agent: str = "FooBot", url: str = "https://example.org/a") -> bool:
    octets = body.encode() if isinstance(body, str) else body
    path = RFC9309.url_path(url)
    rules = RuleSet(RFC9309.rules_for(RFC9309.parse(octets), agent))
    return path is None or rules.refuses(path) is None


def table(cases):
    return pytest.mark.parametrize(
        ("body", "agent", "path", "expected"), cases.values(), ids=cases.keys()
    )


def check(body, agent, path, expected):
    assert allowed(body, agent, f"https://example.org{path}") is expected


# -- 2.2.1 The User-Agent line ----------------------------------------------------------------------

FOO = "User-agent: foobot\nDisallow: /\n"
BOTH = FOO + "\nUser-agent: *\nAllow: /\n"


@table(
    {
        # "Crawlers MUST use case-insensitive matching to find the group"
        "name": (FOO, "foobot", "/a", REFUSED),
        "name in another case": (FOO, "FOOBOT", "/a", REFUSED),
        "token in another case": ("User-agent: FooBot\nDisallow: /", "foobot", "/a", REFUSED),
        "another name": (FOO, "barbot", "/a", ALLOWED),
        "the beginning of the name": (FOO, "foobot-news", "/a", ALLOWED),
        "the name is only the beginning": (FOO, "foo", "/a", ALLOWED),
        "the end of the name": (FOO, "myfoobot", "/a", ALLOWED),
        # "The product token SHOULD be a substring of the identification string"
        "an agent with its version": (FOO, "FooBot/2.1", "/a", REFUSED),
        "a token with a version": ("User-agent: foobot/2.1\nDisallow: /", "foobot", "/a", REFUSED),
        "versions are not compared": ("User-agent: foobot/1\nDisallow: /", "foobot/2", "/a", REFUSED),
        # "If no matching group exists, crawlers MUST obey the group with ... '*'"
        "everybody": ("User-agent: *\nDisallow: /", "foobot", "/a", REFUSED),
        "the own group goes before everybody's": (BOTH, "foobot", "/a", REFUSED),
        "everybody's group for the others": (BOTH, "barbot", "/a", ALLOWED),
        "an own group without rules goes before everybody's, too": (
            "User-agent: foobot\nDisallow:\n\nUser-agent: *\nDisallow: /", "foobot", "/a", ALLOWED,
        ),
        "as a policy may ask for it, everybody": (BOTH, "*", "/a", ALLOWED),
        # "If no group matches the product token and there is no group with ... '*' ... no rules apply"
        "no group": ("User-agent: barbot\nDisallow: /", "foobot", "/a", ALLOWED),
        "nothing at all": ("", "foobot", "/a", ALLOWED),
        # "If there is more than one group ..., the rules MUST be combined into one group"
        "merged: first group": (
            "User-agent: foobot\nDisallow: /a\n\nUser-agent: foobot\nDisallow: /b",
            "foobot", "/a", REFUSED,
        ),
        "merged: second group": (
            "User-agent: foobot\nDisallow: /a\n\nUser-agent: FooBot\nDisallow: /b",
            "foobot", "/b", REFUSED,
        ),
        "merged: the longest of both": (
            "User-agent: foobot\nDisallow: /a\n\nUser-agent: foobot\nAllow: /a/b",
            "foobot", "/a/b", ALLOWED,
        ),
        "merged: everybody's groups": (
            "User-agent: *\nDisallow: /b\n\nUser-agent: barbot\nAllow: /\n\nUser-agent: *\nDisallow: /a",
            "foobot", "/a", REFUSED,
        ),
        "not merged with everybody's": (
            "User-agent: foobot\nDisallow: /b\n\nUser-agent: *\nDisallow: /a", "foobot", "/a", ALLOWED,
        ),
        # 2.1: a group is one or more user-agent lines, then rules
        "two names, first": (
            "User-agent: foobot\nUser-agent: barbot\nDisallow: /", "foobot", "/a", REFUSED,
        ),
        "two names, second": (
            "User-agent: barbot\nUser-agent: foobot\nDisallow: /", "foobot", "/a", REFUSED,
        ),
        "a rule ends the names": (
            "User-agent: foobot\nAllow: /\nUser-agent: barbot\nDisallow: /", "foobot", "/a", ALLOWED,
        ),
        "an empty rule ends the names, too": (
            "User-agent: foobot\nDisallow:\nUser-agent: barbot\nDisallow: /", "foobot", "/a", ALLOWED,
        ),
        "a blank line does not": (
            "User-agent: foobot\n\nUser-agent: barbot\nDisallow: /", "foobot", "/a", REFUSED,
        ),
        "a blank line does not end a group": (
            "User-agent: foobot\n\nDisallow: /a", "foobot", "/a", REFUSED,
        ),
        "rules before any name are nobody's": (
            "Disallow: /\nUser-agent: foobot\nAllow: /b", "foobot", "/a", ALLOWED,
        ),
        # Digits (our deviation): AI2Bot is a name, not the name AI
        "a name with a digit": ("User-agent: AI2Bot\nDisallow: /", "AI2Bot", "/a", REFUSED),
        "what stands before the digit": ("User-agent: AI2Bot\nDisallow: /", "AI", "/a", ALLOWED),
        "a digit in front": ("User-agent: 360Spider\nDisallow: /", "360Spider", "/a", REFUSED),
        # Names that are no product token (our deviation)
        "a name with a dot": ("User-agent: bigsur.ai\nDisallow: /", "Bigsur.ai", "/a", REFUSED),
        "a name with a space": (
            "User-agent: Kangaroo  Bot\nDisallow: /", "kangaroo bot", "/a", REFUSED,
        ),
        "its first word as a name": ("User-agent: Kangaroo\nDisallow: /", "Kangaroo Bot", "/a", ALLOWED),
        "a name beyond ASCII": ("User-agent: Jävla-Bot\nDisallow: /", "jävla-bot", "/a", REFUSED),
        "a whole header": (FOO, "Mozilla/5.0 (compatible; foobot/1.0)", "/a", ALLOWED),
        "no name at all": ("User-agent:\nDisallow: /", "", "/a", ALLOWED),
        "no letters in the name": ('User-agent: "foobot"\nDisallow: /', "foobot", "/a", ALLOWED),
    }
)  # fmt: skip
def test_2_2_1_user_agent(body, agent, path, expected):
    check(body, agent, path, expected)


# -- 2.2.2 The Allow and Disallow lines -------------------------------------------------------------


def group(*rules: str) -> str:
    return "User-agent: *\n" + "\n".join(rules)


@table(
    {
        # "The matching MUST start with the first octet of the path"
        "start": (group("Disallow: /a"), "x", "/ab", REFUSED),
        "not the start": (group("Disallow: /b"), "x", "/a/b", ALLOWED),
        # "case-sensitive"
        "case": (group("Disallow: /A"), "x", "/a", ALLOWED),
        # "The most specific match found MUST be used", by octets
        "longest, refusing": (group("Allow: /a", "Disallow: /a/b"), "x", "/a/b", REFUSED),
        "longest, allowing": (group("Disallow: /a", "Allow: /a/b"), "x", "/a/b", ALLOWED),
        "order means nothing": (group("Allow: /a/b", "Disallow: /a"), "x", "/a/b", ALLOWED),
        "the longest does not match": (group("Disallow: /a", "Allow: /a/b"), "x", "/a/c", REFUSED),
        "wildcards count as octets": (group("Allow: /a/b", "Disallow: /a**"), "x", "/a/b", ALLOWED),
        "one wildcard more": (group("Allow: /a/b", "Disallow: /a***"), "x", "/a/b", REFUSED),
        "the anchor counts": (group("Allow: /a", "Disallow: /a$"), "x", "/a", REFUSED),
        "octets, not characters": (group("Allow: /é", "Disallow: /?????"), "x", "/é", ALLOWED),
        "escapes weigh what they stand for": (
            group("Allow: /%7Ejoe", "Disallow: /~joe/"), "x", "/~joe/a", REFUSED,
        ),
        "near miss: a reserved escape keeps its weight": (
            group("Allow: /%2Fjoe", "Disallow: /*joe/"), "x", "/%2Fjoe/a", ALLOWED,
        ),
        "a dollar that is a letter weighs one octet": (
            group("Disallow: /a$b", "Allow: /a**b"), "x", "/a$b", ALLOWED,
        ),
        # "If an 'allow' rule and a 'disallow' rule are equivalent, then the 'allow' rule SHOULD be used"
        "tie": (group("Disallow: /a", "Allow: /a"), "x", "/a", ALLOWED),
        "tie of other patterns": (group("Disallow: /a*", "Allow: /ab"), "x", "/ab", ALLOWED),
        # "If no match is found amongst the rules ..., the URI is allowed"
        "no match": (group("Disallow: /b"), "x", "/a", ALLOWED),
        # "an empty pattern matches nothing" (2.2.2 with the grammar of 2.2)
        "empty disallow": (group("Disallow:"), "x", "/a", ALLOWED),
        "empty allow": (group("Disallow: /a", "Allow:"), "x", "/a", REFUSED),
        # "The /robots.txt URI is implicitly allowed"
        "robots.txt": (group("Disallow: /"), "x", "/robots.txt", ALLOWED),
        "robots.txt with a query": (group("Disallow: /"), "x", "/robots.txt?a", ALLOWED),
        "robots.txt, escaped": (group("Disallow: /"), "x", "/%72obots.txt", ALLOWED),
        "robots.txt elsewhere": (group("Disallow: /"), "x", "/a/robots.txt", REFUSED),
        "longer than robots.txt": (group("Disallow: /"), "x", "/robots.txt.bak", REFUSED),
        "robots.txt in another case": (group("Disallow: /"), "x", "/Robots.txt", REFUSED),
        # Paths without a leading slash match nothing, but for a wildcard
        "no slash": (group("Disallow: a"), "x", "/a", ALLOWED),
        "a wildcard instead": (group("Disallow: *a"), "x", "/a", REFUSED),
        # The query is a part of the path
        "query": (group("Disallow: /*?"), "x", "/a?b", REFUSED),
        "no query": (group("Disallow: /*?"), "x", "/a", ALLOWED),
        "query without a path": (group("Disallow: /?"), "x", "?b", REFUSED),
        "fragments are gone": (group("Disallow: /*b"), "x", "/a#b", ALLOWED),
    }
)  # fmt: skip
def test_2_2_2_longest_match(body, agent, path, expected):
    check(body, agent, path, expected)


@pytest.mark.parametrize(
    ("pattern", "path", "hit"),
    [
        # The table of 2.2.2: path, encoded path, path to match
        ("/foo/bar?baz=quz", "/foo/bar?baz=quz", True),
        ("/foo/bar?baz=https%3A%2F%2Ffoo.bar", "/foo/bar?baz=https%3A%2F%2Ffoo.bar", True),
        ("/foo/bar?baz=https://foo.bar", "/foo/bar?baz=https://foo.bar", True),
        ("/foo/bar/\u30c4", "/foo/bar/\u30c4", True),
        ("/foo/bar/\u30c4", "/foo/bar/%E3%83%84", True),
        ("/foo/bar/%E3%83%84", "/foo/bar/\u30c4", True),
        ("/foo/bar/%E3%83%84", "/foo/bar/%E3%83%84", True),
        ("/foo/bar/%62%61%7A", "/foo/bar/baz", True),
        ("/foo/bar/baz", "/foo/bar/%62%61%7A", True),
        # Case of escapes
        ("/a%3cb", "/a%3Cb", True),
        ("/\u30c4", "/%e3%83%84", True),
        # What no URI may hold
        ("/a b", "/a b", True),
        ("/a b", "/a%20b", True),
        ("/a%20b", "/a b", True),
        ("/a<b", "/a%3Cb", True),
        ("/{a}", "/%7ba%7D", True),
        (r"/a\b", "/a%5Cb", True),
        # Near misses: reserved characters differ from their escapes (RFC 3986, 2.2) ...
        ("/a/b", "/a%2Fb", False),
        ("/foo/bar?baz=https%3A%2F%2Ffoo.bar", "/foo/bar?baz=https://foo.bar", False),
        ("/a+b", "/a%2Bb", False),
        ("/a+b", "/a%20b", False),
        # ... and so do other octets
        ("/\u30c4", "/%E3%83%85", False),
        ("/%41", "/%2541", False),
        (r"/a\b", "/a/b", False),
        # Octets of a file that are not UTF-8 match their own escapes
        (b"/a\xfc", "/a%FC", True),
        (b"/a\xfc", "/a\u00fc", False),
        # Bare percent signs are octets like others
        ("/100%", "/100%", True),
        ("/%a%a", "/%a%a", True),
        ("/%a", "/%A", False),
    ],
)
def test_2_2_2_percent_encoding(pattern, path, hit):
    octets = pattern.encode() if isinstance(pattern, str) else pattern
    body = b"User-agent: *\nDisallow: " + octets
    assert allowed(body, url=f"https://example.org{path}") is not hit


# -- 2.2.3 Special characters -----------------------------------------------------------------------


@table(
    {
        # "#": "Designates a line comment"
        "comment line": ("# Disallow: /\n" + group("Disallow: /b"), "x", "/a", ALLOWED),
        "comment behind a rule": (group("Disallow: /a # b"), "x", "/a", REFUSED),
        "comment without a space": (group("Disallow: /a#b"), "x", "/a", REFUSED),
        "comment behind a name": ("User-agent: foobot#x\nDisallow: /", "foobot", "/a", REFUSED),
        "comment instead of a pattern": (group("Disallow: # /"), "x", "/a", ALLOWED),
        "comment inside a key": (group("Dis#allow: /"), "x", "/a", ALLOWED),
        # "$": "Designates the end of the match pattern"
        "anchor": (group("Disallow: /a$"), "x", "/a", REFUSED),
        "anchor and more": (group("Disallow: /a$"), "x", "/ab", ALLOWED),
        "anchor and a query": (group("Disallow: /a$"), "x", "/a?b", ALLOWED),
        "dollar in the middle": (group("Disallow: /a$b"), "x", "/a$b", REFUSED),
        "dollar in the middle is no anchor": (group("Disallow: /a$b"), "x", "/a", ALLOWED),
        "escaped dollar": (group("Disallow: /a%24"), "x", "/a$b", REFUSED),
        "escaped dollar is no anchor": (group("Disallow: /a%24"), "x", "/a", ALLOWED),
        "an anchor matches no dollar": (group("Disallow: /a$"), "x", "/a$", ALLOWED),
        "two dollars": (group("Disallow: /a$$"), "x", "/a$", REFUSED),
        # "*": "Designates 0 or more instances of any character"
        "star": (group("Disallow: /this/*/exactly"), "x", "/this/a/b/exactly", REFUSED),
        "star, nothing": (group("Disallow: /a*b"), "x", "/ab", REFUSED),
        "star across a query": (group("Disallow: /*.gif$"), "x", "/a?b.gif", REFUSED),
        "star, another end": (group("Disallow: /*.gif$"), "x", "/a.gif?b", ALLOWED),
        "escaped star": (group("Disallow: /path/file-with-a-%2A.html"), "x",
                         "/path/file-with-a-*.html", REFUSED),
        "escaped star is no wildcard": (group("Disallow: /path/file-with-a-%2A.html"), "x",
                                        "/path/file-with-a-b.html", ALLOWED),
        "a star in the URL is a letter": (group("Disallow: /a%2Ab"), "x", "/a*b", REFUSED),
        "a wildcard matches a star": (group("Disallow: /a*b"), "x", "/a*b", REFUSED),
        # Other signs of regular expressions are letters
        "dot": (group("Disallow: /a.b"), "x", "/axb", ALLOWED),
        "question mark": (group("Disallow: /ab?"), "x", "/a", ALLOWED),
        "bracket": (group("Disallow: /[ab]"), "x", "/a", ALLOWED),
    }
)  # fmt: skip
def test_2_2_3_special_characters(body, agent, path, expected):
    check(body, agent, path, expected)


# -- 2.2.4 Other records ----------------------------------------------------------------------------


@table(
    {
        # "Parsing of other records MUST NOT interfere with the parsing of explicitly defined records"
        "sitemap between names": (
            "User-agent: foobot\nSitemap: https://example.org/s.xml\nUser-agent: barbot\nDisallow: /",
            "foobot", "/a", REFUSED,
        ),
        "crawl delay between names": (
            "User-agent: foobot\nCrawl-delay: 1\nUser-agent: barbot\nDisallow: /",
            "foobot", "/a", REFUSED,
        ),
        "crawl delay before a rule": (
            "User-agent: foobot\nCrawl-delay: 1\nDisallow: /", "foobot", "/a", REFUSED,
        ),
        "an unknown record between rules": (
            "User-agent: foobot\nDisallow: /b\nNoindex: /a\nDisallow: /a", "foobot", "/a", REFUSED,
        ),
        "an unknown record is no rule": (
            "User-agent: foobot\nNoindex: /", "foobot", "/a", ALLOWED,
        ),
        "a preference is no rule and ends no names": (
            "User-agent: foobot\nContent-Usage: train-ai=n\nUser-agent: barbot\nDisallow: /",
            "foobot", "/a", REFUSED,
        ),
        "nonsense between names": (
            "User-agent: foobot\n<html>:\nUser-agent: barbot\nDisallow: /", "foobot", "/a", REFUSED,
        ),
    }
)  # fmt: skip
def test_2_2_4_other_records(body, agent, path, expected):
    check(body, agent, path, expected)


def test_2_2_4_what_the_other_records_say():
    body = (
        b"License: https://example.org/license.xml\n"
        b"Content-Usage: train-ai=n\n"  # before any group: nobody's
        b"User-agent: a\nContent-Usage: /x train-ai=y\nContent-Signal: ai-train=no # really\n"
        b"User-agent: b\nlicence: near-miss\n"
    )
    parsed = RFC9309.parse(body)
    assert parsed.licenses == ("https://example.org/license.xml",)
    (only,) = parsed.groups
    assert only.usage == [(4, "/x train-ai=y")]
    assert only.signals == [(5, "ai-train=no")]
    assert parsed.speaks_of_usage
    assert parsed.tokens == {"a": [0], "b": [0]}
    assert not RFC9309.parse(b"User-agent: *\nDisallow: /").speaks_of_usage


# -- 2.3.1 Access results ---------------------------------------------------------------------------


@table(
    {
        # 2.3.1.1: "the crawler MUST follow the parseable rules"
        "rules among HTML": ("<html>\nUser-agent: *\nDisallow: /a\n</html>", "x", "/a", REFUSED),
        "rules among binary": (
            b"\xff\x00\n\nUser-agent: *\nDisallow: /a\n\x80",
            "x",
            "/a",
            REFUSED,
        ),
        "a web page": ("<!doctype html><title>User-agent: *</title>", "x", "/a", ALLOWED),
        # 2.3.1.3 "Unavailable": an empty file has no rules. 2.3.1.4 is the policy's business.
        "empty": (b"", "x", "/a", ALLOWED),
        "blank": (b" \n\t\r\n", "x", "/a", ALLOWED),
    }
)
def test_2_3_1_access(body, agent, path, expected):
    check(body, agent, path, expected)


# -- 2.5 Limits -------------------------------------------------------------------------------------


@pytest.mark.parametrize("octets", [500 * 1024, 5_000_000], ids=["500 KiB", "5 MB"])
def test_2_5_the_whole_file_counts(octets):
    """ "The parsing limit MUST be at least 500 kibibytes"; we have none."""
    rule = b"Disallow: /filler\n"
    body = b"User-agent: *\n" + rule * (octets // len(rule)) + b"Disallow: /last\n"
    rules = RuleSet(RFC9309.rules_for(RFC9309.parse(body), "x"))
    assert rules.refuses("/last")
    assert not rules.refuses("/other")


# -- What Google's parser does beyond the RFC -------------------------------------------------------

LONG = 2083 * 8 - 1


@table(
    {
        # Byte order marks
        "BOM": (b"\xef\xbb\xbfUser-agent: *\nDisallow: /a", "x", "/a", REFUSED),
        "half a BOM": (b"\xef\xbbUser-agent: *\nDisallow: /a", "x", "/a", REFUSED),
        "BOM in another order": (b"\xbb\xef\xbfUser-agent: *\nDisallow: /a", "x", "/a", ALLOWED),
        "two BOMs": (b"\xef\xbb\xbf\xef\xbb\xbfUser-agent: *\nDisallow: /a", "x", "/a", ALLOWED),
        "BOM in the middle": (b"\n\xef\xbb\xbfUser-agent: *\nDisallow: /a", "x", "/a", ALLOWED),
        # Misspellings
        **{
            key: (f"User-agent: *\n{key}: /a", "x", "/a", REFUSED)
            for key in ("dissallow", "Dissalow", "disalow", "DIASLLOW", "disallaw")
        },
        "useragent": ("useragent: *\nDisallow: /a", "x", "/a", REFUSED),
        "user agent": ("User Agent: *\nDisallow: /a", "x", "/a", REFUSED),
        "unknown misspelling": ("User-agent: *\nDesallow: /a", "x", "/a", ALLOWED),
        "unknown misspelling of a name": ("User_agent: *\nDisallow: /a", "x", "/a", ALLOWED),
        # Keys are matched by their beginning
        "a longer key": ("User-agents: *\nDisallowed: /a", "x", "/a", REFUSED),
        "a word before the key": ("User-agent: *\nNot Disallow: /a", "x", "/a", ALLOWED),
        "a dash before the key": ("User-agent: *\n- Disallow: /a", "x", "/a", ALLOWED),
        # A missing colon
        "no colon": ("User-agent *\nDisallow /a", "x", "/a", REFUSED),
        "no colon, tabs": ("User-agent\t*\nDisallow \t /a", "x", "/a", REFUSED),
        "no colon, a comment": ("User-agent *\nDisallow /a # b", "x", "/a", REFUSED),
        "no colon, three words": ("User-agent: *\nDisallow /a /b", "x", "/a", ALLOWED),
        "no colon, nothing more": ("User-agent: *\nDisallow\nDisallow /b", "x", "/a", ALLOWED),
        "no colon does not end the names without a value": (
            "User-agent: foobot\nDisallow \nUser-agent: barbot\nDisallow: /", "foobot", "/a", REFUSED,
        ),
        "nor with white space for a value": (
            "User-agent: foobot\nDisallow \v\nUser-agent: barbot\nDisallow: /", "foobot", "/a", REFUSED,
        ),
        "no colon, user agent of two words": ("user agent *\nDisallow: /a", "x", "/a", ALLOWED),
        "equals sign for a colon": ("User-agent: *\nDisallow=/a", "x", "/a", ALLOWED),
        "a colon of the value": ("User-agent: *\nDisallow /a:b", "x", "/a:b", ALLOWED),
        # White space
        "around everything": ("\t User-agent \v:\f * \n  Disallow\t:  /a\t ", "x", "/a", REFUSED),
        "no white space": ("User-agent:*\nDisallow:/a", "x", "/a", REFUSED),
        "a no-break space is a letter": ("User-agent: *\n\u00a0Disallow: /a", "x", "/a", ALLOWED),
        "a line separator is a letter": ("User-agent: *\u2028Disallow: /a", "x", "/a", ALLOWED),
        "a next line is a letter": (b"User-agent: *\x85Disallow: /a", "x", "/a", ALLOWED),
        # Everybody, with more behind it
        "star and a word": ("User-agent: * all\nDisallow: /a", "x", "/a", REFUSED),
        "star and letters": ("User-agent: *bot\nDisallow: /a", "bot", "/a", ALLOWED),
        # The first word of a name
        "first word": ("User-agent: foobot crawler\nDisallow: /", "foobot", "/a", REFUSED),
        "second word": ("User-agent: the foobot\nDisallow: /", "foobot", "/a", ALLOWED),
        "first of several names": ("User-agent: foobot, barbot\nDisallow: /", "foobot", "/a", REFUSED),
        "second of several names": ("User-agent: foobot, barbot\nDisallow: /", "barbot", "/a", ALLOWED),
        # Lines of up to 16,663 octets
        "long line": (
            f"User-agent: *\nDisallow: /{'a' * (LONG - 11)}", "x", "/" + "a" * (LONG - 11), REFUSED,
        ),
        "cut line": (
            f"User-agent: *\nDisallow: /{'a' * (LONG - 11)}bc", "x", "/" + "a" * (LONG - 11), REFUSED,
        ),
        "cut before the last octet": (
            f"User-agent: *\nDisallow: /{'a' * (LONG - 12)}bc", "x", "/" + "a" * (LONG - 12), ALLOWED,
        ),
        # A NUL ends its line
        "NUL": (b"User-agent: *\nDisallow: /a\x00b", "x", "/ac", REFUSED),
        "NUL before the value": (b"User-agent: *\nDisallow: \x00/a", "x", "/a", ALLOWED),
        "NUL on another line": (b"\x00User-agent: *\nUser-agent: *\nDisallow: /a", "x", "/a", REFUSED),
        # index.html is the directory, where it is allowed
        "index.html": (group("Disallow: /", "Allow: /a/index.html"), "x", "/a/", ALLOWED),
        "index.htm": (group("Disallow: /", "Allow: /a/index.htm"), "x", "/a/", ALLOWED),
        "index.html, with more": (group("Disallow: /", "Allow: /a/index.html?b"), "x", "/a/", ALLOWED),
        "index.html of another directory": (group("Disallow: /", "Allow: /index.html"), "x", "/a/", REFUSED),
        "index.html, the directory's other pages": (
            group("Disallow: /", "Allow: /a/index.html"), "x", "/a/b", REFUSED,
        ),
        "index.ht": (group("Disallow: /", "Allow: /a/index.ht"), "x", "/a/", REFUSED),
        "index.html without a slash": (group("Disallow: /", "Allow: *index.html"), "x", "/a/", REFUSED),
        "an index disallowed is not the directory": (group("Disallow: /a/index.html"), "x", "/a/", ALLOWED),
        # Line endings
        "CR": ("User-agent: *\rDisallow: /a\r", "x", "/a", REFUSED),
        "CRLF": ("User-agent: *\r\nDisallow: /a\r\n", "x", "/a", REFUSED),
        "mixed": ("User-agent: *\r\r\n\nDisallow: /a\n\r", "x", "/a", REFUSED),
        "no last line ending": ("User-agent: *\nDisallow: /a", "x", "/a", REFUSED),
    }
)  # fmt: skip
def test_extensions(body, agent, path, expected):
    check(body, agent, path, expected)


UTF16 = "User-agent: *\nDisallow: /\u00e9\n"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (UTF16.encode("utf-16"), REFUSED),
        (b"\xfe\xff" + UTF16.encode("utf-16-be"), REFUSED),
        (UTF16.encode("utf-16-le"), REFUSED),
        (UTF16.encode("utf-16-be"), REFUSED),
        (UTF16.encode("utf-16") + b"x", REFUSED),
        (b"\xff\xfe", ALLOWED),
        # Near misses: some NULs do not make UTF-16
        (b"a\x00b\x00c\x00\x00d\x00e\n" + UTF16.encode(), REFUSED),
        (b"\x00" * 64 + b"\n" + UTF16.encode(), REFUSED),
        (UTF16.encode("utf-16-le").replace(b"\x00", b" ", 1), ALLOWED),
    ],
    ids=["mark", "mark, big-endian", "NULs", "NULs, big-endian", "an odd octet", "a mark alone",
         "UTF-8 with NULs", "NULs before UTF-8", "a NUL too few"],
)  # fmt: skip
def test_utf16_is_decoded(body, expected):
    assert allowed(body, url="https://example.org/é") is expected


@pytest.mark.parametrize(
    ("url", "path"),
    [
        # google/robotstxt, GetPathParamsQuery
        ("", "/"),
        ("http://www.example.com", "/"),
        ("http://www.example.com/", "/"),
        ("http://www.example.com/a", "/a"),
        ("http://www.example.com/a/b?c=http://d.e/f", "/a/b?c=http://d.e/f"),
        ("http://www.example.com/a/b?c#d", "/a/b?c"),
        ("http://www.example.com?a", "/?a"),
        ("http://www.example.com/a;b#c", "/a;b"),
        ("http://www.example.com;a", "/;a"),
        ("//example.org/a", "/a"),
        ("example.org/a", "/a"),
        ("example.org", "/"),
        ("/a?b", "/a?b"),
        ("a://b", "/"),
        ("#/a", "/"),
        ("http://example.org#/a", "/"),
        ("http://user:pass@example.org:8080/a", "/a"),
        ("http://[::1/a", "/a"),
    ],
)
def test_url_path(url, path):
    assert RFC9309.url_path(url) == path


@pytest.mark.parametrize(
    ("value", "tokens"),
    [
        ("FooBot", ("foobot",)),
        ("foo_bot-2", ("foo_bot-2",)),
        ("FooBot/1.0", ("foobot",)),
        ("Foo  Bot", ("foo", "foo bot")),
        ("foo.bot", ("foo", "foo.bot")),
        ("*", ("*",)),
        ("* all", ("*",)),
        ("*bot", ("", "*bot")),
        ("", ("", "")),
    ],
)
def test_line_tokens(value, tokens):
    assert line_tokens(value) == tokens


@pytest.mark.parametrize(
    ("agent", "token"),
    [
        ("GPTBot", "gptbot"),
        (" GPTBot\n", "gptbot"),
        ("CCBot/2.0", "ccbot"),
        ("CCBot/2.0 (+https://example.org/)", "ccbot/2.0 (+https://example.org/)"),
        ("Kangaroo Bot", "kangaroo bot"),
        ("*", "*"),
        ("", ""),
    ],
)
def test_own_token(agent, token):
    assert own_token(agent) == token


def test_the_deciding_line_is_named():
    body = b"# \xc3\xa9\r\nUser-agent: *\r\n\r\n\tDisallow:  /\xc3\xa9\xff # why\r\n"
    parsed = RFC9309.parse(body)
    rule = RuleSet(RFC9309.rules_for(parsed, "x")).refuses("/%C3%A9%FF/b")
    assert rule is not None
    assert rule.line == 4
    assert RFC9309.shown(parsed.lines[rule.line - 1]) == "Disallow:  /é\ufffd # why"


# -- Properties -------------------------------------------------------------------------------------

AGENTS = ("foobot", "BarBot", "baz-bot", "*")
patterns = st.text(st.sampled_from("ab/*$?%7Eeé+ <"), max_size=8).map("/".__add__)
rule_lines = st.tuples(st.sampled_from(["Allow", "Disallow"]), patterns)
groups = st.tuples(
    st.lists(st.sampled_from(AGENTS), min_size=1, max_size=3),
    st.lists(rule_lines, min_size=1, max_size=5),
)
files = st.lists(groups, max_size=4)
agents = st.sampled_from(("foobot", "barbot", "baz-bot", "otherbot"))
urls = st.text(st.sampled_from("ab/?$%7Eeé+ <"), max_size=10).map("https://example.org/".__add__)


def lines_of(file):
    for names, rules in file:
        yield from (f"User-agent: {name}" for name in names)
        yield from (f"{key}: {pattern}" for key, pattern in rules)


def written(file) -> str:
    return "\n".join(lines_of(file)) + "\n"


@given(files, agents, urls, st.sampled_from(["\n", "\r\n", "\r"]), st.booleans())
@settings(max_examples=150, deadline=None)
def test_line_endings_and_byte_order_marks_change_nothing(file, agent, url, ending, bom):
    text = written(file)
    other = text.replace("\n", ending).encode()
    assert allowed((b"\xef\xbb\xbf" if bom else b"") + other, agent, url) == allowed(
        text, agent, url
    )


@given(files, agents, urls, st.sampled_from(["utf-16", "utf-16-be", "utf-16-le"]))
@settings(max_examples=150, deadline=None)
def test_utf16_changes_nothing(file, agent, url, encoding):
    text = written(file)
    mark = {"utf-16": b"", "utf-16-be": b"\xfe\xff", "utf-16-le": b"\xff\xfe"}[encoding]
    assert allowed(mark + text.encode(encoding), agent, url) == allowed(text, agent, url)


@given(files, agents, urls, st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_case_of_keys_and_tokens_changes_nothing(file, agent, url, random):
    def recased(text):
        return "".join(random.choice((c.lower(), c.upper())) for c in text)

    lines = [line.partition(":") for line in lines_of(file)]
    other = "\n".join(
        f"{recased(key)}:{recased(value) if key == 'User-agent' else value}"
        for key, _, value in lines
    )
    assert allowed(other, recased(agent), url) == allowed(written(file), agent, url)


noise = st.sampled_from(
    ["", "# Disallow: /", " ", "\t# x", "Sitemap: https://example.org/", "nonsense"]
)


@given(
    files, agents, urls, st.lists(noise, min_size=1, max_size=9), st.sampled_from(["", " ", "#a"])
)
@settings(max_examples=150, deadline=None)
def test_comments_and_blank_lines_change_nothing(file, agent, url, added, behind):
    lines = []
    for number, line in enumerate(lines_of(file)):
        lines += [added[number % len(added)], f" {line}{behind}"]
    assert allowed("\n".join(lines), agent, url) == allowed(written(file), agent, url)


@given(files, st.integers(0, 4), st.lists(rule_lines, min_size=1, max_size=4), agents, urls)
@settings(max_examples=150, deadline=None)
def test_a_group_for_others_changes_nothing(file, at, rules, agent, url):
    other = [*file[:at], (["unrelated"], rules), *file[at:]]
    assert allowed(written(other), agent, url) == allowed(written(file), agent, url)


@given(st.lists(rule_lines, max_size=6), patterns, urls)
@settings(max_examples=200, deadline=None)
def test_a_disallow_never_allows(rules, pattern, url):
    file = [(["*"], [("Disallow", "/none"), *rules])]
    more = [(["*"], [*file[0][1], ("Disallow", pattern)])]
    assert allowed(written(file), "x", url) or not allowed(written(more), "x", url)


@given(st.lists(rule_lines, max_size=6), patterns, urls)
@settings(max_examples=200, deadline=None)
def test_an_allow_never_refuses(rules, pattern, url):
    file = [(["*"], [("Disallow", "/none"), *rules])]
    more = [(["*"], [*file[0][1], ("Allow", pattern)])]
    assert allowed(written(more), "x", url) or not allowed(written(file), "x", url)


@given(files, agents, urls)
@settings(max_examples=150, deadline=None)
def test_agents_together_as_one_by_one(file, agent, url):
    parsed = RFC9309.parse(written(file).encode())
    several = ("x", agent, "foobot", "y/1.0")
    obeyed = RFC9309.obeyed(parsed, several)
    for bit, name in enumerate(several):
        chosen = [g for g, mask in obeyed.items() if mask >> bit & 1]
        assert len(chosen) <= 1
        rules = RFC9309.merged(parsed, chosen[0]) if chosen else ()
        assert rules == RFC9309.rules_for(parsed, name)


# -- A second reading of the RFC, with Google's rules of thumb --------------------------------------


def by_the_book(text: str, agent: str, path: str) -> bool:
    """What Google's open-source matcher says, for files in US-ASCII without escapes.

    One pass over the lines that keeps the best priorities of allow and disallow, for the own name and
    for everybody: another shape than groups, tokens and sorted rules.
    """
    best = {(own, allow): -1 for own in (True, False) for allow in (True, False)}
    own = everybody = ended = named = False

    def note(allow, value):
        if re.match(
            "".join(".*" if c == "*" else re.escape(c) for c in value.removesuffix("$"))
            + (r"\Z" if value.endswith("$") else ""),
            path,
        ):
            best[own, allow] = max(best[own, allow], len(value))
        elif allow and (index := re.search(r"/index\.htm[^/]*\Z", value)):
            note(allow, value[: index.start()] + "/$")

    for raw in re.split(r"\r\n|\r|\n", text):
        line = raw.split("#")[0].strip()
        key, colon, value = line.partition(":")
        if not colon:
            key, value = line.split() if len(line.split()) == 2 else ("", "")
        key, value = key.strip().lower(), value.strip()
        if re.match("user-agent|useragent|user agent", key):
            if ended:
                own = everybody = ended = False
            if value == "*" or value.startswith("* "):
                everybody = True
            elif re.match("[a-z0-9_-]*", value.lower())[0] == agent:
                own = named = True
        elif re.match("allow|diss?all?ow|diasllow|disallaw", key) and (own or everybody):
            ended = True
            note(key.startswith("allow"), value)
    if max(best[True, True], best[True, False]) > 0 or named:
        return best[True, False] <= max(best[True, True], 0)
    return best[False, False] <= max(best[False, True], 0)


book_lines = st.one_of(
    st.builds(
        "{}{}{}".format,
        st.sampled_from(["User-agent", "useragent", "User Agent", " USER-AGENT", "User_agent"]),
        st.sampled_from([":", ": ", " : ", " ", "="]),
        st.sampled_from(["*", "* x", "foobot", "FooBot/2", "foo", "bar", "bar foobot", ""]),
    ),
    st.builds(
        "{}{}{}{}".format,
        st.sampled_from(["Allow", "Disallow", "disalow", "dissallow", "Allowed", "Noindex", "all"]),
        st.sampled_from([":", ": ", " : ", " "]),
        st.one_of(
            st.text("ab/*$?", max_size=6).map("/".__add__),
            st.sampled_from(["", "*", "/a/index.html", "/index.htm", "/index.html$", "a", "/a b"]),
        ),
        st.sampled_from(["", " ", " # x"]),
    ),
    st.sampled_from(["", "Sitemap: /", "Crawl-delay: 1", "nonsense"]),
)


@given(
    st.lists(book_lines, max_size=14),
    st.sampled_from(["foobot", "bar", "qux"]),
    st.one_of(
        st.text("ab/?", max_size=6).map("/".__add__), st.sampled_from(["/a/", "/a/index.html"])
    ),
)
@settings(max_examples=200, deadline=None)
def test_as_by_the_book(lines, agent, path):
    text = "\n".join(lines)
    assert allowed(text, agent, f"https://example.org{path}") == by_the_book(text, agent, path)


# -- Hostile files ----------------------------------------------------------------------------------


@given(st.binary(max_size=300), agents, st.text(max_size=30))
@settings(max_examples=200, deadline=None)
def test_nothing_escapes_from_octets(body, agent, url):
    for dialect in DIALECTS.values():
        parsed = dialect.parse(body)
        for rule in dialect.rules_for(parsed, agent):
            assert rule.pattern.isascii()
            assert dialect.shown(parsed.lines[rule.line - 1])
    allowed(body, agent, url)


HOSTILE = {
    "line feeds": b"\n" * 5_000_000,
    "carriage returns": b"\r" * 5_000_000,
    "short lines": b"a\n" * 2_500_000,
    "one line": b"User-agent: *\nDisallow: /" + b"a" * 5_000_000,
    "one name": b"User-agent: " + b"a" * 5_000_000,
    "a million names": b"".join(b"User-agent: b%d\n" % n for n in range(1_000_000)),
    "one name many times": b"User-agent: CCBot\n" * 300_000 + b"Disallow: /\n",
    "a hundred thousand groups": b"".join(b"User-agent: *\nDisallow: /%d\n" % n for n in range(100_000)),
    "NULs": b"\0" * 5_000_000,
    "NULs in lines": b"Disallow: /\0\n" * 400_000,
    "every octet": bytes(range(256)) * 20_000,
    "escapes": b"User-agent: *\nDisallow: /" + b"%41" * 1_600_000,
    "percent signs": b"User-agent: *\nDisallow: /" + b"%" * 5_000_000,
    "octets": b"User-agent: *\n" + (b"Disallow: /" + b"\xe3\x83\x84" * 5000 + b"\n") * 100,
    "dollars": b"User-agent: *\nDisallow: /" + b"$" * 5_000_000,
    "wildcards": b"User-agent: *\n" + (b"Disallow: /" + b"*a" * 8000 + b"*b\n") * 300,
    "white space": b" " * 5_000_000,
    "white space in a line": (b"Disallow" + b" " * 16_000 + b"/\n") * 300,
    "words": b"Disallow" + b" \t" * 2_500_000,
    "colons": b":" * 5_000_000,
    "keys": b"User-agent: *\n" + b"disallow" * 600_000,
    "index pages": b"User-agent: *\n" + b"Allow: /index.html\n" * 100_000,
    "UTF-16": ("User-agent: *\nDisallow: /é\n" * 50_000).encode("utf-16"),
}  # fmt: skip


@pytest.mark.parametrize(
    "part", [5, pytest.param(1, marks=pytest.mark.soak)], ids=["a fifth", "whole"]
)
@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_files_take_linear_time(body, part):
    """Seconds each; minutes if anything were quadratic in the file."""
    parsed = RFC9309.parse(body[: len(body) // part])
    obeyed = RFC9309.obeyed(parsed, ("CCBot", "GPTBot", "Mozilla/5.0 (compatible)", "*"))
    for found in obeyed:
        RuleSet(RFC9309.merged(parsed, found)).refuses("/" + "a" * 2000)

"""Streams say what the whole says, hold back no more than they must, and remember little."""

from __future__ import annotations

import random
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from filter import Bundle, FilterPolicy, Identifier, IdentifierKind, OutputFilter
from filter.errors import InputError, LetheError

PIECES = (
    "jane.doe@example.org", "jörg@xn--mller-kva.example", "Jürg Müller", "J u&uuml;rg", "müller", "Ann Lee",
    "Susann Leeman", "ann", "lee", "mann", "044 668 18 00", "+41", "(0)44", "668", "18", "00", "@jane_doe",
    "CH93 0076 2011 6238 5295 7", "CH93", "0076", "756.9217.0769.85", "8.8.8.8", "2a00:1450:4001:81b::200e",
    "Seestrasse 5, 8001 Zürich", "5", "&#64;", "%40", "(at)", "[dot]", "a\u0308", "\u0301", "\u200b", "王小明",
    "小", "김철수", "김", "ΝΊΚΟΣ", "Παπαδάκης", "Анна", "Петрова", "**", "...", "@", "j a n e . d o e @ e x a m p l e . o r g",
    "x" * 70, "." * 15, "\u200b" * 20, "kein Wort davon ist", "wahr", "12345678", "word", "is", "to", "1", "&",
    "%", "(", "\r\n", "the quick brown", "jane.d\noe@exam\nple.org", " ", " ", " ", "\n", "e@t", "U.S.", "：", "」",
    "people.example/jane-doe", "...isann...", "0076jane.doe@example.org", "地址是C H 9 3 0 0 7 6 2 0 1 1 6 2 3 8 5 2 9 5 7", "港区1丁目2番3号", "你", "\\n", "[.]", "—", "山 Smith is", "(arobaſe)", "\ud800", "\x00",
)  # fmt: skip

texts = st.lists(st.sampled_from(PIECES) | st.text(max_size=6), max_size=25).map("".join)
cuts = st.lists(st.integers(1, 30), min_size=1, max_size=12)


def streamed(output_filter: OutputFilter, text: str, sizes: list[int], context: str = "") -> str:
    stream = output_filter.stream(context)
    out, at, turn = [], 0, 0
    while at < len(text):
        size = sizes[turn % len(sizes)]
        out.append(stream.push(text[at : at + size]))
        at += size
        turn += 1
    return "".join([*out, stream.finish()])


@settings(max_examples=400, deadline=None)
@given(texts, cuts)
def test_every_cut_gives_the_same(output_filter: OutputFilter, text: str, sizes: list[int]) -> None:
    assert streamed(output_filter, text, sizes) == output_filter.redact(text).text


@settings(max_examples=200, deadline=None)
@given(texts, texts, cuts)
def test_the_same_behind_a_context(
    output_filter: OutputFilter, context: str, text: str, sizes: list[int]
) -> None:
    whole = output_filter.redact(text, context).text
    assert streamed(output_filter, text, sizes, context) == whole


def pieced(text: str, sizes: list[int]) -> list[str]:
    out, at, turn = [], 0, 0
    while at < len(text):
        size = sizes[turn % len(sizes)]
        out.append(text[at : at + size])
        at += size
        turn += 1
    return out


@settings(max_examples=200, deadline=None)
@given(texts, texts, cuts)
def test_pieces_tell_what_was_removed_and_where(
    output_filter: OutputFilter, context: str, text: str, sizes: list[int]
) -> None:
    stream = output_filter.stream(context)
    pieces = [piece for part in pieced(text, sizes) for piece in stream.pieces(part)]
    pieces += stream.last_pieces()
    whole = output_filter.redact(text, context)
    found = [piece for piece in pieces if not isinstance(piece, str)]
    assert [m._replace(start=max(m.start, 0)) for m in found] == list(whole.matches)
    markers = output_filter.policy.markers
    assert "".join(p if isinstance(p, str) else markers[p.kind] for p in pieces) == whole.text
    at = 0
    for piece in pieces:
        if isinstance(piece, str):
            assert text[at : at + len(piece)] == piece
            at += len(piece)
        else:
            assert at == max(piece.start, 0)
            at = piece.end
    assert stream.held == 0


@settings(max_examples=300, deadline=None)
@given(texts, cuts, st.integers(0, 200), st.integers(0, 3))
def test_a_look_ahead_decides_what_stands_before_the_cut(
    output_filter: OutputFilter, text: str, sizes: list[int], cut: int, calls: int
) -> None:
    """What goes out is the beginning of what the whole would have been; nothing from behind the cut."""
    cut = min(cut, len(text))
    stream = output_filter.stream()
    said = [stream.push(part) for part in pieced(text[:cut], sizes)]
    stream.look_ahead("")
    for part in pieced(text[cut:], [calls + 1, 7]):
        stream.look_ahead(part)
    said.append(stream.finish())
    matches = [m for m in output_filter.redact(text).matches if m.start < cut]
    expected, at = [], 0
    for match in matches:
        expected += (text[at : match.start], output_filter.policy.markers[match.kind])
        at = match.end
    assert "".join(said) == "".join([*expected, text[at:cut]])


@settings(max_examples=150, deadline=None)
@given(texts, cuts)
def test_a_look_ahead_says_when_it_has_seen_enough(
    output_filter: OutputFilter, text: str, sizes: list[int]
) -> None:
    for cut in range(0, len(text), 7):
        stream, same = output_filter.stream(), output_filter.stream()
        said = stream.push(text[:cut])
        assert same.push(text[:cut]) == said
        undecided = stream.look_ahead("")
        same.look_ahead("")
        for part in pieced(text[cut:], sizes):
            if undecided:
                undecided = stream.look_ahead(part)
            same.look_ahead(part)
        assert stream.finish() == same.finish()


def test_a_cut_stream_takes_no_more_text(output_filter: OutputFilter) -> None:
    stream = output_filter.stream()
    said = stream.push("one two")
    stream.look_ahead(" three")
    with pytest.raises(InputError, match="look ahead"):
        stream.push(" four")
    assert said + stream.finish() == "one two"


@settings(max_examples=150, deadline=None)
@given(texts, texts, cuts)
def test_a_stream_that_guards_a_seam_can_be_taken_out(
    output_filter: OutputFilter, context: str, text: str, sizes: list[int]
) -> None:
    """Behind a filter that has no context, one that has it is needed only where they meet.

    A name that is glued to a removed value is found only by who reads what the first one left.
    """
    once = output_filter.redact(text).text
    assume(output_filter.redact(once).text == once)
    first, seam = output_filter.stream(), output_filter.stream(context)
    whole, out, taken = [], [], False
    both = output_filter.stream(context)
    for part in [*pieced(text, sizes), None]:
        cleaned = first.finish() if part is None else first.push(part)
        whole.append(both.push(cleaned))
        if taken:
            out.append(cleaned)
            continue
        out.append(seam.push(cleaned))
        if seam.past_context and part is not None:
            out.append(seam.unfiltered_rest())
            taken = True
    if not taken:
        out.append(seam.finish())
    assert "".join(out) == "".join([*whole, both.finish()])


def test_what_stands_in_a_text_can_be_exempted(output_filter: OutputFilter) -> None:
    said = "jane.doe@example.org, 044 668 18 00"
    exempting = output_filter.exempting(["I am jane.doe (at) example.org"], 16)
    assert exempting.redact(said).text == "jane.doe@example.org, [phone removed]"
    assert streamed(exempting, said, [3]) == "jane.doe@example.org, [phone removed]"
    assert output_filter.exempting(["jane.doe@example.org"], 0).redact(said).text.startswith("[")
    assert output_filter.exempting(["nothing of it"], 16) is output_filter
    assert output_filter.redact(said).text == "[email removed], [phone removed]"


@settings(max_examples=150, deadline=None)
@given(texts, cuts, st.integers(0, 6))
def test_a_budget_falls_on_the_same_candidates(
    bundle: Bundle, text: str, sizes: list[int], limit: int
) -> None:
    tight = OutputFilter(bundle, FilterPolicy(slow_hashes=limit))
    assert streamed(tight, text, sizes) == tight.redact(text).text


@settings(max_examples=150, deadline=None)
@given(texts, cuts)
def test_slow_hashes_in_the_background_change_nothing(
    output_filter: OutputFilter, text: str, sizes: list[int]
) -> None:
    with ThreadPoolExecutor(2) as pool:
        stream = output_filter.stream(background=pool)
        out, at = [], 0
        while at < len(text):
            out.append(stream.push(text[at : at + sizes[0]]))
            at += sizes[0]
        assert "".join([*out, stream.finish()]) == output_filter.redact(text).text


@settings(max_examples=150, deadline=None)
@given(texts, st.integers(0, 400))
def test_what_went_out_was_final(output_filter: OutputFilter, text: str, at: int) -> None:
    """However the text goes on, its redaction begins with what went out before."""
    stream = output_filter.stream()
    said = stream.push(text[:at])
    for rest in ("", "e", " ", ".", "0", "@example.org", "\n", "\u0301", text[at:]):
        assert output_filter.redact(text[:at] + rest).text.startswith(said)


@pytest.mark.parametrize("sizes", [[1], [4], [3, 11, 1, 40]])
def test_nothing_of_a_candidate_goes_out_while_it_is_undecided(
    output_filter: OutputFilter, people: tuple[Identifier, ...], sizes: list[int]
) -> None:
    for identifier in people:
        stream = output_filter.stream()
        said = stream.push("It says: ")
        at = turn = 0
        while at < len(identifier.text):
            said += stream.push(identifier.text[at : at + sizes[turn % len(sizes)]])
            at += sizes[turn % len(sizes)]
            turn += 1
        lead = {"url": "https://www.", "handle": "@"}.get(identifier.kind, "")
        assert f"It says: {lead}".startswith(said), identifier.kind
        said += stream.push(" and so on")
        said += stream.finish()
        assert "removed] and so on" in said


def test_real_pages_cut_at_random(pages: list[str], bundle: Bundle) -> None:
    """A thousand random cuts of real pages, people planted in them."""
    rng = random.Random(4)
    output_filter = OutputFilter(bundle)
    removed = 0
    for _ in range(1000):
        page = rng.choice(pages)
        start = rng.randrange(max(1, len(page) - 1500))
        text = page[start : start + rng.randint(50, 1500)]
        for _ in range(rng.randint(0, 3)):
            at = rng.randrange(len(text) + 1)
            text = text[:at] + rng.choice(PIECES) + text[at:]
        redaction = output_filter.redact(text)
        removed += len(redaction.matches)
        sizes = [rng.choice([1, 2, 4, 7, 60]) for _ in range(9)]
        assert streamed(output_filter, text, sizes) == redaction.text
    assert removed > 100


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ("Write to jane.doe@exam", "jane"),
        ("Write to jane.doe@example.or", "jane"),
        ("Call +41 44 668", "668"),
        ("Call 044 668 18", "668"),
        ("Pay to CH93 0076 2011", "0076"),
        ("Number 756.9217", "9217"),
        ("Host 2a00:1450:4001", "4001"),
        ("Card 4111 1111 1111", "1111"),
        ("Thus spoke Anna Leeman", "leeman"),
        ("At Seestrasse 5, 8001 Z", "8001"),
        ("jane.doe (at) example (dot", "jane"),
        ("j a n e . d o e @ e x a m p l e . o r", "x a m"),
        ("jane.doe@exam-\nple.or", "jane"),
        ("jane.doe@example.\nor", "jane"),
        ("+41%2044%20668%2018%2", "668"),
        ("198%2E41%2E0%2", "41"),
        ("CH93, 0076, 2011, 6238, 5295", "2011"),
        ("+41\\44\\668\\18\\0", "668"),
        ("044 668 18 0&#", "668"),
        ("044 668 18 0</", "668"),
        ("198 . 41 . 0 ", "41"),
        ("198.41.\n0", "41"),
    ],
)
def test_cut_off_identifiers_go(output_filter: OutputFilter, text: str, gone: str) -> None:
    stream = output_filter.stream()
    said = stream.push(text) + stream.finish(truncated=True)
    assert gone not in said.lower()
    ended = output_filter.stream()
    assert ended.push(text) + ended.finish() == text


@pytest.mark.parametrize(
    "text",
    [
        "Thus spoke Anna",
        "The answer is 72000",
        "In 2024",
        "She lives at See",
        "Price 12'500",
        "Call me at 5",
    ],
)
def test_what_tells_nothing_stays_when_cut_off(output_filter: OutputFilter, text: str) -> None:
    stream = output_filter.stream()
    assert stream.push(text) + stream.finish(truncated=True) == text


def test_a_cut_off_phrase_shows_at_most_its_checkpoint() -> None:
    name = "Maximiliana Brandstetter"
    one = OutputFilter(Bundle.build([("name", name)], release="2026.2.0", kdf="testing"))
    letters = len(name) - 1
    for at in range(1, len(name)):
        stream = one.stream()
        said = stream.push(name[:at]) + stream.finish(truncated=True)
        assert len(said.replace(" ", "").partition("[")[0]) < -(-letters // 2)


def test_halves_in_two_turns_do_not_add_up(output_filter: OutputFilter) -> None:
    for first, second in (
        ("jane.doe@exa", "mple.org is it"),
        ("Jürg Mü", "ller is it"),
        ("044 668 ", "18 00 is it"),
    ):
        assert second not in output_filter.redact(second, context=f"You said {first}").text
        stream = output_filter.stream(f"You said {first}")
        said = stream.push(second) + stream.finish()
        assert said.endswith("removed] is it")
        assert not said.startswith(second[:3])


def test_what_was_let_out_before_is_not_said_again(output_filter: OutputFilter) -> None:
    stream = output_filter.stream("Jürg Müller is here.")
    assert stream.push(" And who are you?") + stream.finish() == " And who are you?"


ADVERSARIAL = {
    "no separator": "x",
    "dots": ".",
    "digits": "7",
    "at signs": "a@",
    "ignored": "\u200b",
    "marks": "e\u0301",
    "percent": "%C3",
    "ampersands": "&amp",
    "brackets": "(at",
    "spelt": "j ",
    "lines": "7\n",
    "starts of a name": "annale",
    "starts of a name, apart": "ann lee",
    "Han": "王小",
    "Hangul": "김철",
    "broken lines": "ab\n",
}


@pytest.mark.parametrize("unit", ADVERSARIAL.values(), ids=ADVERSARIAL)
@pytest.mark.parametrize("pushes", [20, pytest.param(60, marks=pytest.mark.soak)])
def test_memory_is_bounded(bundle: Bundle, unit: str, pushes: int) -> None:
    """Much of the same, in pieces: what is held stays a few thousand octets."""
    stream = OutputFilter(bundle, FilterPolicy(slow_hashes=50)).stream()
    text = unit * (1 + 400 // len(unit))
    for _ in range(30):
        stream.push(text)
    tracemalloc.start()
    try:
        begin = tracemalloc.get_traced_memory()[0]
        for _ in range(pushes):
            stream.push(text)
        grown = tracemalloc.get_traced_memory()[0] - begin
    finally:
        tracemalloc.stop()
    assert grown < 300_000
    stream.finish()


@pytest.mark.parametrize("unit", ["x", ".", "a@b.", "7 "], ids=["x", "dots", "at", "digits"])
def test_much_in_one_piece(bundle: Bundle, unit: str) -> None:
    text = unit * (60_000 // len(unit))
    limited = OutputFilter(bundle, FilterPolicy(slow_hashes=100))
    stream = limited.stream()
    assert stream.push(text) + stream.finish() == limited.redact(text).text


def test_prose_is_held_back_little(pages: list[str], output_filter: OutputFilter) -> None:
    """On the average at most three tokens of four characters."""
    rng = random.Random(8)
    held = count = 0
    for page in rng.sample(pages, 30):
        stream, given, got = output_filter.stream(), 0, 0
        text = page[:3000]
        for at in range(0, len(text), 4):
            piece = text[at : at + 4]
            got += len(stream.push(piece))
            given += len(piece)
            held += given - got
            count += 1
    assert held / count <= 12


def test_misuse_says_so(bundle: Bundle, output_filter: OutputFilter) -> None:
    stream = output_filter.stream()
    stream.finish()
    assert stream.finish() == ""
    with pytest.raises(InputError, match="open another one"):
        stream.push("more")


def test_after_an_error_nothing_goes_out(bundle: Bundle) -> None:
    class Broken(OutputFilter):
        """Whose slow hash fails."""

    text = "write to jane.doe@example.org now "
    one = Broken(bundle)

    def fail(_: str) -> int:
        raise MemoryError

    one.asker.slow_hash = fail  # type: ignore[method-assign]
    stream = one.stream()
    with pytest.raises(MemoryError):
        stream.push(text)
    for call in (lambda: stream.push("and more text"), stream.finish, lambda: stream.push("")):
        with pytest.raises(LetheError, match="open another one"):
            call()
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    stream = OutputFilter(bundle).stream(background=pool)
    with pytest.raises(RuntimeError):
        stream.push(text)
    with pytest.raises(LetheError):
        stream.finish()


def test_a_stream_beyond_its_budget_remembers_little(bundle: Bundle) -> None:
    stream = OutputFilter(bundle, FilterPolicy(slow_hashes=10)).stream()
    for number in range(3000):
        stream.push(f"ab{number}.name{number}@mail{number % 9}.example.com\n")
    kept = len(stream._reading._raw) + len(stream._reading.text)
    assert kept < 30_000
    assert "name2999" not in stream.finish()


def test_a_shared_filter_serves_threads(output_filter: OutputFilter) -> None:
    def work(number: int) -> str:
        return streamed(
            output_filter, f"{number} Jürg Müller, jane.doe@example.org", [1 + number % 5]
        )

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(work, range(40))) == {
            f"{n} [name removed], [email removed]" for n in range(40)
        }


def test_exempt_identifiers_pass_in_streams(bundle: Bundle) -> None:
    policy = FilterPolicy().exempting([Identifier(IdentifierKind.EMAIL, "jane.doe@example.org")])
    one = OutputFilter(bundle, policy)
    text = "jane.doe@example.org and Jürg Müller"
    assert streamed(one, text, [3]) == "jane.doe@example.org and [name removed]"

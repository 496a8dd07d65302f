"""The bundle file: what is in it, what is not, and what is refused."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from filter import Bundle, Identifier, IdentifierKind, OutputFilter, canonicalize
from filter.bundle_file import canonical_json, content_hash
from filter.canaries import CANARIES
from filter.errors import (
    BundleError,
    BundleExpired,
    BundleTooNew,
    DamagedBundle,
    InputError,
    MalformedIdentifier,
    NotABundle,
    PhraseTooLong,
    PhraseTooShort,
    UnknownKind,
)
from filter.selftest import probe
from filter.variants import variants
from filter.widths import WIDTHS, capacity, members, rounded_up, width_for

NOW = datetime(2026, 12, 1, tzinfo=UTC)


def build(entries: object, **more: object) -> Bundle:
    return Bundle.build(entries, **{"release": "2026.2.0", "kdf": "testing"} | more)  # type: ignore[arg-type]


def test_the_same_input_gives_the_same_octets(people: tuple[Identifier, ...]) -> None:
    shuffled = list(people) * 2
    random.Random(1).shuffle(shuffled)
    assert build(people).to_bytes() == build(shuffled).to_bytes()
    assert build(people).to_bytes() != build(people[1:]).to_bytes()


@pytest.mark.parametrize("audience", ["operators", "public"])
def test_no_window_of_a_value_stands_in_a_bundle(audience: str) -> None:
    """Six characters, raw or canonical, in UTF-8 or UTF-16."""
    import people as made_up

    entries = [one for group, make in made_up.GROUPS.items() if group != "kana" for one in make(40)]
    octets = build(entries, audience=audience).to_bytes()
    canaries = "|".join([c.text.lower() for c in CANARIES])
    for kind, text in entries:
        for value in {text, text.lower(), canonicalize(kind, text, made_up.HOME)}:
            for at in range(len(value) - 5):
                window = value[at : at + 6]
                if window.lower() in canaries or window.isdigit():
                    continue
                assert window.encode() not in octets
                assert window.encode("utf-16-le") not in octets
                assert window.encode("utf-16-be") not in octets


def test_numbers_stand_in_no_bundle_either() -> None:
    """Digits by themselves may stand in the manifest (sizes); no listed number does."""
    import people as made_up

    entries = made_up.GROUPS["phone"](60) + made_up.GROUPS["ahv"](60) + made_up.GROUPS["iban"](60)
    octets = build(entries).to_bytes()
    for kind, text in entries:
        digits = "".join(c for c in canonicalize(kind, text, made_up.HOME) if c.isdigit())
        assert digits[-8:].encode() not in octets


def test_a_file_round_trips(bundle: Bundle, people: tuple[Identifier, ...], tmp_path: Path) -> None:
    path = tmp_path / "b.safetensors"
    bundle.write(path)
    opened = Bundle.open(path, verify=True, now=NOW)
    assert opened.to_bytes() == path.read_bytes() == bundle.to_bytes()
    for _, text in people:
        said = OutputFilter(opened).redact(f"So it is {text} indeed").text
        assert said == OutputFilter(bundle).redact(f"So it is {text} indeed").text
        assert "removed]" in said
    assert [p.name for p in tmp_path.iterdir()] == ["b.safetensors"]


def test_any_safetensors_library_reads_it(bundle: Bundle, tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed")
    path = tmp_path / "b.safetensors"
    bundle.write(path)
    arrays = safetensors.load_file(path)
    assert set(arrays) >= {"sieve", "grams", "halves", "wholes", "codes.email"}
    assert (np.diff(arrays["codes.email"].astype(np.int64)) > 0).all()


def test_the_manifest_says_what_it_must(bundle: Bundle) -> None:
    manifest = bundle.manifest
    assert manifest["format"] == 1
    assert (manifest["release"], manifest["audience"]) == ("2026.2.0", "operators")
    assert manifest["valid_until"] == "2027-04-02"
    assert manifest["kinds"]["phone"]["bits"] == 22
    assert manifest["kinds"]["phone"]["k"] == 24
    assert manifest["kinds"]["email"]["entries"] % 10 == 0
    assert len(manifest["normaliser"]["sha256"]) == 64


def test_a_public_bundle_has_no_phrases(people: tuple[Identifier, ...]) -> None:
    public = build(people, audience="public")
    assert "phrases" not in public.manifest
    assert public.report is not None
    assert public.report.left_out == sum(
        k in {"name", "handle", "postal_address", "url", "text"} for k, _ in people
    )
    said = OutputFilter(public).redact("Jürg Müller, jane.doe@example.org").text
    assert said == "Jürg Müller, [email removed]"


def test_slow_hashes_come_from_a_cache(people: tuple[Identifier, ...]) -> None:
    kept: dict[str, int] = {}
    plain = build(people)

    def remember(secret: str) -> int:
        kept[secret] = plain.kdf.hash(plain.salt, secret)
        return kept[secret]

    assert build(people, slow=remember).to_bytes() == plain.to_bytes()
    assert build(people, slow=kept.__getitem__).to_bytes() == plain.to_bytes()


def test_the_standard_hash_is_argon2id() -> None:
    """Against the library's own high-level call: RFC 9106, version 1.3."""
    from argon2.low_level import Type, hash_secret_raw

    standard = build([], kdf="standard", slow=lambda _: 0)
    found = standard.kdf.hash(standard.salt, "email\0jane@exampleorg")
    raw = hash_secret_raw(b"email\0jane@exampleorg", standard.salt, 2, 19456, 1, 4, Type.ID, 19)
    assert found == int.from_bytes(raw, "little")
    assert not standard.is_testing


def test_a_standard_bundle_works_from_end_to_end() -> None:
    standard = Bundle.build(
        [("email", "jane.doe@example.org"), ("name", "Jürg Müller")], release="2026.2.0"
    )
    said = OutputFilter(standard).redact("Jürg Müller: jane.doe@example.org").text
    assert said == "[name removed]: [email removed]"


@pytest.mark.parametrize("audience", ["operators", "public"])
def test_canaries_are_listed_and_stopped(audience: str) -> None:
    empty = build([], audience=audience)
    results = probe(empty)
    assert results
    assert all(results.values())
    assert len(results) == (10 if audience == "operators" else 5)


def test_a_probe_sees_a_leak(people: tuple[Identifier, ...]) -> None:
    from filter import FilterPolicy

    off = FilterPolicy(kinds=frozenset(IdentifierKind) - {IdentifierKind.IBAN})
    results = probe(build(people), off)
    assert not results["iban"]
    assert results["email"]


@pytest.mark.parametrize("kind", WIDTHS)
def test_widths_hold_what_they_say(kind: IdentifierKind) -> None:
    start = WIDTHS[kind].bits
    assert width_for(kind, 1) == start
    holds = capacity(kind, start)
    assert holds * WIDTHS[kind].readings / 2**start <= 0.001
    assert width_for(kind, holds) == start
    assert width_for(kind, holds + 1) == start + 1
    assert members(kind, start) > members(kind, start + 1) > 1


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (0, 0),
        (1, 10),
        (10, 10),
        (11, 20),
        (99, 100),
        (100, 100),
        (101, 110),
        (1234, 1300),
        (99_001, 100_000),
    ],
)
def test_counts_are_rounded_up(count: int, said: int) -> None:
    assert rounded_up(count) == said


def test_decoys_hide_the_count() -> None:
    emails = [("email", f"jane{n}@example.org") for n in range(123)]
    one, two = build(emails[:110]), build(emails[:119])
    assert (
        one.manifest["kinds"]["email"]["entries"]
        == two.manifest["kinds"]["email"]["entries"]
        == 120
    )


def test_a_publishers_key_keeps_decoys_from_release_to_release() -> None:
    emails = [("email", f"jane{n}@example.org") for n in range(1300)]

    def codes(count: int, key: bytes | None) -> set[int]:
        bundle = build(emails[:count], decoys=key)
        return set(bundle._arrays["codes.email"].tolist())

    real = codes(1010, None) & codes(1040, None)
    assert len(real) == 1011  # the canary too: without a key the comparison tells them
    kept = codes(1010, b"k" * 16) & codes(1040, b"k" * 16)
    assert len(kept) > 1050
    assert codes(1010, b"k" * 16) != codes(1010, b"l" * 16)


ENTRIES = [
    ("fax", "044 668 18 00", UnknownKind),
    ("iban", "CH93 0076 2011 6238 5295 8", MalformedIdentifier),
    ("phone", "044 668 18", MalformedIdentifier),
    ("email", "jane.doe at example.org", MalformedIdentifier),
    ("ahv", "756.9217.0769.84", MalformedIdentifier),
    ("email", f"jane@{'a' * 60}.{'b' * 60}.example", MalformedIdentifier),
    ("credit_card", "4111 1111 1111 1112", MalformedIdentifier),
    ("ip", "10.0.0.1", MalformedIdentifier),
    ("name", "", PhraseTooShort),
    ("name", " . ", PhraseTooShort),
    ("name", "Li Na", PhraseTooShort),
    ("name", "李娜", PhraseTooShort),
    ("handle", "@li", PhraseTooShort),
    ("text", "the end", PhraseTooShort),
    ("text", "long " * 40, PhraseTooLong),
]


@pytest.mark.parametrize(("kind", "text", "error"), ENTRIES)
@pytest.mark.parametrize("audience", ["operators", "public"])
def test_entries_that_cannot_be_used(
    kind: str, text: str, error: type[InputError], audience: str
) -> None:
    with pytest.raises(error, match=r"^Entry 2: ") as raised:
        build([("email", "jane@example.org"), (kind, text)], audience=audience)
    assert len(text.strip()) < 4 or text.strip() not in str(raised.value)
    assert str(raised.value).endswith(".")


@pytest.mark.parametrize(
    "arguments",
    [
        {"release": "2026"},
        {"audience": "everybody"},
        {"kdf": "md5"},
        {"salt": b"short"},
        {"regions": ("XX",)},
    ],
    ids=str,
)
def test_arguments_that_cannot_be_used(arguments: dict[str, object]) -> None:
    with pytest.raises(InputError):
        build([("phone", "044 668 18 00")], **arguments)


@pytest.fixture(scope="module")
def octets(bundle: Bundle) -> bytes:
    return bundle.to_bytes()


def reopened(octets: bytes, **more: object) -> Bundle:
    return Bundle.from_bytes(octets, **{"now": NOW} | more)  # type: ignore[arg-type]


def test_foreign_files(tmp_path: Path) -> None:
    for content in (
        b"",
        b"x",
        b"PK\x03\x04 some zip file that is long enough",
        b"{}" * 40,
        bytes(100),
    ):
        path = tmp_path / "foreign"
        path.write_bytes(content)
        with pytest.raises(NotABundle, match=r"foreign is (empty|not a bundle)"):
            Bundle.open(path)
    header = canonical_json({"__metadata__": {"format": "pt"}})
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(NotABundle):
        Bundle.open(path)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            Bundle.open(path)


def test_every_cut_is_noticed(octets: bytes) -> None:
    for size in [*range(0, 400, 7), *range(400, len(octets), 997), len(octets) - 1]:
        with pytest.raises(BundleError):
            reopened(octets[:size], verify=False)
    with pytest.raises(BundleError):
        reopened(octets + b"x", verify=False)


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_every_changed_octet_is_noticed(octets: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(octets) - 1))
    changed = bytearray(octets)
    changed[at] ^= data.draw(st.integers(1, 255))
    try:
        found = reopened(bytes(changed))
    except InputError:
        return
    # Space between the header and the arrays says nothing.
    assert found.manifest == reopened(octets).manifest


def changed(octets: bytes, change: object) -> bytes:
    """The file with a changed manifest and a content hash that fits."""
    size = int.from_bytes(octets[:8], "little")
    header = json.loads(octets[8 : 8 + size])
    manifest = json.loads(header["__metadata__"]["lethe"])
    change(manifest)  # type: ignore[operator]
    manifest["content_sha256"] = content_hash(manifest, octets[8 + size :])
    header["__metadata__"]["lethe"] = canonical_json(manifest).decode()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + octets[8 + size :]


def test_a_newer_format_is_refused(octets: bytes) -> None:
    with pytest.raises(BundleTooNew, match="format 2"):
        reopened(changed(octets, lambda m: m.update(format=2)))


def test_arrays_may_not_change_names(octets: bytes) -> None:
    size = int.from_bytes(octets[:8], "little")
    swapped = octets[8 : 8 + size].replace(b"codes.email", b"codes.xxxxx")
    swapped = swapped.replace(b"codes.phone", b"codes.email").replace(
        b"codes.xxxxx", b"codes.phone"
    )
    with pytest.raises(BundleError):
        reopened(octets[:8] + swapped + octets[8 + size :])


def test_another_normaliser_is_refused(octets: bytes) -> None:
    with pytest.raises(BundleTooNew, match="normaliser"):
        reopened(changed(octets, lambda m: m["normaliser"].update(sha256="0" * 64)))


def test_another_hash_is_refused(octets: bytes) -> None:
    with pytest.raises(BundleTooNew, match="hash"):
        reopened(changed(octets, lambda m: m["kdf"].update(algorithm="scrypt")))


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.pop("kinds"),
        lambda m: m.pop("release"),
        lambda m: m.update(release="next"),
        lambda m: m.update(valid_until="soon"),
        lambda m: m.update(audience="all"),
        lambda m: m["family"].update(salt="00"),
        lambda m: m["kinds"]["email"].update(bits=40),
        lambda m: m["kinds"].update(name={"bits": 20}),
        lambda m: m["kdf"].update(memory_kib=1 << 30),
        lambda m: m["kdf"].update(passes=10**6),
        lambda m: m["kdf"].update(passes=2.5),
        lambda m: m["kdf"].update(algorithm="argon2id", lanes=0),
        lambda m: m["kdf"].update(algorithm="argon2id", memory_kib=0),
        lambda m: m.update(valid_until="9999-12-31"),
        lambda m: m.update(valid_until="2027-W10-1"),
        lambda m: m.update(regions=["Switzerland"]),
        lambda m: m.update(format=True),
        lambda m: m["kinds"]["email"].update(bits=26.5),
        lambda m: m["kinds"]["email"].update(bits="26"),
        lambda m: m["phrases"]["maps"]["wholes"].update(seed=-1),
        lambda m: m["phrases"]["maps"]["wholes"].update(seed=1 << 40),
        lambda m: m["phrases"]["maps"]["grams"].update(seed="1"),
        lambda m: m["phrases"]["maps"]["grams"].update(segment_count=1.0),
        lambda m: m["arrays"].update({"codes.email": m["arrays"]["codes.iban"]}),
        lambda m: m["phrases"]["maps"]["wholes"].update(segment_length=3),
        lambda m: m["phrases"]["maps"]["wholes"].update(segment_count=10**9),
        lambda m: m["phrases"].update(anchors=[7]),
        lambda m: m["phrases"].update(maps={}),
        lambda m: m["canaries"].append({"kind": "name"}),
    ],
)
def test_manifests_that_contradict_the_file(octets: bytes, change: object) -> None:
    with pytest.raises(DamagedBundle):
        reopened(changed(octets, change))


def test_an_expired_bundle_is_refused_after_the_grace(octets: bytes) -> None:
    assert (
        reopened(octets, now=datetime(2027, 4, 20, tzinfo=UTC)).freshness(
            datetime(2027, 4, 20, tzinfo=UTC)
        )
        == "expired"
    )
    with pytest.raises(BundleExpired, match="2027-04-02"):
        reopened(octets, now=datetime(2027, 5, 3, 10, tzinfo=UTC))


def test_variants_are_counted() -> None:
    one = build([("name", "Jürg Müller")])
    assert one.report is not None
    assert one.report.entries[IdentifierKind.NAME] == 1
    assert one.report.stored[IdentifierKind.NAME] == len(
        variants(IdentifierKind.NAME, "Jürg Müller")
    )


@pytest.mark.parametrize(
    ("name", "some"),
    [
        ("Jürg Müller", {"jurgmuller", "juergmueller", "mullerjurg", "jurgmueller", "jurgmullers"}),
        ("Müller, Jürg", {"jurgmuller", "mullerjurg"}),
        ("Joerg Mueller", {"joergmueller", "jorgmuller"}),
        ("Anna van Dam", {"annavandam", "vandamanna", "damannavan"}),
        ("Hans Peter Meier", {"hanspetermeier", "hanspmeier", "meierhanspeter"}),
        ("Анна Петрова", {"annapetrova", "petrovaanna"}),
        ("Νίκος Παπαδάκης", {"nikospapadakis"}),
    ],
)
def test_variants_of_names(name: str, some: set[str]) -> None:
    made = variants(IdentifierKind.NAME, name)
    assert some <= set(made)
    assert len(made) == len(set(made)) <= 48

"""Pages for everybody: each in every language, what forms do, what nobody may do."""

from __future__ import annotations

import io
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI, Response
from fastapi.testclient import TestClient

import filter_service.pages
from filter_service.errors import UnsafeSettings
from filter_service.model import LANGUAGES, RequestKind, State
from filter_service.pages import add_to, assets, writes
from filter_service.pages.plot import Cell, months, plot
from filter_service.pages.texts import catalogue
from filter_service.registry import Registry
from filter_service.settings import Settings
from lethe.bundle import KEY

HTML = {"accept": "text/html"}
HERE = HTML | {"sec-fetch-site": "same-origin"}
SIGNS = """<img src=x onerror=alert(1)>"'{{7654321*7}}&lt;"""
PUBLIC = (
    "/",
    "/request",
    "/rightsholders",
    "/status",
    "/code",
    "/releases",
    "/operators",
    "/figures",
    "/privacy",
)


class Page(HTMLParser):
    """What the tests look for in a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def form(self, **changed: str) -> list[tuple[str, str]]:
        """The fields of its inputs and selects as a browser would send them, some of them changed."""
        fields = []
        for tag, one in self.tags:
            name = one.get("name")
            if tag == "input" and name and one.get("type") not in {"checkbox", "radio"}:
                fields.append((name, one.get("value") or ""))
        return [(name, changed.pop(name, value)) for name, value in fields] + list(changed.items())


@pytest.fixture
def browser(pages: Any) -> Any:
    with TestClient(pages.app, base_url="http://127.0.0.1:8000", follow_redirects=False) as client:
        client.headers.update(HERE)
        yield client


def filled(*rows: tuple[str, str, str], **more: str) -> list[tuple[str, str]]:
    """A filled-in form."""
    fields = [("id", str(uuid4()))]
    for kind, value, file in rows:
        fields += [("kind", kind), ("value", value), ("file", file)]
    rest = {"email": "jane.doe@example.org", "reply": "en", "message": "", "agreed": "yes"} | more
    return fields + list(rest.items())


def post(client: Any, path: str, fields: Any, **headers: str) -> Any:
    from urllib.parse import urlencode

    return client.post(
        path,
        content=urlencode(fields),
        headers={"content-type": "application/x-www-form-urlencoded"} | headers,
    )


def personal_pages(pages: Any) -> dict[str, str]:
    """Paths of pages that belong to somebody, without their language, by what they show."""
    found = {}
    waiting = pages.submitted(confirmed=False)
    found["unverified"] = pages.path(waiting)[3:]
    found["confirm"] = pages.link("confirm", waiting.request_id)
    found["confirm identity"] = found["confirm"].replace(
        f"{waiting.request_id}/", f"{waiting.request_id}/0/"
    )
    found["in review"] = pages.path(pages.submitted())[3:]
    rejected = pages.submitted()
    pages.decided(rejected, accepted=False)
    found["rejected"] = pages.path(rejected)[3:]
    accepted = pages.submitted([("email", "ann.lee@example.org", None)])
    pages.decided(accepted, accepted=True)
    found["accepted"] = pages.path(accepted)[3:]
    found["withdraw"] = f"{found['accepted']}/withdraw"
    site = pages.submitted([("domain", "example.net", None)], kind=RequestKind.RIGHTSHOLDER)
    found["rightsholder"] = pages.path(site)[3:]
    pages.registry.access.register_operator("Example Ltd", "ops@example.org", "2026-07", "en")
    found["operator"] = pages.link("operator_key")
    return found


# -- every page ------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_in_every_language(pages: Any, browser: Any, language: str) -> None:
    pages.service.shown_releases = pages.releases
    pages.service.shown_figures = pages.figures
    for place in (*PUBLIC, *personal_pages(pages).values()):
        answer = browser.get(f"/{language}{place}")
        assert answer.status_code == 200, place
        page = Page(answer.text)
        assert page.all("html") == [{"lang": language}]
        assert page.all("script") == []
        assert [a for _, a in page.tags if any(n.startswith("on") or n == "style" for n in a)] == []
        assert len(page.all("h1")) == len(page.all("main")) == 1
        links = {one["hreflang"]: one["href"] for one in page.all("a") if "hreflang" in one}
        buttons = {b["lang"]: b["formaction"] for b in page.all("button") if "lang" in b}
        assert (links or buttons) == {
            other: f"/{other}{place}" for other in LANGUAGES if other != language
        }
        drafts = [one for one in page.all("p") if (one.get("class") or "").startswith("draft")]
        assert len(drafts) == (language == "rm")


def test_titles_say_where_one_is_and_nothing_personal(pages: Any, browser: Any) -> None:
    titles = {}
    for place in (*PUBLIC, *personal_pages(pages).values()):
        titles[place] = re.findall("<title>(.*?)</title>", browser.get(f"/en{place}").text)[0]
    assert len({titles[place] for place in PUBLIC}) == len(PUBLIC)
    assert not any(re.search("[0-9]{4}|[0-9a-f]{8}|@", title) for title in titles.values())


def test_personal_pages_are_kept_by_nobody(pages: Any, browser: Any) -> None:
    for place in personal_pages(pages).values():
        answer = browser.get(f"/de{place}")
        assert answer.headers["cache-control"] == "no-store"
        assert 'name="robots" content="noindex"' in answer.text
    assert browser.get("/de/request").headers["cache-control"] == "no-store"
    assert browser.get("/de/releases").headers["cache-control"] == "public, max-age=300"


def test_headers(browser: Any) -> None:
    found = browser.get("/en/").headers
    assert found["content-security-policy"] == (
        "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    )
    assert found["x-content-type-options"] == "nosniff"
    assert found["referrer-policy"] == "same-origin"
    assert found["content-language"] == "en"
    assert "set-cookie" not in found


def test_what_pages_load_is_ours_and_immutable(browser: Any) -> None:
    page = Page(browser.get("/en/").text)
    loaded = [one["href"] for one in page.all("link")]
    assert len(loaded) == 2
    for path in loaded:
        answer = browser.get(path)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
    assert not re.search("url\\(|@import|//", assets.asset(assets.STYLE).content.decode())
    assert browser.get(loaded[0].replace(".css", "0.css")).status_code == 404


def test_head(browser: Any) -> None:
    answer = browser.head("/en/")
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize(
    ("asked", "to"), [("fr-CH, en;q=0.5", "/fr/"), ("ja", "/de/"), ("en", "/en/")]
)
def test_the_first_page_is_in_the_language_of_the_browser(
    browser: Any, asked: str, to: str
) -> None:
    answer = browser.get("/", headers={"accept-language": asked})
    assert (answer.status_code, answer.headers["location"]) == (307, to)
    assert "Accept-Language" in answer.headers["vary"]


@pytest.mark.parametrize("place", PUBLIC[1:])
def test_addresses_without_a_language(browser: Any, place: str) -> None:
    answer = browser.get(place, headers={"accept-language": "it"})
    assert (answer.status_code, answer.headers["location"]) == (307, f"/it{place}")
    assert browser.get(f"{place}x").status_code == 404


# -- the form --------------------------------------------------------------------------------------


def test_rows_come_and_go_and_nothing_is_lost(browser: Any) -> None:
    form = filled(
        ("email", "a@example.org", ""),
        ("name", "Jane Doebler", "operators"),
        message="Hello",
        agreed="",
    )
    added = Page(post(browser, "/en/request", [*form, ("do", "add")]).text)
    assert [one["id"] for one in added.all("fieldset") if "id" in one] == []
    assert [one.get("value") for one in added.all("input") if one.get("name") == "value"] == [
        "a@example.org",
        "Jane Doebler",
        "",
    ]
    assert [one["id"] for _, one in added.tags if "autofocus" in one] == ["kind-3"]
    removed = Page(post(browser, "/en/request", [*form, ("do", "remove-1")]).text)
    assert [one.get("value") for one in removed.all("input") if one.get("name") == "value"] == [
        "Jane Doebler"
    ]
    assert [one["value"] for one in removed.all("option") if "selected" in one] == [
        "name",
        "operators",
        "en",
    ]
    assert "Hello" in removed.text
    only = Page(
        post(
            browser, "/en/request", [*filled(("email", "a@example.org", "")), ("do", "remove-1")]
        ).text
    )
    assert [one.get("value") for one in only.all("input") if one.get("name") == "value"] == [""]


def test_the_language_can_be_switched_with_a_half_filled_form(browser: Any) -> None:
    page = Page(browser.get("/de/request").text)
    button = next(b for b in page.all("button") if b.get("lang") == "fr")
    assert (button["formaction"], button["form"]) == ("/fr/request", "request")
    form = filled(("phone", "044 668 18 00", "operators"), reply="de", message="Guten Tag")
    french = post(browser, button["formaction"], [*form, ("do", button["value"])])
    assert french.status_code == 200
    again = Page(french.text)
    assert again.all("html") == [{"lang": "fr"}]
    assert again.form()[0] == form[0]
    assert "044 668 18 00" in [one.get("value") for one in again.all("input")]
    assert [one["value"] for one in again.all("option") if "selected" in one] == [
        "phone",
        "operators",
        "de",
    ]
    assert "Guten Tag" in again.text


def test_return_in_a_field_checks_the_form_and_does_not_switch_the_language(browser: Any) -> None:
    """The first submit button of a form in the order of the page is its default one (HTML, 4.10.21.2)."""
    form = filled(("email", "a@example.org", ""), ("email", "b@example.org", ""))
    for answer in (
        browser.get("/de/request"),
        post(browser, "/de/request", [*form, ("do", "add")]),
    ):
        page = Page(answer.text)
        buttons = [b for b in page.all("button") if b.get("form", "request") == "request"]
        assert (buttons[0]["value"], buttons[0]["aria-hidden"], buttons[0]["tabindex"]) == (
            "check",
            "true",
            "-1",
        )


@pytest.mark.parametrize(
    ("rows", "more", "fields"),
    [
        ([], {}, ["kind-1"]),
        ([("", "", "")], {}, ["kind-1"]),
        ([("email", "not one", "")], {}, ["value-1"]),
        ([("email", "a@example.org", ""), ("phone", "12", "")], {}, ["value-2"]),
        ([("name", "Bo", "")], {}, ["value-1"]),
        ([("email", "", "")], {}, ["value-1"]),
        ([("", "a@example.org", "")], {}, ["kind-1"]),
        ([("dataset", "a/b", "")], {}, ["kind-1"]),
        ([("email", "a@example.org", "")], {"email": "nowhere"}, ["email"]),
        ([("email", "a@example.org", "")], {"email": ""}, ["email"]),
        ([("email", "a@example.org", "")], {"agreed": ""}, ["agreed"]),
        ([("email", "a@example.org", "")], {"message": "x" * 4001}, ["message"]),
        ([("email", f"a{n}@example.org", "") for n in range(51)], {}, ["value-1"]),
        (
            [("iban", "CH93 0076 2011 6238 5295 8", "")],
            {"agreed": "", "email": "x"},
            ["value-1", "email", "agreed"],
        ),
    ],
)
def test_what_is_wrong_is_said_at_the_top_and_at_the_field(
    pages: Any, browser: Any, rows: Any, more: Any, fields: list[str]
) -> None:
    for last in ("", "/send"):
        answer = post(browser, f"/en/request{last}", [*filled(*rows, **more), ("do", "check")])
        assert answer.status_code == 422
        page = Page(answer.text)
        assert answer.text.count("<title>Error: ") == 1
        summary = answer.text.partition('role="alert"')[2].partition("</div>")[0]
        assert re.findall('href="#([^"]+)"', summary) == fields
        by_id = {one["id"]: one for _, one in page.tags if "id" in one}
        for field in fields:
            assert by_id[field]["aria-invalid"] == "true"
            assert f"{field}-error" in (by_id[field]["aria-describedby"] or "").split()
            assert f"{field}-error" in by_id
    assert pages.messages() == []


def test_what_cannot_work_is_said_before_anything_is_sent(pages: Any, browser: Any) -> None:
    form = filled(
        ("email", "jane.doe@example.org", ""),
        ("name", "Jane Doebler-Zgraggen", ""),
        ("postal_address", "Seestrasse 5", ""),
        ("phone", "044 668 18 00", "operators"),
    )
    answer = post(browser, "/en/request", [*form, ("do", "check")])
    assert answer.status_code == 200
    text = Page(answer.text).text
    assert "Nothing has been sent yet" in text
    assert pages.messages() == []
    assert "jane.doe(at)example.org" in text  # would go
    assert "jane dot doe at example dot org" in text  # would stay
    assert "This cannot be listed. This address is incomplete" in text
    details = re.findall(r"File (Public file|Operators' file)", text)
    assert details == ["Public file", "Operators' file", "Operators' file", "Operators' file"]


def test_spellings_are_tried_for_the_first_rows_only(pages: Any, browser: Any) -> None:
    rows = [("email", f"somebody{n}@example.org", "") for n in range(12)]
    text = Page(post(browser, "/en/request", [*filled(*rows), ("do", "check")]).text).text
    assert "somebody9(at)example.org" in text
    assert "somebody10(at)example.org" not in text
    assert "somebody11@example.org" in text
    assert text.count("We see nothing that speaks against it") == 12


def test_sent_twice_it_is_one_request(pages: Any, browser: Any) -> None:
    form = filled(("email", "jane.doe@example.org", ""))
    first, second = (post(browser, "/en/request/send", form) for _ in range(2))
    secret = re.findall(r"/en/status/([0-9a-f-]{36}/[0-9a-f]{32})", first.text)
    assert first.status_code == second.status_code == 200
    assert first.headers["cache-control"] == "no-store"
    assert secret == re.findall(r"/en/status/([0-9a-f-]{36}/[0-9a-f]{32})", second.text)
    assert "Nothing was entered twice" not in first.text
    assert "Nothing was entered twice" in second.text
    assert len(pages.messages()) == 1
    in_french = post(browser, "/fr/request/send", form)
    assert in_french.status_code == 200
    assert secret[0] in in_french.text


def test_a_form_that_was_changed_after_sending_becomes_another_request(
    pages: Any, browser: Any
) -> None:
    form = filled(("email", "jane.doe@example.org", ""))
    post(browser, "/en/request/send", form)
    changed = [*form[:2], ("value", "john.doe@example.org"), *form[3:]]
    answer = post(browser, "/en/request/send", changed)
    assert answer.status_code == 409
    assert "second request" in answer.text
    hidden = Page(answer.text).form()
    assert dict(hidden)["id"] != form[0][1]
    assert post(browser, "/en/request/send", hidden).status_code == 200
    assert pages.registry.store.directory.unverified == 2


@pytest.mark.parametrize(
    "forged", ["", "x", "0" * 32, "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "\x00", "é"]
)
def test_a_form_without_a_good_id_gets_one(browser: Any, forged: str) -> None:
    form = [("id", forged), *filled(("email", "jane.doe@example.org", ""))[1:]]
    page = Page(post(browser, "/en/request", [*form, ("do", "check")]).text)
    assert UUID(dict(page.form())["id"]).version == 4


def test_phrases_go_to_operators_whatever_was_chosen(pages: Any, browser: Any) -> None:
    form = filled(
        ("name", "Jane Doebler-Zgraggen", "public"),
        ("email", "jane.doe@example.org", "operators"),
        ("phone", "044 668 18 00", "public"),
    )
    post(browser, "/en/request/send", form)
    file = pages.registry.store.case(UUID(form[0][1])).opened()
    assert [one.audience for one in file.identities] == ["operators", "operators", "public"]


def test_too_many_requests_wait(pages: Any, browser: Any) -> None:
    pages.registry.store.directory.unverified = pages.registry.settings.limits.open_requests
    answer = post(browser, "/en/request/send", filled(("email", "jane.doe@example.org", "")))
    assert answer.status_code == 409
    assert "Too many requests wait" in answer.text


@pytest.mark.parametrize(
    ("method", "path", "counted"),
    [
        ("POST", "/de/request", False),
        ("POST", "/de/rightsholders", False),
        ("POST", "/de/request/send", True),
        ("POST", "/de/code", True),
        ("GET", "/de/request", False),
        ("POST", "/review/open", True),
    ],
)
def test_which_requests_may_change_something(method: str, path: str, counted: bool) -> None:
    assert writes({"type": "http", "method": method, "path": path}) is counted


# -- links and codes -------------------------------------------------------------------------------


def test_links_of_mails_lead_to_the_language_of_the_request(pages: Any, browser: Any) -> None:
    receipt = pages.submitted(language="it", confirmed=False)
    link = pages.link("confirm", receipt.request_id)
    english = {"accept-language": "en"}
    assert browser.get(link, headers=english).headers["location"] == f"/it{link}"
    wrong = link[:-1] + ("0" if link[-1] != "0" else "1")
    assert browser.get(wrong, headers=english).headers["location"] == f"/en{wrong}"
    status = pages.path(receipt, "it")
    assert browser.get(status[3:], headers=english).headers["location"] == status
    assert (
        browser.get(f"{status[3:-1]}{'0' if status[-1] != '0' else '1'}", headers=english)
        .headers["location"]
        .startswith("/en/")
    )


def test_a_scanner_that_opens_the_link_confirms_nothing(pages: Any, browser: Any) -> None:
    receipt = pages.submitted(confirmed=False)
    link = "/de" + pages.link("confirm", receipt.request_id)
    for _ in range(3):
        assert browser.get(link).status_code == 200
    assert pages.registry.store.case(receipt.request_id).standing.state is State.UNVERIFIED
    answer = post(browser, link, [])
    assert answer.status_code == 200
    assert "6. August 2026" in answer.text
    assert f"/de/status/{receipt.request_id}/{receipt.secret}" in answer.text
    assert pages.registry.store.case(receipt.request_id).standing.state is State.IN_REVIEW
    assert post(browser, link, []).status_code == 200  # pressed twice


def test_a_link_of_an_identity(pages: Any, browser: Any) -> None:
    receipt = pages.submitted([("email", "other@example.org", None)])
    link = "/en" + pages.link("confirm", receipt.request_id)
    assert "/0/" in link
    assert "filtered out" in browser.get(link).text
    wrong = link[:-1] + ("0" if link[-1] != "0" else "1")
    for _ in range(7):
        assert post(browser, wrong, []).status_code == 404
    done = post(browser, link, [])
    assert done.status_code == 200
    assert receipt.secret not in done.text  # it may be somebody else who confirms
    assert post(browser, link, []).status_code == 200
    assert post(browser, wrong, []).status_code == 404


def test_a_link_that_came_too_late(pages: Any, browser: Any) -> None:
    receipt = pages.submitted(confirmed=False)
    link = "/en" + pages.link("confirm", receipt.request_id)
    pages.clock.forward(days=8)
    answer = post(browser, link, [])
    assert answer.status_code == 409
    assert "its time is over" in answer.text


def test_codes_of_letters_and_text_messages(pages: Any, browser: Any) -> None:
    receipt = pages.submitted(
        [("phone", "044 668 18 00", None), ("postal_address", "Seestrasse 5, 8001 Zürich", None)]
    )
    number = str(receipt.request_id)
    letter = pages.code(receipt.request_id, "letter")
    unknown = post(browser, "/en/code", [("number", str(uuid4())), ("code", "1234 5678")])
    wrong = post(browser, "/en/code", [("number", number), ("code", "1234 5678")])
    assert unknown.status_code == wrong.status_code == 422
    assert (
        unknown.text.replace(re.findall('value="([0-9a-f-]{36})"', unknown.text)[0], number)
        == wrong.text
    )
    assert (
        post(browser, "/en/code", [("number", "x"), ("code", "1")]).text.count("aria-invalid") == 2
    )
    other_digits = post(browser, "/en/code", [("number", number), ("code", "１２３４５６７８")])
    assert "Write the eight digits" in other_digits.text
    right = post(browser, "/en/code", [("number", f" {number.upper()} "), ("code", letter)])
    assert right.status_code == 200
    assert receipt.secret not in right.text
    states = [
        one.evidence_state
        for one in pages.registry.store.case(receipt.request_id).opened().identities
    ]
    assert states == ["sent", "confirmed"]


def test_the_address_in_a_letter_leads_to_the_form_for_its_code(pages: Any, browser: Any) -> None:
    receipt = pages.submitted([("postal_address", "Seestrasse 5, 8001 Zürich", None)])
    short = browser.get(f"/status/{receipt.request_id}", headers={"accept-language": "fr"})
    assert short.headers["location"] == f"/fr/status/{receipt.request_id}"
    shown = browser.get(short.headers["location"])
    assert dict(Page(shown.text).form())["number"] == str(receipt.request_id)
    unknown = uuid4()
    other = browser.get(f"/fr/status/{unknown}")
    assert other.text.replace(str(unknown), str(receipt.request_id)) == shown.text


def test_a_code_can_be_tried_five_times(pages: Any, browser: Any) -> None:
    receipt = pages.submitted([("phone", "044 668 18 00", None)])
    code = pages.code(receipt.request_id, "sms")
    wrong = "00000000" if code.replace(" ", "") != "00000000" else "11111111"
    for _ in range(5):
        post(browser, "/en/code", [("number", str(receipt.request_id)), ("code", wrong)])
    assert (
        post(browser, "/en/code", [("number", str(receipt.request_id)), ("code", code)]).status_code
        == 422
    )


# -- the page of a request -------------------------------------------------------------------------


def test_what_the_page_of_a_request_shows(pages: Any, browser: Any) -> None:
    receipt = pages.submitted()
    page = Page(browser.get(pages.path(receipt)).text)
    for shown in ("j…@e….org", "…00", "J… D…", "6 August 2026", str(receipt.request_id), "now"):
        assert shown in page.text
    for hidden in ("jane.doe", "668 18", "Doebler", "Seestrasse"):
        assert hidden not in page.text
    assert [one for one in page.all("li") if "aria-current" in one] == [
        {"class": "now", "aria-current": "step"}
    ]


def test_a_code_on_the_page_of_a_request(pages: Any, browser: Any) -> None:
    receipt = pages.submitted([("phone", "044 668 18 00", None)])
    path = pages.path(receipt)
    wrong = post(browser, f"{path}/code", [("position", "0"), ("code", "00000000")])
    assert wrong.status_code == 409
    assert "not the right code" in wrong.text
    assert 'aria-describedby="code-0-error code-0-hint"' in wrong.text
    right = post(
        browser,
        f"{path}/code",
        [("position", "0"), ("code", pages.code(receipt.request_id, "sms"))],
    )
    assert (right.status_code, right.headers["location"]) == (303, f"{path}?done=code#done")
    assert "This detail is confirmed" in browser.get(f"{path}?done=code").text
    for position in ("", "9", "-1", "x", "٣", "1" * 5000):
        assert (
            post(
                browser, f"{path}/code", [("position", position), ("code", "12345678")]
            ).status_code
            == 409
        )


def test_send_again(pages: Any, browser: Any) -> None:
    receipt = pages.submitted(
        [("phone", "044 668 18 00", None), ("email", "other@example.org", None)], confirmed=False
    )
    path = pages.path(receipt)
    assert "wait until tomorrow" in post(browser, f"{path}/again", []).text
    pages.clock.forward(days=1, minutes=1)
    assert post(browser, f"{path}/again", []).headers["location"] == f"{path}?done=again#done"
    token = pages.link("confirm", receipt.request_id).rsplit("/", 1)[1]
    pages.registry.confirm_contact(receipt.request_id, token)
    assert post(browser, f"{path}/again", []).status_code == 409  # confirmed before
    assert post(browser, f"{path}/again", [("position", "1")]).status_code == 409  # sent just now
    soon = post(browser, f"{path}/again", [("position", "0")])
    assert soon.status_code == 409
    assert "wait until tomorrow" in soon.text
    pages.clock.forward(days=1, minutes=1)
    for position in ("0", "1"):
        assert post(browser, f"{path}/again", [("position", position)]).status_code == 303


def test_withdraw_asks_first(pages: Any, browser: Any) -> None:
    receipt = pages.submitted()
    path = pages.path(receipt)
    page = browser.get(f"{path}/withdraw")
    assert "cannot be undone" in page.text
    assert pages.registry.store.case(receipt.request_id).standing.state is State.IN_REVIEW
    assert (
        post(browser, f"{path}/withdraw", []).headers["location"] == f"{path}?done=withdrawn#done"
    )
    assert "Your request is withdrawn" in browser.get(f"{path}?done=withdrawn").text
    assert post(browser, f"{path}/withdraw", []).status_code == 409
    assert "Withdraw the request ..." not in browser.get(path).text


def test_a_refusal_and_an_appeal(pages: Any, browser: Any) -> None:
    receipt = pages.submitted()
    path = pages.path(receipt)
    assert "Send the appeal" not in browser.get(path).text
    pages.decided(receipt, accepted=False)
    page = Page(browser.get(path).text).text
    assert "Words of a reviewer." in page
    assert "freedom of expression" in page
    assert "Federal Data Protection" in page
    assert "until 5 August 2026" in page
    assert post(browser, f"{path}/appeal", [("text", " ")]).text.count("Write something first") == 2
    assert post(browser, f"{path}/appeal", [("text", "I never was.")]).status_code == 303
    assert pages.registry.store.case(receipt.request_id).opened().appeal == "I never was."
    assert "looks at your request again" in browser.get(path).text
    pages.decided(receipt, accepted=False, by="second")
    assert "Send the appeal" not in browser.get(path).text
    assert post(browser, f"{path}/appeal", [("text", "Still.")]).status_code == 409


def test_an_appeal_that_is_too_long_is_given_back(pages: Any, browser: Any) -> None:
    receipt = pages.submitted()
    pages.decided(receipt, accepted=False)
    answer = post(browser, f"{pages.path(receipt)}/appeal", [("text", "y" * 4001)])
    assert "y" * 4001 in answer.text
    assert pages.registry.store.case(receipt.request_id).standing.state is State.REJECTED


def test_an_answer_to_an_objection(pages: Any, browser: Any) -> None:
    receipt = pages.submitted([("email", "ann.lee@example.org", None)])
    path = pages.path(receipt)
    pages.decided(receipt, accepted=True)
    assert "Send the answer" not in browser.get(path).text
    assert "no objection" in post(browser, f"{path}/answer", [("text", "Well.")]).text
    pages.registry.review.object(receipt.request_id, "It is mine.", "reviewer:second")
    page = browser.get(path)
    assert "It is mine." in page.text
    assert "by 6 August 2026" in page.text
    assert post(browser, f"{path}/answer", [("text", "")]).status_code == 409
    assert post(browser, f"{path}/answer", [("text", "It was mine before.")]).status_code == 303
    assert pages.registry.store.case(receipt.request_id).opened().answer == "It was mine before."


def test_an_erased_request_has_a_page_still(pages: Any, browser: Any) -> None:
    receipt = pages.submitted()
    pages.registry.withdraw(receipt.request_id, receipt.secret)
    pages.registry.review.erase(receipt.request_id, "admin")
    answer = browser.get(pages.path(receipt))
    assert answer.status_code == 200
    assert "was deleted" in answer.text


@pytest.mark.parametrize("state", State)
def test_every_state_has_a_page(pages: Any, browser: Any, state: State) -> None:
    receipt = pages.submitted()
    pages.registry.database.write(
        lambda t: t.write(
            "UPDATE requests SET state = ? WHERE request_id = ?", state.value, receipt.request_id
        )
    )
    for language in LANGUAGES:
        answer = browser.get(pages.path(receipt, language))
        assert answer.status_code == 200
        assert catalogue(language)(f"states.{state}") in Page(answer.text).text


def test_a_rightsholder_shows_a_domain(pages: Any, browser: Any) -> None:
    form = [
        ("id", str(uuid4())),
        ("kind", "subdomains"),
        ("value", "example.net"),
        ("kind", "url"),
        ("value", "https://example.net/a?b=1"),
        ("email", "a@example.org"),
        ("reply", "en"),
        ("message", ""),
        ("agreed", "yes"),
    ]
    assert (
        "The list holds what you enter, in clear"
        in post(browser, "/en/rightsholders", [*form, ("do", "check")]).text
    )
    sent = post(browser, "/en/rightsholders/send", form)
    path = re.findall(r"/en/status/[0-9a-f-]{36}/[0-9a-f]{32}", sent.text)[0]
    page = browser.get(path)
    text = re.findall("lethe-verification=[0-9a-f]{32}", page.text)
    assert len(text) == 2
    assert "_lethe.example.net" in page.text
    assert "https://example.net/.well-known/lethe-verification.txt" in page.text
    early = post(browser, f"{path}/domain", [("position", "0")])
    assert early.status_code == 409
    assert "neither the DNS entry nor the file" in early.text
    assert "lethe-verification" in early.text
    pages.service.zone["_lethe.example.net"] = text[0]
    assert post(browser, f"{path}/domain", [("position", "1")]).status_code == 303
    assert "lethe-verification" not in browser.get(path).text


# -- operators, releases, figures, privacy -----------------------------------------------------------


def test_an_operator_gets_a_key_once(pages: Any, browser: Any) -> None:
    form = [
        ("version", "2026-07"),
        ("organisation", "Example Models Ltd"),
        ("email", "ops@example.org"),
        ("agreed", "yes"),
    ]
    assert "Look into your mailbox" in post(browser, "/en/operators", form).text
    link = pages.link("operator_key")
    assert browser.get(link, headers={"accept-language": "fr"}).headers["location"] == f"/fr{link}"
    assert "lethe_" not in browser.get(f"/en{link}").text
    shown = post(browser, f"/en{link}", [])
    key = re.findall("lethe_[0-9a-f]{32}_[0-9a-f]{32}", shown.text)[0]
    assert pages.registry.access.authenticated(key).who == "Example Models Ltd"
    assert shown.headers["cache-control"] == "no-store"
    assert f"{KEY}='{key}' lethe bundle get http://" in Page(shown.text).text
    for command in (
        "pip install 'lethe-llm[client]'",
        "http://127.0.0.1:8000/releases --dir",
        "lethe selftest --bundle",
    ):
        assert command in Page(shown.text).text
    assert post(browser, f"/en{link}", []).status_code == 409


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"organisation": ""}, "organisation"),
        ({"organisation": "x" * 201}, "organisation"),
        ({"organisation": "a\u202eb"}, "organisation"),
        ({"email": "x"}, "email"),
        ({"agreed": ""}, "agreed"),
        ({"version": "2020-01"}, "agreed"),
    ],
)
def test_an_operator_who_leaves_something_out(
    pages: Any, browser: Any, changed: Any, field: str
) -> None:
    form = {
        "version": "2026-07",
        "organisation": "Example",
        "email": "ops@example.org",
        "agreed": "yes",
    } | changed
    answer = post(browser, "/en/operators", list(form.items()))
    assert answer.status_code == 422
    assert f'href="#{field}"' in answer.text
    assert pages.messages() == []


def test_terms_without_a_text_are_noticed_at_the_start(tmp_path: Path) -> None:
    with Registry.open(
        tmp_path / "r", settings=Settings(kdf="testing", terms="2031-01")
    ) as registry:

        class Behind:
            def __init__(self) -> None:
                self.registry = registry

        with pytest.raises(UnsafeSettings, match="2026-07"):
            add_to(FastAPI(), Behind())  # type: ignore[arg-type]


def test_releases(pages: Any, browser: Any) -> None:
    assert "Nothing has been published yet" in browser.get("/en/releases").text
    pages.service.shown_releases = pages.releases
    text = Page(browser.get("/en/releases").text).text
    for shown in (
        "Release 2026.2.0 current",
        "1 July 2026",
        "2 April 2027",
        "0f" * 32,
        "about 1,200",
        "under 10",
        "2 April 2026 expired",
    ):
        assert shown in text
    assert "etwa 1'200" in Page(browser.get("/de/releases").text).text
    for command in (
        "pip install 'lethe-llm[client]'",
        "lethe bundle get http://127.0.0.1:8000/releases --dir",
        "lethe selftest --bundle",
        "17 4 * * * lethe bundle get",
    ):
        assert command in text


def test_small_numbers_are_not_told(pages: Any, browser: Any) -> None:
    pages.service.shown_figures = pages.figures
    answer = browser.get("/en/figures")
    page = Page(answer.text)
    assert "11.5" in page.text
    assert "2026-07 0 160 under 10 under 10" in page.text
    assert "2026-03 0 81 – 89 under 10 under 10" in page.text
    assert "2026-02 0 60 14 2 – 18" in page.text
    assert "Telephone number under 10" in page.text
    assert len(page.all("svg")) > 3
    assert page.all("rect")
    assert (
        "There are no figures yet" in browser.get("/it/figures").text or pages.service.shown_figures
    )


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (Cell(), "0"),
        (Cell(12), "12"),
        (Cell(0, 1), "under 10"),
        (Cell(0, 2), "2 – 18"),
        (Cell(40, 1), "41 – 49"),
    ],
)
def test_a_sum_of_which_a_part_is_hidden(cell: Cell, text: str) -> None:
    assert cell.text(catalogue("en")) == text


def test_bars_stay_in_the_plot() -> None:
    for most in (1, 9, 10, 99, 1234, 999_999):
        counts = {
            f"20{y}-{m:02}": {"erasure.published": most, "erasure.rejected": None}
            for y in (24, 25, 26)
            for m in range(1, 13)
        }
        found = months({"months": counts})
        assert (len(found), found[-1].name) == (24, "2026-12")
        drawn = plot(found)
        assert all(
            bar.y >= 0 and bar.y + bar.height <= 240 and bar.x + bar.width <= 640
            for bar in drawn.bars
        )
        assert 3 <= len(drawn.ticks) <= 7


def test_the_privacy_notice_names_the_controller(browser: Any) -> None:
    text = Page(browser.get("/en/privacy").text).text
    for shown in (
        "Office for Forgotten Data",
        "Quellenweg 1, 3000 Bern",
        "https://office.example/privacy",
        "7 days",
        "3 years",
        "Federal Data Protection",
    ):
        assert shown in text


# -- what nobody may do ----------------------------------------------------------------------------


def test_wrong_and_unknown_get_one_and_the_same_page(pages: Any, browser: Any) -> None:
    receipt = pages.submitted()
    known, secret = receipt.request_id, receipt.secret
    wrong = "0" * 32
    paths = [
        f"/en/status/{known}/{wrong}",
        f"/en/status/{uuid4()}/{secret}",
        f"/en/status/{uuid4()}/{wrong}",
        f"/en/status/{known}/{secret[:-1]}",
        f"/en/status/{known}/{secret.upper()}x",
        f"/en/status/{known}/é",
        f"/en/status/{known}/{secret}/withdraw/more",
        f"/en/status/{known}/{wrong}/withdraw",
        f"/en/status/not-a-number/{secret}",
        f"/en/confirm/{known}/{secret}0",
        f"/en/operators/{known}/no-secret",
        "/en/nothing",
        "/en/assets/style.css",
    ]
    answers = [browser.get(path) for path in paths]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1
    assert len({tuple(sorted(answer.headers.items())) for answer in answers}) == 1
    posts = [
        post(browser, path, [])
        for path in (
            f"/en/status/{known}/{wrong}/withdraw",
            f"/en/status/{uuid4()}/{wrong}/withdraw",
            f"/en/confirm/{known}/{wrong}",
            f"/en/confirm/{uuid4()}/{wrong}",
            f"/en/confirm/{known}/0/{wrong}",
            f"/en/confirm/{uuid4()}/0/{wrong}",
            f"/en/operators/{uuid4()}/{wrong}",
            f"/en/status/{known}/{wrong}/code",
            f"/en/status/{uuid4()}/{wrong}/domain",
            f"/en/status/{known}/{wrong}/appeal",
            f"/en/status/{known}/{wrong}/again",
        )
    ]
    assert {answer.content for answer in posts} == {answers[0].content}
    assert {answer.status_code for answer in posts} == {404}


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "none"}, True),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": ""}, False),
        ({"sec-fetch-site": "cross-site", "origin": "http://127.0.0.1:8000"}, False),
        ({"origin": "http://127.0.0.1:8000"}, True),
        ({"origin": "https://127.0.0.1:8000"}, False),
        ({"origin": "http://127.0.0.1:9000"}, False),
        ({"origin": "http://evil.example"}, False),
        ({"origin": "null"}, False),
        ({}, False),
    ],
)
def test_forms_come_from_our_own_pages_only(
    pages: Any, headers: dict[str, str], allowed: bool
) -> None:
    with TestClient(pages.app, base_url="http://127.0.0.1:8000") as client:
        answer = post(
            client,
            "/en/request/send",
            filled(("email", "jane.doe@example.org", "")),
            **HTML,
            **headers,
        )
    assert answer.status_code == (200 if allowed else 403)
    assert bool(pages.messages()) is allowed


def test_what_people_write_is_never_markup(pages: Any, browser: Any) -> None:
    """Each place that shows what somebody wrote."""
    row = [("kind", "text"), ("value", SIGNS + " and more words"), ("file", SIGNS)]
    more = [
        ("email", SIGNS),
        ("reply", SIGNS),
        ("message", SIGNS),
        ("agreed", SIGNS),
        ("id", SIGNS),
    ]
    good = {"email": "jane.doe@example.org", "message": SIGNS, "agreed": "yes"}
    shown = [
        post(browser, "/en/request", [*row, *more, ("do", SIGNS)]),
        post(browser, "/en/request", [("kind", SIGNS), *row[1:], *more, ("do", "add")]),
        post(browser, "/en/request", [*row, *good.items(), ("do", "check")]),
        post(browser, "/en/request/send", [*row, *good.items()]),
        post(browser, "/en/code", [("number", SIGNS), ("code", SIGNS)]),
        post(
            browser,
            "/en/operators",
            [("organisation", SIGNS), ("email", SIGNS), ("version", SIGNS)],
        ),
    ]
    receipt = pages.submitted([("url", "example.org/a-long-page", None)], message=SIGNS)
    pages.decided(receipt, accepted=False)
    path = pages.path(receipt)
    shown.append(post(browser, f"{path}/appeal", [("text", SIGNS * 200)]))
    site = pages.submitted([("dataset", SIGNS, None)], kind=RequestKind.RIGHTSHOLDER)
    shown.append(browser.get(pages.path(site)))
    for answer in shown:
        assert answer.status_code in {200, 409, 422}
        assert (
            "&lt;img src=x onerror=alert(1)&gt;" in answer.text
            or answer is shown[1]
            or answer is shown[3]
        )
        page = Page(answer.text)
        assert page.all("img") == []
        assert not any("onerror" in attributes for _, attributes in page.tags)
        assert "53580247" not in page.text


@pytest.mark.parametrize(
    "path", ["/en/status?done=<script>", "/en/<script>alert(1)</script>", "/en/?x=<b>"]
)
def test_addresses_are_never_echoed(browser: Any, path: str) -> None:
    answer = browser.get(path)
    assert "script>" not in answer.text
    assert "&lt;" not in answer.text


def test_error_pages_for_browsers_and_problems_for_programs(pages: Any) -> None:
    """An application of which the pages are a part: other parts answer programs, and fail, in their own way."""
    app = FastAPI()
    app.state.known_callers = []

    @app.get("/boom")
    def boom() -> None:
        raise ValueError("jane.doe@example.org")

    @app.get("/busy")
    def busy() -> Response:
        return Response("{}", 429, {"Retry-After": "7"}, "application/problem+json")

    @app.get("/v1/busy")
    def api_busy() -> Response:
        return Response("{}", 429, {"Retry-After": "7"}, "application/problem+json")

    add_to(app, pages.service)
    assert len(app.state.known_callers) == 1
    with TestClient(app, base_url="http://127.0.0.1:8000", raise_server_exceptions=False) as client:
        busy_page = client.get("/busy", headers=HTML | {"accept-language": "fr"})
        assert (busy_page.status_code, busy_page.headers["retry-after"]) == (429, "7")
        assert "Trop souvent" in busy_page.text
        assert busy_page.headers["cache-control"] == "no-store"
        assert client.get("/busy").headers["content-type"] == "application/problem+json"
        assert (
            client.get("/v1/busy", headers=HTML).headers["content-type"]
            == "application/problem+json"
        )
        boom_page = client.get("/boom", headers=HTML | {"accept-language": "it"})
        assert boom_page.status_code == 500
        assert "Errore nostro" in boom_page.text
        assert "jane" not in boom_page.text
        wrong_method = client.delete("/en/request", headers=HTML)
        assert (wrong_method.status_code, "does not work here" in wrong_method.text) == (405, True)
        assert set(wrong_method.headers["allow"].split(", ")) >= {"GET", "HEAD"}
        nowhere = client.get(
            "/nowhere/jane.doe@example.org", headers=HTML | {"accept-language": "rm"}
        )
        assert (nowhere.status_code, "Betg chattà" in nowhere.text) == (404, True)
        assert "jane" not in nowhere.text
        assert client.get("/nowhere").headers["content-type"] == "application/json"


def test_as_a_part_of_the_whole(tmp_path: Path) -> None:
    """With the interface for programs, its limits, its headers."""
    from filter_service.access import Role
    from filter_service.api import create_app
    from filter_service.api.logs import log_to
    from filter_service.service import Service
    from filter_service.settings import Limits

    settings = Settings(kdf="testing", limits=Limits(requests_an_hour_by_address=2))
    with Service.open(tmp_path / "registry", settings) as service:
        log = io.StringIO()
        app = create_app(service, log=log_to(log))
        add_to(app, service)
        with TestClient(app, base_url="http://127.0.0.1:8000", follow_redirects=False) as client:
            client.headers.update(HERE)
            for place in PUBLIC:
                answer = client.get(f"/fr{place}")
                assert answer.status_code == 200
                assert "form-action 'self'" in answer.headers["content-security-policy"]
                assert answer.headers["referrer-policy"] == "same-origin"
            assert client.get("/v1/nothing").headers["content-type"] == "application/problem+json"
            assert "Page introuvable" in client.get("/fr/nothing").text
            assert (
                client.get("/openapi.json")
                .json()["paths"]
                .keys()
                .isdisjoint({"/{language}/request"})
            )
            _, key = service.registry.access.create(Role.REVIEWER, "Rita", "admin")
            assert post(client, "/review/sign-in", [("key", key)]).status_code == 303
            assert client.get("/review").headers["ratelimit-policy"].startswith('"key"')
            client.cookies.clear()
            assert post(client, "/de/code", []).status_code == 422
            often = post(client, "/de/code", [])
            assert (often.status_code, "Zu oft" in often.text) == (429, True)
            assert int(often.headers["retry-after"]) > 0
    assert "lethe_" not in log.getvalue()


@pytest.mark.parametrize(
    ("body", "kind", "status", "words"),
    [
        (b"x=" + b"y" * (1 << 18), "application/x-www-form-urlencoded", 413, "too large"),
        (b"&".join([b"x=1"] * 401), "application/x-www-form-urlencoded", 400, "could not use"),
        (b"x=%ff", "application/x-www-form-urlencoded", 400, "could not use"),
        ("x=é".encode(), "application/x-www-form-urlencoded", 400, "could not use"),
        (b"{}", "application/json", 415, "could not use"),
        (b"", "", 415, "could not use"),
    ],
)
def test_bodies_that_are_no_form(
    browser: Any, body: bytes, kind: str, status: int, words: str
) -> None:
    answer = browser.post("/en/request", content=body, headers={"content-type": kind})
    assert answer.status_code == status
    assert words in answer.text


def test_no_page_has_a_script() -> None:
    folder = Path(filter_service.pages.__file__).parent
    for path in folder.rglob("*"):
        if path.suffix in {".html", ".svg"}:
            assert not re.search(
                r"<script|\son[a-z]+=|javascript:|\sstyle=", path.read_text("utf-8")
            ), path
        assert path.suffix not in {".js", ".mjs", ".woff", ".woff2"}

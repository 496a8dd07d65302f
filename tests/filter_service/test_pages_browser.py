"""The pages in Chromium: by keyboard alone, without scripts, on narrow screens, and as axe sees them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from filter import Bundle, OutputFilter
from filter_service.model import LANGUAGES, RequestKind, State

SERIOUS = {"serious", "critical"}
HOUSES = itertools.count(10)


@pytest.fixture(scope="module")
def world(served_pages: Any) -> Any:
    """Pages with something to show on each."""
    served_pages.service.shown_releases = served_pages.releases
    served_pages.service.shown_figures = served_pages.figures
    return served_pages


@pytest.fixture(scope="module")
def paths(world: Any) -> dict[str, str]:
    """Every kind of page that a GET shows, by name; in several languages."""
    found = {name: f"/de/{name}" for name in ("", "request", "status", "releases", "figures")}
    found |= {name: f"/fr/{name}" for name in ("rightsholders", "code", "operators")}
    found |= {"privacy": "/rm/privacy", "not found": "/it/nothing", "sign in": "/review/sign-in"}
    waiting = world.submitted(confirmed=False)
    found["unverified"] = world.path(waiting)
    found["confirm"] = "/it" + world.link("confirm", waiting.request_id)
    found["in review"] = world.path(world.submitted(), "de")
    rejected = world.submitted()
    world.decided(rejected, accepted=False)
    found["rejected"] = world.path(rejected, "fr")
    accepted = world.submitted([("email", "ann.lee@example.org", None)])
    world.decided(accepted, accepted=True)
    found["withdraw"] = f"{world.path(accepted)}/withdraw"
    world.registry.review.object(accepted.request_id, "It is mine.", "reviewer:first")
    found["objected"] = world.path(accepted, "it")
    site = world.submitted([("domain", "example.net", None)], kind=RequestKind.RIGHTSHOLDER)
    found["rightsholder"] = world.path(site)
    world.registry.access.register_operator("Example Ltd", "ops@example.org", "2026-07", "en")
    found["operator"] = "/de" + world.link("operator_key")
    case = world.submitted(message="Please look at it.")
    found["queue"] = "/review"
    found["case"] = f"/review/cases/{case.request_id}"
    found["objection"] = f"/review/cases/{accepted.request_id}"
    found["rejected case"] = f"/review/cases/{rejected.request_id}"
    found["erase"] = f"/review/cases/{rejected.request_id}/erase"
    return found


@pytest.fixture(scope="module")
def cookies(world: Any) -> list[dict[str, str]]:
    """Of a reviewer who has signed in."""
    _, key = world.reviewer("Rita Reviewer")
    sessions = world.site.sessions
    return [{"name": sessions.cookie, "value": sessions.begin(key), "url": world.base_url}]


@pytest.fixture
def tab(chromium: Any, cookies: Any, request: Any) -> Iterator[Any]:
    """A tab of a browser; parameters are those of its context."""
    context = chromium.new_context(**getattr(request, "param", {}))
    context.add_cookies(cookies)
    yield context.new_page()
    context.close()


def checked_form(tab: Any, world: Any) -> None:
    """Fill in the form as far as the page that shows all of it once more."""
    tab.goto(f"{world.base_url}/de/request")
    tab.select_option("#kind-1", "email")
    tab.fill("#value-1", "jane.doe@example.org")
    tab.click("button.second[value=add]")
    tab.select_option("#kind-2", "postal_address")
    tab.fill("#value-2", "Seestrasse 5")
    tab.fill("#email", "jane.doe@example.org")
    tab.check("#agreed")
    tab.click("button.button[value=check]")


def after_forms(tab: Any, world: Any) -> Iterator[str]:
    """Pages that only a form leads to, one after the other."""
    tab.goto(f"{world.base_url}/fr/request")
    tab.click("button.button[value=check]")
    yield "form with errors"
    checked_form(tab, world)
    yield "check"
    tab.click("#send")
    yield "receipt"
    house = f"Seestrasse {next(HOUSES)}, 8001 Zürich"  # one letter a day goes to each
    receipt = world.submitted([("postal_address", house, None)])
    tab.goto(world.base_url + world.path(receipt))
    tab.fill("#code-0", "00000000")
    tab.click("section:has(#code-0) button.second")
    yield "wrong code"
    tab.goto(f"{world.base_url}/review/cases/{receipt.request_id}")
    tab.click("#decide")
    yield "case with errors"
    tab.goto(f"{world.base_url}/en/operators")
    tab.click("button.button")
    yield "operators with errors"
    world.registry.access.register_operator("Example Ltd", "o@example.org", "2026-07", "en")
    tab.goto(f"{world.base_url}/en{world.link('operator_key')}")
    tab.click("button.button")
    yield "key"
    waiting = world.submitted(confirmed=False)
    tab.goto(f"{world.base_url}/en{world.link('confirm', waiting.request_id)}")
    tab.click("button.button")
    yield "confirmed"


def violations(tab: Any) -> list[str]:
    """What axe finds that matters; its script is put in past the page's own policy, by the driver."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    found = axe.run(tab, options={"resultTypes": ["violations"]}).response["violations"]
    return [
        f"{one['id']}: {node['target']} {node.get('failureSummary', '')}"
        for one in found
        if one["impact"] in SERIOUS
        for node in one["nodes"]
    ]


CONTEXTS = {
    "light": {"viewport": {"width": 1280, "height": 900}},
    "phone": {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
}


@pytest.mark.parametrize(
    "tab",
    [
        pytest.param(context, id=name, marks=() if name == "light" else pytest.mark.soak)
        for name, context in CONTEXTS.items()
    ],
    indirect=True,
)
def test_axe_finds_nothing_serious(tab: Any, world: Any, paths: dict[str, str]) -> None:
    found = {}
    for name, path in paths.items():
        tab.goto(world.base_url + path)
        for summary in tab.locator("details").all():
            summary.evaluate("element => element.open = true")
        found[name] = violations(tab)
    for name in after_forms(tab, world):
        found[name] = violations(tab)
    assert {name: what for name, what in found.items() if what} == {}


@pytest.mark.parametrize("tab", [{"viewport": {"width": 1280, "height": 900}}], indirect=True)
def test_axe_would_find_something(tab: Any, world: Any) -> None:
    """That the test above can fail."""
    tab.goto(f"{world.base_url}/de/request")
    tab.evaluate("document.querySelector('label[for=email]').remove()")
    assert any(one.startswith("label:") for one in violations(tab))


@pytest.mark.parametrize("tab", [{"viewport": {"width": 320, "height": 640}}], indirect=True)
def test_nothing_scrolls_sideways_at_320_pixels(
    tab: Any, world: Any, paths: dict[str, str]
) -> None:
    """WCAG 1.4.10; in all languages where words may be long."""
    wide = {}

    def look(name: str) -> None:
        width = tab.evaluate("document.documentElement.scrollWidth")
        if width > 320:
            wide[name] = width

    for name, path in paths.items():
        tab.goto(world.base_url + path)
        look(name)
    for language in LANGUAGES:
        for place in (
            "",
            "request",
            "rightsholders",
            "operators",
            "figures",
            "releases",
            "privacy",
        ):
            tab.goto(f"{world.base_url}/{language}/{place}")
            look(f"{language}/{place}")
    for name in after_forms(tab, world):
        look(name)
    assert wide == {}


@pytest.mark.parametrize("tab", [{"viewport": {"width": 360, "height": 740}}], indirect=True)
def test_targets_are_large_enough(tab: Any, world: Any, paths: dict[str, str]) -> None:
    """WCAG 2.5.8: 24 by 24 pixels, but for links within a sentence."""
    small = {}
    for name, path in paths.items():
        tab.goto(world.base_url + path)
        small[name] = tab.evaluate(
            """() => [...document.querySelectorAll('button, input, select, textarea, summary, nav a, .button, .second, .problems a')]
                .filter(e => e.type !== 'hidden' && !e.hidden && !e.classList.contains('default'))
                .map(e => [e.outerHTML.slice(0, 80), e.getBoundingClientRect()])
                .filter(([_, box]) => box.width < 24 || box.height < 24)
                .map(([html, box]) => `${html} ${box.width}x${box.height}`)"""
        )
    assert {name: what for name, what in small.items() if what} == {}


@pytest.mark.parametrize("tab", [{"java_script_enabled": False}], indirect=True)
def test_everything_works_without_scripts(tab: Any, world: Any) -> None:
    before = world.registry.store.directory.unverified
    checked_form(tab, world)
    assert tab.locator("h1").inner_text() == "Stimmt alles?"
    tab.click("text=Français")
    assert tab.locator("h1").inner_text() == "Tout est-il juste ?"
    assert tab.locator(".given").first.inner_text() == "jane.doe@example.org"
    tab.click("button.second[value=edit]")
    assert tab.locator("#value-2").input_value() == "Seestrasse 5"
    tab.fill("#value-2", "Seestrasse 5, 8001 Zürich")
    tab.press("#value-2", "Enter")  # the default button
    assert tab.locator("h1").inner_text() == "Tout est-il juste ?"
    tab.click("#send")
    assert world.registry.store.directory.unverified == before + 1
    tab.click("text=Rumantsch")
    assert tab.locator("h1").inner_text() == "Nus avain Vossa dumonda"
    assert world.registry.store.directory.unverified == before + 1


@pytest.mark.parametrize("tab", [{"viewport": {"width": 1280, "height": 900}}], indirect=True)
def test_a_page_loads_only_our_own_files_and_breaks_no_rule(
    tab: Any, world: Any, paths: dict[str, str]
) -> None:
    loaded: list[str] = []
    said: list[str] = []
    tab.on("request", lambda request: loaded.append(request.url))
    tab.on("console", lambda message: said.append(message.text))
    for path in paths.values():
        tab.goto(world.base_url + path)
    assert {url.partition("?")[0].startswith(world.base_url) for url in loaded} == {True}
    assert any(url.endswith(".css") for url in loaded)
    complaints = [text for text in said if "404" not in text]  # of the page that is not there
    assert complaints == []


# -- by keyboard alone -------------------------------------------------------------------------------


class Keyboard:
    """Somebody who only has a keyboard: Tab, Enter, Space, arrows and letters."""

    def __init__(self, tab: Any) -> None:
        self.tab = tab
        self.seen: list[str] = []

    def focused(self, ask: str) -> Any:
        return self.tab.evaluate(f"(() => {{ const e = document.activeElement; return {ask}; }})()")

    def to(self, selector: str, *, back: bool = False) -> None:
        """Press Tab until an element has the focus; each stop must be seen to have it (WCAG 2.4.7, 2.4.11)."""
        for _ in range(150):
            if self.focused(f"e.matches({selector!r})"):
                return
            self.tab.keyboard.press("Shift+Tab" if back else "Tab")
            if self.focused("e === document.body || e === document.documentElement"):
                continue
            outline = self.focused(
                "getComputedStyle(e).outlineStyle + getComputedStyle(e).outlineWidth"
            )
            assert outline == "solid3px", self.focused("e.outerHTML.slice(0, 120)")
            assert self.focused(
                "(b => b.bottom > 0 && b.top < innerHeight)(e.getBoundingClientRect())"
            )
        raise AssertionError(f"{selector} is never reached")

    def type(self, selector: str, text: str) -> None:
        self.to(selector)
        self.tab.keyboard.type(text)

    def press(self, selector: str, key: str = "Enter") -> None:
        self.to(selector)
        with self.tab.expect_navigation():
            self.tab.keyboard.press(key)

    def tick(self, selector: str) -> None:
        self.to(selector)
        self.tab.keyboard.press("Space")
        assert self.focused("e.checked")

    @property
    def heading(self) -> str:
        text: str = self.tab.locator("h1").inner_text()
        return text


def released(world: Any, text: str) -> str:
    """What the next release makes of a text."""
    releases = world.registry.releases
    made = releases.compile(urgent="a test")
    releases.check_publishable(made.release)
    releases.enter_published(made.release)
    bundle = Bundle.open(releases.path(made.release, "operators"), now=world.registry.now)
    return OutputFilter(bundle).redact(text).text


@pytest.mark.parametrize("tab", [{"viewport": {"width": 1280, "height": 900}}], indirect=True)
def test_the_life_of_a_request_by_keyboard(tab: Any, world: Any, chromium: Any) -> None:
    person = Keyboard(tab)
    tab.goto(f"{world.base_url}/en/")
    person.press("main a.button")
    # The first stop leads past the menu.
    tab.keyboard.press("Tab")
    assert person.focused("e.className") == "skip"
    tab.keyboard.press("Enter")
    assert person.focused("e.id") == "content"

    person.type("#kind-1", "Name")
    person.type("#value-1", "Jane Doebler-Zgraggen")
    person.press("button.second[value=add]")
    assert person.focused("e.id") == "kind-2"
    person.type("#kind-2", "E-mail")
    person.type("#value-2", "jane.doebler@example.org")
    person.press("button.button[value=check]")

    # Two mistakes: the summary has the focus, its links lead to the fields.
    assert tab.title().startswith("Error: ")
    assert person.focused("e.className") == "problems"
    tab.keyboard.press("Tab")
    assert person.focused("e.getAttribute('href')") == "#email"
    tab.keyboard.press("Enter")
    person.type("#email", "jane.doebler@example.org")
    person.tick("#agreed")
    person.press("button.button[value=check]", "Space")
    assert person.heading == "Is this right?"
    person.press("#send")
    assert person.heading == "We have your request"
    number = UUID(tab.locator("dd code").first.inner_text())

    # The mail.
    tab.goto(world.base_url + world.link("confirm", number))
    assert tab.url.startswith(f"{world.base_url}/en/confirm/")
    person.press("main button")
    assert person.heading == "Confirmed"
    person.press("main a.button")
    assert "Examined by reviewers" in tab.locator("[aria-current=step]").inner_text()
    status = tab.url

    # Two reviewers, each in a browser of their own.
    for who in ("Rita", "Otto"):
        _, key = world.reviewer(who)
        context = chromium.new_context()
        reviewer = Keyboard(context.new_page())
        reviewer.tab.goto(f"{world.base_url}/review")
        reviewer.type("#key", key)
        with reviewer.tab.expect_navigation():
            reviewer.tab.keyboard.press("Enter")
        assert reviewer.heading == "Waiting for a decision"
        reviewer.type("#number", str(number))
        reviewer.press("form:has(#number) button")
        for position in (0, 1):
            reviewer.to(f"#accept-{position}, #refuse-{position}")
            reviewer.tab.keyboard.press("Space")
            assert reviewer.focused("e.id") == f"accept-{position}"
        reviewer.to("#seen-0", back=True)
        reviewer.tab.keyboard.press("Space")
        reviewer.type("#letter", "We have seen your passport.")
        reviewer.press("#decide")
        shown = reviewer.tab.locator("#done").inner_text()
        assert ("Approved first" in shown) is (who == "Rita")
        assert reviewer.focused("e.id") == "done"
        reviewer.press("form[action='/review/sign-out'] button")
        assert reviewer.heading == "Sign in as a reviewer"
        context.close()
    assert world.registry.store.case(number).standing.state is State.ACCEPTED

    tab.goto(status)
    assert "We have seen your passport." in tab.locator("main").inner_text()
    said = "Jane Doebler-Zgraggen has jane.doebler@example.org."
    assert released(world, said) == "[name removed] has [email removed]."
    tab.reload()
    assert "a published release of the filter holds it" in tab.locator("main").inner_text()
    person.press("#withdraw")
    assert person.heading == "Withdraw your request?"
    person.press("button.danger")
    assert person.focused("e.id") == "done"
    assert "Your request is withdrawn" in tab.locator("#done").inner_text()
    assert released(world, said) == said
    assert world.registry.store.case(number).standing.state is State.REMOVED
    assert list(world.registry.store.listed("WHERE kind = 'name'")) == []


def test_the_screens_are_not_in_the_package() -> None:
    """Nothing that only tests need lies beside the pages."""
    import filter_service.pages

    folder = Path(filter_service.pages.__file__).parent
    assert {
        path.suffix
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    } == {".py", ".html", ".toml", ".css", ".svg"}

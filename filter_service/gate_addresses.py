"""The compile gate for where somebody is found: houses, pages, e-mail addresses.

A phrase is looked for anywhere, also as the beginning of something longer. So an address that is cut short is
refused: *Bahnhofstrasse 1* stands in every town, ``example.org`` in every address of that site.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from filter.canonical import canonicalize
from filter.hosts import Host, is_ip_address
from filter.identifiers import IdentifierKind
from filter.nv1 import fold
from filter.urls import split_url
from filter_service import gate_places as places
from filter_service.gate_words import folded_words, is_given_name, words
from filter_service.judgement import ALLOWED, Judgement, Reason, needs, refused

_POST_CODE = 4
"""Digits of a post code at least; house numbers have fewer, except in North America."""
_BRITISH_POST_CODE = re.compile(r"(?i)\b[a-z]{1,2}[0-9][0-9a-z]? ?[0-9][a-z]{2}\b")

_SITES = frozenset(
    """
    google.com google.ch google.de google.fr google.it youtube.com youtu.be gmail.com facebook.com
    instagram.com whatsapp.com threads.net x.com twitter.com t.co linkedin.com xing.com tiktok.com
    snapchat.com pinterest.com reddit.com tumblr.com medium.com substack.com telegram.org t.me
    discord.com twitch.tv vimeo.com dailymotion.com flickr.com soundcloud.com spotify.com bsky.app
    mastodon.social wikipedia.org wikimedia.org wikidata.org wiktionary.org archive.org github.com
    gitlab.com bitbucket.org stackoverflow.com stackexchange.com npmjs.com huggingface.co
    openai.com anthropic.com apple.com icloud.com microsoft.com live.com outlook.com hotmail.com
    office.com bing.com msn.com yahoo.com duckduckgo.com mozilla.org w3.org ietf.org amazon.com
    amazon.de amazon.fr amazon.it amazon.co.uk ebay.com ebay.ch ebay.de paypal.com netflix.com
    blogspot.com blogger.com wordpress.com wordpress.org wix.com squarespace.com jimdo.com weebly.com
    github.io gitlab.io netlify.app herokuapp.com dropbox.com drive.google.com docs.google.com
    researchgate.net academia.edu orcid.org arxiv.org doi.org springer.com nature.com sciencedirect.com
    jstor.org ncbi.nlm.nih.gov nih.gov europa.eu who.int un.org admin.ch ch.ch bag.admin.ch zh.ch be.ch
    vd.ch ge.ch ti.ch gr.ch bs.ch ag.ch sg.ch lu.ch vs.ch fr.ch ne.ch ju.ch sbb.ch post.ch swisspost.ch
    swisscom.ch swisscom.com sunrise.ch salt.ch migros.ch coop.ch ethz.ch epfl.ch uzh.ch unige.ch
    unil.ch unibe.ch unibas.ch unifr.ch usi.ch hslu.ch zhaw.ch fhnw.ch supsi.ch srf.ch rts.ch rsi.ch
    rtr.ch swissinfo.ch nzz.ch tagesanzeiger.ch 20min.ch blick.ch watson.ch bernerzeitung.ch letemps.ch
    24heures.ch tdg.ch lematin.ch laregione.ch cdt.ch tio.ch suedostschweiz.ch bluewin.ch gmx.ch gmx.de
    gmx.net web.de t-online.de hispeed.ch sunrise.ch bluemail.ch proton.me protonmail.com local.ch
    search.ch tel.search.ch moneyhouse.ch zefix.ch ricardo.ch tutti.ch anibis.ch homegate.ch
    comparis.ch jobs.ch spiegel.de zeit.de faz.net sueddeutsche.de welt.de bild.de tagesschau.de ard.de
    zdf.de lemonde.fr lefigaro.fr liberation.fr leparisien.fr orange.fr free.fr laposte.fr
    service-public.fr repubblica.it corriere.it lastampa.it rai.it libero.it virgilio.it bbc.co.uk
    bbc.com theguardian.com nytimes.com washingtonpost.com cnn.com reuters.com imdb.com booking.com
    tripadvisor.com airbnb.com goodreads.com quora.com fandom.com
    """.split()
)
"""Sites that very many people use. Pages on them may be listed, the sites may not."""
_PROVIDERS = frozenset(
    """
    gmail.com googlemail.com outlook.com outlook.de outlook.fr outlook.it hotmail.com hotmail.ch
    hotmail.de hotmail.fr hotmail.it hotmail.co.uk live.com live.ch live.fr live.it msn.com yahoo.com
    yahoo.de yahoo.fr yahoo.it yahoo.co.uk ymail.com icloud.com me.com mac.com aol.com gmx.ch gmx.de
    gmx.net gmx.at gmx.com web.de t-online.de freenet.de arcor.de bluewin.ch bluemail.ch hispeed.ch
    sunrise.ch swissonline.ch vtxmail.ch vtxnet.ch netplus.ch citycable.ch proton.me protonmail.com
    protonmail.ch pm.me tutanota.com tuta.io posteo.de mailbox.org mail.com orange.fr wanadoo.fr free.fr
    laposte.net sfr.fr neuf.fr libero.it virgilio.it tin.it alice.it tiscali.it fastwebnet.it mail.ru
    yandex.ru qq.com 163.com 126.com naver.com ticino.com
    """.split()
)
"""Where so many people have addresses that one often ends with another."""

_OWN = re.compile(r"www[0-9]*|m|mobile|[a-z]{2,3}")
"""Labels before a site's name that are the site itself: ``de.wikipedia.org``."""
_GENERIC = frozenset(
    """
    index home start startseite accueil welcome default main html htm php asp aspx jsp de fr it rm en
    about ueber uns chi siamo qui sommes nous a propos contact contacts kontakt kontakte contatto contatti
    contactez impressum imprint mentions legales legal note privacy policy datenschutz confidentialite
    terms agb cgv conditions cookies login signin signup logout register anmelden registrieren connexion
    account konto compte search suche recherche ricerca cerca tschertga help hilfe aide aiuto faq support
    news aktuell actualites novita blog category tag tags page seite archive archiv feed rss sitemap
    robots txt xml wp admin wiki shop cart team jobs karriere press presse media medien services service
    products produkte explore trending settings profile profil users user pages watch
    """.split()
)
_SHORT_PATH = 4
"""Letters and digits of a path at least: three begin thousands of others."""
_BEGINNING = 6
"""Below this a path still begins many others: ``/jane`` is in ``/janet``."""

_ROLES = frozenset(
    """
    info infos information contact kontakt contatto office admin administration administrator verwaltung
    webmaster postmaster hostmaster usenet www uucp ftp noc abuse security support help helpdesk hilfe
    sales marketing service services team mail email hello hallo bonjour ciao press presse medien media
    stampa news newsletter jobs job hr personal bewerbung karriere recrutement billing rechnung
    buchhaltung fattura facturation comptabilite contabilita finance sekretariat secretariat segreteria
    secretaria reception empfang direktion direction direzione leitung vorstand praesident privacy
    datenschutz dpo dsb legal recht shop bestellung order orders verkauf vente vendite kundendienst
    accueil gemeinde kanzlei gemeindekanzlei commune mairie comune vischnanca schule ecole scuola
    schulleitung praxis cabinet studio redaktion redaction redazione event events booking reservation
    reservierung anfrage feedback root sysadmin it web all alle staff
    """.split()
)
"""Of an office: RFC 2142, and what offices here are called."""
_NO_REPLY = re.compile(
    r"(?:no|do-?not|dont|never)[-_.]?reply|ne[-_.]?pas[-_.]?repondre|non?[-_.]?rispondere"
    r"|(?:keine?|nicht)[-_.]?antwort(?:en)?|mailer[-_.]?daemon|bounces?|nobody|devnull|null"
)
_LEAST_ENDING = 6
"""Letters of a local part that is also looked for behind a touching word (`filter.candidates.email`)."""


def judge_postal_address(text: str) -> Judgement:
    """Whether the address of a house may be listed: a street or house, a number, a town."""
    folded = canonicalize(IdentifierKind.POSTAL_ADDRESS, text).split()
    numbers = [word for word in folded if word[0].isdigit()]
    names = [word for word in folded if not word[0].isdigit() and len(word) > 1]
    if not names:
        return refused(Reason.INCOMPLETE_ADDRESS)
    if places.is_place("".join(folded)) or (len(numbers) < 2 and places.cut_into_places(names)):
        return refused(Reason.PLACE)  # the town alone, or with its post code
    groups = _groups(text)
    has_town = len(groups) > 1 and any(places.cut_into_places(group) for group in groups)
    if not numbers:
        return needs(Reason.NO_HOUSE_NUMBER) if has_town else refused(Reason.INCOMPLETE_ADDRESS)
    coded = [n for n in numbers if n.isdigit() and len(n) >= _POST_CODE]
    has_code = bool(_BRITISH_POST_CODE.search(text)) or (bool(coded) and len(names) > 1)
    if len(coded) == len(numbers) == 1 and not folded[0].isdigit():
        return needs(Reason.NO_HOUSE_NUMBER)
    if has_town or has_code:
        return ALLOWED
    ends_with_town = folded[-1] == names[-1] and any(map(places.is_place, places.endings(names)))
    if len(groups) > 1 or ends_with_town:
        return needs(Reason.UNKNOWN_TOWN)
    return refused(Reason.INCOMPLETE_ADDRESS)


def _groups(text: str) -> list[list[str]]:
    """The folded words of an address as commas, line breaks and numbers part them."""
    parts = re.split(r"[,;\n]|\b\w*[0-9]\w*\b", text)
    return [group for part in parts if (group := folded_words(part))]


def judge_url(text: str) -> Judgement:
    """Whether the address of a page may be listed.

    Raises:
        InputError: it names no host.
    """
    canonicalize(IdentifierKind.URL, text)
    host, _, path = split_url(text)
    if not fold(path):
        if is_ip_address(host) or _is_known(host):
            return refused(Reason.KNOWN_SITE)
        short = len(fold(host.removeprefix("www."))) < _SHORTEST_SITE
        return refused(Reason.BARE_DOMAIN) if short else needs(Reason.BARE_DOMAIN)
    parts = [part for part in re.split(r"[^0-9a-z]+", path.lower()) if part]
    if all(part in _GENERIC or (part.isdigit() and len(part) < 3) for part in parts):
        return refused(Reason.GENERIC_PAGE)
    if len(fold(path)) < _SHORT_PATH:
        return refused(Reason.SHORT_PATH)
    return needs(Reason.SHORT_PATH) if len(fold(path)) < _BEGINNING else ALLOWED


_SHORTEST_SITE = 13
"""Letters and digits of a site that may be one person's own; ``example.org`` has ten."""


def _is_known(host: Host) -> bool:
    """Whether a host is a site that very many people use, or its part for a language."""
    labels: Sequence[str] = host.split(".")
    while labels and not (known := ".".join(labels) in _SITES) and _OWN.fullmatch(labels[0]):
        labels = labels[1:]
    return bool(labels) and known


def judge_email(text: str) -> Judgement:
    """Whether an e-mail address may be listed.

    Raises:
        MalformedIdentifier: it is none.
    """
    local, _, domain = canonicalize(IdentifierKind.EMAIL, text).rpartition("@")
    local = local.lower()
    if _NO_REPLY.fullmatch(local.partition("+")[0].strip("._-")):
        return refused(Reason.NO_REPLY)
    first = re.split(r"[^a-z]+", local)[0]
    if first in _ROLES or fold(local) in _ROLES:
        return needs(Reason.ROLE_ADDRESS)
    letters = fold(local)
    is_ending = domain in _PROVIDERS and len(letters) >= _LEAST_ENDING
    if is_ending and (is_given_name(letters) or words().zipf(letters) > 0):
        return needs(Reason.SHARED_ENDING)
    return ALLOWED

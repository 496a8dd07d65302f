"""The sentences of a report, out of its figures."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from pipeline.optout.signals import Signal
from pipeline.reconstruct.report.numbers import counted, percent, whole

if TYPE_CHECKING:
    from pipeline.reconstruct.report.model import Run, Summary

_KINDS = {
    "email": "E-mail address",
    "ip": "IP address",
    "iban": "IBAN (bank account)",
    "ahv": "AHV number (Swiss social security)",
    "phone": "Phone number",
}


def headline(summary: Summary) -> str:
    """The whole report in one sentence."""
    total, kept = summary.flow.total.documents, summary.flow.kept.documents
    start = "" if summary.run.finished else "So far, "
    if total == 0:
        return f"{start}no documents came in.".capitalize()
    stayed = "all of them" if kept == total and total > 1 else whole(kept) if kept else "none"
    text = f"{start}{counted(total, 'document')} came in, {stayed} stayed"
    parts = [
        f"{whole(number)} {what} ({percent(number, total)})"
        for number, what in (
            (summary.opted_out, "opted out"),
            (summary.unchecked.unreachable, "on unreachable sites"),
            (summary.unchecked.unasked, "had no URL to ask at"),
            (summary.filtered, "left out by filters"),
            (summary.unexplained, "without a recorded reason"),
        )
        if number or what == "opted out"
    ]
    return f"{text}: {', '.join(parts)}."


def alarms(summary: Summary) -> list[str]:
    """What must be known before any figure is used; mostly empty."""
    found = []
    run = summary.run
    if not run.finished:
        found.append(
            f"This run is not finished: {whole(run.missing)} of {counted(run.files, 'input file')} "
            f"{'is' if run.missing == 1 else 'are'} still to come. Every figure below is "
            "provisional, and the corpus must not be used or published yet. Start the same command "
            "again to finish it."
        )
    if summary.unexplained:
        found.append(
            f"{counted(summary.unexplained, 'document')} left without a recorded reason. That is a "
            "defect: no document may go without one. Do not publish before it is understood."
        )
    if not run.publishable:
        found.append(f"Unpublished: {_unpublished(run)}")
    if run.removed == "verbatim":
        found.append(
            "Removed documents were written out word for word, with the personal data in them. "
            "That folder must never be published or passed on; delete it when it has served."
        )
    if run.limit is not None:
        found.append(
            f"The run was limited to the first {counted(run.limit, 'document')}. They are the "
            "beginning of the input and no sample of it: do not extrapolate."
        )
    return found


def _unpublished(run: Run) -> str:
    if run.unpublished:
        return (
            "names of people who asked to be forgotten were removed from these texts, and whoever "
            "compares them with the source learns the names. This corpus must never be published or "
            "passed on."
        )
    return (
        "nothing but phrases that people asked to have removed was replaced, so every marker shows "
        "where one stood. This corpus must never be published or passed on; with a mode for personal "
        "data it could be."
    )


def signal_name(signal: str | None) -> str:
    """A signal or stock filter as a table names it."""
    return "(no reason)" if signal is None else signal


def signals_asked(summary: Summary) -> list[tuple[str, str]]:
    """The policy's signals in their order of precedence, each with its line."""
    rank = {str(signal): number for number, signal in enumerate(Signal)}
    asked = sorted(summary.policy.signals, key=lambda s: (rank.get(s, len(rank)), s))
    return [(s, Signal(s).title if s in rank else "unknown to this version") for s in asked]


def kind_title(kind: str) -> str:
    """A kind of personal data in words."""
    return _KINDS.get(kind, kind)


_SCRUBBING = {
    "strict": "E-mail addresses, public IP addresses, IBANs, AHV numbers and phone numbers were "
    "recognised by their grammar and, where there are any, by their check digits.",
    "apertus": "E-mail addresses, IP addresses and IBANs were found as the Apertus project found "
    "them, with its known gaps; phone and AHV numbers were not looked for.",
}


def personal_data(summary: Summary) -> str:
    """What was done about personal data in the text."""
    held = summary.personal_data
    if held.mode == "none" and summary.run.bundle is None:
        return "Nothing was replaced: this run did not look for personal data."
    if held.mode == "none":
        return (
            f"{_listed(summary.run)} Beyond that this run did not look for personal data. How often "
            "something was replaced is not counted."
        )
    listed = f" {_listed(summary.run)} They are counted as such." if summary.run.bundle else ""
    beside = " Removed documents were written beside, with the same replacements."
    return (
        f"Of the documents that stayed, {whole(held.documents)} held something that was replaced "
        f"by a marker. {_SCRUBBING.get(held.mode, f'The mode was {held.mode}.')}{listed} Only numbers are "
        "given here: no report, ledger or log holds what was found."
        f"{beside if summary.run.removed == 'scrubbed' else ''}"
    )


def _listed(run: Run) -> str:
    """What became of the phrases of a bundle."""
    assert run.bundle is not None
    names = ", names among them," if run.unpublished else ""
    return (
        f"Phrases{names} that people asked to have removed, as release {run.bundle.release} of the "
        "output filter lists them, bear the marker of e-mail addresses, so that nobody can look for "
        "them."
    )


def output_filter(run: Run) -> str:
    """Which output filter was applied, if any."""
    if run.bundle is None:
        return ""
    testing = ", with cheap hashes, for tests" if run.bundle.testing else ""
    return f"release {run.bundle.release}, content {run.bundle.content_sha256}{testing}"


def no_url(summary: Summary) -> str:
    """What became of the documents about which nobody can be asked."""
    if summary.flow.total.documents == 0:
        return "There were no documents to look up."
    flow = summary.unchecked.no_host
    if flow.total.documents == 0:
        return "Every document has a URL that names a host, so every document could be looked up."
    share = percent(flow.total.documents, summary.flow.total.documents)
    verb = "has" if flow.total.documents == 1 else "have"
    return (
        f"{counted(flow.total.documents, 'document')} ({share}) {verb} no URL, or one that names "
        f"no host, so no site could be asked: {whole(flow.kept.documents)} stayed, "
        f"{whole(flow.dropped.documents)} went."
    )


def sources(summary: Summary) -> str:
    """What became of the files that could not be asked."""
    unchecked, falls = summary.unchecked, summary.policy.falls
    if not unchecked.sources and not unchecked.unreachable:
        if not any(reason.endswith(": files") for reason in summary.policy.counts):
            return "The policy was made without a snapshot of files: no site was asked by a file."
        return "Every file of the snapshot was reached and understood, or was simply not there."
    text = "Some files of the snapshot could not be fetched or not be understood."
    rulings = [
        f"whose {what} {'go' if falls[case] == 'drop' else 'stay'}"
        for case, what in (
            ("unreachable", "site did not answer"),
            ("unreadable", "site answered with something that is no such file"),
        )
        if case in falls
    ]
    if rulings:
        text += f" By this policy, documents {'; documents '.join(rulings)}."
    if unchecked.unreachable:
        number = counted(unchecked.unreachable, "document")
        text += f" {number} went only because the site did not answer; nobody opted out there."
    return text


def command(summary: Summary) -> str:
    """The command that repeats the run."""
    run = summary.run
    parts = ["lethe", "reconstruct", "run", summary.dataset.recipe, "--input", run.input]
    parts += ["--policy", "POLICY.parquet", "--out", "DIR"]
    parts += ["--pii", run.pii]
    parts += ["--limit", str(run.limit)] if run.limit is not None else []
    parts += ["--removed", run.removed] if run.removed != "none" else []
    parts += ["--bundle", "BUNDLE.safetensors"] if run.bundle is not None else []
    parts += ["--unpublished"] if run.unpublished else []
    return shlex.join(parts)


_PERSONS = {
    "none": "This run did not look for personal data at all.",
    "apertus": "Names, postal addresses, phone numbers, user names and everything else about a "
    "person stay, and so do e-mail addresses, IP addresses and IBANs in unusual spellings.",
    "strict": "Names, postal addresses, user names and everything else about a person stay, and so "
    "do identifiers in unusual spellings. Now and then a harmless number is replaced.",
}


def _persons(summary: Summary) -> str:
    text = _PERSONS.get(summary.personal_data.mode, _PERSONS["none"])
    if summary.run.bundle is None:
        return text
    if summary.personal_data.mode == "none":
        text = "This run looked for no personal data but what the output filter lists."
    return (
        f"{text} What the output filter lists is taken out of the text column alone, and only where "
        "it is written as listed or nearly so."
    )


def not_caught(summary: Summary) -> dict[str, str]:
    """What the figures do not say, in plain words: headings and their sentences."""
    return {
        "Silence": "A site that said nothing, or whose files are not in the snapshot, counts as "
        f"not objecting. What was said after {summary.policy.as_of} is not in here.",
        "Other addresses": "An opt-out holds for the addresses of its site. The same text "
        "mirrored, quoted or translated elsewhere stays unless that site objects as well.",
        "Other words": "Only the agents and signals listed above count. An objection in a site’s "
        "terms of use, in a picture, or addressed to some other crawler is not seen.",
        "Persons in the text": _persons(summary),
        "Models already trained": "A rebuilt corpus changes what comes next. A model that has "
        "learned from an earlier one still knows what it knows.",
        "The law": "The figures show which technical statements were honoured. Whether a use is "
        "lawful is a different question, which they do not answer.",
    }

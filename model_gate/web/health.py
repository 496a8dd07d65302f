"""``GET /health``: whether the filter holds, for programs (JSON) and for people (a page)."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from model_gate.guard import Guard

_STYLE = """
:root { color-scheme: light dark; --good: #14702e; --bad: #b3121d; --warn: #8a5a00; --line: #8886; }
@media (prefers-color-scheme: dark) { :root { --good: #6fdc8c; --bad: #ff8389; --warn: #f1c21b; } }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 3rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; border-left: .5rem solid; padding-left: .75rem; }
.good { color: var(--good); } .bad { color: var(--bad); } .warn { color: var(--warn); }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .3rem .5rem; border-bottom: 1px solid var(--line); font-weight: normal; }
caption { text-align: left; font-weight: bold; padding: 1rem .5rem .3rem; }
""".strip()
_DIGEST = b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = f"default-src 'none'; style-src 'sha256-{_DIGEST}'; frame-ancestors 'none'"
_SAID = {
    "ok": ("good", "The filter holds"),
    "expiring": ("warn", "The filter holds; its bundle expires soon"),
    "expired": ("warn", "The filter holds; its bundle has expired"),
    "failing": ("bad", "The filter does not hold"),
}


def report(guard: Guard, ails: Sequence[str] = ()) -> dict[str, Any]:
    """What ``/health`` says: status, release, valid_until, canaries, problems.

    ``status`` is ok, expiring (fewer than 60 days are left), expired (within the days of grace,
    or refused after them) or failing (a canary gets through, or something else ails).
    """
    health = guard.health()
    canaries = {str(kind): stopped for kind, stopped in health.canaries.items()}
    status = {"valid": "ok", "refused": "expired"}.get(health.freshness, health.freshness)
    leaks = not all(canaries.values())
    if ails or leaks or (not health.holds and status != "expired"):
        status = "failing"
    return {
        "status": status,
        "holds": health.holds and not ails and not leaks,
        "release": health.release,
        "valid_until": health.valid_until.isoformat(),
        "canaries": canaries,
        "problems": [*health.problems, *ails],
    }


def add_to(app: FastAPI, guard: Guard, ails: Callable[[], Sequence[str]] = tuple) -> None:
    """Add the route to an application."""

    @app.get("/health")
    def health(request: Request) -> Response:
        found = report(guard, ails())
        status = 200 if found["holds"] else 503
        accept = request.headers.get("accept", "")
        if "text/html" in accept and "application/json" not in accept.split("text/html")[0]:
            return HTMLResponse(page(found), status, {"Content-Security-Policy": _POLICY})
        return JSONResponse({k: v for k, v in found.items() if k != "holds"}, status)


def page(found: dict[str, Any]) -> str:
    """The report as a page that needs nothing else."""
    look, said = _SAID[found["status"]]
    if not found["holds"]:
        look, said = _SAID["failing"]
    rows = "".join(
        f'<tr><th scope="row">{escape(kind.replace("_", " "))}</th><td class="{look_of}">{word}</td></tr>'
        for kind, stopped in found["canaries"].items()
        for look_of, word in [("good", "stopped") if stopped else ("bad", "gets through")]
    )
    problems = "".join(f"<li>{escape(one)}</li>" for one in found["problems"])
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{said}</title><style>{_STYLE}</style></head><body><main>"
        f'<h1 class="{look}">{said}</h1>'
        f"<p>Release {escape(found['release'])}, valid until {escape(found['valid_until'])}.</p>"
        + (f"<h2>What is wrong</h2><ul>{problems}</ul>" if problems else "")
        + f"<table><caption>Canaries: fictitious persons whom every bundle lists</caption>{rows}</table>"
        "</main></body></html>"
    )

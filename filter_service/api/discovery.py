"""What anybody may know: what is taken here, published releases, figures."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel

from filter_service.api import document
from filter_service.api.authority import Behind
from filter_service.api.opendsr import DiscoveryAnswer, discovery_answer
from filter_service.errors import NotFound

router = APIRouter(prefix="/v1", tags=["public"])
_PUBLIC = "public, max-age=300"
RELEASE = r"^[1-8][0-9]{3}\.[12]\.(0|[1-9][0-9]{0,3})$"


class ReleaseAnswer(BaseModel):
    """A published release."""

    release: str
    published: datetime
    digests: dict[str, str]
    """Audience -> ``content_sha256`` of its file."""
    notes: dict[str, Any]


class ReleasesAnswer(BaseModel):
    """Published releases, newest first."""

    releases: list[ReleaseAnswer]


@router.get("/discovery", response_model=DiscoveryAnswer)
async def discovery(response: Response, service: Behind) -> DiscoveryAnswer:
    """What is taken here (OpenDSR 2.0)."""
    response.headers["Cache-Control"] = _PUBLIC
    return discovery_answer(service.registry.settings)


@router.get("/releases", response_model=ReleasesAnswer)
def releases(response: Response, service: Behind) -> ReleasesAnswer:
    """All published releases."""
    response.headers["Cache-Control"] = _PUBLIC
    return ReleasesAnswer.model_validate({"releases": service.releases()})


@router.get("/releases/{release}", response_model=ReleaseAnswer, responses=document.problems(404))
def release(
    response: Response, service: Behind, release: Annotated[str, Path(pattern=RELEASE)]
) -> ReleaseAnswer:
    """One published release."""
    for one in service.releases():
        if one["release"] == release:
            response.headers["Cache-Control"] = _PUBLIC
            return ReleaseAnswer.model_validate(one)
    raise NotFound


@router.get("/figures", response_model=dict[str, Any])
def figures(response: Response, service: Behind) -> dict[str, Any]:
    """Public figures: how many asked, what became of it; counts from 1 to 9 are null."""
    response.headers["Cache-Control"] = _PUBLIC
    return service.figures()

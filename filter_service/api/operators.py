"""Operators of models register for the operators' file."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, ConfigDict, Field

from filter_service.access import MOST_NAME
from filter_service.api import document
from filter_service.api.authority import Behind
from filter_service.api.bodies import Form, json_body, takes
from filter_service.api.opendsr import MOST_EMAIL, UUID4, Language, TokenForm
from filter_service.settings import Settings

router = APIRouter(prefix="/v1/operators", tags=["operators"])


class OperatorForm(Form):
    """An operator of a model asks for a key."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "organisation": "Example Models",
                    "email": "operations@example.org",
                    "terms": Settings.terms,
                }
            ]
        }
    )

    organisation: str = Field(min_length=1, max_length=MOST_NAME)
    email: str = Field(min_length=3, max_length=MOST_EMAIL, description="A link goes there.")
    terms: str = Field(
        max_length=40,
        description="The version that is accepted; `/v1/discovery` has the current one.",
    )
    language: Language = "en"


class OperatorAnswer(BaseModel):
    """A link is on its way; nothing else is told."""

    status: Literal["link_sent"] = "link_sent"


class KeyAnswer(BaseModel):
    """A key, shown only now."""

    key: str


@router.post(
    "",
    status_code=202,
    response_model=OperatorAnswer,
    responses=document.problems(422),
    openapi_extra=takes(OperatorForm),
)
def register(
    service: Behind, form: Annotated[OperatorForm, Depends(json_body(OperatorForm))]
) -> OperatorAnswer:
    """Ask for a key; a link goes to the address."""
    service.registry.access.register_operator(
        form.organisation, form.email, form.terms, form.language
    )
    return OperatorAnswer()


@router.post(
    "/{access_id}/confirmations",
    status_code=201,
    response_model=KeyAnswer,
    responses=document.problems(404, 409),
    openapi_extra=takes(TokenForm),
)
def confirm(
    service: Behind,
    access_id: Annotated[str, Path(pattern=UUID4, json_schema_extra={"format": "uuid"})],
    form: Annotated[TokenForm, Depends(json_body(TokenForm))],
) -> KeyAnswer:
    """Take the key, with the token of the link; once."""
    return KeyAnswer(key=service.registry.access.confirm_operator(UUID(access_id), form.token))

"""Deletion requests and opt-outs: what askers, and machines that act for them, can do."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import anyio.to_thread
from fastapi import APIRouter, Depends, Request, Response

from filter_service.access import Scope
from filter_service.api import document
from filter_service.api.authority import (
    Behind,
    SomeCredentials,
    key_of,
    maybe_key_of,
    own_secret,
)
from filter_service.api.bodies import json_body, takes
from filter_service.api.opendsr import (
    DnsChallenge,
    DomainChallenge,
    FileChallenge,
    IdentityConfirmed,
    IdentitySecretForm,
    OptOutIdentity,
    PersonalIdentity,
    ReceiptAnswer,
    RequestForm,
    StatusAnswer,
    TokenForm,
    WordsForm,
    receipt_answer,
    status_answer,
)
from filter_service.api.parameters import Position, RequestId
from filter_service.errors import NotFound, Unacceptable, WrongState
from filter_service.evidence.domain_control import LABEL, PATH
from filter_service.model import Evidence, EvidenceState, RequestKind
from filter_service.registry import Registry, Submission
from filter_service.store import same

router = APIRouter(prefix="/v1/requests", tags=["requests"])
_ONE = "/{request_id}"
_IDENTITY = _ONE + "/identities/{position}"


@router.post(
    "",
    status_code=201,
    response_model=ReceiptAnswer,
    responses=document.answers(
        201, ReceiptAnswer, "Taken.", headers={"Location": "Of the request."}
    )
    | document.answers(200, ReceiptAnswer, "Taken before; the same receipt.")
    | document.problems(401, 403, 409, 422),
    openapi_extra=takes(RequestForm) | document.may_show("machine"),
)
def submit(
    request: Request,
    response: Response,
    service: Behind,
    form: Annotated[RequestForm, Depends(json_body(RequestForm))],
) -> ReceiptAnswer:
    """Hand in a request.

    Whoever asks confirms it by a link in an e-mail, unless a key hands it in that may act by mandates.
    The same request may be sent again under its id; another one under that id is a conflict.
    """
    extension = form.extensions.lethe
    access = maybe_key_of(request, Scope.SUBMIT, Scope.MANDATE)
    if extension.mandate:
        access = key_of(request, Scope.MANDATE)
    receipt = service.registry.submit(
        Submission(
            UUID(form.subject_request_id),
            RequestKind(form.subject_request_type),
            _identities(form),
            extension.email,
            extension.language,
            form.regulation,
            extension.message,
            form.status_callback_urls,
            source=str(access.access_id) if access else "form",
            mandated=extension.mandate,
        )
    )
    response.status_code = 200 if receipt.repeated else 201
    if not receipt.repeated:
        response.headers["Location"] = f"/v1/requests/{receipt.request_id}"
    return receipt_answer(receipt, service.registry.settings)


@router.get(
    _ONE,
    response_model=StatusAnswer,
    responses=document.problems(401, 403, 404),
    openapi_extra=document.needs("secret", "machine"),
)
def status(request: Request, service: Behind, request_id: RequestId) -> StatusAnswer:
    """Where a request stands."""
    registry = service.registry
    secret = own_secret(request, registry, request_id)
    return status_answer(registry.status(request_id, secret), registry.settings)


@router.delete(
    _ONE,
    status_code=202,
    response_model=StatusAnswer,
    responses=document.problems(401, 403, 404, 409),
    openapi_extra=document.needs("secret", "machine"),
)
def withdraw(request: Request, service: Behind, request_id: RequestId) -> StatusAnswer:
    """Take a request back.

    OpenDSR allows this for pending requests; here it can be done at any time until the end. What a
    published release holds leaves with the next one.
    """
    registry = service.registry
    secret = own_secret(request, registry, request_id)
    return status_answer(registry.withdraw(request_id, secret), registry.settings)


@router.post(
    _ONE + "/confirmations",
    response_model=StatusAnswer,
    responses=document.problems(404, 409),
    openapi_extra=takes(TokenForm),
)
def confirm(
    service: Behind,
    request_id: RequestId,
    form: Annotated[TokenForm, Depends(json_body(TokenForm))],
) -> StatusAnswer:
    """Confirm a request with the token of the link that was sent to its contact address."""
    registry = service.registry
    return status_answer(registry.confirm_contact(request_id, form.token), registry.settings)


@router.post(
    _IDENTITY + "/confirmations",
    response_model=IdentityConfirmed,
    responses=document.problems(401, 403, 404, 409, 422),
    openapi_extra=takes(IdentitySecretForm) | document.may_show("secret", "machine"),
)
def confirm_identity(
    request: Request,
    service: Behind,
    request_id: RequestId,
    position: Position,
    form: Annotated[IdentitySecretForm, Depends(json_body(IdentitySecretForm))],
) -> IdentityConfirmed:
    """Show that an identity is the asker's, with what was sent to it.

    The token of a link suffices. A code of eight digits needs the request's secret beside it, so
    that nobody else can use up the attempts.
    """
    registry = service.registry
    if "authorization" in request.headers:
        # Also checks the secret itself, which confirming an identity does not.
        registry.status(request_id, own_secret(request, registry, request_id))
    elif not _link_opens(registry, request_id, position, form.secret):
        raise NotFound
    try:
        view = registry.confirm_identity(request_id, position, form.secret)
    except NotFound as error:
        if error.code != "wrong_secret":
            raise
        raise Unacceptable(error.code, str(error)) from None
    return IdentityConfirmed(
        subject_request_id=request_id,
        position=position,
        evidence_state=EvidenceState(view.identities[position]["evidence_state"]),
    )


@router.post(
    _ONE + "/secrets",
    status_code=202,
    response_model=StatusAnswer,
    responses=document.problems(401, 403, 404, 409),
    openapi_extra=document.needs("secret", "machine"),
)
def send_again(request: Request, service: Behind, request_id: RequestId) -> StatusAnswer:
    """Send another link to the contact address; an unconfirmed address gets one message a day."""
    registry = service.registry
    secret = own_secret(request, registry, request_id)
    return status_answer(registry.send_again(request_id, secret), registry.settings)


@router.post(
    _IDENTITY + "/secrets",
    status_code=202,
    response_model=StatusAnswer,
    responses=document.problems(401, 403, 404, 409),
    openapi_extra=document.needs("secret", "machine"),
)
def send_identity_again(
    request: Request, service: Behind, request_id: RequestId, position: Position
) -> StatusAnswer:
    """Send another link or code to one of the identities."""
    registry = service.registry
    secret = own_secret(request, registry, request_id)
    return status_answer(registry.send_again(request_id, secret, position), registry.settings)


@router.get(
    _IDENTITY + "/domain-challenge",
    response_model=DomainChallenge,
    responses=document.problems(401, 403, 404, 409),
    openapi_extra=document.needs("secret", "machine"),
)
def domain_challenge(
    request: Request, service: Behind, request_id: RequestId, position: Position
) -> DomainChallenge:
    """What to put where, to show control of a domain."""
    registry = service.registry
    registry.status(request_id, own_secret(request, registry, request_id))
    challenge = registry.domain_challenge(request_id, position)
    if challenge is None:
        raise WrongState("no_challenge", "No control of a domain is asked for here.")
    host, token = challenge
    text = f"lethe-verification={token}"
    return DomainChallenge(
        host=host,
        dns=DnsChallenge(name=f"{LABEL}.{host}", value=text),
        file=FileChallenge(url=f"https://{host}{PATH}", content=text),
    )


@router.post(
    _IDENTITY + "/domain-checks",
    response_model=StatusAnswer,
    responses=document.problems(401, 403, 404, 409, 422),
    openapi_extra=document.needs("secret", "machine"),
)
async def check_domain(
    request: Request, service: Behind, request_id: RequestId, position: Position
) -> StatusAnswer:
    """Look for the challenge now; may take some seconds."""

    def check() -> StatusAnswer:
        registry = service.registry
        registry.status(request_id, own_secret(request, registry, request_id))
        return status_answer(service.check_domain(request_id, position), registry.settings)

    # Waits for other people's servers, and must not keep everybody else waiting.
    return await anyio.to_thread.run_sync(check, limiter=request.app.state.slow)


@router.post(
    _ONE + "/appeals",
    status_code=202,
    response_model=StatusAnswer,
    responses=document.problems(401, 403, 404, 409),
    openapi_extra=takes(WordsForm) | document.needs("secret", "machine"),
)
def appeal(
    request: Request,
    service: Behind,
    _: SomeCredentials,
    request_id: RequestId,
    form: Annotated[WordsForm, Depends(json_body(WordsForm))],
) -> StatusAnswer:
    """Ask for another reviewer, within 30 days of a refusal, once."""
    registry = service.registry
    secret = own_secret(request, registry, request_id)
    return status_answer(registry.appeal(request_id, secret, form.text), registry.settings)


@router.post(
    _ONE + "/answers",
    status_code=202,
    response_model=StatusAnswer,
    responses=document.problems(401, 403, 404, 409),
    openapi_extra=takes(WordsForm) | document.needs("secret", "machine"),
)
def answer(
    request: Request,
    service: Behind,
    _: SomeCredentials,
    request_id: RequestId,
    form: Annotated[WordsForm, Depends(json_body(WordsForm))],
) -> StatusAnswer:
    """Say something to a third party's objection, before it is decided."""
    registry = service.registry
    secret = own_secret(request, registry, request_id)
    return status_answer(registry.answer(request_id, secret, form.text), registry.settings)


def _identities(form: RequestForm) -> list[tuple[str, str, str | None]]:
    given = form.extensions.lethe.audiences
    audiences = [None] * len(form.subject_identities) if given is None else given
    if len(audiences) != len(form.subject_identities):
        raise Unacceptable("audiences", "Give one audience for each identity, or none at all.")
    named: list[PersonalIdentity | OptOutIdentity] = [*form.subject_identities]
    if any(one.identity_format != "raw" for one in named):
        raise Unacceptable(
            "hashed_identity",
            "Send identities as they are written (raw): nothing can be looked for by a hash of it.",
        )
    return [
        (one.identity_type.value, one.identity_value, audience.value if audience else None)
        for one, audience in zip(named, audiences, strict=True)
    ]


def _link_opens(registry: Registry, request_id: UUID, position: int, token: str) -> bool:
    """Whether this is the token of a link that is on its way; looking costs no attempt."""
    case = registry.store.case(request_id)
    identities = case.opened().identities
    if position >= len(identities):
        return False
    one = identities[position]
    if one.secret is None or Evidence(one.evidence) is not Evidence.LINK:
        return False
    return same(registry.outgoing.identity_secret(case, position), token)

"""Parameters of paths and queries that several resources share."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path

from filter_service.api.opendsr import MOST_IDENTITIES, UUID4


async def request_id(
    request_id: Annotated[str, Path(pattern=UUID4, json_schema_extra={"format": "uuid"})],
) -> UUID:
    """The id of a request."""
    return UUID(request_id)


RequestId = Annotated[UUID, Depends(request_id)]
Position = Annotated[int, Path(ge=0, lt=MOST_IDENTITIES, description="Of an identity, from 0.")]

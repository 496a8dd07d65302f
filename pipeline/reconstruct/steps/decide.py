"""Applying the policy: decide on (id, url), then let go of the rows that are refused."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
from datatrove.pipeline.base import PipelineStep

from pipeline.optout.policy import OptOutPolicy
from pipeline.reconstruct.chunk import Chunk, Decisions
from pipeline.reconstruct.columns import Columns, check_utf8, integers, resolve, strings
from pipeline.reconstruct.dictionaries import compacted
from pipeline.reconstruct.recipes import Recipe
from pipeline.reconstruct.shared_policy import check_same


class ApplyPolicy(PipelineStep):
    """Gives every row its verdict and keeps the rows that no signal refuses."""

    name = "Apply opt-out policy"
    type = "Filter"

    def __init__(self, policy: OptOutPolicy, recipe: Recipe, *, keep_removed: bool = False) -> None:
        """``policy`` is opened again where the step runs, once for all tasks of a process."""
        super().__init__()
        self.policy_path = policy.path.resolve()
        self.policy_folder = policy.folder
        self.policy_version = policy.version
        self.recipe = recipe
        self.keep_removed = keep_removed

    def run(
        self,
        data: Iterator[Chunk],
        rank: int = 0,
        world_size: int = 1,
    ) -> Iterator[Chunk]:
        """The chunks with their decisions, refused rows taken out.

        Raises:
            WrongRun: the policy is no longer the one that the run began with.
        """
        policy = OptOutPolicy.opened_once(self.policy_path, self.policy_folder)
        check_same(policy, self.policy_version)
        columns: Columns | None = None
        file = None
        for chunk in data:
            if columns is None or chunk.file != file:
                file = chunk.file
                columns = resolve(self.recipe, chunk.table.schema, file)
            self._decide(policy, columns, chunk)
            self.stat_update("documents", value=chunk.rows)
            self.stat_update("dropped", value=chunk.rows - len(chunk.survivors))
            yield chunk

    def _decide(self, policy: OptOutPolicy, columns: Columns, chunk: Chunk) -> None:
        table = chunk.table
        for name in (columns.text, *columns.pages):
            check_utf8(table, name, chunk.file, chunk.first_row)
        ids = strings(table, columns.id, chunk.file, chunk.first_row)
        urls = strings(table, columns.url, chunk.file, chunk.first_row)
        pages = {name: table[name] for name in columns.pages}
        verdicts = policy.decide(ids, urls, pages, self.recipe.dataset)
        chunk.decisions = Decisions(
            ids=ids,
            urls=urls,
            hosts=verdicts.hosts,
            languages=strings(table, columns.language, chunk.file, chunk.first_row),
            tokens=integers(table, columns.tokens),
            codes=verdicts.codes,
            refusals=verdicts.refusals,
        )
        keep = verdicts.keep
        if not keep.all():
            if self.keep_removed:
                chunk.removed = compacted(table.filter(pa.array(~keep)))
            chunk.table = table.filter(pa.array(keep))
            chunk.survivors = chunk.survivors[keep]
        chunk.table = compacted(chunk.table)

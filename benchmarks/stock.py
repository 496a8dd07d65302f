"""The same work from stock parts: datatrove's reader, writer and PII formatter, Protego per agent."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from urllib.parse import urlparse

import pyarrow.parquet as pq
from datatrove.executor.local import LocalPipelineExecutor
from datatrove.pipeline.filters.base_filter import BaseFilter
from datatrove.pipeline.formatters import PIIFormatter
from datatrove.pipeline.formatters.pii import PIIReplacer
from datatrove.pipeline.readers import ParquetReader
from datatrove.pipeline.writers import ParquetWriter
from protego import Protego


class ApertusPII(PIIFormatter):
    """The PII formatter with the markers of Apertus, and its IBAN layout as a third replacer."""

    name = "PII"

    def __init__(self) -> None:
        super().__init__(
            email_replacement="<email-pii>", ip_replacement="<ip-pii>", only_remove_public_ips=False
        )
        self.ibans_replacer = PIIReplacer(
            r"[A-Z]{2}[0-9]{2}(?: [0-9]{4}){4} [A-Z0-9]{1,2}", "<iban-pii>"
        )

    def format(self, text: str) -> str:
        return self.ibans_replacer.replace(super().format(text))


class ProtegoFilter(BaseFilter):
    """Drops a document if one of the agents may not fetch its URL."""

    name = "Protego"

    def __init__(self, robots: dict[str, str], agents: list[str]) -> None:
        super().__init__()
        self.robots = robots
        self.agents = agents

    @lru_cache(maxsize=1 << 17)  # noqa: B019  (one instance, one run)
    def parser(self, domain: str) -> Protego | None:
        body = self.robots.get(domain)
        return None if body is None else Protego.parse(body)

    def disallowed(self, url: str) -> list[str]:
        parser = self.parser(urlparse(url).netloc)
        return [] if parser is None else [a for a in self.agents if not parser.can_fetch(url, a)]

    def filter(self, doc: object) -> bool | tuple[bool, str]:
        agents = self.disallowed(doc.metadata["url"])  # type: ignore[attr-defined]
        return (False, "robots") if agents else True


def load_robots(path: Path) -> dict[str, str]:
    table = pq.read_table(path)
    return dict(zip(table["domain"].to_pylist(), table["content"].to_pylist(), strict=True))


def run(corpus: Path, robots: Path, out: Path, agents: list[str]) -> None:
    """Read, robots, PII, write: one worker."""
    LocalPipelineExecutor(
        [
            ParquetReader(str(corpus)),
            ProtegoFilter(load_robots(robots), agents),
            ApertusPII(),
            ParquetWriter(str(out / "data"), compression="zstd"),
        ],
        tasks=1,
        workers=1,
        logging_dir=str(out / "logs"),
    ).run()

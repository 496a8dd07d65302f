"""Figures for whoever runs a gate, in the text format of Prometheus.

No label holds anything that a client sent: routes are templates, statuses those of HTTP, kinds those of
the filter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector

from model_gate.guard import Guard

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_HELD = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Metrics:
    """The figures of one gate. Safe for several threads."""

    def __init__(self, guard: Guard) -> None:
        self._all = CollectorRegistry()
        self._requests = self._counter(
            "requests", "Requests served.", ("route", "method", "status")
        )
        self._seconds = Histogram(
            "lethe_gate_request_seconds",
            "How long they took, streams to their end.",
            ("route",),
            buckets=_SECONDS,
            registry=self._all,
        )
        self._tokens = self._counter("tokens", "Tokens of answers that went out.")
        self._characters = self._counter("characters", "Characters of answers that went out.")
        self._removed = self._counter("removed", "Matches removed from answers.", ("kind",))
        self._undecided = self._counter("undecided", "Removed undecided, beyond the budget.")
        self._slow_hashes = self._counter("slow_hashes", "Slow hashes asked for by answers.")
        self._held = Histogram(
            "lethe_gate_held_seconds",
            "How long an answer waited for the filter alone.",
            buckets=_HELD,
            registry=self._all,
        )
        self._named = self._counter("named_prompts", "Prompts with a listed name.", ("outcome",))
        self._upstream = self._counter("upstream_errors", "Errors of the engine behind.", ("what",))
        self.gauges: dict[str, tuple[str, Callable[[], float]]] = {}
        """Further figures that are looked up when asked for: name -> (what it says, function)."""
        self._all.register(_State(guard, self.gauges))

    def _counter(self, name: str, says: str, labels: tuple[str, ...] = ()) -> Counter:
        return Counter(f"lethe_gate_{name}", says, labels, registry=self._all)

    def request(self, route: str, method: str, status: int, duration_s: float) -> None:
        """Count a request; ``route`` is a template."""
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route).observe(duration_s)

    def emitted(self, *, characters: int = 0, tokens: int = 0) -> None:
        """Count what went out."""
        self._characters.inc(characters)
        self._tokens.inc(tokens)

    def removed(self, by_kind: Mapping[str, int]) -> None:
        """Count what was removed; keys are values of `filter.IdentifierKind`."""
        for kind, count in by_kind.items():
            self._removed.labels(str(kind)).inc(count)

    def filtered(self, *, slow_hashes: int, undecided: int) -> None:
        """Count what the filter had to do for an answer."""
        self._slow_hashes.inc(slow_hashes)
        self._undecided.inc(undecided)

    def held(self, duration_s: float) -> None:
        """Note how long an answer waited for the filter alone."""
        self._held.observe(duration_s)

    def named_prompt(self, outcome: str) -> None:
        """Count a prompt with a listed name; ``outcome``: answered, refused or limited."""
        self._named.labels(outcome).inc()

    def upstream_error(self, what: str) -> None:
        """Count an error of the engine behind; ``what`` is one of a few fixed words."""
        self._upstream.labels(what).inc()

    def text(self) -> bytes:
        """All of them, as of now."""
        return generate_latest(self._all)


class _State(Collector):
    """What guard and engine say of themselves when they are asked."""

    def __init__(self, guard: Guard, gauges: Mapping[str, tuple[str, Callable[[], float]]]) -> None:
        self._guard = guard
        self._gauges = gauges

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Nothing before it is asked."""
        return iter(())

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The figures that there are."""
        health = self._guard.health()
        left = (health.valid_until - datetime.now(UTC).date()).days
        yield GaugeMetricFamily("lethe_gate_filter_holds", "Whether it does.", value=health.holds)
        yield GaugeMetricFamily(
            "lethe_gate_bundle_days_left", "Days until the bundle's last one.", value=left
        )
        held = GaugeMetricFamily(
            "lethe_gate_canary_stopped", "Whether a canary is.", labels=("kind",)
        )
        for kind, stopped in health.canaries.items():
            held.add_metric([str(kind)], float(stopped))
        yield held
        for name, (says, found) in list(self._gauges.items()):
            yield GaugeMetricFamily(f"lethe_gate_{name}", says, value=found())

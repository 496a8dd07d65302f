"""Figures for whoever runs the service, in the text format of Prometheus.

No label holds anything that a client sent: routes are templates, methods and statuses those of HTTP.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector

from filter.release import last_day
from filter_service.api.service import Service

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_GAUGES = {
    "queue": ("lethe_queue_length", "Requests that wait for a reviewer."),
    "days_left": ("lethe_queue_days_left", "Days until the first of them must be decided."),
    "unverified": ("lethe_unverified_requests", "Requests that nobody has confirmed."),
    "messages_waiting": ("lethe_messages_waiting", "Messages still to be sent."),
    "messages_failed": ("lethe_messages_failed", "Messages that could not be sent."),
    "audit_length": ("lethe_audit_length", "Entries of the audit trail."),
    "release_days": ("lethe_release_age_days", "Days since the newest release was published."),
}


class Metrics:
    """The figures of one application."""

    def __init__(self, service: Service) -> None:
        self._all = CollectorRegistry()
        self._requests = Counter(
            "lethe_http_requests",
            "Requests served.",
            ("route", "method", "status"),
            registry=self._all,
        )
        self._seconds = Histogram(
            "lethe_http_request_seconds",
            "How long they took.",
            ("route",),
            buckets=_BUCKETS_S,
            registry=self._all,
        )
        self._all.register(_State(service))

    def request(self, route: str, method: str, status: int, duration_s: float) -> None:
        """Count a request; ``route`` is a template."""
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route).observe(duration_s)

    def text(self) -> bytes:
        """All of them, as of now."""
        return generate_latest(self._all)


class _State(Collector):
    """What the registry says of itself when it is asked."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Nothing before it is asked."""
        return iter(())

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The figures that there are."""
        health = self._service.health()
        for field, (name, text) in _GAUGES.items():
            if health.get(field) is not None:
                yield GaugeMetricFamily(name, text, value=float(health[field]))
        yield GaugeMetricFamily(
            "lethe_writer_alive", "Whether requests can be taken.", value=float(health["writer"])
        )
        if health.get("release"):
            today: date = self._service.registry.now.date()
            left = (last_day(health["release"]) - today).days
            yield GaugeMetricFamily(
                "lethe_release_days_left", "Days until the newest release expires.", value=left
            )

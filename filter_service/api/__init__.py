"""The REST interface of the registry, and what every request to the service goes through.

::

    app                                 puts everything together
    requests, operators, discovery      for everybody: /v1/requests (OpenDSR 2.0), /v1/operators ...
    reviewing                           for reviewers: /v1/review, /v1/audit
    repositories, monitoring            static files of releases; /health, /metrics
    opendsr, cases, bodies, parameters  what comes in and goes out
    problems, document                  errors; the OpenAPI document
    authority, clients, limiting, hosts, methods, headers, cursors      who asks, from where, how often
    observing, logs, metrics, serving   running it
"""

from filter_service.api.app import create_app
from filter_service.api.service import Service
from filter_service.api.serving import config, serve

__all__ = ["Service", "config", "create_app", "serve"]

"""What the server and the proxy share: strict requests, errors in OpenAI's shape, health, metrics, limits.

::

    app.create: SafeHeaders > Observed > Keys > BodyLimit > routes
    running.run: uvicorn around it, and the keeper that refreshes and probes the guard

Needs FastAPI, uvicorn and prometheus_client; no torch.
"""

"""Publishing releases with The Update Framework (TUF specification 1.0): keys, signing, static files.

Whoever publishes uses `keys`, `roots`, `signing` and `repository`; `layout` and `files` say what lies
where, and load nothing heavy. The other side is `filter_service.client`.
"""

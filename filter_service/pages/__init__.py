"""The pages of the registry: HTML made by the server, no script, WCAG 2.2 AA, in five languages.

::

    templates, texts, style.css    what is shown
    site                           what all pages share; renders a template in a language
    forms, rows, sessions          what comes in
    public, requesting, confirming, following, operating      pages for everybody
    reviewing, deciding            pages for reviewers
    errors                         error pages, also for what is not a page

Nothing here decides anything: pages ask the registry, and show what it answers.
"""

from filter_service.pages.routes import add_to
from filter_service.pages.service import Service
from filter_service.pages.site import Site, writes

__all__ = ["Service", "Site", "add_to", "writes"]

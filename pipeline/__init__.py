"""The corpus side: opt-out signals become verdicts, verdicts become a rebuilt corpus."""

import os

# Arrow's allocator gives freed pages back to the system after ten milliseconds, and asks for them again
# with the next chunk: an eighth of all CPU time. Read by libarrow when it is loaded, so set before that.
os.environ.setdefault("MIMALLOC_PURGE_DELAY", "1000")

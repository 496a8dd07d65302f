"""Personal data in the text of a corpus: found in bulk, judged one by one, replaced by markers."""

from pipeline.reconstruct.pii.modes import MODES, PiiMode
from pipeline.reconstruct.pii.scrub import Scrubbed, Scrubber

__all__ = ["MODES", "PiiMode", "Scrubbed", "Scrubber"]

"""robots.txt in two dialects: what a file says, and which of it an agent has to obey.

`rfc9309` is the default of Lethe, `protego` reproduces the parser of the published corpora. Both
read bytes and give a `RobotsFile`, whose `rules_for` names the rules of an agent in order of
precedence, each with the line it stands on.
"""

from pipeline.optout.robots.dialect import DIALECTS, Dialect
from pipeline.optout.robots.model import Group, RobotsFile

__all__ = ["DIALECTS", "Dialect", "Group", "RobotsFile"]

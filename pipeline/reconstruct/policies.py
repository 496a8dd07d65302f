"""The policy of a corpus beside it, so that it can be explained, checked and compared with a newer one.

Compliance tags are not kept: their side file may be larger than the machine; the header says which.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from pipeline.reconstruct.folder import Folder

NAME = "policy.parquet"


def keep(folder: Folder, policy: Path) -> None:
    """Put a copy of the policy's file into the corpus."""
    with folder.writing(NAME) as temporary:
        shutil.copyfile(policy, temporary)

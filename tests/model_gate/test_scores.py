"""lm-eval through the gate: the same scores and the same answers as from the plain model."""

from __future__ import annotations

from pathlib import Path

import pytest
import scores
from score_tasks import ANSWERS, CHAT, CHOICES, PROSE

from filter import Bundle, Identifier, IdentifierKind
from model_gate import tiny

pytestmark = pytest.mark.soak  # lm-eval takes its time
ROWS = 10


@pytest.fixture(scope="module")
def harmless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scores.harmless_bundle(tmp_path_factory.mktemp("scores"))


@pytest.fixture(scope="module")
def found(harmless: Path) -> dict[str, dict[str, scores.Scores]]:
    """Scores by way and task, where nobody listed occurs."""
    return scores.compared(tiny.cached(), harmless, ROWS)


def test_every_way_scores_as_the_plain_model(found: dict[str, dict[str, scores.Scores]]) -> None:
    assert scores.differences(found) == []
    assert found.keys() == set(scores.WAYS)
    assert found["library"].keys() == {CHOICES, PROSE, ANSWERS, CHAT}
    assert found["proxy"].keys() == found["server"].keys() == {ANSWERS, CHAT}
    plain = found["plain"]
    # Neither nothing nor all, so that a change would show.
    assert 0 < plain[CHAT].metrics["exact_match"] < 1
    assert 0 < plain[CHOICES].metrics["acc_norm"] < 1
    assert all(len(one.answers) == ROWS for tasks in found.values() for one in tasks.values())
    assert len(scores.table(found).splitlines()) == 2 + 9


def test_what_a_bundle_lists_does_move_a_score(
    found: dict[str, dict[str, scores.Scores]], tmp_path: Path
) -> None:
    """So the equality above says something."""
    path = tmp_path / "listing.safetensors"
    said = {answer.rstrip(".") for _, answer in scores.taught(tiny.cached())}
    answers = sorted(answer for answer in said if answer.startswith("The "))
    Bundle.build(
        [Identifier(IdentifierKind.TEXT, answer) for answer in answers], release="2026.2.0"
    ).write(path)
    gated = scores.compared(tiny.cached(), path, ROWS, ("library",))
    told = scores.differences({"plain": found["plain"], **gated})
    assert any(CHAT in one for one in told)
    # Probabilities are the model's own, whatever the filter lists.
    assert not any(CHOICES in one or PROSE in one for one in told)

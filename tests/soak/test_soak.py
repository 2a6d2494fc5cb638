"""A few seconds of the soak; `make soak` runs it for twenty minutes."""

import sys
from pathlib import Path

import pytest

from soak.soak import soak, told

SECONDS = 8.0


@pytest.mark.timeout(120)
async def test_no_answer_is_wrong_and_no_lease_is_lost_while_accounts_keep_failing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tally = await soak(SECONDS, tmp_path)
    with capsys.disabled():
        sys.stdout.write(f"\n{told(tally, SECONDS)}\n")
    assert tally.wrong == []
    assert tally.leased == 0
    assert tally.whole > 100
    assert tally.errors.total() > 0
    assert tally.hung_up > 0

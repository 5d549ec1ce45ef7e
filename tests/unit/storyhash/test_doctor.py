"""What `storyhash doctor` says of a machine with problems."""

from __future__ import annotations

from pathlib import Path

from common.settings import Settings
from storyhash import doctor


def test_a_data_folder_that_cannot_be_looked_at_fails_its_checks_and_not_the_doctor(
    tmp_path: Path,
) -> None:
    # No system has names of this length, so not even root may ask whether it exists.
    settings = Settings(data_dir=tmp_path / ("x" * 300))
    checks = {one.name: one.exit_code for one in doctor.examine(settings)}
    assert (checks["disk"], checks["index"]) == (0, 2)
    assert "second opinion" in checks

"""`storyhash doctor`: checks the installation and compares a computed vector with the expected one."""

from __future__ import annotations

from dataclasses import asdict

import typer

from common.settings import load_settings
from storyhash.cli.shared.console import out, print_json
from storyhash.cli.shared.options import DataOption, JsonOption, ProfileOption
from storyhash.doctor import examine


def doctor(
    data: DataOption = None, profile: ProfileOption = None, json: JsonOption = False
) -> None:
    """Check packages, codecs, models, disk space and the index. Embeds a test image and compares the
    result with the expected vector.

    Exit code 0 when every check passes, else the code of the most severe failure.
    """
    checks = []
    for check in examine(load_settings(data_dir=data, profile=profile)):
        checks.append(check)
        if not json:
            mark = "ok" if check.exit_code == 0 else "FAILED"
            style = "green" if check.exit_code == 0 else "red"
            out.print(f"{mark:6} {check.name}: {check.message}", style=style, markup=False)
    worst = max(check.exit_code for check in checks)
    if json:
        print_json({"checks": [asdict(check) for check in checks], "ok": worst == 0})
    if worst:
        raise typer.Exit(worst)

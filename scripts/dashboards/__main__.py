"""Write the dashboards from the code.

python -m scripts.dashboards            writes the files
python -m scripts.dashboards --check    exit code 1 when one is stale
"""

from __future__ import annotations

import argparse
import sys

from scripts.dashboards import FOLDER, files


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only compare")
    check = parser.parse_args().check
    wanted = files()
    kept = {path: path.read_text() for path in FOLDER.glob("*.json")}
    if check:
        stale = sorted(
            path.name for path in wanted.keys() | kept if wanted.get(path) != kept.get(path)
        )
        for name in stale:
            print(f"{name} is stale: run python -m scripts.dashboards")
        return 1 if stale else 0
    for path in kept.keys() - wanted.keys():
        path.unlink()
    for path, text in wanted.items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())

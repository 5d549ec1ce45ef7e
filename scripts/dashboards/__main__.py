"""Write the dashboards from the code.

python -m scripts.dashboards
"""

from __future__ import annotations

from scripts.dashboards import FOLDER, files

if __name__ == "__main__":
    wanted = files()
    for path in set(FOLDER.glob("*.json")) - wanted.keys():
        path.unlink()
    for path, text in wanted.items():
        path.write_text(text)

"""Write docs/evaluation.md, its figures and the README's table from what runs of `storyhash evaluate`
left.

    python -m scripts.evaluation_doc RESULTS --measured "commit 0123456, two cores" [--root FOLDER]

RESULTS holds rows-PROFILE.jsonl and robustness-PROFILE.json (`storyhash evaluate robustness`), and if
you like ablation-PROFILE.jsonl and .json (`ablation`), latency-PROFILE.json (`latency`), and the JSON
files that `scripts.figures` reads. A part without results stays as it is.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from common.errors import StoryHashError
from scripts.document import filled
from scripts.evaluation_doc.results import read_results
from scripts.evaluation_doc.sections import DOCUMENT, document
from scripts.evaluation_doc.targets import headlines, targets_of

ROOT = Path(__file__).parents[2]


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.evaluation_doc", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("results", type=Path)
    parser.add_argument(
        "--measured", required=True, help="commit and machine of the results, for the text"
    )
    parser.add_argument("--root", type=Path, default=ROOT, help="another folder to write docs/ in")
    options = parser.parse_args()
    try:
        results = read_results(options.results)
        text = document(results, options.root, options.measured)
    except StoryHashError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    path = options.root / DOCUMENT
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    readme = options.root / "README.md"
    if readme.is_file():
        table = headlines(targets_of(results.answers)).to_markdown()
        readme_text = readme.read_text(encoding="utf-8")
        readme.write_text(filled(readme_text, "figures: detection", table), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""Hundreds of odd and hostile files, made from a seed, or those of `--videos` with its folders, through
`index`, `match`, `serve` (as queries and as jobs) and an embedder. No service dies, nothing hangs, memory
stays under its bound, and each file has a result or one clear line."""

from __future__ import annotations

from tests.faults.harness import Trial, run
from tests.faults.hostile import given, inputs
from tests.faults.hostile_files.embed import through_embed
from tests.faults.hostile_files.index import through_index
from tests.faults.hostile_files.match import through_match
from tests.faults.hostile_files.serve import through_serve
from tests.faults.hostile_files.watched import write_folder


def files(trial: Trial) -> None:
    """The scenario."""
    folder_given = trial.videos
    made = given(folder_given) if folder_given else inputs(trial.seed, trial.size(300, 60))
    trial.say(f"{len(made)} files")
    folder = write_folder(trial.folder / "films", made)
    trial.figures["files"] = len(folder.files)
    data = trial.folder / "data"
    for part, what in (
        ("index", through_index),
        ("match", through_match),
        ("serve", through_serve),
    ):
        if trial.wants(part):
            what(trial, folder, data)
    if trial.wants("embed"):
        through_embed(trial, made)


if __name__ == "__main__":
    run("files", __doc__ or "", files)

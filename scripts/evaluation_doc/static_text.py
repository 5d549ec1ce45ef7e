"""What the document says in words; no number of a measurement stands here."""

HEAD = """# Evaluation

How well copies are found, and strangers left alone. `python -m scripts.evaluation_doc RESULTS` writes
this file from the rows of a run; no number in it is typed by hand. [usage.md](usage.md) has the
commands for your own videos. The videos here are a private folder of real ones; what else there is in
the world, these numbers do not say. Shares are percentages, with 95 % intervals in brackets; – is what
was not measured."""

GOALS = "Set before anything was measured; – where a number was only to be stated."

FUSION = """The paper joins visual and action features by concatenating them as they come
(`paper-fusion`) and reports that copies become more alike. Ours scales both, so that action has
{share:.1f} % of the energy (`full`). What counts is whether copies and strangers are told apart: a
fusion that makes everything more alike raises the first column and the second."""

SPEED = """## Speed

    scripts/bench embedding --json RESULTS/embedding.json        (--videos DIR for films of your own)

Milliseconds of work for a second of video (854 x 480, 25 frames a second), added up over processes and
threads, and how many seconds are indexed in one second of the clock. Decoding alone is the bound: the
same decoder processes with nothing else to do.

{speed}

    scripts/bench search --json RESULTS/search.json

{search}"""

POLICY = """the bar
that ships was chosen with such a table, for look-alikes are few and easy in some folds:"""

TRANSFORMS = """Every edit is made of the decoded film and written as H.264 again. Lengths are shares
of the picture's unless a unit is given; a range is drawn from, by chance that is the
same for a video in every run. `storyhash evaluate robustness --transforms NAME` runs some of them."""

NOT_MEASURED = """## What is not measured

- **CLIP and SAM 2.** Their weights are not on the machine that made this file. The commands run on
  random weights in the tests, which shows that they run and says nothing of quality; the calibration of
  `clip` profiles was therefore not fitted, and matching says so. With the weights (`storyhash models
  pull`) one command makes every table here:

      storyhash evaluate robustness --profile clip-sam2 --videos DIR --cross-validate --out RESULTS
- **Sound.** Nothing here listens.
- **Catalogues of millions.** Rows are asked of the folder's videos; what an index loses against
  comparing every vector is the recall@10 above."""

REPRODUCE = """## How to reproduce this file

    .venv/bin/pip install -e '.[sscd,evaluation]'
    P='--profile sscd-motion --profile offline'
    D='--videos DIR --families CSV'
    storyhash evaluate robustness $D $P --per-transform 10 --cross-validate --out RESULTS
    storyhash evaluate ablation $D $P --per-transform 5 --out RESULTS
    storyhash evaluate latency $P --out RESULTS
    python -m scripts.evaluation_doc RESULTS

`CSV` has the columns `file`, `posgroup` (copies of one another) and `hardneg` (look-alikes). Each
command goes on where it was stopped. On DAVIS 2017, as published, with the paper's fourteen edits:

    storyhash evaluate robustness --videos DAVIS --davis --split val --transforms paper \\
        --profile clip-sam2 --out RESULTS"""

"""What the document says in words; no number of a measurement stands here."""

HEAD = """# Evaluation

This file reports how many copies are found and how many non-matches are accepted. `python -m
scripts.evaluation_doc RESULTS` writes it from the results of a run; no number is typed by hand.
[usage.md](usage.md) has the commands for your own videos. The videos here are one private folder of
real videos, so the numbers may differ on other videos. Shares are percentages with 95 % intervals in
brackets; – means not measured."""

GOALS = "The goals were set before the first measurement; – means that no goal was set."

FUSION = """The paper joins visual and action features by concatenating them as they come
(`paper-fusion`) and reports that copies become more alike. Ours scales both, so that action has
{share:.1f} % of the energy (`full`). What counts is the separation of copies and non-matches: a fusion
that makes all videos more similar raises the first and the second column."""

SPEED = """## Speed

    scripts/bench embedding --json RESULTS/embedding.json        (--videos DIR for films of your own)

Milliseconds of work per second of video (854 x 480, 25 frames per second), summed over processes and
threads, and seconds of video indexed per second. Decoding alone is the upper limit: the same decoder
processes without any other work.

{speed}

    scripts/bench search --json RESULTS/search.json

{search}"""

POLICY = """the shipped
threshold was chosen with such a table, because some folds have few and easy look-alikes:"""

TRANSFORMS = """Every edit is applied to the decoded video and encoded as H.264 again. Lengths are
fractions of the frame unless a unit is given. A value from a range is drawn at random, with the same
seed in every run. `storyhash evaluate robustness --transforms NAME` runs some of them."""

NOT_MEASURED = """## What is not measured

- **CLIP and SAM 2.** Their weights were not available on the machine that made this file. The tests run
  the commands with random weights, which shows that they work but not how well. The calibration of the
  `clip` profiles was therefore not fitted, and `storyhash match` says so. With the weights (`storyhash
  models pull`), one command makes every table here:

      storyhash evaluate robustness --profile clip-sam2 --videos DIR --cross-validate --out RESULTS
- **Sound.** StoryHash does not use it.
- **Catalogues of millions.** The queries search only the folder's videos. The recall@10 above shows
  what the index loses against exact search."""

REPRODUCE = """## How to reproduce this file

    .venv/bin/pip install -e '.[sscd,evaluation]'
    P='--profile sscd-motion --profile offline'
    D='--videos DIR --families CSV'
    storyhash evaluate robustness $D $P --per-transform 10 --cross-validate --out RESULTS
    storyhash evaluate ablation $D $P --per-transform 5 --out RESULTS
    storyhash evaluate latency $P --out RESULTS
    python -m scripts.evaluation_doc RESULTS

`CSV` has the columns `file`, `posgroup` (copies of one another) and `hardneg` (look-alikes). After an
interruption, run a command again: it resumes. On DAVIS 2017, with the paper's fourteen edits:

    storyhash evaluate robustness --videos DAVIS --davis --split val --transforms paper \\
        --profile clip-sam2 --out RESULTS"""

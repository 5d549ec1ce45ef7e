"""Text of the sections that the document has only with certain results."""

FUSION = """The paper joins visual and action features by concatenating them as they come
(`paper-fusion`) and reports that copies become more alike. Ours scales both, so that action has
{share:.1f} % of the energy (`full`). What counts is the separation of copies and non-matches: a fusion
that makes all videos more similar raises the first and the second column."""

HARD = """These edits leave little of the original: a third or a quarter of the picture's width, a
corner of it, a blend, very little light, very few pixels, several strong edits together. They show where
the method ends. No table above contains them. The decisions use the calibration in force, which was
fitted without them."""

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

DISTRACTORS = """The same queries and calibrations, with distractors in every catalogue: segments that
are no copy of the query. Their number stands behind the configuration. No picture is embedded for them.
The first ones are the regions and the rotated and inverted views of the other families' videos, so they
are embeddings of real pictures. The others are drawn with the mean, the covariance and the groups of
these (smoothed bootstrap). They show what the size of the index does: more near misses for each part of
a query, and higher scores of non-matches. They do not show what as many segments of different real
content do, because the folder has only as many contents as families; look-alikes in particular are not
more frequent. If there are fewer non-matches than 1 / FPR, none may be accepted."""

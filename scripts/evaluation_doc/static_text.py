"""Text of the sections that the document has only with certain results."""

FUSION = """The paper joins visual and action features by concatenating them as they come
(`paper-fusion`) and reports that copies become more alike. Ours scales both, so that action has
{share:.1f} % of the energy (`full`). What counts is the separation of copies and non-matches: a fusion
that makes all videos more similar raises the first and the second column."""

HARD = """These edits leave little of the original: a third or a quarter of the picture's width, a
corner of it, a blend, very little light, very few pixels, several strong edits together. They show where
the method ends. No table above contains them. The decisions use the calibration in force, which was
fitted without them."""

SECOND_OPINION = """The queries that both profiles have. In the last rows, `offline` is asked where
`sscd-motion` decides that no video is a copy, and its matches are added; a copy that only it finds
needs a probability of {least}. This threshold was chosen on these queries, so the last rows may be a
little too good. A new data folder of `sscd-motion` works like this
([how](usage.md#ask-a-second-profile), [what it costs](operations/install.md#a-second-opinion))."""

SPEED = """## Speed

    scripts/bench embedding --json RESULTS/embedding.json        (--videos DIR for films of your own)

Milliseconds of work per second of video (854 x 480, 25 frames per second), summed over processes and
threads, and seconds of video indexed per second. Decoding alone is the upper limit: the same decoder
processes without any other work.

{speed}

    pip install -e '.[bench]'                    # hnswlib and usearch, which are compared with
    export STORYHASH_TEST_QDRANT_SERVER=PATH     # the executable of a Qdrant server, if you have one
    scripts/bench search --json RESULTS/search.json     # --quick, --vectors, --engines, --budget
    scripts/bench qdrant --json RESULTS/qdrant.json     # a server and a cluster of three, on this machine

Each engine has a process of its own, builds a graph with the same numbers of links and candidates,
and is searched with the fewest candidates that reach a recall of 0.995. The shard gets its rows
video after video, as a service does; FAISS gets all at once. Hard data are vectors whose neighbours
are of many videos; `--catalogue FILE` makes them of an export of your own catalogue (`storyhash
snapshot export`). What could not be measured is in `missing`, with the reason. `empty route` is the
cost of HTTP and the loopback alone. A service answers from one process;
`http_two_processes_throughput_over_one` is what a second one over the same snapshot would add for
eight clients that share the cores with it.

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

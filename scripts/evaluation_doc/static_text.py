"""Text of the sections that the document has only with certain results."""

FUSION = """The paper concatenates visual and action features without scaling (`paper-fusion`), and
reports that copies become more similar. Ours scales both, so that action has {share:.1f} % of the energy
(`full`). What counts is the separation of copies and non-matches: a fusion that makes all videos more
similar raises the first and the second column."""

HARD = """These edits leave little of the original: a third or a quarter of the picture's width, a
corner of it, a blend, very little light, very few pixels, several strong edits together. They show where
the method ends. No table above contains them. The decisions use the calibration in force, which was
fitted without them. Excerpts begin somewhere in the original; most other edits
show all of it, so that a range that begins at 0 is right."""

SECOND_OPINION = """These are the queries that both profiles have. In the last rows, `offline` is asked if
`sscd-motion` finds no copy, and its matches are added. A copy that only it finds needs a probability of
{least}. This threshold was chosen on these queries, so the last rows may be a little too good. A new
data folder of `sscd-motion` works like this
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

Each engine runs in a separate process, builds a graph with the same numbers of links and candidates,
and is searched with the fewest candidates that reach a recall of 0.995. The shard gets its rows
video after video, as in a service; FAISS gets all at once. In hard data, the neighbours of a vector are
from many videos; `--catalogue FILE` makes such data from an export of your catalogue (`storyhash
snapshot export`). `missing` names what could not be measured, with the reason. `empty route` is the
cost of HTTP and the loopback interface alone. A service answers from one process;
`http_two_processes_throughput_over_one` is the gain from a second one over the same snapshot, for
eight clients that share the cores with it.

{search}"""

POLICY = """the shipped
threshold was chosen with such a table, because some folds have few and easy look-alikes:"""

DISTRACTORS = """The same queries and calibrations, with distractors in every catalogue: segments that
are no copy of the query. The configuration names their number. The first ones are regions, rotated and
inverted views of the other families' videos. The others are random, with the mean, the covariance and the
groups of the first ones (smoothed bootstrap). They show the effect of a larger index: more near misses
per part of a query, and higher scores of non-matches. They do not show the effect of as much different
real content; look-alikes in particular are not more frequent. If there are fewer non-matches than
1 / FPR, none may be accepted."""

PICTURES = """The same, with other distractors: films in which a window moves over a still picture that no
video shows, each of 32 s. They are real contents, and doubtful matches with them are verified with their
pictures, as in a data folder whose videos are on the machine that matches. The distractors above are
vectors without pictures, so a doubtful match with one of them stays doubtful. Two frames of each segment
are embedded (of a video, eight)."""

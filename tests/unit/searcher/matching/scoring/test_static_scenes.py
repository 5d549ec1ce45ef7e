"""What the time axis says where there are few frames."""

from __future__ import annotations

import numpy as np

from searcher.index.state import VideoSegments
from searcher.matching.alignment.run import Run
from searcher.matching.localisation.frame_similarity import QueryFrames
from searcher.matching.scoring.static_scenes import time_evidence
from tests.support.made_films import embeddings, film


def test_no_query_frame_between_the_only_two_of_the_reference(rng: np.random.Generator) -> None:
    frames = film(rng, 8)
    made = embeddings("a", frames)
    for one in made:
        # All others show nothing, such as a black picture.
        one.frames[2:] = 0
    made[1].frames[:] = 0
    video = VideoSegments(
        [one.ref for one in made],
        np.stack([one.vector for one in made]),
        [one.frames for one in made],
    )
    # The query has a frame per second, which lie on both sides of the reference's at 0 s and 0.5 s.
    run = Run(0.0, 4.0, 0.25, 4.25, 0.8, 1.0, ())
    query = QueryFrames(frames[:8:2], np.arange(4.0), 4.0)
    assert time_evidence(run, run, query, video, "identity").support is None

"""The JSON of `POST /v1/search`."""

from __future__ import annotations

from pydantic import Field

from common.http.schema import Schema, examples
from common.types import VECTOR_DIMENSION

TIMEOUT_HEADER = "X-Request-Timeout-Ms"


class Hit(Schema):
    """An indexed segment near a query vector; times are seconds of its video."""

    segment_id: str
    video_id: str
    bank: str
    start_seconds: float
    end_seconds: float
    version: int
    score: float = Field(description="Inner product; higher is more similar.")


class SearchAnswer(Schema):
    """The nearest segments of each query vector, best first."""

    model_config = examples(
        {
            "model_id": "sscd-motion-3f0c9d2e",
            "generation": "",
            "items": [
                [
                    {
                        "segment_id": "city.mp4@4000-8000",
                        "video_id": "city.mp4",
                        "bank": "default",
                        "start_seconds": 4.0,
                        "end_seconds": 8.0,
                        "version": 1,
                        "score": 0.9362,
                    }
                ]
            ],
        }
    )
    model_id: str
    generation: str
    items: list[list[Hit]]


class SearchBody(Schema):
    """Query vectors, each of unit norm."""

    vectors: list[list[float]] = Field(
        description=f"Up to 64 lists of {VECTOR_DIMENSION} numbers.", min_length=1, max_length=64
    )

"""The JSON of the evidence of a match, for the OpenAPI document."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from common.http.schema import Schema


class EvidencePair(Schema):
    """A window of the query and its most similar segment of the reference."""

    query_start_seconds: float
    query_end_seconds: float
    segment_id: str
    similarity: float


class StoredPair(EvidencePair):
    """The same with the times of the segment in the reference."""

    ref_start_seconds: float
    ref_end_seconds: float


class Verification(Schema):
    """What comparing the pictures of a match changed."""

    outcome: Literal["confirmed", "partly_confirmed", "not_confirmed"]
    fitting_points: int = Field(description="Keypoints that fit one transform of the picture.")
    shared_points: int = Field(description="Keypoints that both pictures have.")
    agreement: float = Field(description="Fraction of the picture that agrees, 0 to 1.")
    probability_before: float
    pictures: Literal["file", "thumbnails"] | None = Field(
        None,
        description="Where the pictures came from: `thumbnails` if those of the query or of the "
        "reference were compared, else `file`. "
        "Absent in matches of earlier versions.",
    )


class _Terms(Schema):
    similarity: float = Field(description="The same as `score`.")
    view_price: float = Field(description="The view offset.")
    background_lift: float = Field(description="The background shift.")
    false_positive_rate: float | None = Field(
        None, description="Null if the catalogue has too few other videos. It decides nothing."
    )
    document_frequency: int = Field(
        description="Number of different videos that share this part of the query."
    )
    tempo: float | None = Field(
        description="Seconds of the reference per second of the query; negative if it runs backwards; "
        "null without an order in time."
    )
    static_scene: bool | None = Field(
        None, description="Query and reference hardly change; null if it was not measured."
    )
    limited_by: Literal["static_scene", "not_confirmed"] | None = Field(
        None, description="Why the probability is limited."
    )
    time_support: float | None = None
    verification: Verification | None = Field(
        None, description="Absent if the pictures were not compared."
    )
    model_id: str | None = Field(
        None,
        description="Model that found the match: that of the answer, or that of the second opinion.",
    )
    calibration: str = Field(description="Version of the calibration in force.")
    copy_probability: float
    review_probability: float


class Evidence(_Terms):
    """The terms of the probability of a match, and the pairs that decided."""

    pairs: list[EvidencePair]


class StoredEvidence(_Terms):
    """The evidence of a stored match."""

    pairs: list[StoredPair]


EXAMPLE: dict[str, Any] = {
    "similarity": 0.9239,
    "view_price": 0.0,
    "background_lift": 0.0823,
    "false_positive_rate": 1.2e-05,
    "document_frequency": 1,
    "tempo": 1.0,
    "static_scene": False,
    "limited_by": None,
    "time_support": 0.94,
    "pairs": [
        {
            "query_start_seconds": 6.0,
            "query_end_seconds": 8.0,
            "segment_id": "city.mp4@4000-8000",
            "similarity": 0.9362,
        }
    ],
    "model_id": "sscd-motion-5171b065d83b",
    "calibration": "sscd-20261125-6806fa3b",
    "copy_probability": 0.75,
    "review_probability": 0.1,
}

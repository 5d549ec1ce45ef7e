"""Which videos are mixed into an edit."""

from evaluation.data.datasets import DatasetVideo
from evaluation.data.edits import partners_of


def video(name: str, family: str = "", lookalikes: str = "") -> DatasetVideo:
    return DatasetVideo(name, f"/{name}", family or name, lookalikes)


def test_no_partner_is_a_copy_or_a_look_alike_of_the_video() -> None:
    dog, copy = video("dog", "spot", "dogs"), video("copy of dog", "spot", "dogs")
    others = [video("other dog", lookalikes="dogs"), video("cat", lookalikes="cats"), video("sea")]
    everything = [dog, copy, *others]
    assert {one.video_id for one in partners_of(dog, everything)} == {"cat", "sea"}
    # Nothing is known of what the sea looks like.
    sea = others[-1]
    assert {one.video_id for one in partners_of(sea, everything)} == {
        *("dog", "copy of dog", "other dog", "cat")
    }

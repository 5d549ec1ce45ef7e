"""Is a video, or a part of it, a copy?"""

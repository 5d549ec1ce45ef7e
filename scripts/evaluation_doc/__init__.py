"""Writes docs/evaluation.md from what runs of `storyhash evaluate` left."""

"""Turns frames into tracks of moving objects."""

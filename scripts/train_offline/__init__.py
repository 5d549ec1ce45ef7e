"""Training of a copy-detection network on drawn pictures and free photographs; see `__main__`."""

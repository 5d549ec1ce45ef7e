"""What `scripts/bench streaming` measures, part by part."""

"""SAM 2.1 (Ravi et al., 2024) as a segmenter, through transformers."""

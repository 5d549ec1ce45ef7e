"""Pictures in, 512-d visual descriptors out."""

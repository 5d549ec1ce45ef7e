"""From pictures to 512-d visual descriptors."""

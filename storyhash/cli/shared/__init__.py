"""What commands share: output, progress and options."""

"""Fits the offline descriptor: procedural pictures, augmentation, discriminant analysis."""

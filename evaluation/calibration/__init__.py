"""Calibrations: training samples, fits and cross-validation folds."""

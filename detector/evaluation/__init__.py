"""Measure networks: average precision, confusion matrix, report."""

"""Evaluation: detectors x data sets x categories x shots x seeds, in numbers a paper could print.

results.py   what was found, cell by cell
"""

"""The page of an evaluation: one self-contained report.html that fetches nothing.

Evaluation -> tables -> findings (words), grids (tables), curves, histograms, strips and gallery
(pictures) -> page
"""

from inctrl.reporting.evaluation.page import render as render

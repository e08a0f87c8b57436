"""Evaluation: detectors x data sets x categories x shots x seeds, in numbers a paper could print.

    plan -> leaks -> run -> score -> results -> tables -> documents, and the page in reporting/

plan.py, contenders.py   what is to be done, and by whom
content.py, leaks.py     what is in the sets; shots and test images share nothing
run.py, score.py         every cell, by way of the same path as `inctrl detect`
features.py, kept.py     what is shared in memory; finished cells on disk
results.py               what was found, cell by cell
tables.py, documents.py  means, spreads and differences; files
audit.py                 no score depends on labels, order, batches or masks
published.py             figures of the InCTRL paper
"""

"""One script a published figure; each prints machine, seeds and spread. See `make benchmarks`."""

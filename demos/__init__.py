"""Short examples on the public API, and the photographs they run on."""

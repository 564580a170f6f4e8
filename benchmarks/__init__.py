"""How fast the package is, beside its peers: one script per measure, `python -m benchmarks` for all. See README.md."""

"""The benchmarks: `make bench` measures Lockstitch against what the databases themselves do (docs/performance.md)."""

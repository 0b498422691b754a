"""What docs/performance.md is made of; run by scripts/benchmark and scripts/frontier, not part of the package."""

"""What the benchmarks share: a server of their own, workers and peers as processes, pairs, results, plots."""

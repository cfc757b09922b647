"""Tools of the checkout: the toolchain of a fresh machine, and benchmarks."""

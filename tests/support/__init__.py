"""What tests and benchmarks share: real servers, ports and certificates."""

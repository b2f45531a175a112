"""Networks that learn time-evolving shapes."""

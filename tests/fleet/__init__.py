"""Real processes that share a real store, and what a bad day does to them."""

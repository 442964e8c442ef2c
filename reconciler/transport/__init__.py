"""HTTP with credentials kept where they belong; the only home of requests."""

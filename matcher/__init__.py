"""The vertical slice that answers a probe."""

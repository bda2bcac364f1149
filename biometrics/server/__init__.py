"""The running exchange: identity, the method table, interceptors, start and stop."""

"""Generated from `proto/biometrics/v1`; regenerate with `poe proto`."""

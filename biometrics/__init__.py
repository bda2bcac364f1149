"""The engine of a regional biometrics data exchange."""

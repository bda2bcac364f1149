"""Responses of the exchange, turned into values, in the rooms of `client.results`."""

"""What the exchange answers, as frozen values, in the rooms of `client.calls`.

Words are the contract's, in lower case with hyphens: `no-match`, `border-check`.
No value here has a field for a score or a stored template, because the contract
has none.
"""

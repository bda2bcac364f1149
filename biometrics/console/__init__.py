"""The console: a page for a browser, that shows and changes nothing.

A process of its own, with no right of its own. A browser proves by TLS whose
certificate it has; the console hands that to the exchange, over a socket on the same
machine, and shows what the exchange answers to its owner. What somebody may know is
decided there alone, by the table that decides it for every other caller: the console
cannot show what it was not told. It holds no key of the exchange's but that of its own
port, knows no list of revoked certificates, and can ask for nothing that is a change, a
template or a reference.
"""

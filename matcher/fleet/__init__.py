"""The galleries on a cluster, in shards; see `matcher/README.md`.

place.py      what is known of each shard, and which are searched
lending.py    keys, sealed to shards
mending.py    shards that are lost, until they are back
searching.py  probes, compared in one pass over all shards
beside.py     other front ends that speak to the same shards
growth.py     another number of shards, filled beside those that are searched
fleet.py      all of it: an index to follow with, an engine to search
"""

from matcher.fleet.beside import Others
from matcher.fleet.fleet import Fleet

__all__ = ["Fleet", "Others"]

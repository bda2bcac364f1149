"""Several searches at once from one event loop.

python search_async.py CLIENTS, the folder of profiles that `biometrics init` makes.
"""

import asyncio
import sys
from pathlib import Path

import numpy as np

from biometrics.client import AsyncExchangeClient, Profile, Template


async def main(clients: Path) -> None:
    """Search for five strangers."""
    vectors = np.random.default_rng().standard_normal((5, 512))
    faces = [
        Template(space="face-synthetic-512", position="face", vector=vector)
        for vector in vectors
    ]
    async with AsyncExchangeClient(Profile.load(clients / "XAA-client.toml")) as border:
        answers = await asyncio.gather(
            *(border.match(face, purpose="border-check") for face in faces)
        )
    for answer in answers:
        print(answer.regional, *(each.holder for each in answer.holders))


asyncio.run(main(Path(sys.argv[1])))

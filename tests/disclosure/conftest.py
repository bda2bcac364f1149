"""What the tests of disclosure share."""

from hypothesis import Phase, settings

# For `poe mutation`: that there is an example which fails is enough.
settings.register_profile(
    "mutation",
    phases=(Phase.explicit, Phase.generate),
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=40,
)

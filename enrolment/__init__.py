"""The vertical slice that gets templates in, and out again."""

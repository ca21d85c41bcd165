"""Comparing secrets: in a time that says nothing of where two texts differ."""

import hmac


def is_same(left: str, right: str) -> bool:
    """Whether two texts are equal. `hmac.compare_digest` raises TypeError for text beyond ASCII, which a stranger may send."""
    return hmac.compare_digest(left.encode("utf-8", "surrogatepass"), right.encode("utf-8", "surrogatepass"))

"""The body of a request to a door that reads it before it knows who asks."""

from starlette.requests import Request


async def body_up_to(request: Request, most_bytes: int) -> bytes:
    """The body. No more is read once it is longer than `most_bytes`, so the caller refuses one that is longer."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > most_bytes:
            break
    return body

"""MLLP over TLS: the context of a port, from the files that its configuration names."""

import ssl

from foundation.errors import ConfigurationError
from foundation.feed_remote import Listener


def tls_context(listener: Listener) -> ssl.SSLContext | None:
    """TLS 1.2 or newer as configured, None for plain MLLP. Raises ConfigurationError where a file cannot be used."""
    if listener.certificate is None or listener.key is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    load_certificates(context, listener)
    return context


def load_certificates(context: ssl.SSLContext, listener: Listener) -> None:
    """Reads certificates and key into a context, also again after they changed. Raises ConfigurationError."""
    assert listener.certificate is not None
    try:
        context.load_cert_chain(listener.certificate, listener.key)
        if listener.client_authorities is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(listener.client_authorities)
    except (OSError, ssl.SSLError) as error:
        files = ", ".join(
            str(path) for path in (listener.certificate, listener.key, listener.client_authorities) if path
        )
        raise ConfigurationError(
            f"listen: {files}: {error.strerror or error}; give certificates and key in PEM"
        ) from None

"""`/scim/v2`: a tenant's identity provider keeps accounts and groups here (SCIM 2.0, RFC 7643 and 7644)."""

PREFIX = "/scim/v2"
# Bytes of a request: a group of some thousand members fits.
LARGEST_BODY = 1024 * 1024

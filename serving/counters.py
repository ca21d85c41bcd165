"""Counters of this process for Prometheus: questions and their seconds, requests, failures."""

from prometheus_client import CollectorRegistry, Counter, Histogram

REGISTRY = CollectorRegistry()
QUERY_SECONDS = Histogram(
    "clinicmart_query_seconds",
    "Time to answer a question about figures (query) or rows (drill).",
    ["kind"],
    buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30),
    registry=REGISTRY,
)
REQUESTS = Counter("clinicmart_http_requests", "Answered HTTP requests by status class.", ["status"], registry=REGISTRY)
PAGE_ERRORS = Counter("clinicmart_page_errors", "Pages and requests that failed.", registry=REGISTRY)
# by: password, second factor, identity provider. result: done, refused.
SIGN_INS = Counter(
    "clinicmart_sign_ins", "Steps of sign-ins by their way and result.", ["by", "result"], registry=REGISTRY
)

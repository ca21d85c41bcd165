"""`/api/v1`: figures, rows and extracts for programs, through the same gate as the pages."""

PREFIX = "/api/v1"
# Where agents ask, over the Model Context Protocol (`dashboards.agents`).
AGENTS_PATH = "/mcp"
# Bytes of a question: it is a few names and values.
LARGEST_BODY = 64 * 1024

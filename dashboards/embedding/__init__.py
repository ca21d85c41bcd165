"""Pages of figures in sites of others (docs/embedding.md): plain HTML for one view, without a script, a cookie or a way on."""

PREFIX = "/embed"
# The site's server asks for a ticket here; the browser opens it there.
TICKETS_PATH, OPEN_PATH = f"{PREFIX}/tickets", f"{PREFIX}/open"
LARGEST_BODY = 4 * 1024

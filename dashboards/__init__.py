"""What people see: one ASGI application with sign-in and a file a page. Thin views over `serving`.

server/     the application, who may pass, sign-in pages, warm-up
pages/      one file a page; data_health/ is a folder
entry/      the script that Streamlit runs; `main`, `bar`, `shell` and `widgets` are what every page has
data        the only way to data, and its cache
figures, findings, breakdowns           what a page computes
format, period, view, theme, charts, markup    pure: no Streamlit, no data
"""

from pathlib import Path


def serve(home: Path, host: str = "127.0.0.1", port: int = 8501) -> None:
    """Serves the dashboards of a home until SIGINT or SIGTERM; open connections are closed before it returns.

    Raises OSError where the port is taken.
    """
    # Streamlit takes a second to import: `import dashboards` must stay cheap for the command line.
    from dashboards.server.app import run

    run(home, host, port)

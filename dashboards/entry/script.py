"""What Streamlit runs for every view and every click."""

from dashboards.main import main

main()

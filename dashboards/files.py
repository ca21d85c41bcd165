"""The line below a page of figures that takes it away as a file."""

import streamlit as st

from dashboards.reports import make
from dashboards.shell import PageContext
from serving.modules import PAGES
from serving.people.rights import ROLES


def draw(context: PageContext, page: str) -> None:
    """Draws the buttons Excel and PDF and the way to subscriptions. A file is made when it is taken, and that is a row of the audit."""
    if page not in PAGES or not ROLES[context.source.principal.role].takes_files:
        return
    view = context.view.opened(None)
    with st.container(horizontal=True, vertical_alignment="center", key="cm_files", gap="small"):
        for file_format in make.FORMATS:
            st.download_button(
                make.NAMES[file_format],
                make.later(context.source, page, view, file_format),
                file_name=f"{context.source.tenant_id}_{page}_{view.period.start}_{view.period.end}.{file_format}",
                key=f"cm_file_{file_format}",
                on_click="ignore",
            )
        if "reports" in context.pages:
            st.page_link(context.pages["reports"], label="Get it by mail")
        st.caption("The tiles and the table of this page with definitions. Taking a file is recorded.")

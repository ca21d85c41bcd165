"""The last mails of the organization, those that were not sent first."""

import streamlit as st

from dashboards import blocks, served_home
from dashboards.pages.report_builder import saved
from dashboards.pages.reports import mails
from dashboards.shell import PageContext
from serving.people.roster import Person
from serving.subscribing import Subscribing


def draw(context: PageContext, _everybody: tuple[Person, ...]) -> None:
    """Draws the tab with the mails."""
    desk = Subscribing(served_home.access(), context.source.principal)
    blocks.section(
        "Mails", f"{desk.count_not_sent()} not sent. Subscriptions and their rule stand on the page Reports."
    )
    st.page_link(context.pages["reports"], label="Reports")
    everything = (*desk.subscriptions(), *desk.ended())
    table = mails.table(
        desk.not_sent_first(), everything, saved.names_of(context.source), context.source.time_zone, with_people=True
    )
    context.html(table, key="cm_admin_mails")

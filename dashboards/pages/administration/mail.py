"""The last mails of the organization, those that were not sent first."""

import streamlit as st

from dashboards import blocks, served_home
from dashboards.pages.reports import mails
from dashboards.shell import PageContext
from serving.people.roster import Person
from serving.subscribing import Subscribing


def draw(context: PageContext, _everybody: tuple[Person, ...]) -> None:
    """Draws the tab with the mails."""
    desk = Subscribing(served_home.access(), context.source.principal)
    sent_last = sorted(desk.mails(), key=lambda mail: mail.state not in mails.NOT_SENT)
    failed = sum(mail.state in mails.NOT_SENT for mail in sent_last)
    blocks.section("Mails", f"{failed} not sent. Subscriptions and their rule stand on the page Reports.")
    st.page_link(context.pages["reports"], label="Reports")
    everything = (*desk.subscriptions(), *desk.ended())
    context.html(mails.table(sent_last, everything, context.source.time_zone, with_people=True), key="cm_admin_mails")

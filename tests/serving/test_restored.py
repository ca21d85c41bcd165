"""The access database of a home that was restored: what opens the running home opens nothing in the copy."""

import shutil

from foundation.home import Home
from serving.people import restored
from serving.people.principal import Role
from serving.people.store import AccessStore

PASSWORD = "correct horse battery 9"


def test_sessions_tokens_and_links_of_the_running_home_open_nothing_in_a_copy(tmp_path):
    running = AccessStore.open(Home.at(tmp_path / "running"))
    running.ensure_tenant("harbor", "Harbor Health")
    own = {"password": PASSWORD, "must_change": False}
    for email in ("ann@x", "bob@x"):
        running.add_user("harbor", email, display_name=email, role=Role.EXECUTIVE, **own)
    ann = running.principal("harbor", "ann@x")
    token = running.api_tokens.create(ann, name="notebook", allowed=["figures"], days=30, actor="ann@x")
    session, link = running.create_session(ann), running.begin_reset("harbor", "bob@x", actor="admin@x")
    shutil.copytree(tmp_path / "running", tmp_path / "copy")
    copy = Home.at(tmp_path / "copy")
    restored.settle(copy, tenant=None, actor="operator", detail={})
    store = AccessStore.open(copy)
    assert (store.session(session), store.api_tokens.of_secret(token), store.person_of_reset(link)) == (None,) * 3
    # Who knows a password signs in there, and the running home goes on.
    assert store.authenticate("harbor", "ann@x", PASSWORD) == ann
    assert (running.session(session), running.person_of_reset(link).email) == (ann, "bob@x")
    assert running.api_tokens.of_secret(token).email == "ann@x"

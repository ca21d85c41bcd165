"""Runs a page over an open socket, as a browser does, and returns what it drew: for checks from outside."""

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import ClientConnection

PAGE_SECONDS = 300


def run_page(page: ClientConnection, name: str = "", query: str = "") -> tuple[str, str]:
    """Runs a page once; returns (the id that Streamlit gave it, all that it drew, as text)."""
    message = BackMsg()
    message.rerun_script.query_string = query
    message.rerun_script.page_name = name
    page.send(message.SerializeToString())
    identifier, drawn = "", list[str]()
    while True:
        answer = ForwardMsg()
        data = page.recv(timeout=PAGE_SECONDS)
        assert isinstance(data, bytes)
        answer.ParseFromString(data)
        kind = answer.WhichOneof("type")
        if kind == "new_session":
            identifier = answer.new_session.initialize.session_id
        elif kind == "script_finished":
            return identifier, "\n".join(drawn)
        else:
            drawn.append(data.decode("utf-8", "replace"))

"""The script that Streamlit runs, in a separate folder.

Streamlit takes a folder `pages` beside its script for pages of an older kind, and on the first visit after a start would
run one of our page modules as a script, past sign-in's second check. So nothing lies beside it.
"""

"""Worklists: rows that somebody must work on, who does, how far it is, and what came of it.

lists     which lists there are: the rows of a metric's drill that are still open, and what became of those that are not
work      one person's lists: rows of the scope joined with their entries

What people noted on rows is kept in `access.sqlite` (`serving.people.work_entries`).
"""

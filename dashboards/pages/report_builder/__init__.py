"""Report builder: a person chooses figures and breakdowns, sees them, saves them under a name and shares them.

page    the choices, and what the page says where nothing can be shown
saved   the saved reports: open, save, remove
drawn   a report as a chart or a table
"""

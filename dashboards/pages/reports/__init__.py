"""Reports: the pages that a person gets by mail.

page    the form, the subscriptions and the last mails
mails   mails as a table, also for Administration
"""

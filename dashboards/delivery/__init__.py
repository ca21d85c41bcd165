"""Mail to people of a tenant: pages with the figures of the person's own scope, and alarms.

compose     a report as a mail
hand_over   gives a mail to the mail server, and says what came of it
send        sends the pages that are due, once for each period
alarms      a mail with alarms, and sending it
alone       one process at a time
"""

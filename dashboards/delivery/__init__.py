"""Pages by mail to people of a tenant, each with the figures of the person's own scope.

compose     a report as a mail
hand_over   gives a mail to the mail server, and says what came of it
send        sends what is due, once for each period
"""

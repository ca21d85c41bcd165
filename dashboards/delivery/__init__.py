"""Pages by mail to people of a tenant, each with the figures of the person's own scope.

compose     a report as a mail
send        sends what is due, once for each period
"""

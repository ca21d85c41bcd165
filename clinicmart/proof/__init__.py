"""`clinicmart audit prove`: tries every way to data as every role, in a separate home, and reports what came of it.

canaries    what is planted: two tenants with equal ids, and words that show where a text came from
site        the throw-away home: feeds, one pipeline run, one person of each role
trials      one attempt with its positive control, and how it is judged
ways_*      the ways to data
report      the signed report, and how it is verified
"""

"""Revenue cycle: from what is billed to what is collected.

money         what became of what was billed, by part and by month
denials       which reasons cost most, which are overturned, where
receivables   how old the open balance is and how it moves from bucket to bucket, credits
speed         charge, claim and payer lag, clean claims
payers        a scorecard of payers, underpayments, what was taken back
"""

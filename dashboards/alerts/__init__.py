"""Alerts: rules on metrics, judged once for each unit and period.

judge       what a rule says of a figure; pure
calendar    the periods of a rule; pure
series      the figures that a rule needs, through a reader
check       evaluates what is due, and spends the budget of alarms
wanted      checks an alert before it is made, and tests it on the past
"""

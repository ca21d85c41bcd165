"""Forecasts: what is to be expected, for which units, and how earlier forecasts did.

page       the page: one figure of one unit, the units below it, the record
words      what the page says of a forecast, a back-test and a record
"""

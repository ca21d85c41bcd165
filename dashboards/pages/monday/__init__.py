"""This week: what changed in the units that a person sees, why, what has settled, what was restated, which feeds are late.

page       the page, readable in a minute
week       the figures of the last full week beside their usual week, and where a change comes from
past       rates that have settled since, and figures of earlier months that are others now
"""

"""Payer mix: each payer class's share of what is billed, paid, visited or treated, and how it shifts.

page      the chosen base: tiles, months, units, table
bases     the bases side by side
rates     share against rate
effect    the charges of the period at unchanged rates, with the earlier and the present mix
"""

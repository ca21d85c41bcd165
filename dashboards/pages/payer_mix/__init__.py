"""Payer mix: each payer class's share of what is billed, paid, visited or treated, how it shifts, and what the shift is worth.

page      the chosen base: tiles, months, units, table
bases     the bases side by side
rates     share against rate
effect    what the shift of the mix is worth at unchanged rates
"""

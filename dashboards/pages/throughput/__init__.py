"""Throughput: how many people are seen, where their time goes, and how full schedules and beds are.

visits        encounters over time, visits for each staffed hour
times         where the time of a visit goes, waits by hour, starts on time
capacity      fill of the schedule and the third next available appointment
beds          occupancy by hour, stays
providers     a scorecard of providers, work RVUs
operations    staff hours, supplies
"""

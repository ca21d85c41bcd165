"""No-show and access: who misses appointments, what is lost by it, and how referrals become visits.

missed      since when, where, at which hours
causes      earlier no-shows, payer, days from booking, visit type
reminders   who was reminded, how, how long before
lost        slots lost and what they were worth
referrals   from the referral to the visit
"""

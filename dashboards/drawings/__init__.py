"""Charts that are drawn as HTML: their marks are buttons, so that keyboard, paper and dark ground come with them.

waterfall     an amount, its parts, the amount that is left or that came of it
ranges        a scorecard: each member's figures beside their usual range
columns       Pareto with the sum so far; distribution with median and 90th percentile
heat_table    a triangle by month and age; flows from bucket to bucket
rows          steps of a funnel; bars of parts
scatter       share against rate
panel         a titled part of a page

All are pure: values in, `Markup` out. `dashboards.charts` has the charts that ECharts draws.
"""

"""The overview: tiles against their targets, why the lead figure changed, what needs attention, units, what the figures rest on.

page        what is asked and drawn; the heading
lead        the figure that the heading and the waterfall are about
attention   what left its usual range, ranked by money or patients
units       each unit's figures beside their usual range
trust       whether the figures can be trusted
html        markup of all of it
"""

"""Codes and list prices of the sample. Procedure codes are HCPCS level II or invented ("Z...."); none is licensed."""

# List prices in cents.
PRICES = {
    "Z1001": 24500,
    "Z1002": 31800,
    "Z1011": 11800,
    "Z1012": 16900,
    "Z1013": 22700,
    "G0438": 25600,
    "G0439": 17800,
    "Z2001": 64000,
    "Z2002": 98550,
    "Z2003": 142075,
    "Z1021": 12900,
    "G2012": 4800,
    "H0031": 28500,
    "H0004": 13600,
    "Z3001": 17250,
    "Z4001": 12475,
    "Z4002": 15850,
    "S9083": 19900,
    "Z1031": 14350,
    "Z5001": 21300,
    "G0444": 3650,
    "J3301": 2875,
    "Z1101": 4125,
    "Z1102": 6790,
    "Z1103": 5345,
    "J0696": 3310,
    "J1100": 1985,
    "A4570": 4495,
    "L1830": 12865,
    "Z2101": 23715,
    "G0283": 3940,
    "Z4101": 7215,
    "Z2102": 18405,
    "Z2103": 41230,
    "J1245": 5670,
    "H0038": 6180,
    "Z3101": 9015,
}
CODES = tuple(PRICES)
# How many units a line of these codes may have.
MULTIPLE_UNITS = frozenset({"J3301", "J0696", "J1100", "J1245", "Z4002", "G0283", "H0038"})
TELEHEALTH_MODIFIER = "GT"
DIAGNOSES = ("E119", "I10", "M5450", "M1711", "F329", "F411", "J069", "Z0000", "R079", "I2510", "S93401A", "E785")
# Of the form of ICD-10-CM but in no chapter, and not of its form.
STRAY_DIAGNOSES = ("E999", "BACKPAIN")
REFERRAL_PARTNERS = ("RP01", "RP02", "RP03", "RP04", "RP05", "RP06")
SUPPLIES = (
    ("SUP01", "Exam gloves, pair", 18),
    ("SUP02", "Dressing kit", 465),
    ("SUP03", "Syringe 5 ml", 32),
    ("SUP04", "Splint, padded", 1890),
    ("SUP05", "Suture set", 1275),
)

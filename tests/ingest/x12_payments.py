"""One payment written as senders write it: other separators, line ends, another production date, added REF segments, claims in
another order, cut into files."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal


@dataclass(frozen=True)
class Claim:
    """A claim payment of one line. `takes` are its adjustments: group, reason, amount."""

    number: str
    status: str
    charged: Decimal
    paid: Decimal
    icn: str
    takes: tuple[tuple[str, str, Decimal], ...]
    day: str = "20260105"

    def segments(self, refs: int) -> list[str]:
        responsibility = sum((amount for group, _, amount in self.takes if group == "PR"), Decimal(0))
        return [
            f"CLP*{self.number}*{self.status}*{self.charged}*{self.paid}*{responsibility}*12*{self.icn}",
            *(f"REF*CE*CONTRACT {number}" for number in range(refs)),
            f"SVC*HC:99213*{self.charged}*{self.paid}**1",
            f"DTM*472*{self.day}",
            *(f"CAS*{group}*{reason}*{amount}" for group, reason, amount in self.takes),
            f"REF*6R*{self.number}-1",
            *(f"REF*LU*{number}" for number in range(refs)),
        ]


@dataclass(frozen=True)
class Payment:
    """A payment with its claims and provider adjustments (reason, amount). Amounts are in US dollars."""

    trace: str
    claims: tuple[Claim, ...]
    adjustments: tuple[tuple[str, Decimal], ...] = ()
    payer: str = "P1"
    company: str = "1999999999"
    day: str = "20260120"
    amount: Decimal | None = None

    @property
    def paid(self) -> Decimal:
        """What the claims and the provider adjustments come to."""
        return sum((c.paid for c in self.claims), Decimal(0)) - sum((a for _, a in self.adjustments), Decimal(0))

    def only(self, claims: Sequence[Claim], adjustments: Sequence[tuple[str, Decimal]] = ()) -> "Payment":
        """A part of it as a clearing house cuts it: some claims under the amount of the whole."""
        return replace(self, claims=tuple(claims), adjustments=tuple(adjustments), amount=self.amount or self.paid)

    def segments(self, *, produced: str = "20260119", refs: int = 0, control: str = "0001") -> list[str]:
        """ST to SE."""
        body = [
            f"ST*835*{control}",
            f"BPR*I*{self.paid if self.amount is None else self.amount}*C*ACH************{self.day}",
            f"TRN*1*{self.trace}*{self.company}",
            *(f"REF*EV*{number}" for number in range(refs)),
            f"DTM*405*{produced}",
            f"N1*PR*PAYER ONE*XV*{self.payer}",
            "N1*PE*NORTH CLINIC*XX*1234567893",
            "LX*1",
            *(segment for claim in self.claims for segment in claim.segments(refs)),
            *(f"PLB*1234567893*20261231*{reason}:REF*{amount}" for reason, amount in self.adjustments),
        ]
        return [*body, f"SE*{len(body) + 1}*{control}"]


def interchange(
    *transactions: Sequence[str], control: int = 1, separators: str = "*:~", line_end: str = "", made: str = "260120"
) -> str:
    """A file of transactions that are written with `*` and `:`. `separators` are element, component, terminator."""
    element, component, terminator = separators
    isa = f"ISA*00*{'':10}*00*{'':10}*ZZ*{'PAYER':15}*ZZ*{'CLINIC':15}*{made}*0800*^*00501*{control:09d}*0*P*:"
    group = f"GS*HP*PAYER*CLINIC*20{made}*0800*{control}*X*005010X221A1"
    body = [segment for transaction in transactions for segment in transaction]
    segments = [isa, group, *body, f"GE*{len(transactions)}*{control}", f"IEA*1*{control:09d}"]
    text = [segment.replace("*", element).replace(":", component) for segment in segments]
    return "".join(f"{segment}{terminator}{line_end}" for segment in text)


def claims_837(*claims: Claim, control: str = "0001") -> list[str]:
    """ST to SE of an 837 that bills some claims, one line each."""
    body = [
        f"ST*837*{control}*005010X222A1",
        "BHT*0019*00*1*20260106*0900*CH",
        "HL*1**20*1",
        "NM1*85*2*NORTH CLINIC*****XX*1234567893",
        "HL*2*1*22*0",
        "SBR*P*18*******CI",
        "NM1*PR*2*PAYER ONE*****PI*P1",
    ]
    for claim in claims:
        body += [
            f"CLM*{claim.number}*{claim.charged}***11:B:1*Y*A*Y*Y",
            "LX*1",
            f"SV1*HC:99213*{claim.charged}*UN*1***1",
            f"DTP*472*D8*{claim.day}",
            f"REF*6R*{claim.number}-1",
        ]
    return [*body, f"SE*{len(body) + 1}*{control}"]

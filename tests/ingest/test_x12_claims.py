"""837: claims, lines, payers and providers from their loops."""

from pathlib import Path

from data_contracts import contract
from tests.ingest.x12_files import CLAIM_BODY, REMITTANCE_BODY, interchange, read, transaction


def test_claim_takes_each_value_from_its_own_loop(tmp_path: Path) -> None:
    rows = read(tmp_path, interchange(transaction("837", CLAIM_BODY))).rows
    claim = rows["claim"].row(0, named=True)
    assert (claim["claim_id"], claim["billed_amount"]) == ("ACCT1", "100")
    assert (claim["payer_id"], claim["payer_sequence"]) == ("87726", "primary")
    assert (claim["provider_id"], claim["billing_provider_npi"]) == ("1999999984", "1234567893")
    assert claim["original_payer_claim_control_number"] == "ICN9"
    assert (claim["place_of_service"], claim["frequency_code"]) == ("11", "7")
    assert (str(claim["service_from_date"]), str(claim["service_to_date"])) == ("2026-01-01", "2026-01-04")
    assert claim["submitted_at"].isoformat() == "2026-01-02T14:30:00+00:00", "09:30 in New York"
    assert claim["source_position"] == "ISA 1 GS 1 ST 0001 CLM 1 (segment 12)"
    first, second = rows["claim_line"].rows(named=True)
    assert (first["procedure_code"], first["modifiers"], first["units"]) == ("A1234", "25:59", "2")
    assert (first["line_control_number"], first["place_of_service"]) == ("LINE1", "12")
    assert (second["line_number"], second["modifiers"], str(second["service_date"])) == (2, None, "2026-01-04")
    assert set(rows["claim_line"]["claim_submission_id"]) == {claim["claim_submission_id"]}


def test_a_claim_counts_by_its_total_where_its_lines_do_not_add_up_to_it_and_the_gap_is_shown(tmp_path: Path) -> None:
    text = transaction("837", CLAIM_BODY).replace("39.50", "39.49")
    chunk = read(tmp_path, interchange(text, text.replace("0001", "0002")))
    assert chunk.rows["claim"]["billed_amount"].to_list() == ["100", "100"]
    assert [(item.reason, item.records) for item in chunk.notices] == [("claim_lines_out_of_balance", 2)]
    assert chunk.notices[0].position == "ISA 1 GS 1 ST 0001 CLM 1 (segment 12)"


def test_what_another_payer_paid_is_not_taken_for_the_claims_own(tmp_path: Path) -> None:
    other = ["CAS*CO*45*20", "AMT*D*70", "AMT*EAF*10", "OI***Y***Y"]
    line = ["SVD*SECOND*70*HC:A1234**2", "CAS*PR*2*10", "DTP*573*D8*20260109", "REF*6R*OTHERLINE"]
    plain = read(tmp_path, interchange(transaction("837", CLAIM_BODY)))
    # 2320 and 2330 between the other payer's SBR and the first LX, 2430 at the end of the first line.
    body = [*CLAIM_BODY[:12], *other, *CLAIM_BODY[12:19], *line, *CLAIM_BODY[19:]]
    result = read(tmp_path, interchange(transaction("837", body)))
    assert result.notices == []
    for entity, frame in plain.rows.items():
        changes = [name for name in frame.columns if name.endswith("_id") and name not in ("payer_id", "claim_id")]
        changes.append("source_position")
        assert frame.drop(changes).equals(result.rows[entity].drop(changes)), entity
    assert result.dropped_fields["CAS"] == 2
    assert result.dropped_fields["AMT"] == 2


def test_payers_get_their_class_from_the_filing_indicator_of_their_own_loop(tmp_path: Path) -> None:
    payers = read(tmp_path, interchange(transaction("837", CLAIM_BODY))).rows["payer"]
    result = {row["payer_id"]: (row["name"], row["payer_class"]) for row in payers.rows(named=True)}
    assert result == {"87726": ("PLAN ONE", "medicare"), "SECOND": ("PLAN TWO", "medicaid")}


def test_what_tells_claims_of_one_number_apart_is_taken_from_its_own_loop(tmp_path: Path) -> None:
    body = [
        "HL*1**20*1",
        "NM1*85*2*HARBOR CLINIC*****XX*1234567893",
        "REF*EI*123456789",
        "HL*2*1*22*1",
        "SBR*P********MB",
        "NM1*IL*1*O'DOE*Jane****MI*MEMBER123",
        "DMG*D8*19800101*F",
        "REF*SY*999999999",
        "NM1*PR*2*PLAN ONE*****PI*87726",
        "CLM*1001*100***11:B:1*Y*A*Y*I",
        "HL*3*2*23*0",
        "NM1*QC*1*ODOE*TOM",
        "DMG*D8*20150101*M",
        "CLM*1001*100***11:B:1*Y*A*Y*I",
        "HL*4*2*23*0",
        "NM1*QC*1*ODOE*ANN",
        "CLM*1001*100***11:B:1*Y*A*Y*I",
        "HL*5*1*22*0",
        "SBR*P*18*******MB",
        "NM1*PR*2*PLAN ONE*****PI*87726",
        "CLM*1001*100***11:B:1*Y*A*Y*I",
    ]
    claims = read(tmp_path, interchange(transaction("837", body))).rows["claim"]
    assert claims["patient_match_token"].to_list() == ["ODOE|J|19800101", "ODOE|T|20150101", "ODOE|A", None]
    assert claims["billing_tax_token"].to_list() == ["123456789"] * 4, "not the subscriber's REF*SY"
    assert {"patient_match_token", "billing_tax_token"} < contract("claim").token_columns.keys()


def test_nothing_that_names_a_patient_is_given(tmp_path: Path) -> None:
    both = interchange(transaction("837", CLAIM_BODY), transaction("835", REMITTANCE_BODY, control="0002"))
    chunk = read(tmp_path, both)
    # Landing puts a keyed token in place of what its contract calls a token.
    shown = [frame.drop(*contract(entity).token_columns, strict=False) for entity, frame in chunk.rows.items()]
    text = str([frame.rows() for frame in shown]) + str(chunk.notices) + str(chunk.dropped_fields)
    for secret in ("DOE", "JANE", "MEMBER123", "SECRET"):
        assert secret not in text
    assert chunk.dropped_fields["N3"] == 1


def test_institutional_claim_has_revenue_codes_and_a_statement_period(tmp_path: Path) -> None:
    body = [
        "HL*1**20*1",
        "NM1*85*2*HOSPITAL*****XX*1234567893",
        "HL*2*1*22*0",
        "SBR*T*18*******CI",
        "CLM*INP1*500***11:A:1*Y*A*Y*I",
        "DTP*434*RD8*20260101-20260109",
        "LX*1",
        "SV2*0120*HC:C1234*500*DA*8",
    ]
    rows = read(tmp_path, interchange(transaction("837", body).replace("X222A1", "X223A2"))).rows
    claim, line = rows["claim"].row(0, named=True), rows["claim_line"].row(0, named=True)
    assert (claim["claim_type"], claim["payer_sequence"]) == ("institutional", "tertiary")
    assert (str(claim["service_from_date"]), str(claim["service_to_date"])) == ("2026-01-01", "2026-01-09")
    assert claim["payer_id"] is None
    assert (line["revenue_code"], line["procedure_code"], line["units"]) == ("0120", "C1234", "8")


def test_a_new_billing_provider_does_not_inherit_the_one_before(tmp_path: Path) -> None:
    second = ["HL*3**20*1", "HL*4*3*22*0", "SBR*P*18*******CI", "CLM*ACCT2*10***11:B:1", "LX*1", "SV1*HC:A1234*10*UN*1"]
    claims = read(tmp_path, interchange(transaction("837", CLAIM_BODY + second))).rows["claim"]
    assert claims["billing_provider_npi"].to_list() == ["1234567893", None]
    assert claims["payer_id"].to_list() == ["87726", None]


def test_lines_are_numbered_by_lx_or_else_by_their_order(tmp_path: Path) -> None:
    lines = ["LX*7", "SV1*HC:A1234*1*UN*1", "LX*7", "SV1*HC:A1234*2*UN*1", "SV1*HC:A1234*3*UN*1"]
    claims = [*CLAIM_BODY[:9], *lines, "CLM*ACCT2*3***11:B:1", "LX*4", "SV1*HC:A1234*3*UN*1"]
    result = read(tmp_path, interchange(transaction("837", claims))).rows["claim_line"]
    assert result["line_number"].to_list() == [1, 2, 3, 4]
    assert result["claim_id"].to_list() == ["ACCT1", "ACCT1", "ACCT1", "ACCT2"]


def test_the_same_claims_sent_again_have_the_same_ids_and_a_resubmission_new_ones(tmp_path: Path) -> None:
    single = interchange(transaction("837", CLAIM_BODY))
    first = read(tmp_path, single).rows["claim"]["claim_submission_id"].to_list()
    again = read(tmp_path, single).rows["claim"]["claim_submission_id"].to_list()
    other = read(tmp_path, single.replace("000000001", "000000002")).rows["claim"]["claim_submission_id"].to_list()
    assert first == again
    assert first != other


def test_the_same_837_with_other_separators_is_the_same_submission(tmp_path: Path) -> None:
    first = interchange(transaction("837", CLAIM_BODY))
    expected = read(tmp_path, first).rows["claim"]["claim_submission_id"].to_list()
    flat = first.replace("\n", "")
    for text in (
        flat.replace("~", "\r\n"),
        flat.replace("*", "|").replace(":", ">").replace("^", "!").replace("~", "'\n"),
    ):
        assert read(tmp_path, text).rows["claim"]["claim_submission_id"].to_list() == expected, text


def test_a_claim_without_an_amount_is_left_to_the_gate(tmp_path: Path) -> None:
    text = interchange(transaction("837", CLAIM_BODY).replace("CLM*ACCT1*100*", "CLM*ACCT1*1OO*"))
    assert read(tmp_path, text).rows["claim"]["billed_amount"].to_list() == ["1OO"]


def test_codes_that_a_translator_took_for_numbers_are_codes_again(tmp_path: Path) -> None:
    text = transaction("837", CLAIM_BODY).replace("11:B:7*", "11:B:7.00*").replace("HC:B1234*", "HC:91234.00*")
    rows = read(tmp_path, interchange(text)).rows
    assert rows["claim"]["frequency_code"].to_list() == ["7"]
    assert rows["claim_line"]["procedure_code"].to_list() == ["A1234", "91234"]


def test_a_payer_that_is_a_person_is_not_taken(tmp_path: Path) -> None:
    chunk = read(
        tmp_path, interchange(transaction("837", CLAIM_BODY).replace("NM1*PR*2*PLAN ONE", "NM1*PR*1*SMITH*ANN"))
    )
    assert "SMITH" not in str([frame.rows() for frame in chunk.rows.values()])

-- The practice-management schema of the sample, which is also the reference schema of the profile `clinicmart`.
--
-- Conventions: columns are named as the contracts name them; a patient is named by medical_record_number; times are UTC
-- text 'YYYY-MM-DD HH:MM:SS', dates 'YYYY-MM-DD', booleans 0/1, money decimal digits in text; updated_at is when the row
-- last changed. Enumerations are not checked here: a PM database lets bad rows in, the contract gate keeps them out.

CREATE TABLE organizations (
  organization_id        TEXT NOT NULL PRIMARY KEY,
  parent_organization_id TEXT REFERENCES organizations (organization_id),
  name                   TEXT NOT NULL,
  npi                    TEXT,
  time_zone              TEXT,
  updated_at             TEXT NOT NULL
);

CREATE TABLE service_units (
  service_unit_id        TEXT NOT NULL PRIMARY KEY,
  parent_service_unit_id TEXT REFERENCES service_units (service_unit_id),
  organization_id        TEXT REFERENCES organizations (organization_id),
  name                   TEXT NOT NULL,
  unit_type              TEXT NOT NULL,
  time_zone              TEXT,
  staffed_beds           INTEGER,
  billing_profile        TEXT,
  is_active              INTEGER NOT NULL,
  updated_at             TEXT NOT NULL
);

-- Where a unit stood before it was moved in the tree; units that never moved have no row.
CREATE TABLE service_unit_placements (
  service_unit_id        TEXT NOT NULL REFERENCES service_units (service_unit_id),
  effective_from         TEXT NOT NULL,
  effective_to           TEXT,
  parent_service_unit_id TEXT REFERENCES service_units (service_unit_id),
  billing_profile        TEXT,
  updated_at             TEXT NOT NULL,
  PRIMARY KEY (service_unit_id, effective_from)
);

CREATE TABLE providers (
  provider_id   TEXT NOT NULL PRIMARY KEY,
  npi           TEXT,
  display_name  TEXT,
  specialty     TEXT,
  provider_type TEXT,
  is_active     INTEGER NOT NULL,
  updated_at    TEXT NOT NULL
);

CREATE TABLE provider_service_units (
  provider_id       TEXT NOT NULL REFERENCES providers (provider_id),
  service_unit_id   TEXT NOT NULL REFERENCES service_units (service_unit_id),
  credentialed_from TEXT NOT NULL,
  credentialed_to   TEXT,
  updated_at        TEXT NOT NULL,
  PRIMARY KEY (provider_id, service_unit_id, credentialed_from)
);

-- A payer whose class changes has one row per class; payer_id alone is therefore no key.
CREATE TABLE payers (
  payer_id            TEXT NOT NULL,
  effective_from      TEXT NOT NULL,
  effective_to        TEXT,
  name                TEXT NOT NULL,
  payer_class         TEXT NOT NULL,
  electronic_payer_id TEXT,
  updated_at          TEXT NOT NULL,
  PRIMARY KEY (payer_id, effective_from)
);

CREATE TABLE visit_types (
  visit_type_id    TEXT NOT NULL PRIMARY KEY,
  name             TEXT NOT NULL,
  is_new_patient   INTEGER NOT NULL,
  is_procedure     INTEGER NOT NULL,
  expected_minutes INTEGER NOT NULL,
  updated_at       TEXT NOT NULL
);

CREATE TABLE contract_rates (
  payer_id         TEXT NOT NULL,
  procedure_code   TEXT NOT NULL,
  modifiers        TEXT NOT NULL,
  place_of_service TEXT NOT NULL,
  effective_from   TEXT NOT NULL,
  effective_to     TEXT,
  rate_amount      TEXT NOT NULL,
  updated_at       TEXT NOT NULL,
  PRIMARY KEY (payer_id, procedure_code, modifiers, place_of_service, effective_from)
);

CREATE TABLE patients (
  medical_record_number TEXT NOT NULL PRIMARY KEY,
  family_name           TEXT,
  given_name            TEXT,
  birth_date            TEXT,
  sex                   TEXT,
  address_line          TEXT,
  city                  TEXT,
  state                 TEXT,
  postal_code           TEXT,
  phone                 TEXT,
  email                 TEXT,
  preferred_language    TEXT,
  updated_at            TEXT NOT NULL
);

CREATE TABLE coverages (
  coverage_id           TEXT NOT NULL PRIMARY KEY,
  medical_record_number TEXT NOT NULL REFERENCES patients (medical_record_number),
  payer_id              TEXT NOT NULL,
  member_id             TEXT,
  plan_name             TEXT,
  priority              INTEGER NOT NULL,
  effective_from        TEXT,
  effective_to          TEXT,
  updated_at            TEXT NOT NULL
);

CREATE TABLE eligibility_checks (
  eligibility_check_id  TEXT NOT NULL PRIMARY KEY,
  medical_record_number TEXT,
  member_id             TEXT,
  payer_id              TEXT,
  plan_name             TEXT,
  status                TEXT NOT NULL,
  reject_code           TEXT,
  answered_at           TEXT,
  valid_from            TEXT,
  valid_to              TEXT,
  trace_number          TEXT,
  updated_at            TEXT NOT NULL
);

CREATE TABLE eligibility_benefits (
  eligibility_check_id  TEXT NOT NULL REFERENCES eligibility_checks (eligibility_check_id),
  line_number           INTEGER NOT NULL,
  benefit_type          TEXT NOT NULL,
  service_type_code     TEXT,
  coverage_level        TEXT NOT NULL,
  network               TEXT NOT NULL,
  amount_kind           TEXT NOT NULL,
  benefit_amount        NUMERIC,
  benefit_percent       NUMERIC,
  updated_at            TEXT NOT NULL,
  PRIMARY KEY (eligibility_check_id, line_number)
);

CREATE TABLE referrals (
  referral_id           TEXT NOT NULL PRIMARY KEY,
  medical_record_number TEXT NOT NULL REFERENCES patients (medical_record_number),
  referral_partner_id   TEXT,
  referring_provider_id TEXT REFERENCES providers (provider_id),
  service_unit_id       TEXT REFERENCES service_units (service_unit_id),
  visit_type_id         TEXT REFERENCES visit_types (visit_type_id),
  status                TEXT NOT NULL,
  ordered_at            TEXT NOT NULL,
  authorized_at         TEXT,
  expires_at            TEXT,
  updated_at            TEXT NOT NULL
);

CREATE TABLE appointments (
  appointment_id                  TEXT NOT NULL PRIMARY KEY,
  medical_record_number           TEXT REFERENCES patients (medical_record_number),
  service_unit_id                 TEXT REFERENCES service_units (service_unit_id),
  provider_id                     TEXT REFERENCES providers (provider_id),
  visit_type_id                   TEXT REFERENCES visit_types (visit_type_id),
  payer_id                        TEXT,
  encounter_id                    TEXT REFERENCES encounters (encounter_id),
  referral_id                     TEXT REFERENCES referrals (referral_id),
  rescheduled_from_appointment_id TEXT REFERENCES appointments (appointment_id),
  status                          TEXT NOT NULL,
  cancel_initiator                TEXT,
  cancel_reason_code              TEXT,
  is_walk_in                      INTEGER NOT NULL,
  is_telehealth                   INTEGER NOT NULL,
  booked_at                       TEXT,
  requested_date                  TEXT,
  scheduled_start_at              TEXT NOT NULL,
  scheduled_end_at                TEXT,
  cancelled_at                    TEXT,
  updated_at                      TEXT NOT NULL
);

CREATE TABLE appointment_status_history (
  appointment_event_id TEXT NOT NULL PRIMARY KEY,
  appointment_id       TEXT NOT NULL REFERENCES appointments (appointment_id),
  status               TEXT NOT NULL,
  initiator            TEXT,
  reason_code          TEXT,
  scheduled_start_at   TEXT,
  occurred_at          TEXT NOT NULL,
  updated_at           TEXT NOT NULL
);

CREATE TABLE slots (
  slot_id         TEXT NOT NULL,
  snapshot_date   TEXT NOT NULL,
  service_unit_id TEXT REFERENCES service_units (service_unit_id),
  provider_id     TEXT REFERENCES providers (provider_id),
  visit_type_id   TEXT REFERENCES visit_types (visit_type_id),
  status          TEXT NOT NULL,
  start_at        TEXT NOT NULL,
  end_at          TEXT NOT NULL,
  updated_at      TEXT NOT NULL,
  PRIMARY KEY (slot_id, snapshot_date)
);

CREATE TABLE reminders (
  reminder_id    TEXT NOT NULL PRIMARY KEY,
  appointment_id TEXT NOT NULL REFERENCES appointments (appointment_id),
  channel        TEXT NOT NULL,
  outcome        TEXT,
  sent_at        TEXT NOT NULL,
  updated_at     TEXT NOT NULL
);

CREATE TABLE authorizations (
  authorization_id      TEXT NOT NULL PRIMARY KEY,
  medical_record_number TEXT NOT NULL REFERENCES patients (medical_record_number),
  payer_id              TEXT,
  service_unit_id       TEXT REFERENCES service_units (service_unit_id),
  procedure_code        TEXT,
  status                TEXT NOT NULL,
  units_approved        TEXT,
  units_used            TEXT,
  requested_at          TEXT,
  decided_at            TEXT,
  valid_from            TEXT,
  valid_to              TEXT,
  updated_at            TEXT NOT NULL
);

CREATE TABLE encounters (
  encounter_id          TEXT NOT NULL PRIMARY KEY,
  medical_record_number TEXT REFERENCES patients (medical_record_number),
  service_unit_id       TEXT REFERENCES service_units (service_unit_id),
  provider_id           TEXT REFERENCES providers (provider_id),
  payer_id              TEXT,
  visit_type_id         TEXT REFERENCES visit_types (visit_type_id),
  appointment_id        TEXT REFERENCES appointments (appointment_id),
  encounter_class       TEXT NOT NULL,
  status                TEXT NOT NULL,
  admission_source      TEXT,
  discharge_disposition TEXT,
  started_at            TEXT NOT NULL,
  ended_at              TEXT,
  signed_at             TEXT,
  updated_at            TEXT NOT NULL
);

-- One row per visit; a time that was not taken is null.
CREATE TABLE encounter_timestamps (
  encounter_id    TEXT NOT NULL PRIMARY KEY REFERENCES encounters (encounter_id),
  checked_in_at   TEXT,
  roomed_at       TEXT,
  provider_in_at  TEXT,
  provider_out_at TEXT,
  room_out_at     TEXT,
  checked_out_at  TEXT,
  updated_at      TEXT NOT NULL
);

-- When it was decided to admit a patient of the emergency department; the stay begins when there is a bed.
CREATE TABLE admit_decisions (
  encounter_id    TEXT NOT NULL PRIMARY KEY REFERENCES encounters (encounter_id),
  decided_at      TEXT NOT NULL,
  updated_at      TEXT NOT NULL
);

CREATE TABLE encounter_diagnoses (
  encounter_id          TEXT NOT NULL REFERENCES encounters (encounter_id),
  line_number           INTEGER NOT NULL,
  medical_record_number TEXT REFERENCES patients (medical_record_number),
  code_system           TEXT NOT NULL,
  diagnosis_code        TEXT,
  recorded_at           TEXT,
  updated_at            TEXT NOT NULL,
  PRIMARY KEY (encounter_id, line_number)
);

CREATE TABLE charges (
  charge_id             TEXT NOT NULL PRIMARY KEY,
  encounter_id          TEXT REFERENCES encounters (encounter_id),
  claim_id              TEXT,
  line_control_number   TEXT,
  medical_record_number TEXT REFERENCES patients (medical_record_number),
  service_unit_id       TEXT REFERENCES service_units (service_unit_id),
  provider_id           TEXT REFERENCES providers (provider_id),
  payer_id              TEXT,
  procedure_code        TEXT,
  modifiers             TEXT,
  revenue_code          TEXT,
  place_of_service      TEXT,
  reversal_of_charge_id TEXT REFERENCES charges (charge_id),
  status                TEXT NOT NULL,
  units                 TEXT,
  billed_amount         TEXT NOT NULL,
  service_date          TEXT,
  posted_date           TEXT,
  entered_at            TEXT,
  updated_at            TEXT NOT NULL
);

-- One row per submission: the original, its replacement and the secondary claim share a claim_id.
CREATE TABLE claims (
  claim_submission_id                 TEXT NOT NULL PRIMARY KEY,
  claim_id                            TEXT NOT NULL,
  encounter_id                        TEXT REFERENCES encounters (encounter_id),
  medical_record_number               TEXT REFERENCES patients (medical_record_number),
  payer_id                            TEXT,
  service_unit_id                     TEXT REFERENCES service_units (service_unit_id),
  provider_id                         TEXT REFERENCES providers (provider_id),
  billing_provider_npi                TEXT,
  claim_type                          TEXT NOT NULL,
  frequency_code                      TEXT,
  payer_sequence                      TEXT,
  original_payer_claim_control_number TEXT,
  place_of_service                    TEXT,
  billed_amount                       TEXT NOT NULL,
  service_from_date                   TEXT,
  service_to_date                     TEXT,
  submitted_at                        TEXT,
  updated_at                          TEXT NOT NULL
);

CREATE TABLE claim_lines (
  claim_submission_id TEXT NOT NULL REFERENCES claims (claim_submission_id),
  line_number         INTEGER NOT NULL,
  claim_id            TEXT NOT NULL,
  line_control_number TEXT,
  charge_id           TEXT REFERENCES charges (charge_id),
  encounter_id        TEXT REFERENCES encounters (encounter_id),
  procedure_code      TEXT,
  modifiers           TEXT,
  revenue_code        TEXT,
  place_of_service    TEXT,
  units               TEXT,
  billed_amount       TEXT NOT NULL,
  service_date        TEXT,
  service_to_date     TEXT,
  updated_at          TEXT NOT NULL,
  PRIMARY KEY (claim_submission_id, line_number)
);

CREATE TABLE patient_payments (
  patient_payment_id    TEXT NOT NULL PRIMARY KEY,
  medical_record_number TEXT REFERENCES patients (medical_record_number),
  encounter_id          TEXT REFERENCES encounters (encounter_id),
  claim_id              TEXT,
  charge_id             TEXT REFERENCES charges (charge_id),
  service_unit_id       TEXT REFERENCES service_units (service_unit_id),
  payment_method        TEXT,
  is_point_of_service   INTEGER,
  payment_amount        TEXT NOT NULL,
  paid_date             TEXT NOT NULL,
  posted_date           TEXT,
  updated_at            TEXT NOT NULL
);

CREATE TABLE adjustments (
  adjustment_id     TEXT NOT NULL PRIMARY KEY,
  charge_id         TEXT REFERENCES charges (charge_id),
  claim_id          TEXT,
  adjustment_type   TEXT NOT NULL,
  reason_code       TEXT,
  adjustment_amount TEXT NOT NULL,
  adjusted_date     TEXT NOT NULL,
  posted_date       TEXT,
  updated_at        TEXT NOT NULL
);

CREATE TABLE staff_shifts (
  staff_shift_id  TEXT NOT NULL PRIMARY KEY,
  service_unit_id TEXT NOT NULL REFERENCES service_units (service_unit_id),
  provider_id     TEXT REFERENCES providers (provider_id),
  staff_role      TEXT NOT NULL,
  is_clinical     INTEGER NOT NULL,
  started_at      TEXT NOT NULL,
  ended_at        TEXT NOT NULL,
  updated_at      TEXT NOT NULL
);

CREATE TABLE inventory_usage (
  inventory_usage_id TEXT NOT NULL PRIMARY KEY,
  service_unit_id    TEXT NOT NULL REFERENCES service_units (service_unit_id),
  encounter_id       TEXT REFERENCES encounters (encounter_id),
  item_code          TEXT NOT NULL,
  item_name          TEXT,
  quantity           TEXT NOT NULL,
  cost_amount        TEXT,
  used_at            TEXT NOT NULL,
  updated_at         TEXT NOT NULL
);

CREATE TABLE ledger_entries (
  ledger_entry_id TEXT NOT NULL PRIMARY KEY,
  account_code    TEXT NOT NULL,
  account_name    TEXT,
  entry_type      TEXT NOT NULL,
  service_unit_id TEXT REFERENCES service_units (service_unit_id),
  entry_amount    TEXT NOT NULL,
  entry_date      TEXT NOT NULL,
  updated_at      TEXT NOT NULL
);

-- The tables and columns of OpenEMR 7.0.3 and later that the profile `openemr` reads, under their own names and types.
-- Written for these tests; the other tables and columns of OpenEMR are left out, for nothing here reads them.
create table facility (
  id int not null auto_increment primary key,
  name varchar(255),
  facility_npi varchar(15),
  pos_code tinyint,
  primary_business_entity int not null default 1,
  inactive tinyint(1) not null default 0,
  last_updated datetime not null default current_timestamp on update current_timestamp
);

create table users (
  id bigint not null auto_increment primary key,
  username varchar(255),
  authorized tinyint,
  fname varchar(255),
  lname varchar(255),
  suffix varchar(255),
  npi varchar(15),
  specialty varchar(255),
  physician_type varchar(50),
  calendar tinyint(1) not null default 0,
  active tinyint(1) not null default 1,
  last_updated datetime not null default current_timestamp on update current_timestamp
);

create table patient_data (
  pid bigint not null default 0 unique,
  pubpid varchar(255) not null default '',
  fname varchar(255) not null default '',
  mname varchar(255) not null default '',
  lname varchar(255) not null default '',
  DOB date,
  sex varchar(255) not null default '',
  street varchar(255) not null default '',
  city varchar(255) not null default '',
  state varchar(255) not null default '',
  postal_code varchar(255) not null default '',
  phone_home varchar(255) not null default '',
  phone_cell varchar(255) not null default '',
  email varchar(255) not null default '',
  language varchar(255) not null default '',
  last_updated datetime not null default current_timestamp on update current_timestamp
);

create table insurance_companies (
  id int not null default 0 primary key,
  name varchar(255),
  cms_id varchar(15),
  ins_type_code int,
  last_updated datetime not null default current_timestamp on update current_timestamp
);

create table insurance_data (
  id bigint not null auto_increment primary key,
  type enum('primary', 'secondary', 'tertiary'),
  provider varchar(255),
  plan_name varchar(255),
  policy_number varchar(255),
  date date,
  date_end date,
  pid bigint not null default 0,
  unique key pid_type_date (pid, type, date)
);

create table list_options (
  list_id varchar(100) not null default '',
  option_id varchar(100) not null default '',
  title varchar(255) not null default '',
  toggle_setting_1 tinyint(1) not null default 0,
  toggle_setting_2 tinyint(1) not null default 0,
  primary key (list_id, option_id)
);

create table code_types (
  ct_key varchar(15) not null primary key,
  ct_id int not null unique,
  ct_fee tinyint(1) not null default 0,
  ct_claim tinyint(1) not null default 0
);

create table openemr_postcalendar_categories (
  pc_catid int unsigned not null auto_increment primary key,
  pc_constant_id varchar(255) unique,
  pc_catname varchar(100),
  pc_duration bigint not null default 0,
  pc_cattype int not null,
  pc_active tinyint(1) not null default 1,
  pc_last_updated datetime not null default current_timestamp on update current_timestamp
);

create table openemr_postcalendar_events (
  pc_eid int unsigned not null auto_increment primary key,
  pc_catid int not null default 0,
  pc_aid varchar(30),
  pc_pid varchar(11),
  pc_time datetime,
  pc_eventDate date not null,
  pc_endDate date,
  pc_duration bigint not null default 0,
  pc_recurrtype int not null default 0,
  pc_recurrspec text,
  pc_startTime time,
  pc_endTime time,
  pc_apptstatus varchar(15) not null default '-',
  pc_facility int not null default 0
);

create table patient_tracker (
  id bigint not null auto_increment primary key,
  date datetime,
  apptdate date,
  appttime time,
  eid bigint not null default 0,
  pid bigint not null default 0,
  encounter bigint not null default 0,
  lastseq varchar(4) not null default '',
  key (eid),
  key (pid)
);

create table patient_tracker_element (
  pt_tracker_id bigint not null default 0,
  start_datetime datetime,
  room varchar(20) not null default '',
  status varchar(31) not null default '',
  seq varchar(4) not null default '',
  key (pt_tracker_id, seq)
);

create table notification_log (
  iLogId int not null auto_increment primary key,
  pid bigint not null,
  pc_eid int unsigned,
  type enum('SMS', 'Email') not null,
  pc_eventDate date not null,
  dSentDateTime datetime not null
);

create table form_encounter (
  id bigint not null auto_increment primary key,
  date datetime,
  facility_id int not null default 0,
  pid bigint,
  encounter bigint,
  pc_catid int not null default 5,
  provider_id int default 0,
  billing_facility int not null default 0,
  pos_code tinyint,
  class_code varchar(10) not null default 'AMB',
  discharge_disposition varchar(100),
  date_end datetime,
  last_update timestamp not null default current_timestamp on update current_timestamp,
  key pid_encounter (pid, encounter)
);

create table esign_signatures (
  id int not null auto_increment primary key,
  tid int not null,
  `table` varchar(255) not null,
  datetime datetime not null
);

create table billing (
  id int not null auto_increment primary key,
  date datetime,
  code_type varchar(15),
  code varchar(20),
  pid bigint,
  provider_id int,
  encounter int,
  activity tinyint(1),
  bill_date datetime,
  process_date datetime,
  modifier varchar(12),
  units int,
  fee decimal(12, 2),
  revenue_code varchar(6) not null default '',
  key pid (pid)
);

create table claims (
  patient_id bigint not null,
  encounter_id int not null,
  version int unsigned not null,
  payer_id int not null default 0,
  status tinyint not null default 0,
  payer_type tinyint not null default 0,
  bill_time datetime,
  process_time datetime,
  target varchar(30),
  primary key (patient_id, encounter_id, version)
);

create table ar_session (
  session_id int unsigned not null auto_increment primary key,
  payer_id int not null,
  check_date date,
  deposit_date date,
  pay_total decimal(12, 2) not null default 0,
  post_to_date date not null,
  patient_id bigint not null,
  payment_method varchar(25) not null
);

create table ar_activity (
  pid int not null,
  encounter int not null,
  sequence_no int unsigned not null,
  code_type varchar(12) not null default '',
  code varchar(20) not null,
  modifier varchar(12) not null default '',
  payer_type int not null,
  post_time datetime not null,
  session_id int unsigned not null,
  memo varchar(255) not null default '',
  pay_amount decimal(12, 2) not null default 0,
  adj_amount decimal(12, 2) not null default 0,
  modified_time datetime not null,
  account_code varchar(15) not null,
  deleted datetime,
  post_date date,
  payer_claim_number varchar(30),
  primary key (pid, encounter, sequence_no),
  key session_id (session_id)
);

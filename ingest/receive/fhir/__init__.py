"""Client of FHIR servers: sign-in, bulk export and paged search into the inbox."""

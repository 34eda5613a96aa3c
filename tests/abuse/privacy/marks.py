"""What must not be found where no patient may be named."""

NAME = "MARKEDNAME"
"""Of one component: libraries warn of such a name, and quote it."""
PATIENT_ID = "MARKEDID4711"
BIRTH_DATE = "18990307"
ACCESSION = "MARKEDACC"
MARKS = (NAME, PATIENT_ID, BIRTH_DATE, ACCESSION)

"""Every coded concept that the node writes, in one place.

No public validator compares a code with its meaning, so this table is the only
source for all objects and messages; tests compare it with the standard's text.
Contexts: CID 240 (presence), CID 244 (laterality), CID 7469/7550, TID 1500/1501.
"""

from dicom_node.domain.findings import CodedConcept, Presence, Side


def _sct(value: str, meaning: str) -> CodedConcept:
    return CodedConcept(value, "SCT", meaning)


def _dcm(value: str, meaning: str) -> CodedConcept:
    return CodedConcept(value, "DCM", meaning)


PNEUMOTHORAX = _sct("36118008", "Pneumothorax")
ATELECTASIS = _sct("46621007", "Atelectasis")
CARDIOMEGALY = _sct("8186001", "Cardiomegaly")
PLEURAL_EFFUSION = _sct("60046008", "Pleural effusion")
RADIOLOGIC_INFILTRATE = _sct("409609008", "Radiologic infiltrate")
MASS = _sct("4147007", "Mass")
NODULE = _sct("27925004", "Nodule")
PNEUMONIA = _sct("233604007", "Pneumonia")

ABNORMAL = _sct("263654008", "Abnormal")
MORPHOLOGICALLY_ABNORMAL_STRUCTURE = _sct("49755003", "Morphologically Abnormal Structure")

PLEURA = _sct("3120008", "Pleura")
LUNG = _sct("39607008", "Lung")
APEX_OF_LUNG = _sct("86598002", "Apex of Lung")
CHEST = _sct("816094009", "Chest")
HEART = _sct("80891009", "Heart")

LATERALITY = _sct("272741003", "Laterality")
RIGHT = _sct("24028007", "Right")
LEFT = _sct("7771000", "Left")
RIGHT_AND_LEFT = _sct("51440002", "Right and left")

PRESENT = _sct("52101004", "Present")
ABSENT = _sct("272519000", "Absent")
UNDETERMINED = _sct("373068000", "Undetermined")

PROBABILITY = _dcm("122157", "Probability")
AREA = _sct("42798000", "Area")
DISTANCE = _dcm("121206", "Distance")
MAXIMUM = _sct("56851009", "Maximum")
CARDIOTHORACIC_RATIO = CodedConcept("CTR", "99CXRAI", "Cardiothoracic ratio")
CARDIAC_DIAMETER = CodedConcept("CARDIAC-D", "99CXRAI", "Transverse diameter of heart")
THORACIC_DIAMETER = CodedConcept("THORACIC-D", "99CXRAI", "Inner diameter of thorax")
PROBABILITY_DEVIATION = CodedConcept(
    "PROB-SD", "99CXRAI", "Standard deviation of the models' probabilities"
)
HEMITHORAX_SHARE = CodedConcept("HEMITHORAX-SHARE", "99CXRAI", "Share of hemithorax area")
RIGHT_LUNG_AREA = CodedConcept("LUNG-AREA-R", "99CXRAI", "Area of right lung")
LEFT_LUNG_AREA = CodedConcept("LUNG-AREA-L", "99CXRAI", "Area of left lung")

NO_UNITS = CodedConcept("1", "UCUM", "no units")
SQUARE_MILLIMETRE = CodedConcept("mm2", "UCUM", "square millimeter")
MILLIMETRE = CodedConcept("mm", "UCUM", "millimeter")
PERCENT = CodedConcept("%", "UCUM", "percent")

ARTIFICIAL_INTELLIGENCE = _dcm("123110", "Artificial Intelligence")
ALGORITHM_NAME = _dcm("111001", "Algorithm Name")
ALGORITHM_VERSION = _dcm("111003", "Algorithm Version")
ALGORITHM_PARAMETERS = _dcm("111002", "Algorithm Parameters")

IMAGING_MEASUREMENT_REPORT = _dcm("126000", "Imaging Measurement Report")
IMAGE_LIBRARY = _dcm("111028", "Image Library")
IMAGE_LIBRARY_GROUP = _dcm("126200", "Image Library Group")
IMAGING_MEASUREMENTS = _dcm("126010", "Imaging Measurements")
MEASUREMENT_GROUP = _dcm("125007", "Measurement Group")
TRACKING_IDENTIFIER = _dcm("112039", "Tracking Identifier")
TRACKING_UID = _dcm("112040", "Tracking Unique Identifier")
FINDING = _dcm("121071", "Finding")
FINDING_SITE = _sct("363698007", "Finding Site")
OBSERVER_TYPE = _dcm("121005", "Observer Type")
DEVICE = _dcm("121007", "Device")
DEVICE_UID = _dcm("121012", "Device Observer UID")
LANGUAGE = _dcm("121049", "Language of Content Item and Descendants")

DERIVATION = _dcm("121401", "Derivation")
DEVICE_NAME = _dcm("121013", "Device Observer Name")
DEVICE_MANUFACTURER = _dcm("121014", "Device Observer Manufacturer")
DEVICE_MODEL = _dcm("121015", "Device Observer Model Name")
DEVICE_SERIAL_NUMBER = _dcm("121016", "Device Observer Serial Number")
PROCEDURE_REPORTED = _dcm("121058", "Procedure reported")
SOURCE = _sct("260753009", "Source")
REFERENCED_SEGMENTATION_FRAME = _dcm("121214", "Referenced Segmentation Frame")
SOURCE_IMAGE_FOR_SEGMENTATION = _dcm("121233", "Source image for segmentation")
MODALITY = _dcm("121139", "Modality")
COMPUTED_RADIOGRAPHY = _dcm("CR", "Computed Radiography")
DIGITAL_RADIOGRAPHY = _dcm("DX", "Digital Radiography")
IMAGE_VIEW = _dcm("111031", "Image View")
ROWS = _dcm("110910", "Pixel Data Rows")
COLUMNS = _dcm("110911", "Pixel Data Columns")
HORIZONTAL_SPACING = _dcm("111026", "Horizontal Pixel Spacing")
VERTICAL_SPACING = _dcm("111066", "Vertical Pixel Spacing")
ORIENTATION_ROW = _dcm("111044", "Patient Orientation Row")
ORIENTATION_COLUMN = _dcm("111043", "Patient Orientation Column")
PIXELS = CodedConcept("{pixels}", "UCUM", "Pixels")
COMMENT = _dcm("121106", "Comment")
ENGLISH = CodedConcept("en-US", "RFC5646", "English (United States)")

PLAIN_CHEST_XRAY = _sct("399208008", "Plain chest X-ray")
VIEW_PA = _sct("272479007", "postero-anterior")
VIEW_AP = _sct("399348003", "antero-posterior")

SEGMENTATION = _dcm("113076", "Segmentation")
SOURCE_IMAGE_FOR_PROCESSING = _dcm("121322", "Source image for image processing operation")
PROCESSING_EQUIPMENT = _dcm("109102", "Processing Equipment")
KEY_OBJECT_DESCRIPTION = _dcm("113012", "Key Object Description")
OF_INTEREST = _dcm("113000", "Of Interest")
REJECTED = _dcm("113001", "Rejected for Quality Reasons")
DIAGNOSTIC_IMAGING_REPORT = CodedConcept("18748-4", "LN", "Diagnostic imaging report")
FINDINGS_SECTION = CodedConcept("59776-5", "LN", "Findings")
CURRENT_PROCEDURE = CodedConcept("55111-9", "LN", "Current Procedure Descriptions")
PROCEDURE_DESCRIPTION = _dcm("121065", "Procedure Description")
IMPRESSION = _dcm("121073", "Impression")
IMPRESSIONS = CodedConcept("19005-8", "LN", "Impressions")
DICOM_STUDY = _dcm("113014", "DICOM Study")

PRESENCE: dict[Presence, CodedConcept] = {
    Presence.PRESENT: PRESENT,
    Presence.ABSENT: ABSENT,
    Presence.UNDETERMINED: UNDETERMINED,
}

SIDE: dict[Side, CodedConcept] = {
    Side.RIGHT: RIGHT,
    Side.LEFT: LEFT,
    Side.BOTH: RIGHT_AND_LEFT,
}
"""Side.UNDETERMINED has no code: leave the laterality out."""

CONCEPTS: tuple[CodedConcept, ...] = tuple(
    constant for constant in list(globals().values()) if isinstance(constant, CodedConcept)
)
"""All of the above."""

# SPDX-License-Identifier: Apache-2.0
"""Real objects with a canary in every attribute that can name somebody, in private
blocks, at depth, in names of files and folders. Any of them found where a reader of a
de-identified mount can look is a leak."""
import base64
import hashlib
import os
import re
import warnings

import pydicom
from pydicom.dataset import Dataset
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.sequence import Sequence

DATA = "/usr/lib/python3/dist-packages/pydicom/data/test_files/"
CARRIERS = ["CT_small.dcm", "MR_small.dcm", "MR_small_implicit.dcm",
            "MR_small_bigendian.dcm", "MR_small_RLE.dcm", "JPEG2000.dcm", "rtplan.dcm",
            "rtstruct.dcm", "rtdose.dcm", "waveform_ecg.dcm", "image_dfl.dcm"]
DATE = "19710817"
UID_ROOT = "1.2.826.0.1.3680043.8.777."
# Text canaries ZQ<digits>K, the date above, times with .7717, UIDs below UID_ROOT.
PATTERN = re.compile(
    rb"ZQ\d{3,6}K|1971-?08-?17|\.7717\d|1\.2\.826\.0\.1\.3680043\.8\.777\.",
    re.I)

TEXT = """PatientName PatientID IssuerOfPatientID OtherPatientIDs OtherPatientNames
    PatientBirthName PatientMotherBirthName PatientAddress PatientTelephoneNumbers
    MedicalRecordLocator Occupation EthnicGroup AdditionalPatientHistory PatientComments
    PatientReligiousPreference MilitaryRank BranchOfService CountryOfResidence
    RegionOfResidence ResponsiblePerson ResponsibleOrganization
    AccessionNumber StudyID StudyDescription SeriesDescription ProtocolName
    InstitutionName InstitutionAddress InstitutionalDepartmentName StationName
    ReferringPhysicianName ReferringPhysicianAddress ReferringPhysicianTelephoneNumbers
    PhysiciansOfRecord PerformingPhysicianName NameOfPhysiciansReadingStudy OperatorsName
    RequestingPhysician RequestingService RequestedProcedureDescription
    RequestedProcedureID ScheduledProcedureStepID ScheduledProcedureStepDescription
    PerformedProcedureStepID PerformedProcedureStepDescription PerformedStationName
    PerformedStationAETitle PerformedLocation AdmissionID AdmittingDiagnosesDescription
    CurrentPatientLocation DeviceSerialNumber DeviceID PlateID DetectorID GantryID
    CassetteID ImageComments StudyComments VisitComments FrameComments DerivationDescription
    ClinicalTrialSponsorName ClinicalTrialProtocolID ClinicalTrialSubjectID
    ClinicalTrialSiteName RetrieveAETitle PatientState SpecialNeeds Allergies
    MedicalAlerts AcquisitionComments ContrastBolusAgent TextString
    PersonName PersonAddress PersonTelephoneNumbers ConsultingPhysicianName
    ReasonForStudy InterpretationText InterpretationRecorder ResultsComments
    VerifyingObserverName ContentCreatorName""".split()
DATES = """PatientBirthDate StudyDate SeriesDate AcquisitionDate ContentDate
    InstanceCreationDate AdmittingDate LastMenstrualDate PerformedProcedureStepStartDate
    DateOfLastCalibration ScheduledProcedureStepStartDate""".split()
TIMES = """PatientBirthTime StudyTime SeriesTime AcquisitionTime ContentTime
    InstanceCreationTime AdmittingTime PerformedProcedureStepStartTime""".split()
UIDS = """StudyInstanceUID SeriesInstanceUID SOPInstanceUID FrameOfReferenceUID
    DeviceUID SynchronizationFrameOfReferenceUID IrradiationEventUID""".split()


def short(uid, n=6):
    """The end of a name, as the tree makes it of a UID."""
    digest = hashlib.sha256(str(uid).encode()).digest()
    return base64.b32encode(digest).decode().lower()[:n]


def plant(ds, numbers, study):
    """A canary in each attribute; numbers makes them differ between data sets."""
    for i, keyword in enumerate(TEXT):
        token = "ZQ%dK" % (numbers + i)
        name = dictionary_VR(tag_for_keyword(keyword)) == "PN"
        setattr(ds, keyword, "%s^%s" % (token, token) if name else token)
    for keyword in DATES:
        setattr(ds, keyword, DATE)
    for i, keyword in enumerate(TIMES):
        setattr(ds, keyword, "0102%02d.7717%02d" % (i, i))
    for i, keyword in enumerate(UIDS):
        setattr(ds, keyword, UID_ROOT + "%d.%d" % (study if i < 1 else numbers, i + 1))


def plant_everywhere(ds, number):
    plant(ds, 100000 + number * 1000, number)
    inner = Dataset()
    plant(inner, 500000 + number * 1000, number)
    middle = Dataset()
    middle.CodeMeaning = "kept"
    middle.ReferencedSeriesSequence = Sequence([inner])
    ds.RequestAttributesSequence = Sequence([middle])
    ds.PixelValueTransformationSequence = Sequence([inner])
    block = ds.private_block(0x0099, "ZQ901K", create=True)
    block.add_new(0x01, "LO", "ZQ902K")
    block.add_new(0x02, "SQ", Sequence([inner]))
    ds.add_new(0x60004000, "LT", "ZQ903K")
    ds.preamble = b"ZQ904K".ljust(128, b"\0")
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.SourceApplicationEntityTitle = "ZQ905K"


def make(folder, carriers=CARRIERS, names="ZQ906K"):
    """Writes one object per carrier; returns (paths, original UIDs)."""
    paths, uids = [], set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for n, name in enumerate(carriers):
            ds = pydicom.dcmread(DATA + name, force=True)
            if "TransferSyntaxUID" not in ds.file_meta:
                ds.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
            plant_everywhere(ds, n)
            where = os.path.join(folder, "%s %d" % (names, n), "^%s^" % names)
            os.makedirs(where, exist_ok=True)
            path = os.path.join(where, "%s_%d.dcm" % (names, n))
            ds.save_as(path, write_like_original=False)
            paths.append(path)
            uids |= {str(ds[k].value) for k in UIDS}
    return paths, uids


def make_refused(folder):
    """What must not open: burned-in text, a header that is cut. With canaries."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds = pydicom.dcmread(DATA + "CT_small.dcm")
        plant_everywhere(ds, 50)
        ds.BurnedInAnnotation = "YES"
        ds.save_as(os.path.join(folder, "ZQ907K burned.dcm"), write_like_original=False)
        ds = pydicom.dcmread(DATA + "MR_small.dcm")
        plant_everywhere(ds, 51)
        whole = os.path.join(folder, "ZQ908K cut.dcm")
        ds.save_as(whole, write_like_original=False)
        os.truncate(whole, 5000)  # inside the header
    with open(os.path.join(folder, "ZQ909K.txt"), "w") as f:
        f.write("ZQ910K is no DICOM")

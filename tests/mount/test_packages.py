# SPDX-License-Identifier: Apache-2.0
"""What other archives gave away, in folders and zips: NBIA Data Retriever, LONI IDA,
XCEDE. Labels come from their lists; where those are wrong, from the headers."""
import os
import zipfile

import pydicom
import pytest

import synthetic
from vivomount import Mount

HEAD = ("Series UID,Collection,3rd Party Analysis,Data Description URI,Subject ID,"
        "Study UID,Study Description,Study Date,Series Description,Manufacturer,"
        "Modality,SOP Class Name,SOP Class UID,Number of Images,File Size,"
        "File Location,Download Timestamp")


def put(root, where, p, i=0):
    path = os.path.join(root, where)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    synthetic.instance("pack", p, 0, 0, i).save_as(path, write_like_original=False)


def tops(m, name="x"):
    """{(collection, patient directory): {PatientID of the headers}}"""
    out = {}
    for path in m.files(name):
        if path.endswith(".dcm"):
            ds = pydicom.dcmread(m / f"{name}/{path}", stop_before_pixels=True)
            out.setdefault(tuple(path.split("/")[:2]), set()).add(ds.PatientID)
    return out


def row(collection, subject, location, description="Chest"):
    return (f"1.2.3,{collection},NO,https://doi.org/x,{subject},1.2,{description},"
            f"01-01-2020,T1,ACME,CT,CT Image Storage,1.2,2,1.2 MB,{location},"
            "2024-01-01T10:00:00")


@pytest.fixture
def retrieved(tmp_path):
    root = tmp_path / "manifest-1700000000000"
    for p in range(3):
        put(root, f"DEMO-CT/S-{p}/01-01-2020-NA-Chest-00000/1.000000-T1-11111/1-1.dcm", p)
    (root / "DEMO-CT/LICENSE").write_text("Use it as licensed: CC BY 4.0.\n")
    rows = [row("DEMO-CT", f"S-{p}", f"./DEMO-CT/S-{p}/01-01-2020-NA-Chest-00000/"
                f"1.000000-T1-11111", "Chest, low dose" if p == 1 else "Chest")
            for p in range(3)]
    rows[2] = rows[2].replace("/", "\\")
    (root / "metadata.csv").write_text("\r\n".join([HEAD, *rows, ""]), newline="")
    return root


def test_data_retriever_folder_is_shown_by_its_table(retrieved):
    for source in (retrieved, retrieved.parent):
        with Mount({"x": str(source)}) as m:
            assert tops(m) == {("DEMO-CT", f"S-{p}"): {f"PAT000{p}"} for p in range(3)}
            with open(m / "x/DEMO-CT/LICENSE.txt") as f:
                assert f.read() == "Use it as licensed: CC BY 4.0.\n"
            assert "LICENSE.txt" in os.listdir(m / "x/DEMO-CT")
            assert os.listdir(m / "x/by/License") == ["Use it as licensed: CC BY 4.0."]
            assert m.files("x/q/License=*by?4.0*") == m.files("x")
            assert not os.path.exists(m / "x/DEMO-CT/CITATION.txt")


def test_wrong_rows_leave_the_headers_and_a_line_in_the_log(retrieved):
    table = retrieved / "metadata.csv"
    lines = table.read_text().splitlines()
    there = lines[1].split(",")[-2]
    lines[2] = row("DEMO-CT", "S-9", there)           # one folder, two subjects
    lines[3] = row("DEMO-CT", "S-2", "../../etc")     # leads out
    table.write_text("\n".join([*lines, "torn,row", ""]))
    with Mount({"x": str(retrieved)}) as m:
        assert tops(m) == {("all", f"PAT000{p}"): {f"PAT000{p}"} for p in range(3)}
        assert "metadata.csv: 3 rows cannot be used" in m.log()
        assert "S-9" not in m.log()


def test_no_label_of_a_package_is_shown_under_a_profile(retrieved, tmp_path):
    key = tmp_path / "key"
    key.write_bytes(b"k" * 32)
    key.chmod(0o600)
    with Mount({"x": str(retrieved)}, f"key={key}", deid="basic") as m:
        names = m.files("x")
        assert len(names) == 3
        text = "\n".join(names) + m.log()
        assert "DEMO" not in text and "S-1" not in text
        assert not any(n.endswith("LICENSE.txt") for n in names)


def ida_tree(root):
    for p in range(2):
        for i in range(2):
            image = 300 + 10 * p
            put(root, f"ADNI/002_S_000{p}/Resting_State/2012-05-10_15_42_37.0/I{image}/"
                f"ADNI_002_S_000{p}_MR_Resting_br_raw_2012_{i}_S150_I{image}.dcm", p, i)
    put(root, "ADNI/002_S_0001/MPR__Scaled/2006-04-18_08_20_30.0/S13408/"
        "ADNI_002_S_0001_MR_MPR_S13408_I45108.dcm", 1, 7)


WANTED = {("ADNI", "002_S_0000"): {"PAT0000"}, ("ADNI", "002_S_0001"): {"PAT0001"}}


def test_ida_folder_and_zip_are_shown_by_project_and_subject(tmp_path):
    root = tmp_path / "Collection1"
    ida_tree(root)
    with Mount({"x": str(root)}) as m:
        assert tops(m) == WANTED and len(m.files("x")) == 5
    packed = tmp_path / "Collection1.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as z:
        for folder, _, names in os.walk(root):
            for name in names:
                path = os.path.join(folder, name)
                z.write(path, os.path.relpath(path, root))
    with Mount({"x": str(packed)}) as m:
        assert tops(m) == WANTED and len(m.files("x")) == 5


def xml_of(subject, image, extra=""):
    return (f'<?xml version="1.0"?>{extra}<idaxs><project><projectIdentifier>ADNI'
            f"</projectIdentifier><subject><subjectIdentifier>{subject}"
            "</subjectIdentifier><study><series><imagingProtocol><imageUID>"
            f"{image}</imageUID></imagingProtocol></series></study></subject></project>"
            "</idaxs>")


def test_ida_files_in_another_order_are_placed_by_table_and_xml(tmp_path):
    put(tmp_path, "flat/ADNI_a_S150_I300.dcm", 0)
    put(tmp_path, "flat/ADNI_b_S150_I310.dcm", 1)
    put(tmp_path, "flat/ADNI_c_S150_I320.dcm", 2)
    put(tmp_path, "flat/ADNI_d_S150_I330.dcm", 3)
    (tmp_path / "Collection_1_2_2024.csv").write_text(
        '"Image Data ID","Subject","Group","Sex","Age","Visit"\n'
        '"I300","002_S_0000","CN","F","70","1"\n'
        '"330","002_S_0003","CN","F","70","1"\n'
        '"I330","002_S_0004","CN","F","70","1"\n')
    (tmp_path / "ADNI_b_S150_I310.xml").write_text(xml_of("002_S_0001", 310))
    bomb = ('<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;">'
            '<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY d "&c;&c;&c;&c;&c;">]>')
    (tmp_path / "ADNI_c_S150_I320.xml").write_text(xml_of("&d;", 320, bomb))
    with Mount({"x": str(tmp_path)}) as m:
        assert tops(m) == {("all", "002_S_0000"): {"PAT0000"},
                           ("all", "002_S_0001"): {"PAT0001"},
                           ("all", "PAT0002"): {"PAT0002"},
                           ("all", "PAT0003"): {"PAT0003"}}
        assert "LONI IDA: 2 images or rows cannot be used" in m.log()
        assert "002_S" not in m.log()


def test_ida_path_and_table_that_differ_leave_the_header(tmp_path):
    ida_tree(tmp_path)
    (tmp_path / "t.csv").write_text("Image Data ID,Subject\nI300,002_S_0777\n")
    with Mount({"x": str(tmp_path)}) as m:
        assert tops(m) == {("all", "PAT0000"): {"PAT0000"},
                           ("ADNI", "002_S_0001"): {"PAT0001"}}


XCEDE = """<?xml version="1.0" encoding="UTF-8"?>
<XCEDE xmlns="http://www.xcede.org/xcede-2" version="2.0">
 <project ID="fBIRNPhaseII"/>
 <subject ID="000911558501" projectID="fBIRNPhaseII"/>
 <subject ID="000926578587" projectID="fBIRNPhaseII"/>
 <acquisition ID="acq1" projectID="fBIRNPhaseII" subjectID="000911558501"
   visitID="v1" studyID="s1" episodeID="e1"><dataResourceRef ID="res1"/></acquisition>
 <acquisition ID="acq2" projectID="fBIRNPhaseII" subjectID="000926578587"/>
 <resource ID="res1" level="acquisition"><uri offset="0" size="9">data/one.dcm</uri>
  <uri>data/two.dcm</uri></resource>
 <binaryDataResource acquisitionID="acq2"><uri> file:data/more%20here </uri>
 </binaryDataResource>
 <resource ID="nobody"><uri>data/lost.dcm</uri></resource>
 <resource ID="res1"><uri>../../outside.dcm</uri></resource>
</XCEDE>
"""


def test_xcede_catalogue_names_project_and_subject(tmp_path):
    put(tmp_path, "visit/data/one.dcm", 0, 0)
    put(tmp_path, "visit/data/two.dcm", 0, 1)
    put(tmp_path, "visit/data/more here/deep/three.dcm", 1)
    put(tmp_path, "visit/data/lost.dcm", 2)
    (tmp_path / "visit/catalogue.xml").write_text(XCEDE)
    with Mount({"x": str(tmp_path)}) as m:
        assert tops(m) == {("fBIRNPhaseII", "000911558501"): {"PAT0000"},
                           ("fBIRNPhaseII", "000926578587"): {"PAT0001"},
                           ("all", "PAT0002"): {"PAT0002"}}
        assert "2 files or entries cannot be used" in m.log()
    text = XCEDE.replace("<XCEDE ", '<!DOCTYPE XCEDE [<!ENTITY x "y">]><XCEDE ')
    (tmp_path / "visit/catalogue.xml").write_text(text)
    with Mount({"x": str(tmp_path)}) as m:
        assert {k[0] for k in tops(m)} == {"all"}
        assert "1 files or entries cannot be used" in m.log()
